"""Numbers of Keras' training loop for TrainingLoopTests.swift: run with a Python that has Keras; writes training_loop.json beside this file."""

import json
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np


def wave(shape, phase):
    count = int(np.prod(shape))
    return np.sin(0.7 * np.arange(count) + phase).astype(np.float32).reshape(shape)


def fill(model):
    for index, weight in enumerate(model.weights):
        weight.assign(0.5 * wave(weight.shape, index + 1.0))


def floats(history):
    return {name: [float(v) for v in values] for name, values in history.items()}


def several():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    h = keras.layers.Dense(4, activation="relu", name="h")(a)
    z = keras.layers.Concatenate(name="z")([h, b])
    model = keras.Model([a, b], [keras.layers.Dense(1, name="p")(z), keras.layers.Dense(3, name="q")(z)])
    fill(model)
    model.compile(
        keras.optimizers.SGD(0.1),
        loss={"p": keras.losses.BinaryCrossentropy(from_logits=True), "q": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
        loss_weights={"p": 1.0, "q": 0.5},
        metrics={"p": [keras.metrics.BinaryAccuracy(threshold=0.0)], "q": [keras.metrics.SparseCategoricalAccuracy(name="acc")]},
        weighted_metrics={"q": [keras.metrics.SparseCategoricalAccuracy(name="acc")]},
        # In a graph Keras does not know the batch's size when it averages the losses of single outputs: batches then count the same.
        run_eagerly=True)
    x = [wave((10, 3), 0.1), wave((10, 2), 0.2)]
    y = [(wave((10, 1), 0.3) > 0).astype(np.float32), (np.arange(10) % 3).astype(np.int32)]
    weights = [1 + 0.5 * wave((10,), 0.4), 1 + 0.5 * wave((10,), 0.5)]
    history = model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0, sample_weight=weights, validation_data=(x, y)).history
    figures = model.evaluate(x, y, batch_size=4, verbose=0, sample_weight=weights)
    return {"history": floats(history), "weights": [float(np.sum(w)) for w in model.get_weights()], "evaluate": [float(v) for v in figures]}


def classes():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="p")])
    fill(model)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    accuracy = keras.metrics.BinaryAccuracy(threshold=0.0)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=[accuracy], weighted_metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
    x, y = wave((10, 3), 0.1), (wave((10, 1), 0.3) > 0).astype(np.float32)
    # Class 1 is missing and weighs 1.
    history = model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0, class_weight={0: 2.5}).history
    return {"history": floats(history), "weights": [float(np.sum(w)) for w in model.get_weights()]}


SCRIPTS = [
    [1.0, 0.9, 0.95, 0.93, 0.92, 0.91, 0.89, 0.9, 0.9, 0.9, 0.9, 0.9],
    [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6],
    [1.0, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.90, 0.89],
    [0.3, 0.3, 0.3, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1],
]
STOPPING = [
    {}, {"patience": 2}, {"patience": 3, "min_delta": 0.05}, {"patience": 2, "baseline": 0.4}, {"patience": 2, "start_from_epoch": 4},
    {"patience": 2, "mode": "max"}, {"patience": 1, "mode": "max", "min_delta": 0.15},
]
REDUCING = [
    {"patience": 1}, {"patience": 2, "factor": 0.5}, {"patience": 1, "cooldown": 2}, {"patience": 1, "min_lr": 0.005}, {"patience": 2, "mode": "max"},
    {"patience": 2, "min_delta": 0.1, "factor": 0.3}, {"patience": 1, "cooldown": 1, "min_delta": 0},
]


def decisions():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    result = {"stopping": [], "reducing": []}
    for script in SCRIPTS:
        for config in STOPPING:
            model.compile("sgd", "mse")
            callback = keras.callbacks.EarlyStopping(**config)
            callback.set_model(model)
            model.stop_training = False
            callback.on_train_begin()
            epochs = 0
            for epoch, value in enumerate(script):
                callback.on_epoch_end(epoch, {"val_loss": value})
                epochs += 1
                if model.stop_training:
                    break
            result["stopping"].append({
                "script": script, "config": config, "epochs": epochs, "wait": callback.wait, "best": float(callback.best) if callback.best is not None else None,
                "best_epoch": callback.best_epoch, "stopped_epoch": callback.stopped_epoch})
        for config in REDUCING:
            model.compile(keras.optimizers.SGD(0.1), "mse")
            callback = keras.callbacks.ReduceLROnPlateau(**config)
            callback.set_model(model)
            callback.on_train_begin()
            rates = []
            for epoch, value in enumerate(script):
                callback.on_epoch_end(epoch, {"val_loss": value})
                rates.append(float(model.optimizer.learning_rate))
            result["reducing"].append({"script": script, "config": config, "rates": rates})
    return result


if __name__ == "__main__":
    golden = {"several": several(), "classes": classes(), **decisions()}
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "training_loop.json")
    with open(path, "w") as file:
        json.dump(golden, file, indent=1, sort_keys=True)
        file.write("\n")
