"""Activations as functions and as arguments, merging functions, and the configs of layers against Keras' goldens."""

import json
from pathlib import Path

import numpy as np
import pytest

GOLDENS = Path(__file__).resolve().parents[2] / "Tests" / "goldens"


def golden(group):
    return json.loads((GOLDENS / f"layers-{group}.json").read_text())


def array(entry):
    return np.array(entry["values"], np.float32).reshape(entry["shape"])


def near(got, wanted):
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-5 * max(1, np.abs(wanted).max()))


def test_functions_match_keras(keras):
    for case in golden("functions"):
        function = getattr(keras.activations, case["name"])
        near(function(array(case["input"]), **case["arguments"]), array(case["output"]))
    for case in golden("activation"):
        if case["class"] == "Activation" and isinstance(case["config"]["activation"], str):
            near(getattr(keras.activations, case["config"]["activation"])(array(case["inputs"][0])), array(case["output"]))


def test_sparsemax_is_the_nearest_point_of_the_simplex(keras):
    y = keras.activations.sparsemax(np.array([[0.25, 0.25, 0.25, 0.25, 0], [3, 0, 0, 0, 0], [0.5, 0.3, -1, -1, -1]], np.float32))
    near(y, np.array([[0.25, 0.25, 0.25, 0.25, 0], [1, 0, 0, 0, 0], [0.6, 0.4, 0, 0, 0]], np.float32))


def test_functions_take_lists_numbers_tensors_and_symbols(keras):
    relu = keras.activations.relu
    assert relu([-10, -5, 0.0, 5, 10]).numpy().tolist() == [0, 0, 0, 5, 10]
    assert float(relu(-3.0, negative_slope=0.5)) == -1.5
    assert relu(keras.activations.tanh([-1.0])).numpy().tolist() == [0]
    x = keras.Input((3,))
    model = keras.Model(x, keras.activations.relu(keras.activations.relu(x), max_value=2.0))
    assert np.asarray(model(np.array([[-1.0, 1, 3]]))).tolist() == [[0, 1, 2]]


def test_functions_are_differentiable(keras):
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    x = np.array([[2.0]], np.float32)
    dense.build((None, 1))
    with keras.GradientTape() as tape:
        y = keras.activations.silu(dense(x))
        loss = keras.losses.BinaryCrossentropy(from_logits=True)(np.zeros((1, 1), np.float32), y)
    s = 1 / (1 + np.exp(-2))
    z = 2 * s
    wanted = 1 / (1 + np.exp(-z)) * (s + 2 * s * (1 - s)) * 2
    assert float(np.asarray(tape.gradient(loss, dense.weights)[0]).item()) == pytest.approx(wanted, rel=1e-5)


def test_functions_and_layers_as_arguments(keras):
    layers = keras.layers
    assert layers.Dense(2, activation=keras.activations.swish).get_config()["activation"] == "silu"
    assert layers.Activation(keras.activations.hard_swish).activation is keras.activations.hard_silu
    layer = layers.Dense(1, activation=layers.LeakyReLU(0.1), kernel_initializer="ones")
    assert float(np.asarray(layer(np.array([[-2.0]]))).item()) == pytest.approx(-0.2)
    config = layer.get_config()
    assert config["activation"]["class_name"] == "LeakyReLU" and config["activation"]["config"]["negative_slope"] == 0.1
    assert layers.Dense.from_config(config).get_config() == config
    with pytest.raises(keras.XferError, match="PReLU"):
        layers.Dense(1, activation=layers.PReLU())


def test_get_serialize_deserialize(keras):
    activations = keras.activations
    assert activations.get(None) is activations.linear and activations.get("swish") is activations.silu
    assert activations.get(activations.gelu) is activations.gelu
    assert activations.serialize(activations.hard_swish) == "hard_silu"
    leaky = activations.deserialize(activations.serialize(keras.layers.LeakyReLU(0.5)))
    assert float(leaky(np.array([[-2.0]])).numpy().item()) == -1
    for wrong in ("rellu", 3):
        with pytest.raises(ValueError, match="Could not interpret"):
            activations.get(wrong)


@pytest.mark.parametrize("name, arguments, words", [
    ("threshold", {}, "threshold"), ("glu", {}, "even"), ("softmax", {"axis": 5}, "5"),
])
def test_refusals_of_functions(keras, name, arguments, words):
    with pytest.raises((keras.XferError, TypeError), match=words):
        getattr(keras.activations, name)(np.ones((2, 3)), **arguments)


def comparable(value, key=""):
    if isinstance(value, (list, tuple)):
        return [comparable(v) for v in value]
    if isinstance(value, dict):
        return value["class_name"] if key.endswith("_initializer") else {k: comparable(v, k) for k, v in value.items()}
    return value


@pytest.mark.parametrize("group", ["convolution", "pooling", "merging", "shaping", "activation"])
def test_classes_and_configs_match_keras(keras, group):
    for case in golden(group):
        cls = getattr(keras.layers, case["class"])
        layer = cls.from_config(case["config"])
        assert comparable(layer.get_config()) == comparable(case["config"])
        # The same from the constructor's arguments.
        arguments = {k: v for k, v in case["config"].items() if k not in ("dtype", "quantization_config")}
        assert comparable(cls(**arguments).get_config()) == comparable(case["config"])
        inputs = [array(x) for x in case["inputs"]]
        layer(inputs if len(inputs) > 1 else inputs[0])
        layer.set_weights([array(w) for w in case["weights"]])
        near(layer(inputs if len(inputs) > 1 else inputs[0]), array(case["output"]))


def test_merging_functions(keras):
    a, b = np.array([[1.0, 5]], np.float32), np.array([[3.0, 2]], np.float32)
    layers = keras.layers
    wanted = {
        layers.add: [[4, 7]], layers.subtract: [[-2, 3]], layers.multiply: [[3, 10]], layers.average: [[2, 3.5]],
        layers.maximum: [[3, 5]], layers.minimum: [[1, 2]], layers.concatenate: [[1, 5, 3, 2]], layers.dot: [[13]],
    }
    for function, result in wanted.items():
        assert np.asarray(function([a, b])).tolist() == result
        x, y = keras.Input((2,)), keras.Input((2,))
        model = keras.Model([x, y], function([x, y], name="merged"))
        assert model.get_layer("merged").name == "merged" and np.asarray(model([a, b])).tolist() == result


def test_old_names(keras):
    layers = keras.layers
    assert layers.Convolution2D is layers.Conv2D and layers.GlobalMaxPool2D is layers.GlobalMaxPooling2D
    assert layers.LeakyReLU(alpha=0.5).negative_slope == 0.5
    with pytest.raises(keras.XferError, match="null"):
        layers.LeakyReLU(None)
