"""Makes lora.json and files/lora.keras: layers adapted by Keras' enable_lora, their weights, configs, outputs, gradients, what they save, and a training.

Run with Keras 3.15 on JAX: python Tests/goldens/lora.py
"""

import json
import os
import pathlib

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np

HERE = pathlib.Path(__file__).parent
RANDOM = np.random.default_rng(31)


def numbers(array):
    array = np.asarray(array, np.float64)
    return {"shape": list(array.shape), "values": [float(f"{v:.8g}") for v in array.ravel()]}


def normal(*shape, scale=1.0):
    return (RANDOM.normal(size=shape) * scale).astype("float32")


def lora_config(layer):
    return {key: value for key, value in layer.get_config().items() if key.startswith("lora")}


def case(class_name, given, x, arguments):
    layer = getattr(keras.layers, class_name)(name="adapted", **given)
    layer.build((None, *x.shape[1:]))
    for weight in layer.weights:
        weight.assign(normal(*weight.shape, scale=0.6))
    before = np.asarray(layer(x))
    layer.enable_lora(**arguments)
    assert np.array_equal(before, np.asarray(layer(x)))
    drawn = [{"name": w.name, "path": w.path, "shape": list(w.shape), "trainable": w.trainable} for w in layer.weights]
    for weight in layer.weights:
        weight.assign(normal(*weight.shape, scale=0.6))
    y = layer(x)
    factors = normal(*y.shape)

    def loss(trained, fixed):
        outputs, _ = layer.stateless_call(trained, fixed, x)
        return (outputs * factors).sum()

    gradients = jax.grad(loss)([w.value for w in layer.trainable_variables], [w.value for w in layer.non_trainable_variables])
    store = {}
    layer.save_own_variables(store)
    return {
        "class": class_name, "given": given, "arguments": arguments, "lora": lora_config(layer), "input": numbers(x), "weights": [
            {**facts, "values": numbers(weight)["values"]} for facts, weight in zip(drawn, layer.weights)],
        "trainable": [w.name for w in layer.trainable_weights], "output": numbers(y), "factors": numbers(factors),
        "gradients": [numbers(gradient) for gradient in gradients], "stored": [numbers(store[str(i)]) for i in range(len(store))],
    }


def training():
    """A frozen layer, an adapted one and a head, trained, saved, and loaded."""
    model = keras.Sequential([
        keras.Input((6,)), keras.layers.Dense(5, activation="tanh", name="frozen"), keras.layers.Dense(4, activation="tanh", name="adapted"),
        keras.layers.Dense(2, name="head")])
    for weight in model.weights:
        weight.assign(normal(*weight.shape, scale=0.7))
    model.get_layer("frozen").trainable = False
    model.get_layer("adapted").enable_lora(2, lora_alpha=6)
    model.get_layer("adapted").lora_kernel_a.assign(normal(4 + 1, 2))
    begin = [numbers(w) for w in model.weights]
    x, y = normal(24, 6), normal(24, 2)
    model.compile(keras.optimizers.Adam(0.02), "mse")
    history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history
    end = [numbers(w) for w in model.weights]
    predictions = model.predict(x, verbose=0)
    model.save(HERE / "files" / "lora.keras")
    loaded = keras.models.load_model(HERE / "files" / "lora.keras")
    return {
        "x": numbers(x), "y": numbers(y), "begin": begin, "losses": [float(f"{v:.8g}") for v in history["loss"]], "end": end,
        "paths": [w.path for w in model.weights], "trainable": [w.path for w in model.trainable_weights], "predictions": numbers(predictions),
        "loaded": [numbers(w) for w in loaded.weights], "params": model.count_params(),
    }


if __name__ == "__main__":
    document = {
        "layers": [
            case("Dense", {"units": 3}, normal(4, 5), {"rank": 2}),
            case("Dense", {"units": 4, "use_bias": False, "activation": "relu"}, normal(2, 3, 5), {"rank": 3, "lora_alpha": 8}),
            case("Conv2D", {"filters": 4, "kernel_size": 1}, normal(2, 3, 3, 5), {"rank": 2, "lora_alpha": 1.5}),
            case("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same", "strides": 2}, normal(2, 5, 5, 3), {"rank": 1}),
            case("Conv2D", {"filters": 4, "kernel_size": [2, 1], "groups": 2, "use_bias": False}, normal(2, 4, 3, 6), {"rank": 2}),
            case("Embedding", {"input_dim": 6, "output_dim": 4}, RANDOM.integers(0, 6, (3, 2)).astype("int32"), {"rank": 2, "lora_alpha": 4}),
        ],
        "training": training(),
    }
    (HERE / "lora.json").write_text(json.dumps(document) + "\n")
