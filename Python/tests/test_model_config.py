"""Paths, configs, copies and parts of models, as Keras has them."""

import json

import numpy as np
import pytest


def build(keras):
    """A model of many kinds; `keras` is either package."""
    inner_in = keras.Input((8, 8, 3), name="inner_in")
    inner = keras.Model(inner_in, keras.layers.Conv2D(4, 3, name="c1")(inner_in), name="inner")
    inputs = keras.Input((8, 8, 3), name="image")
    x = inner(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Add(name="add")([x, x])
    x = keras.layers.Concatenate(name="cat")([x, x])
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Flatten(name="flat")(x)
    within = keras.Sequential([keras.layers.Dense(2, name="d2")], name="s2")
    line = keras.Sequential([keras.layers.Dense(3, activation="relu", name="d1"), keras.layers.Dropout(0.5, name="drop"), within], name="s1")
    x = line(x, training=False)
    return keras.Model(inputs, keras.layers.Activation("softmax", name="last")(x), name="all")


PATHS = [
    "c1/kernel", "c1/bias", "bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance", "s1/d1/kernel", "s1/d1/bias", "s1/s2/d2/kernel",
    "s1/s2/d2/bias"]


def test_paths(keras):
    model = build(keras)
    assert [w.path for w in model.weights] == PATHS
    seq = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a")], name="line")
    seq.add(keras.layers.Dense(2, name="b"))
    assert [w.path for w in seq.weights] == ["line/a/kernel", "line/a/bias", "line/b/kernel", "line/b/bias"]


def plain(value):
    """A config without what differs between versions or cannot be equal: call arguments nobody gave, the dtype's spelling."""
    if isinstance(value, dict):
        value = {k: plain(v) for k, v in value.items() if k not in ("shared_object_id", "quantization_config")}
        if "kwargs" in value:
            value["kwargs"] = {k: v for k, v in value["kwargs"].items() if v is not None}
        return value
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def difference(a, b, path=""):
    if type(a) is not type(b) and not (isinstance(a, (int, float)) and isinstance(b, (int, float))):
        return [f"{path}: {a!r} != {b!r}"]
    if isinstance(a, dict):
        return [line for k in sorted(a.keys() | b.keys()) for line in (
            difference(a[k], b[k], f"{path}/{k}") if k in a and k in b else [f"{path}/{k}: only in {'the first' if k in a else 'the second'}"])]
    if isinstance(a, list):
        if len(a) != len(b):
            return [f"{path}: {a!r} != {b!r}"]
        return [line for i, (x, y) in enumerate(zip(a, b)) for line in difference(x, y, f"{path}[{i}]")]
    return [] if a == b else [f"{path}: {a!r} != {b!r}"]


def test_json_equals_keras(keras):
    real = pytest.importorskip("keras")
    for ours, theirs in (
        (build(keras), build(real)),
        (keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3, name="c"), keras.layers.ReLU(name="r")], name="open"),
         real.Sequential([real.Input((None, None, 3)), real.layers.Conv2D(2, 3, name="c"), real.layers.ReLU(name="r")], name="open")),
        (keras.Sequential([keras.layers.Dense(3, name="d")], name="q"), real.Sequential([real.layers.Dense(3, name="d")], name="q")),
    ):
        a, b = plain(json.loads(ours.to_json())), plain(json.loads(theirs.to_json()))
        if ours.name == "open":
            # A Sequential's Input gets a name of its own.
            b["config"]["layers"][0]["config"]["name"] = a["config"]["layers"][0]["config"]["name"]
        assert difference(a, b) == []


def test_keras_reads_ours(keras, tmp_path):
    real = pytest.importorskip("keras")
    model = build(keras)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    x = np.random.default_rng(0).random((3, 8, 8, 3), dtype=np.float32)
    model.fit(x, np.array([0, 1, 0]), verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = real.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)
    assert type(loaded.optimizer).__name__ == "Adam" and [w.path for w in loaded.weights] == PATHS
    model.save_weights(tmp_path / "m.weights.h5")
    other = build(real)
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_allclose(other.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)
    # And the way back.
    other.save(tmp_path / "k.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "k.keras").predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


def test_from_config(keras):
    model = build(keras)
    again = keras.Model.from_config(model.get_config())
    assert again.to_json() == model.to_json()
    # A Sequential whose config has its Input is built by itself.
    assert [w.path for w in again.weights] == [p.replace("s1/s2/", "s2/") for p in PATHS]
    line = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert keras.Sequential.from_config(line.get_config()).to_json() == line.to_json()


def test_clone(keras):
    model = build(keras)
    model.get_layer("inner").trainable = False
    clone = keras.models.clone_model(model)
    assert clone.to_json() == model.to_json() and clone.get_layer("inner").trainable is False
    assert not np.array_equal(clone.get_weights()[0], model.get_weights()[0])
    clone.set_weights(model.get_weights())
    x = np.random.default_rng(1).random((2, 8, 8, 3), dtype=np.float32)
    assert np.array_equal(clone.predict(x, verbose=0), model.predict(x, verbose=0))
    for name in ("call_function", "input_tensors"):
        with pytest.raises(keras.XferError, match=name) as refused:
            keras.models.clone_model(model, **{name: lambda layer: layer})
        assert refused.value.status == 8


def test_get_layer(keras):
    model = build(keras)
    assert model.get_layer(index=1).name == "inner" and model.get_layer("s1").layers[0].name == "d1"
    with pytest.raises(ValueError, match="only a layer name or a layer index"):
        model.get_layer("bn", 1)
    with pytest.raises(ValueError, match="either a layer name or layer index"):
        model.get_layer()
    with pytest.raises(ValueError, match="index 99 but model only has"):
        model.get_layer(index=99)
    with pytest.raises(ValueError, match="bm.*bn"):
        model.get_layer("bm")


def test_subclasses_are_refused(keras):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()

    class Calling(keras.Model):
        def call(self, inputs, training=None):
            return inputs

    inputs = keras.Input((3,))
    for make in (Own, lambda: Calling(inputs, keras.layers.Dense(1)(inputs))):
        with pytest.raises(keras.XferError, match="Own|Calling") as refused:
            make()
        assert refused.value.status == 8


def test_point23_summary_counts_the_optimizer(keras):
    inputs = keras.Input((3,), name="input_layer_4")
    model = keras.Model(inputs, keras.layers.Dense(2, name="z")(inputs), name="functional_6")
    model.compile("adam", "binary_crossentropy")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    lines = []
    model.summary(print_fn=lines.append, show_trainable=True)
    assert "".join(lines).rstrip("\n") == """Model: "functional_6"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━┓
┃ Layer (type)                ┃ Output Shape          ┃    Param # ┃ Trai… ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━┩
│ input_layer_4 (InputLayer)  │ (None, 3)             │          0 │   -   │
├─────────────────────────────┼───────────────────────┼────────────┼───────┤
│ z (Dense)                   │ (None, 2)             │          8 │   Y   │
└─────────────────────────────┴───────────────────────┴────────────┴───────┘
 Total params: 26 (108.00 B)
 Trainable params: 8 (32.00 B)
 Non-trainable params: 0 (0.00 B)
 Optimizer params: 18 (76.00 B)"""


def test_inputs_of_any_size(keras):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    assert x.shape == (None, None, None, 4)
    x = keras.layers.Conv2D(2, 3)(keras.layers.ZeroPadding2D()(keras.layers.MaxPooling2D()(x)))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x)))
    assert model.output_shape == (None, 1)
    model.compile("sgd", "binary_crossentropy")
    for size in ((16, 16), (24, 31)):
        data = np.random.default_rng(2).random((4, *size, 3), dtype=np.float32)
        assert model.predict(data, verbose=0).shape == (4, 1) and model(data).shape == (4, 1)
        model.fit(data, np.ones((4, 1)), verbose=0)
    # A base of any size inside a model of one.
    outer = keras.Input((20, 20, 3))
    trunk = keras.Model(inputs, x)
    assert trunk(outer).shape == (None, 5, 5, 2)
    with pytest.raises(keras.XferError, match="Dense"):
        keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    with pytest.raises(keras.XferError, match="any size"):
        model.plan(2)
    fixed = keras.Input(batch_shape=(4, 8, 8, 3))
    sized = keras.Model(fixed, keras.layers.Flatten()(fixed))
    assert sized.get_config()["layers"][0]["config"]["batch_shape"] == [4, 8, 8, 3]
    assert sized.predict(np.zeros((3, 8, 8, 3), np.float32), verbose=0).shape == (3, 192)
