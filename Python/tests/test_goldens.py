"""Models trained by Keras itself: the same config and weights here have to give the same numbers.

The fixtures are written by Tests/goldens/make_models.py. Differences are relative to the largest absolute value of the array, and at least 1 (.2 for weights).
"""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "Tests" / "goldens" / "models"
FILES = sorted(FOLDER.glob("*.json"))


def array(document):
    values = np.frombuffer(base64.b64decode(document["data"]), np.dtype(document["dtype"]).newbyteorder("<"))
    return values.reshape(document["shape"]).astype(document["dtype"])


def near(what, expected, got, tolerance, floor=1.0):
    expected, got = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    assert expected.shape == got.shape, what
    scale = max(floor, np.abs(expected).max(initial=0))
    assert np.abs(expected - got).max(initial=0) <= tolerance * scale, f"{what}: Keras {expected}, Xfer {got}"


def model_of(keras, golden):
    model = keras.models.model_from_json(json.dumps(golden["config"]))
    model.set_weights([array(w) for w in golden["weights"]])
    for path, flag in golden["freezes"]:
        layer = model
        for name in path:
            layer = layer.get_layer(name)
        layer.trainable = flag
    return model


def test_fixtures_are_there():
    kinds = {json.loads(path.read_text())["what"].split(" samples, ")[1].split(",")[0] for path in FILES}
    assert {"flat", "open", "closed"} <= kinds


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_trained_as_in_keras(keras, path):
    golden = json.loads(path.read_text())
    expected = golden["expected"]
    model = model_of(keras, golden)
    x, y = array(golden["x"]), array(golden["y"])
    assert [len(model.weights), len(model.trainable_weights)] == expected["counts"]
    near("predict", array(expected["predict"]), model.predict(x, verbose=0), 2e-4)

    fit = dict(golden["fit"])
    if "sample_weight" in fit:
        fit["sample_weight"] = array(fit["sample_weight"])
    if "class_weight" in fit:
        fit["class_weight"] = {int(c): w for c, w in fit["class_weight"].items()}
    model.compile(
        keras.optimizers.get(golden["optimizer"]), keras.losses.get(golden["loss"]), metrics=[keras.metrics.get(m) for m in golden["metrics"]])
    figures = model.evaluate(
        x, y, batch_size=fit["batch_size"], sample_weight=fit.get("sample_weight"), verbose=0, return_dict=True)
    assert set(figures) == set(expected["evaluate"])
    for key, value in expected["evaluate"].items():
        near(f"evaluate {key}", value, figures[key], 1e-3)
    held = golden["validation"]
    history = model.fit(x, y, verbose=0, validation_data=None if held is None else tuple(array(h) for h in held), **fit).history
    assert set(history) == set(expected["history"])
    for key, values in expected["history"].items():
        near(f"history {key}", values, history[key], 3e-3)
    for weight, value in zip(model.weights, expected["weights"]):
        near(f"weight {weight.path}", array(value), weight.numpy(), 5e-3, floor=0.2)
