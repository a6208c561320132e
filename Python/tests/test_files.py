"""Models in files: .keras, .safetensors, JSON."""

import json
import os

import numpy as np
import pytest


def small(keras):
    base = keras.Sequential([
        keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(name="bn")], name="base")
    inputs = keras.Input((6, 6, 3))
    x = base(inputs, training=False)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU(max_value=6.0)(x))
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="head")(x), name="small")


def test_keras_file_round_trip(keras, tmp_path):
    model = small(keras)
    model.get_layer("base").trainable = False
    model.metadata = {"class_names": ["a", "b"]}
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    x = np.random.default_rng(0).random((3, 6, 6, 3), dtype=np.float32)
    assert np.array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))
    assert [w.path for w in loaded.weights] == [w.path for w in model.weights]
    assert loaded.metadata["class_names"] == ["a", "b"] and loaded.name == "small"
    base = loaded.get_layer("base")
    assert base.trainable is False and [layer.name for layer in base.layers] == ["conv", "bn"]
    base.trainable = True
    loaded.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert len(loaded.fit(x, np.array([0, 1, 0]), verbose=0).history) == 2
    assert sorted(os.listdir(tmp_path)) == ["model.keras"]
    assert keras.saving.load_model(path).count_params() == model.count_params()


def test_sequential_round_trip(keras, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)], name="line")
    keras.models.save_model(model, tmp_path / "line.keras")
    loaded = keras.models.load_model(tmp_path / "line.keras")
    assert isinstance(loaded, keras.Sequential) and loaded.name == "line" and len(loaded.layers) == 2
    x = np.ones((2, 4), np.float32)
    assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    loaded.add(keras.layers.Dense(1))
    assert loaded.output_shape == (None, 1)


def test_safetensors_round_trip(keras, tmp_path):
    model, other = small(keras), small(keras)
    assert not np.array_equal(model.get_weights()[0], other.get_weights()[0])
    path = tmp_path / "w.safetensors"
    model.save_weights(path)
    report = other.load_weights(path)
    assert len(report["loaded"]) == 8 and not report["missing"] and not report["mismatched"]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights()))


def test_strict_loads_change_nothing(keras, tmp_path):
    model = small(keras)
    path = tmp_path / "w.safetensors"
    model.save_weights(path)
    inputs = keras.Input((6, 6, 3))
    other = keras.Model(inputs, keras.layers.Dense(5, name="head")(keras.layers.Flatten()(inputs)))
    before = other.get_weights()
    with pytest.raises(keras.XferError) as refused:
        other.load_weights(path)
    assert refused.value.status in (3, 5, 7)
    assert all(np.array_equal(a, b) for a, b in zip(before, other.get_weights()))


@pytest.mark.parametrize("name", ["w.safetensors", "m.keras"])
def test_truncated_files(keras, tmp_path, name):
    model = small(keras)
    path = tmp_path / name
    save, load = (model.save, keras.models.load_model) if name == "m.keras" else (model.save_weights, model.load_weights)
    save(path)
    whole = path.read_bytes()
    for length in (0, 7, len(whole) // 3, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(keras.XferError, match=name) as refused:
            load(path)
        assert refused.value.status == 7 and isinstance(refused.value, ValueError)


def test_unwritable_and_absent(keras, tmp_path):
    model = small(keras)
    with pytest.raises(keras.XferError) as refused:
        model.save(tmp_path / "absent" / "m.keras")
    assert refused.value.status in (5, 6) and isinstance(refused.value, OSError)
    assert str(refused.value).startswith(str(tmp_path)) or "m.keras" in str(refused.value)
    with pytest.raises(keras.XferError) as refused:
        keras.models.load_model(tmp_path / "absent.keras")
    assert refused.value.status in (5, 6)
    (tmp_path / "there.keras").write_bytes(b"mine")
    with pytest.raises(keras.XferError) as refused:
        model.save(tmp_path / "there.keras", overwrite=False)
    assert refused.value.status == 6 and str(refused.value) == f"{tmp_path / 'there.keras'} exists and overwrite is False"
    assert (tmp_path / "there.keras").read_bytes() == b"mine"


def test_json(keras):
    model = small(keras)
    document = json.loads(model.to_json(indent=2))
    assert document["class_name"] == "Functional" and model.get_config()["name"] == "small"
    again = keras.models.model_from_json(model.to_json())
    assert again.to_json() == model.to_json()
    clone = keras.models.clone_model(model)
    assert clone.count_params() == model.count_params()
    with pytest.raises(keras.XferError) as refused:
        keras.models.model_from_json("{")
    assert refused.value.status == 7


def test_summary_and_plan(keras, capsys):
    model = small(keras)
    model.summary()
    out = capsys.readouterr().out
    total = model.count_params()
    assert "head" in out and f"Total params: {total}" in out
    lines = []
    model.summary(print_fn=lines.append)
    assert "".join(lines).strip() == out.strip()
    plan = model.plan(4)
    assert plan["nodes"] and all(node["backend"] for node in plan["nodes"])


def test_layers_are_the_same_objects(keras):
    first, second = keras.layers.Dense(3, name="first"), keras.layers.Dense(3, name="second")
    model = keras.Sequential([keras.Input((4,)), first, second])
    assert model.layers == [first, second] and model.get_layer("second") is second and model.get_layer(index=0) is first
    functional = small(keras)
    assert functional.layers[1] is functional.get_layer("base") and isinstance(functional.layers[1], keras.Sequential)
    assert functional.input.shape == (None, 6, 6, 3) and functional.output.shape == (None, 2)
    assert model.pop() is second and model.output_shape == (None, 3)


def test_sequential_without_an_input(keras):
    model = keras.Sequential([keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
    assert model.weights == []
    layers = json.loads(model.to_json())["config"]["layers"]
    assert [layer["config"]["units"] for layer in layers] == [3, 1] and "build_input_shape" not in model.get_config()
    again = keras.models.model_from_json(model.to_json())
    assert again.weights == [] and again(np.ones((2, 5))).shape == (2, 1)
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    assert [w.shape for w in model.weights] == [(2, 3), (3,), (3, 1), (1,)]
    by_call = keras.Sequential([keras.layers.Dense(3)])
    assert by_call(np.ones((2, 5))).shape == (2, 3) and len(by_call.weights) == 2
    built = keras.Sequential()
    built.add(keras.layers.Dense(2))
    built.build((None, 7))
    assert built.count_params() == 16
