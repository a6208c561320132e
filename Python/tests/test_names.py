"""Keras' names for what is small: settings, random numbers, aliases, configs of layers."""

import json

import numpy as np
import pytest

import xfer


def test_classes_stand_at_the_top():
    for name, module in (
        ("Layer", xfer.layers), ("Loss", xfer.losses), ("Metric", xfer.metrics), ("Optimizer", xfer.optimizers), ("Initializer", xfer.initializers),
        ("Regularizer", xfer.regularizers), ("Model", xfer.models),
    ):
        assert getattr(xfer, name) is getattr(module, name)


@pytest.mark.parametrize("module", [xfer.config, xfer.backend])
def test_settings(module):
    assert (module.floatx(), module.epsilon(), module.image_data_format(), module.backend()) == ("float32", 1e-7, "channels_last", "xfer")
    module.set_floatx("float32")
    module.set_epsilon(1e-7)
    module.set_image_data_format("channels_last")
    for call, words in (
        (lambda: module.set_floatx("float16"), "set_floatx.'float16'"), (lambda: module.set_epsilon(1e-3), "set_epsilon.0.001"),
        (lambda: module.set_image_data_format("channels_first"), "channels_first"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_clear_session(keras):
    for clear in (keras.utils.clear_session, keras.backend.clear_session):
        clear()
    keras.utils.clear_session(free_memory=False)


@pytest.mark.parametrize("lower, name", [
    ("zeros", "Zeros"), ("ones", "Ones"), ("constant", "Constant"), ("identity", "Identity"), ("orthogonal", "Orthogonal"),
    ("glorot_uniform", "GlorotUniform"), ("glorot_normal", "GlorotNormal"), ("he_uniform", "HeUniform"), ("he_normal", "HeNormal"),
    ("lecun_uniform", "LecunUniform"), ("lecun_normal", "LecunNormal"), ("random_uniform", "RandomUniform"), ("random_normal", "RandomNormal"),
    ("truncated_normal", "TruncatedNormal"), ("variance_scaling", "VarianceScaling"),
])
def test_initializers_have_lower_case_names(lower, name):
    assert getattr(xfer.initializers, lower) is getattr(xfer.initializers, name)
    assert type(xfer.initializers.get(lower)) is getattr(xfer.initializers, name)


def test_an_initializer_by_its_lower_case_name_in_a_layer(keras):
    layer = keras.layers.Dense(2, kernel_initializer=keras.initializers.he_normal(seed=1), bias_initializer=keras.initializers.ones())
    layer.build((None, 3))
    assert layer.get_weights()[1].tolist() == [1, 1] and layer.get_config()["kernel_initializer"]["class_name"] == "HeNormal"


def test_random_numbers(keras):
    random = keras.random
    for draw in (random.normal, random.uniform, random.truncated_normal):
        values = draw((1000,), seed=3)
        assert isinstance(values, keras.Tensor) and values.dtype == np.float32 and np.array_equal(values, draw((1000,), seed=3))
        assert not np.array_equal(values, draw((1000,)))
    assert abs(np.mean(random.normal((4000,), 2.0, 0.5, seed=1)) - 2) < 0.05
    assert np.abs(np.asarray(random.truncated_normal((4000,), seed=1))).max() <= 2
    uniform = np.asarray(random.uniform((4000,), -1, 3, seed=1))
    assert uniform.min() >= -1 and uniform.max() < 3 and uniform.max() > 2.9
    whole = np.asarray(random.randint((100,), 2, 5, seed=1))
    assert whole.dtype == np.int32 and set(whole.tolist()) == {2, 3, 4}
    shuffled = np.asarray(random.shuffle(np.arange(12).reshape(2, 6), axis=1, seed=4))
    assert sorted(shuffled[0]) == list(range(6)) and np.array_equal(shuffled[1], shuffled[0] + 6) and shuffled[0].tolist() != list(range(6))
    first, second = random.SeedGenerator(5), random.SeedGenerator(5)
    drawn = [random.normal((2,), seed=first).tolist() for _ in range(2)]
    assert drawn[0] != drawn[1] and drawn == [random.normal((2,), seed=second).tolist() for _ in range(2)]
    keras.set_random_seed(1)
    once = random.normal((2,)).tolist()
    keras.set_random_seed(1)
    assert random.normal((2,)).tolist() == once
    with pytest.raises(ValueError, match="bfloat16"):
        random.normal((2,), dtype="bfloat16")


def test_layers_as_dicts(keras):
    layer = keras.layers.Dense(3, activation="relu", name="d")
    config = keras.layers.serialize(layer)
    assert (config["module"], config["class_name"], config["registered_name"]) == ("keras.layers", "Dense", None)
    again = keras.layers.deserialize(json.loads(json.dumps(config)))
    assert type(again) is keras.layers.Dense and again.get_config() == layer.get_config()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="m")
    copy = keras.layers.deserialize(keras.layers.serialize(model))
    assert copy.name == "m" and [w.shape for w in copy.weights] == [(2, 1), (1,)]
    with pytest.raises(ValueError, match="Could not interpret layer identifier"):
        keras.layers.deserialize({"class_name": "Dens", "config": {}})
    with pytest.raises(ValueError, match="a layer is wanted"):
        keras.layers.serialize("dense")


def test_weights_by_saving(keras, tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    kept = model.get_weights()
    keras.saving.save_weights(model, tmp_path / "m.weights.h5")
    model.set_weights([w + 1 for w in kept])
    keras.saving.load_weights(model, tmp_path / "m.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), kept))


@pytest.mark.parametrize("name", ["xception", "squeezenet", "efficientnet_lite"])
def test_decode_predictions(name, tmp_path, monkeypatch):
    decode = getattr(xfer.applications, name).decode_predictions
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("XFER_WEIGHTS", str(tmp_path / "weights"))
    rows = np.zeros((2, 1000), np.float32)
    rows[0, 7], rows[0, 3], rows[1, 999] = 0.75, 0.25, 1.0
    with pytest.raises(FileNotFoundError, match="imagenet_class_index.json"):
        decode(rows)
    (tmp_path / "keras" / "models").mkdir(parents=True)
    index = {str(i): [f"n{i:08d}", f"class_{i}"] for i in range(1000)}
    (tmp_path / "keras" / "models" / "imagenet_class_index.json").write_text(json.dumps(index))
    found = decode(rows, top=2)
    assert found[0] == [("n00000007", "class_7", 0.75), ("n00000003", "class_3", 0.25)] and found[1][0] == ("n00000999", "class_999", 1.0)
    with pytest.raises(ValueError, match="2D array of shape"):
        decode(rows[0])
