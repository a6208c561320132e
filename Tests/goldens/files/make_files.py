"""Writes the model files of this folder with Keras: python make_files.py. answers.json has an input for each and what Keras predicts.

Files: `nested_<outer><base>.h5/.weights.h5/.keras`, a base with BatchNormalization in an outer model, saved with each of the two trainable (t) or
frozen (f); `shared.keras`, layers called twice, a Sequential in a Sequential that a call built, dropout and augmentation in the middle;
`open.keras`, any height and width; `compiled.keras`, with an optimizer that took steps; `keras2.h5` and `keras1.h5`, written by hand in the layouts
of those versions.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import h5py
import keras
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
L = keras.layers
answers = {}


def at(name):
    return os.path.join(HERE, name)


def rounded(array):
    return np.asarray(array, np.float64).round(7).tolist()


def values(model, seed):
    """Weights that are all different and small; variances above 0."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        draw = generator.uniform(-0.5, 0.5, weight.shape).astype(np.float32)
        weight.assign(draw + 1 if "variance" in weight.path or "gamma" in weight.path else draw)


def answer(name, model, shape, scale=1.0):
    x = (np.random.default_rng(9).uniform(0, scale, shape)).astype(np.float32)
    answers[name] = {"x": rounded(x), "y": rounded(model.predict(x, verbose=0)), "weights": {w.path: rounded(w.numpy()) for w in model.weights}}


def nested():
    base_in = keras.Input((6, 6, 2), name="base_in")
    x = L.Conv2D(3, 3, name="conv")(base_in)
    x = L.BatchNormalization(name="bn")(x)
    x = L.ReLU(name="relu")(x)
    base = keras.Model(base_in, L.SeparableConv2D(2, 2, name="separable")(x), name="base")
    inputs = keras.Input((6, 6, 2), name="image")
    x = base(inputs, training=False)
    x = L.BatchNormalization(name="outer_bn")(x)
    x = L.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, L.Dense(2, name="head")(x), name="outer"), base


def save_nested():
    for outer_flag in (True, False):
        for base_flag in (True, False):
            model, base = nested()
            values(model, 1)
            model.trainable = outer_flag
            base.trainable = base_flag
            name = "nested_" + ("t" if outer_flag else "f") + ("t" if base_flag else "f")
            model.save(at(name + ".h5"))
            model.save(at(name + ".keras"))
            model.save_weights(at(name + ".weights.h5"))
    answer("nested", model, (2, 6, 6, 2))


def save_shared():
    inputs = keras.Input((8, 8, 3), name="image")
    x = L.RandomFlip("horizontal", name="flip")(inputs)
    dense = L.Dense(3, activation="relu")
    x = dense(dense(x))
    x = L.Dropout(0.5)(x)
    line = keras.Sequential([L.Dense(4), keras.Sequential([L.Dense(3), L.BatchNormalization()])])
    x = L.Add()([line(x), x])
    twice = L.Conv2D(2, 3, padding="same")
    a, b = twice(x), twice(L.ReLU()(x))
    x = L.Concatenate()([a, b])
    x = L.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, L.Dense(2, activation="softmax")(x))
    values(model, 2)
    model.save(at("shared.keras"))
    model.save_weights(at("shared.weights.h5"))
    answer("shared", model, (2, 8, 8, 3))


def save_open():
    inputs = keras.Input((None, None, 3), name="image")
    x = L.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = L.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    x = L.MaxPooling2D()(x)
    x = L.SeparableConv2D(5, 3)(x)
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    values(model, 3)
    model.save(at("open.keras"))
    model.save(at("open.h5"))
    answer("open", model, (2, 20, 28, 3), 255.0)
    answer("open_other", model, (1, 33, 17, 3), 255.0)


def save_compiled():
    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.Input((4,)), L.Dense(5, activation="relu"), L.Dense(1)], name="compiled")
    model.layers[0].trainable = False
    model.compile(
        keras.optimizers.Adam(0.01), loss=keras.losses.BinaryCrossentropy(from_logits=True), metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
    generator = np.random.default_rng(5)
    x = generator.normal(size=(16, 4)).astype(np.float32)
    y = (x[:, :1] > 0).astype(np.float32)
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    model.save(at("compiled.keras"))
    before = [w.numpy() for w in model.trainable_weights]
    loss = model.train_on_batch(x[:8], y[:8])
    answer("compiled", model, (3, 4))
    answers["compiled"].update({
        "batch": rounded(x[:8]), "targets": rounded(y[:8]), "loss": float(loss[0] if isinstance(loss, list) else loss),
        "before": [rounded(w) for w in before], "after": [rounded(w.numpy()) for w in model.trainable_weights],
        "iterations": int(model.optimizer.iterations)})


def group(parent, layer, weights):
    """A layer's group in a legacy file: names with `/` become groups."""
    made = parent.create_group(layer)
    made.attrs["weight_names"] = np.array([name.encode() for name, _ in weights])
    for name, value in weights:
        made.create_dataset(name, data=value)


def save_old():
    generator = np.random.default_rng(6)
    draw = lambda *shape: generator.uniform(-0.5, 0.5, shape).astype(np.float32)
    conv, bias = draw(3, 3, 2, 3), draw(3)
    gamma, beta, mean, variance = draw(3) + 1, draw(3), draw(3), draw(3) + 1
    kernel, offset = draw(3, 2), draw(2)
    layer = lambda name, class_name, inbound, **config: {
        "class_name": class_name, "name": name, "config": {"name": name, "trainable": True, **config}, "inbound_nodes": inbound}
    base = {
        "class_name": "Functional", "name": "base", "inbound_nodes": [[["image", 0, 0, {"training": False}]]],
        "config": {
            "name": "base", "trainable": False,
            "layers": [
                {"class_name": "InputLayer", "name": "base_in", "inbound_nodes": [], "config": {
                    "batch_input_shape": [None, 6, 6, 2], "dtype": "float32", "sparse": False, "ragged": False, "name": "base_in"}},
                layer("conv", "Conv2D", [[["base_in", 0, 0, {}]]], dtype="float32", filters=3, kernel_size=[3, 3], strides=[1, 1], padding="valid",
                      data_format="channels_last", dilation_rate=[1, 1], groups=1, activation="linear", use_bias=True,
                      kernel_initializer={"class_name": "GlorotUniform", "config": {"seed": None}},
                      bias_initializer={"class_name": "Zeros", "config": {}}, kernel_regularizer=None, bias_regularizer=None,
                      activity_regularizer=None, kernel_constraint=None, bias_constraint=None),
                layer("bn", "BatchNormalization", [[["conv", 0, 0, {}]]], dtype="float32", axis=[3], momentum=0.99, epsilon=0.001, center=True,
                      scale=True, beta_initializer={"class_name": "Zeros", "config": {}}, gamma_initializer={"class_name": "Ones", "config": {}},
                      moving_mean_initializer={"class_name": "Zeros", "config": {}},
                      moving_variance_initializer={"class_name": "Ones", "config": {}}, beta_regularizer=None, gamma_regularizer=None,
                      beta_constraint=None, gamma_constraint=None)],
            "input_layers": [["base_in", 0, 0]], "output_layers": [["bn", 0, 0]]}}
    config = {"class_name": "Functional", "keras_version": "2.4.0", "backend": "tensorflow", "config": {
        "name": "outer", "trainable": True,
        "layers": [
            {"class_name": "InputLayer", "name": "image", "inbound_nodes": [], "config": {
                "batch_input_shape": [None, 6, 6, 2], "dtype": "float32", "sparse": False, "ragged": False, "name": "image"}},
            base,
            layer("pool", "GlobalAveragePooling2D", [[["base", 1, 0, {}]]], dtype="float32", data_format="channels_last"),
            layer("head", "Dense", [[["pool", 0, 0, {}]]], dtype="float32", units=2, activation="linear", use_bias=True,
                  kernel_initializer={"class_name": "GlorotUniform", "config": {"seed": None}},
                  bias_initializer={"class_name": "Zeros", "config": {}}, kernel_regularizer=None, bias_regularizer=None,
                  activity_regularizer=None, kernel_constraint=None, bias_constraint=None)],
        "input_layers": [["image", 0, 0]], "output_layers": [["head", 0, 0]]}}
    # Keras 2 counts the calls of a nested model from 1: the model itself is its own first call.
    with h5py.File(at("keras2.h5"), "w") as file:
        file.attrs["backend"], file.attrs["keras_version"] = "tensorflow", "2.4.0"
        file.attrs["model_config"] = json.dumps(config).encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([b"image", b"base", b"pool", b"head"])
        for name in ("image", "pool"):
            group(weights, name, [])
        # The base was frozen when it was saved: all of it is non-trainable, in creation order.
        group(weights, "base", [("conv/kernel:0", conv), ("conv/bias:0", bias), ("bn/gamma:0", gamma), ("bn/beta:0", beta),
                                ("bn/moving_mean:0", mean), ("bn/moving_variance:0", variance)])
        group(weights, "head", [("head/kernel:0", kernel), ("head/bias:0", offset)])
    x = np.random.default_rng(9).uniform(0, 1, (2, 6, 6, 2)).astype(np.float32)
    inner = keras.Sequential([keras.Input((6, 6, 2)), L.Conv2D(3, 3), L.BatchNormalization(), L.GlobalAveragePooling2D(), L.Dense(2)])
    inner.set_weights([conv, bias, gamma, beta, mean, variance, kernel, offset])
    y = rounded(inner.predict(x, verbose=0))
    answers["keras2"] = {"x": rounded(x), "y": y}
    old = [
        {"class_name": "Conv2D", "config": {"name": "conv2d_7", "trainable": True, "batch_input_shape": [None, 6, 6, 2], "dtype": "float32",
            "filters": 3, "kernel_size": [3, 3], "strides": [1, 1], "padding": "valid", "data_format": "channels_last", "dilation_rate": [1, 1],
            "activation": "linear", "use_bias": True}},
        {"class_name": "BatchNormalization", "config": {"name": "batch_normalization_3", "trainable": True, "axis": -1, "momentum": 0.99,
            "epsilon": 0.001, "center": True, "scale": True}},
        {"class_name": "GlobalAveragePooling2D", "config": {"name": "global_average_pooling2d_1", "trainable": True}},
        {"class_name": "Dense", "config": {"name": "dense_5", "trainable": True, "units": 2, "activation": "linear", "use_bias": True}}]
    with h5py.File(at("keras1.h5"), "w") as file:
        file.attrs["keras_version"] = b"2.0.4"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": old}).encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([item["config"]["name"].encode() for item in old])
        group(weights, "conv2d_7", [("conv2d_7/kernel:0", conv), ("conv2d_7/bias:0", bias)])
        # Saved with trainable weights first.
        group(weights, "batch_normalization_3", [
            ("batch_normalization_3/gamma:0", gamma), ("batch_normalization_3/beta:0", beta),
            ("batch_normalization_3/moving_mean:0", mean), ("batch_normalization_3/moving_variance:0", variance)])
        group(weights, "global_average_pooling2d_1", [])
        group(weights, "dense_5", [("dense_5/kernel:0", kernel), ("dense_5/bias:0", offset)])
    answers["keras1"] = {"x": rounded(x), "y": y}


if __name__ == "__main__":
    for job in (save_nested, save_shared, save_open, save_compiled, save_old):
        job()
    with open(at("answers.json"), "w") as file:
        json.dump(answers, file)
    print(keras.__version__, sorted(os.listdir(HERE)), file=sys.stderr)
