"""Files Keras wrote (Tests/goldens/files, made by make_files.py there), and files of older layouts."""

import json
from pathlib import Path

import numpy as np
import pytest

FILES = Path(__file__).resolve().parents[2] / "Tests" / "goldens" / "files"
FLAGS = ("tt", "tf", "ft", "ff")

pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason="Tests/goldens/files is absent")


@pytest.fixture(scope="module")
def answers():
    return json.loads((FILES / "answers.json").read_text())


def predicts(model, answer, tolerance=2e-5):
    y = model.predict(np.array(answer["x"], np.float32), verbose=0)
    np.testing.assert_allclose(y, answer["y"], atol=tolerance, rtol=1e-4)


def nested(keras):
    """The architecture of the `nested` files, made anew."""
    start = keras.Input((6, 6, 2), name="base_in")
    x = keras.layers.Conv2D(3, 3, name="conv")(start)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.ReLU(name="relu")(x)
    base = keras.Model(start, keras.layers.SeparableConv2D(2, 2, name="separable")(x), name="base")
    inputs = keras.Input((6, 6, 2), name="image")
    x = keras.layers.BatchNormalization(name="outer_bn")(base(inputs, training=False))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(x), name="outer"), base


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("flags", FLAGS)
def test_point28_point29_nested_models_whatever_was_frozen(keras, answers, flags, ending):
    model = keras.models.load_model(FILES / f"nested_{flags}.{ending}")
    predicts(model, answers["nested"])
    assert model.trainable is (flags[0] == "t") and model.get_layer("base").trainable is (flags[1] == "t")
    expected = answers["nested"]["weights"]
    assert {w.path: w.numpy().round(6).tolist() for w in model.weights}.keys() == expected.keys()
    for weight in model.weights:
        np.testing.assert_allclose(weight.numpy(), expected[weight.path], atol=1e-6)


@pytest.mark.parametrize("ending", ["weights.h5", "h5", "keras"])
@pytest.mark.parametrize("saved", FLAGS)
@pytest.mark.parametrize("now", FLAGS)
def test_point29_weights_into_other_flags(keras, answers, saved, now, ending):
    model, base = nested(keras)
    model.trainable = now[0] == "t"
    base.trainable = now[1] == "t"
    report = model.load_weights(FILES / f"nested_{saved}.{ending}")
    assert len(report["loaded"]) == 15 and not report["missing"] and not report["mismatched"] and not report["skipped"]
    assert model.load_report == report
    predicts(model, answers["nested"])


@pytest.mark.parametrize("ending", ["weights.h5", "h5"])
def test_point30_by_name(keras, answers, ending):
    start = keras.Input((6, 6, 2))
    x = keras.layers.BatchNormalization(name="outer_bn")(keras.layers.Conv2D(2, 3, name="stranger")(start))
    model = keras.Model(start, keras.layers.Dense(2, name="head")(keras.layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(keras.XferError):
        model.load_weights(FILES / f"nested_tt.{ending}")
    before = model.get_layer("stranger").get_weights()
    report = model.load_weights(FILES / f"nested_tt.{ending}", by_name=True)
    assert sorted(report["loaded"]) == [
        "head/bias", "head/kernel", "outer_bn/beta", "outer_bn/gamma", "outer_bn/moving_mean", "outer_bn/moving_variance"]
    assert report["missing"] == ["stranger/kernel", "stranger/bias"]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_layer("stranger").get_weights()))
    np.testing.assert_allclose(model.get_layer("head").get_weights()[0], answers["nested"]["weights"]["head/kernel"], atol=1e-6)


@pytest.mark.parametrize("ending", ["weights.h5", "h5"])
def test_skip_mismatch(keras, ending):
    model, base = nested(keras)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(base(inputs)))
    other = keras.Model(inputs, keras.layers.Dense(5)(x))
    before = other.get_weights()
    with pytest.raises(keras.XferError) as refused:
        other.load_weights(FILES / f"nested_tf.{ending}")
    assert refused.value.status == 3 and "skip_mismatch" in str(refused.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, other.get_weights()))
    report = other.load_weights(FILES / f"nested_tf.{ending}", skip_mismatch=True)
    assert len(report["mismatched"]) == 2 and len(report["loaded"]) == 13


def test_shared_layers_and_layers_within(keras, answers):
    try:
        model = keras.models.load_model(FILES / "shared.keras")
    except keras.XferError as refused:
        pytest.skip(str(refused))
    predicts(model, answers["shared"])
    # The models around a layer depend on who built it first; the layer and the weight do not.
    assert [w.path.split("/")[-2:] for w in model.weights] == [path.split("/")[-2:] for path in answers["shared"]["weights"]]
    report = model.load_weights(FILES / "shared.weights.h5")
    assert len(report["loaded"]) == len(model.weights) == 14
    # A file tells no explicit `training` of layers for which Keras writes its default: dropout drops in training.
    x = np.array(answers["shared"]["x"], np.float32)
    assert not np.array_equal(model(x, training=True).numpy(), model(x, training=True).numpy())


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_any_height_and_width(keras, answers, ending):
    model = keras.models.load_model(FILES / f"open.{ending}")
    assert model.input_shape == (None, None, None, 3) and model.output_shape == (None, 2)
    predicts(model, answers["open"], 1e-4)
    predicts(model, answers["open_other"], 1e-4)
    again = keras.models.model_from_json(model.to_json())
    assert again.input_shape == (None, None, None, 3)


def test_what_was_compiled_comes_back(keras, answers):
    answer = answers["compiled"]
    model = keras.models.load_model(FILES / "compiled.keras")
    assert isinstance(model.optimizer, keras.optimizers.Adam) and model.optimizer.learning_rate == pytest.approx(0.01)
    assert isinstance(model.loss, keras.losses.BinaryCrossentropy) and model.loss.get_config()["from_logits"] is True
    assert [type(m).__name__ for m in model.metrics] == ["BinaryAccuracy"] and len(model.trainable_weights) == 2
    for weight, before in zip(model.trainable_weights, answer["before"]):
        np.testing.assert_allclose(weight.numpy(), before, atol=1e-6)
    x, y = np.array(answer["batch"], np.float32), np.array(answer["targets"], np.float32)
    assert model.optimizer.iterations == answer["iterations"] - 1
    loss = model.train_on_batch(x, y)
    assert float(np.ravel(loss)[0]) == pytest.approx(answer["loss"], rel=1e-4)
    for weight, after in zip(model.trainable_weights, answer["after"]):
        np.testing.assert_allclose(weight.numpy(), after, atol=1e-5)
    uncompiled = keras.models.load_model(FILES / "compiled.keras", compile=False)
    assert uncompiled.optimizer is None
    with pytest.raises(keras.XferError) as refused:
        uncompiled.train_on_batch(x, y)
    assert refused.value.status == 13


@pytest.mark.parametrize("name", ["keras1", "keras2"])
def test_files_of_older_versions(keras, answers, name):
    model = keras.models.load_model(FILES / f"{name}.h5")
    predicts(model, answers[name])
    if name == "keras2":
        base = model.get_layer("base")
        assert base.trainable is False
        x = np.array(answers[name]["x"], np.float32)
        # The file's call of the base says training=False.
        model.trainable = True
        np.testing.assert_allclose(model(x, training=True).numpy(), answers[name]["y"], atol=2e-5)


def test_weights_file_round_trip(keras, tmp_path):
    (first, _), (second, _) = nested(keras), nested(keras)
    first.save_weights(tmp_path / "a.weights.h5")
    report = second.load_weights(tmp_path / "a.weights.h5")
    assert len(report["loaded"]) == 15
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights()))
    with pytest.raises(keras.XferError, match="weights.h5") as refused:
        first.save_weights(tmp_path / "a.h5")
    assert refused.value.status == 8


def test_compiled_round_trip(keras, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), keras.losses.BinaryCrossentropy(from_logits=True), metrics=["accuracy"])
    x, y = np.ones((4, 4), np.float32), np.ones((4, 1), np.float32)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert isinstance(loaded.optimizer, keras.optimizers.SGD) and loaded.optimizer.get_config()["momentum"] == 0.9
    assert [m.name for m in loaded.metrics] == ["accuracy"]
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))
