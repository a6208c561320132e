"""Models as Keras' users handle them: symbols of layers and models, several outputs, attributes."""

import numpy as np
import pytest

X = np.random.default_rng(4).normal(size=(6, 4)).astype(np.float32)


def small_base(keras):
    return keras.Sequential([
        keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(name="bn"),
        keras.layers.ReLU(name="relu"), keras.layers.GlobalAveragePooling2D(name="pool")], name="base")


def image_batch():
    return np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)


# ---- Symbols of layers and models

def test_a_head_on_the_output_of_an_application(keras):
    base = keras.applications.SqueezeNet(weights=None, include_top=False, input_shape=(64, 64, 3))
    base.trainable = False
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    model = keras.Model(base.input, keras.layers.Dense(1, name="head")(x))
    assert model.layers[:len(base.layers)] == base.layers
    assert [w.path for w in model.trainable_weights] == ["head/kernel", "head/bias"]
    base.layers[1].trainable = True
    assert model.trainable_weights[0] is base.layers[1].weights[0]
    images = np.random.default_rng(0).random((2, 64, 64, 3), dtype=np.float32)
    features = np.asarray(base(images)).mean((1, 2))
    head = model.get_layer("head")
    np.testing.assert_allclose(model(images), features @ head.kernel.numpy() + head.bias.numpy(), atol=1e-5)


def test_features_of_a_layer_in_the_middle(keras):
    base = keras.applications.SqueezeNet(weights=None, include_top=False, input_shape=(64, 64, 3))
    layer = base.layers[5]
    features = keras.Model(inputs=base.inputs, outputs=layer.output)
    assert features.layers == [found for found in base.layers if found in features.layers]
    assert features.layers[-1] is layer
    assert features.output_shape == layer.output.shape
    assert layer.output is base.get_layer(layer.name).output
    inner = keras.Model(layer.input, layer.output)
    images = np.random.default_rng(0).random((2, 64, 64, 3), dtype=np.float32)
    before = keras.Model(base.input, layer.input)
    values = before(images)
    np.testing.assert_allclose(inner(values), features(images), atol=1e-6)


def test_symbols_of_a_loaded_model_and_of_one_inside(keras, tmp_path):
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, keras.layers.Dense(2, name="top")(small_base(keras)(inputs)))
    outer.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    top = loaded.get_layer("top")
    cut = keras.Model(loaded.input, top.input)
    np.testing.assert_array_equal(cut.predict(image_batch(), verbose=0), loaded.get_layer("base").predict(image_batch(), verbose=0))
    base = loaded.get_layer("base")
    assert isinstance(base, keras.Sequential) and base is loaded.layers[1]
    maps = keras.Model(base.input, base.get_layer("bn").output)
    assert maps.output_shape == (None, 6, 6, 4)
    assert maps.layers[1] is base.layers[0]
    base.save(tmp_path / "base.keras")
    again = keras.models.load_model(tmp_path / "base.keras")
    np.testing.assert_array_equal(again(image_batch()), base(image_batch()))


def test_symbols_of_a_sequential(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu", name="a"), keras.layers.Dense(2, name="b")])
    features = keras.Model(model.inputs, model.layers[0].output)
    expected = np.maximum(X @ model.layers[0].kernel.numpy() + model.layers[0].bias.numpy(), 0)
    np.testing.assert_allclose(features(X), expected, atol=1e-6)
    assert model.input.shape == (None, 4) and model.output.shape == (None, 2)
    assert keras.Model(model.input, model.layers[-2].output).layers[-1] is model.layers[0]
    model.add(keras.layers.Dense(1, name="c"))
    assert model.output.shape == (None, 1)
    assert keras.Model(model.input, model.get_layer("b").output).output_shape == (None, 2)


def test_cutting_off_the_top_and_putting_on_a_new_one(keras):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="out")(keras.layers.Dense(5, activation="tanh", name="body")(inputs)))
    other = keras.Model(model.input, keras.layers.Dense(2, name="new")(model.layers[-2].output))
    assert other.get_layer("body") is model.get_layer("body")
    other.compile("sgd", "mse")
    before = model.get_layer("body").kernel.numpy()
    other.fit(X, np.ones((6, 2), np.float32), verbose=0)
    assert not np.array_equal(before, model.get_layer("body").kernel.numpy())


def test_symbols_of_a_layer_written_in_python(keras):
    class Twice(keras.layers.Layer):
        def call(self, x):
            return x * 2

    model = keras.Sequential([keras.Input((4,)), Twice(name="twice"), keras.layers.Dense(1)])
    features = keras.Model(model.input, model.get_layer("twice").output)
    assert isinstance(features.layers[-1], Twice)
    np.testing.assert_allclose(features(X), 2 * X)


def test_a_layer_without_a_call_has_no_symbols(keras):
    layer = keras.layers.Dense(2, name="lonely")
    with pytest.raises(AttributeError, match="The layer lonely has never been called and thus has no defined output"):
        layer.output
    with pytest.raises(AttributeError, match="no defined input"):
        layer.input
    first, second = keras.Input((4,)), keras.Input((4,))
    one = layer(first)
    layer(second)
    assert layer.output is one and layer.input is first


def test_integer_inputs_keep_their_type(keras, tmp_path):
    inputs = keras.Input((3,), dtype="int32")
    keras.Model(inputs, keras.layers.Embedding(5, 2, name="table")(inputs)).save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.input.dtype == "int32" and loaded.layers[0].dtype == "int32"
    assert keras.Model(loaded.input, loaded.get_layer("table").output)(np.array([[0, 1, 4]])).shape == (1, 3, 2)


# ---- Setting attributes

def test_what_may_be_set_takes_effect(keras):
    layer = keras.layers.Dropout(0.5)
    ones = np.ones((4, 50), np.float32)
    assert (np.asarray(layer(ones, training=True)) == 0).any()
    layer.rate = 0.0
    assert layer.rate == 0 and layer.get_config()["rate"] == 0
    np.testing.assert_array_equal(layer(ones, training=True), ones)
    norm = keras.layers.BatchNormalization()
    norm.momentum = 0.0
    values = np.array([[1.0], [3.0]], np.float32)
    norm(values, training=True)
    np.testing.assert_allclose(norm.moving_mean.numpy(), [2.0])
    np.testing.assert_allclose(norm.moving_variance.numpy(), [1.0])
    norm.epsilon = 3.0
    np.testing.assert_allclose(norm(values, training=False), [[-0.5], [0.5]], atol=1e-6)


def test_what_may_be_set_takes_effect_in_fit(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.9), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    targets = np.asarray(model(X))
    assert model.fit(X, targets, verbose=0).history["loss"][0] > 1e-3
    model.layers[0].rate = 0.0
    assert model.fit(X, targets, verbose=0).history["loss"][0] < 1e-9


@pytest.mark.parametrize("name, value", [
    ("activation", "relu"), ("kernel_regularizer", None), ("units", 3), ("use_bias", False), ("bias_initializer", "ones")])
def test_what_is_fixed_is_refused(keras, name, value):
    layer = keras.layers.Dense(2, kernel_regularizer="l2", name="d")
    with pytest.raises(AttributeError, match=f"Dense 'd': `{name}` is fixed when the layer is made.*from_config"):
        setattr(layer, name, value)
    layer.note = "an attribute of one's own"
    assert layer.note == "an attribute of one's own"
    with pytest.raises(AttributeError):
        layer.dtype = "float16"


# ---- Several inputs and outputs

def two_outputs(keras):
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, [keras.layers.Dense(2, name="a")(inputs), keras.layers.Dense(1, name="b")(inputs)])


def test_several_outputs(keras):
    two = two_outputs(keras)
    a, b = two(X)
    np.testing.assert_allclose(a, two.predict(X, verbose=0)[0], atol=1e-6)
    assert isinstance(two(X), list) and b.shape == (6, 1)
    assert two.output_shape == [(None, 2), (None, 1)] and two.input_shape == (None, 4)
    assert [s.shape for s in two.output] == [(None, 2), (None, 1)]
    inputs = keras.Input((4,))
    left, right = two(inputs)
    nested = keras.Model(inputs, keras.layers.Concatenate()([left, right]))
    np.testing.assert_allclose(nested(X), np.concatenate([a, b], -1), atol=1e-6)


def test_several_outputs_under_a_tape(keras):
    two = two_outputs(keras)
    loss = keras.losses.MeanSquaredError()
    with keras.GradientTape() as tape:
        a, b = two(X, training=True)
        total = loss(np.zeros((6, 2)), a) + loss(np.zeros((6, 1)), b)
    gradients = tape.gradient(total, two.trainable_weights)
    np.testing.assert_allclose(gradients[0], X.T @ np.asarray(a) / 6, atol=1e-5)
    np.testing.assert_allclose(gradients[2], 2 * X.T @ np.asarray(b) / 6, atol=1e-5)


def test_dicts_of_inputs_and_outputs(keras):
    ends = {"p": keras.Input((4,), name="p"), "q": keras.Input((4,), name="q")}
    total = keras.layers.Subtract()([ends["p"], ends["q"]])
    model = keras.Model(ends, {"difference": total, "double": keras.layers.Rescaling(2.0)(total)})
    result = model({"q": X, "p": 3 * X})
    assert list(result) == ["difference", "double"]
    np.testing.assert_allclose(result["double"], 4 * X, rtol=1e-6)
    assert model.input_shape == {"p": (None, 4), "q": (None, 4)}
    assert model.output_shape == {"difference": (None, 4), "double": (None, 4)}
    named = keras.Model(list(ends.values()), total)
    np.testing.assert_allclose(named({"q": X, "p": 3 * X}), 2 * X, rtol=1e-6)
    np.testing.assert_allclose(named([3 * X, X]), 2 * X, rtol=1e-6)
    assert named.input_shape == [(None, 4), (None, 4)]
    with pytest.raises(ValueError, match="'r'"):
        named({"p": X, "r": X})


# ---- Attributes

def test_weights_by_name(keras):
    dense, norm = keras.layers.Dense(2), keras.layers.BatchNormalization(scale=False)
    with pytest.raises(AttributeError):
        dense.kernel
    dense.build((None, 4))
    norm.build((None, 4))
    assert dense.kernel is dense.weights[0] and dense.bias.shape == (2,)
    assert [norm.beta.name, norm.moving_mean.name, norm.moving_variance.name] == ["beta", "moving_mean", "moving_variance"]
    assert norm.gamma is None and keras.layers.Dense(1, use_bias=False).bias is None


def test_built(keras):
    layer = keras.layers.Dense(2)
    assert not layer.built
    layer.build((None, 3))
    assert layer.built
    activation = keras.layers.ReLU()
    assert not activation.built
    model = keras.Sequential([keras.layers.Dense(2), activation])
    assert not model.built
    model(X)
    assert model.built and activation.built and model.layers[0].built and two_outputs(keras).built


def test_types(keras):
    layer = keras.layers.Dense(2)
    assert layer.dtype == layer.compute_dtype == layer.variable_dtype == "float32"
    assert layer.dtype_policy.name == "float32" and two_outputs(keras).dtype_policy.name == "float32"


def test_descriptions_are_objects(keras):
    layer = keras.layers.Dense(2, activation="relu", kernel_regularizer=keras.regularizers.L2(0.25), kernel_constraint="non_neg")
    assert layer.activation is keras.activations.relu and layer.activation.__name__ == "relu"
    np.testing.assert_allclose(layer.activation(np.array([-1.0, 2.0])), [0.0, 2.0])
    assert layer.kernel_regularizer == keras.regularizers.L2(0.25) and layer.bias_regularizer is None
    assert isinstance(layer.kernel_constraint, keras.constraints.NonNeg)
    assert isinstance(layer.kernel_initializer, keras.initializers.GlorotUniform)
    assert keras.layers.Dense(2).activation is keras.activations.linear


def test_learned_statistics(keras):
    layer = keras.layers.Normalization(axis=-1)
    layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]], np.float32))
    np.testing.assert_allclose(layer.mean, [[2.0, 20.0]])
    np.testing.assert_allclose(layer.variance, [[1.0, 100.0]])
    channels = keras.layers.Normalization(axis=-1)
    channels.adapt(np.ones((2, 3, 4, 5), np.float32))
    assert channels.mean.shape == (1, 1, 1, 5)
    whole = keras.layers.Normalization(axis=None)
    whole.adapt(np.ones((3, 4), np.float32))
    assert whole.mean.shape == (1, 1)
    given = keras.layers.Normalization(mean=2.0, variance=4.0)
    assert given.mean is None
    given.build((None, 3))
    np.testing.assert_array_equal(given.mean, [[2.0, 2.0, 2.0]])


def test_lists_of_one(keras):
    inputs = keras.Input((4,))
    model = keras.Model([inputs], [keras.layers.Dense(2)(inputs)])
    assert isinstance(model.input, list) and isinstance(model.output, list)
    assert model.output_shape == (None, 2) and model.input_shape == (None, 4) and model(X).shape == (6, 2)
    assert model.inputs[0] is inputs and keras.Sequential([keras.layers.Dense(2)]).built is False
    with pytest.raises(AttributeError, match="has no defined inputs yet"):
        keras.Sequential([keras.layers.Dense(2)]).inputs
