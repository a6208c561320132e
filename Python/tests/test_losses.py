"""Losses: numbers of Keras, functional forms, reductions, names, configs."""

import json
from pathlib import Path

import numpy as np
import pytest

import xfer

CASES = json.loads((Path(__file__).parents[2] / "Tests" / "goldens" / "losses.json").read_text())


def unpack(packed):
    return np.array(packed["values"], np.int32 if packed["int"] else np.float32).reshape(packed["shape"])


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['class']}-{c['config']}")
def test_values_are_keras(case):
    truth, prediction = unpack(case["truth"]), unpack(case["prediction"])
    for result in case["results"]:
        loss = getattr(xfer.losses, case["class"])(reduction=result["reduction"], **case["config"])
        weights = None if result["weights"] is None else unpack(result["weights"])
        value = loss(truth, prediction, weights)
        wanted = unpack(result["value"])
        assert value.shape == wanted.shape
        np.testing.assert_allclose(np.asarray(value), wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['class']}-{c['config']}")
def test_functions_give_one_value_a_sample(case):
    loss = getattr(xfer.losses, case["class"])()
    name = {"Huber": "huber"}.get(case["class"], loss.name)
    function = getattr(xfer.losses, name)
    truth, prediction = unpack(case["truth"]), unpack(case["prediction"])
    wanted = next(unpack(r["value"]) for r in case["results"] if r["reduction"] == "none" and r["weights"] is None)
    np.testing.assert_allclose(np.asarray(function(truth, prediction, **case["config"])), wanted, rtol=2e-5, atol=2e-5)


def test_names():
    assert xfer.losses.get("mse").name == "mse"
    assert xfer.losses.get("mean_squared_error") is xfer.losses.mean_squared_error
    assert isinstance(xfer.losses.get("MeanSquaredError"), xfer.losses.MeanSquaredError)
    assert xfer.losses.get(None) is None
    again = xfer.losses.get({"class_name": "Huber", "config": {"delta": 2.0}})
    assert again.get_config()["delta"] == 2.0
    loss = xfer.losses.Huber(delta=0.5, reduction=None)
    assert loss.reduction == "none"
    assert xfer.losses.deserialize(xfer.losses.serialize(loss)).get_config() == loss.get_config()
    assert xfer.losses.MeanAbsoluteError.from_config(xfer.losses.MeanAbsoluteError().get_config()).name == "mean_absolute_error"
    with pytest.raises(ValueError, match="mean_squared_error"):
        xfer.losses.get("mean_square_error")
    with pytest.raises(ValueError, match="reduction"):
        xfer.losses.MeanSquaredError(reduction="average")


def line(units=1):
    inputs = xfer.Input((3,))
    return xfer.Model(inputs, xfer.layers.Dense(units, kernel_initializer="zeros")(inputs))


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "log_cosh", xfer.losses.mean_squared_error, xfer.losses.Huber(0.5)])
def test_regression_is_learned(loss):
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    y = x @ np.array([1.0, -2.0, 0.5], np.float32) + 0.3
    model = line()
    model.compile(xfer.optimizers.Adam(0.05), loss, metrics=["mse", xfer.metrics.RootMeanSquaredError()])
    history = model.fit(x, y, epochs=60, batch_size=16, verbose=0).history
    assert history["mse"][-1] < 0.05 * history["mse"][0]
    np.testing.assert_allclose(np.sqrt(history["mse"][-1]), history["root_mean_squared_error"][-1], rtol=1e-5)


@pytest.mark.parametrize("loss, target", [
    ("crossentropy", "sparse"), ("ce", "one-hot"), ("categorical_crossentropy", "one-hot"), ("categorical_focal_crossentropy", "one-hot"),
    ("kld", "one-hot"), ("categorical_hinge", "one-hot")])
def test_classes_are_learned(loss, target):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 90)
    x = (np.eye(3)[labels] * 2 + rng.normal(size=(90, 3)) * 0.3).astype(np.float32)
    inputs = xfer.Input((3,))
    model = xfer.Model(inputs, xfer.layers.Dense(3, activation="softmax", kernel_initializer="zeros")(inputs))
    y = labels if target == "sparse" else np.eye(3, dtype=np.float32)[labels]
    model.compile(xfer.optimizers.Adam(0.1), loss, metrics=["accuracy", "acc"])
    history = model.fit(x, y, epochs=20, verbose=0).history
    assert history["accuracy"][-1] > 0.95 and history["acc"] == history["accuracy"]


def test_gradients_under_the_tape():
    model = line(2)
    x = np.ones((4, 3), np.float32)
    y = np.full((4, 2), 2.0, np.float32)
    loss = xfer.losses.MeanSquaredError(reduction="sum")
    with xfer.GradientTape() as tape:
        value = loss(y, model(x))
    kernel, bias = tape.gradient(value, model.trainable_weights)
    # sum over samples of mean over 2 outputs of (p - 2)²: d/db = Σ 2(p - 2)/2 = 4 · -2
    np.testing.assert_allclose(np.asarray(bias), [-8, -8], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(kernel), np.full((3, 2), -8), rtol=1e-6)


def test_arguments_by_place_as_in_keras():
    probabilities, one_hot = np.float32([[0.3, 0.7], [0.6, 0.4]]), np.eye(2, dtype=np.float32)[[1, 1]]
    losses, near = xfer.losses, lambda values: pytest.approx(values, abs=2e-5)
    assert np.asarray(losses.categorical_crossentropy(one_hot, probabilities, False, 0.1)).tolist() == near([0.39904, 0.89602])
    assert np.asarray(losses.huber(one_hot, probabilities, 0.1)).tolist() == near([0.025, 0.055])
    assert np.asarray(losses.sparse_categorical_crossentropy(np.array([1, 1]), probabilities, False, 1)).tolist() == [0, 0]
    assert float(losses.tversky(one_hot, probabilities, 0.3, 0.6)) == near(0.42408)
    with pytest.raises(TypeError):
        losses.mean_squared_error(one_hot, probabilities, 3)
    with pytest.raises(TypeError):
        losses.huber(one_hot, probabilities, gamma=3)


@pytest.mark.parametrize("loss, alike", [
    (xfer.losses.CategoricalCrossentropy, "categorical_crossentropy"), (xfer.losses.KLDivergence, "kld"),
    (lambda y_true, y_pred: xfer.ops.mean(xfer.ops.square(y_true - y_pred), axis=-1), "mse")])
def test_classes_and_lambdas_as_losses(loss, alike):
    x, y = np.float32([[1, 2], [3, 1], [0, 1]]), np.eye(3, dtype=np.float32)
    figures = []
    for given in (loss, alike):
        model = xfer.Sequential([xfer.Input((2,)), xfer.layers.Dense(3, "softmax", kernel_initializer="zeros")])
        model.compile(xfer.optimizers.SGD(0.1), given)
        figures.append(model.fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"])
    assert figures[0] == pytest.approx(figures[1], rel=1e-5) and figures[0][-1] < figures[0][0]
