"""Models as Keras' users handle them: symbols of layers and models, several outputs, attributes."""

import copy
import pickle

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


def test_a_model_that_begins_in_the_middle(keras, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu", name="a"), keras.layers.Dense(2, name="b")])
    head = keras.Model(model.layers[0].output, model.output)
    assert [type(layer).__name__ for layer in head.layers] == ["InputLayer", "Dense"] and head.layers[1] is model.layers[1]
    features = keras.Model(model.input, model.layers[0].output)(X)
    np.testing.assert_allclose(head(features), model(X), atol=1e-6)
    assert head.input_shape == (None, 3) and len(head.weights) == 2
    head.save(tmp_path / "head.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "head.keras")(features), head(features))
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3)(inputs)
    whole = keras.Model(inputs, keras.layers.Dropout(0.5)(hidden, training=True))
    part = keras.Model(hidden, whole.output)
    assert (np.asarray(part(np.ones((4, 3), np.float32))) == 0).any()
    assert keras.models.clone_model(part).output_shape == (None, 3)


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


def test_the_activation_may_be_set(keras):
    """As Keras' users do to see logits."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    probabilities = model.predict(X, verbose=0)
    layer = model.layers[0]
    layer.activation = keras.activations.linear
    logits = model.predict(X, verbose=0)
    np.testing.assert_allclose(logits, X @ layer.kernel.numpy() + layer.bias.numpy(), atol=1e-6)
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True), probabilities, atol=1e-6)
    assert layer.activation is keras.activations.linear and layer.get_config()["activation"] == "linear"
    maps = keras.layers.Conv2D(2, 1, activation="relu")
    images = np.random.default_rng(0).normal(size=(1, 3, 3, 2)).astype(np.float32)
    assert np.asarray(maps(images)).min() == 0
    maps.activation = "tanh"
    assert np.asarray(maps(images)).min() < 0


@pytest.mark.parametrize("name, value", [
    ("activation", lambda x: x), ("kernel_regularizer", None), ("units", 3), ("use_bias", False), ("bias_initializer", "ones")])
def test_what_is_fixed_is_refused(keras, name, value):
    layer = keras.layers.Dense(2, kernel_regularizer="l2", name="d")
    with pytest.raises(AttributeError, match=f"Dense 'd'.*`{name}`.*when the layer is made"):
        setattr(layer, name, value)
    layer.build((None, 4))
    for weight in ("kernel", "bias"):
        with pytest.raises(AttributeError, match="assign"):
            setattr(layer, weight, np.zeros(2))
    assert layer.activity_regularizer is None
    with pytest.raises(AttributeError, match="fixed"):
        layer.activity_regularizer = "l2"
    layer.note = "an attribute of one's own"
    assert layer.note == "an attribute of one's own"
    with pytest.raises(AttributeError):
        layer.dtype = "float16"


# ---- Python functions in configs

def test_an_activation_of_ones_own(keras, tmp_path):
    double = lambda t: keras.ops.relu(t) * 2  # noqa: E731
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation=double, name="d"), keras.layers.Dense(2, name="e")])
    layer = model.get_layer("d")
    assert isinstance(layer, keras.layers.Dense) and layer.activation is double
    assert [w.path for w in layer.weights] == [f"{model.name}/d/kernel", f"{model.name}/d/bias"]
    hidden = 2 * np.maximum(X @ layer.kernel.numpy() + layer.bias.numpy(), 0)
    np.testing.assert_allclose(layer(X), hidden, atol=1e-6)
    last = model.get_layer("e")
    np.testing.assert_allclose(model.predict(X, verbose=0), hidden @ last.kernel.numpy(), atol=1e-5)
    assert model.count_params() == 4 * 3 + 3 + 3 * 2 + 2
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras")(X), model(X))
    before = layer.kernel.numpy()
    model.fit(X, np.ones((6, 2), np.float32), verbose=0)
    assert not np.array_equal(before, layer.kernel.numpy())


def test_an_activation_of_ones_own_elsewhere(keras):
    images = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype(np.float32)
    conv = keras.layers.Conv2D(2, 3, activation=lambda t: t * keras.ops.sigmoid(t))
    plain = keras.layers.Conv2D(2, 3)
    values = np.asarray(conv(images))
    plain.build((None, 5, 5, 3))
    plain.set_weights(conv.get_weights())
    linear = np.asarray(plain(images))
    np.testing.assert_allclose(values, linear / (1 + np.exp(-linear)), atol=1e-5)
    assert conv(np.zeros((1, 9, 7, 3), np.float32)).shape == (1, 7, 5, 2)
    np.testing.assert_allclose(keras.layers.Activation(keras.ops.square)(X), X * X, rtol=1e-6)
    inputs = keras.Input((4,))
    functional = keras.Model(inputs, keras.layers.Dense(2, activation=lambda t: t + 1)(inputs))
    np.testing.assert_allclose(functional(X), X @ functional.layers[1].kernel.numpy() + 1, atol=1e-6)
    deferred = keras.Sequential([keras.layers.Dense(2, activation=lambda t: t + 1)])
    np.testing.assert_allclose(deferred(X), X @ deferred.layers[0].kernel.numpy() + 1, atol=1e-6)
    inner = keras.Sequential([keras.layers.Dense(2, activation=lambda t: t + 1)])
    outer = keras.Sequential([keras.Input((4,)), inner])
    np.testing.assert_allclose(outer(X), X @ inner.layers[0].kernel.numpy() + 1, atol=1e-6)
    again = keras.layers.Dense.from_config(functional.layers[1].get_config())
    assert again(X).shape == (6, 2)
    refused = keras.layers.Dense(2, activation=np.sinh)
    for _ in range(2):
        with pytest.raises(keras.XferError, match="composed of xfer.ops"):
            refused(X)
    with pytest.raises(keras.XferError, match="the `activation` makes"):
        keras.layers.Dense(2, activation=lambda t: keras.ops.sum(t, axis=-1))(X)


def test_initializers_of_ones_own(keras):
    class Steps(keras.initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return np.arange(np.prod(shape)).reshape(shape)

    def ones(shape, dtype=None):
        return np.ones(shape)

    model = keras.Sequential([
        keras.Input((4,)), keras.layers.Dense(3, kernel_initializer=Steps(), bias_initializer=ones),
        keras.layers.BatchNormalization(moving_mean_initializer=ones)])
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), np.arange(12).reshape(4, 3))
    np.testing.assert_array_equal(model.layers[0].bias.numpy(), np.ones(3))
    np.testing.assert_array_equal(model.layers[1].moving_mean.numpy(), np.ones(3))
    clone = keras.models.clone_model(model)
    np.testing.assert_array_equal(clone.get_weights()[0], np.arange(12).reshape(4, 3))
    layer = keras.layers.Dense(2, kernel_initializer=ones)
    assert layer.get_config()["kernel_initializer"] is ones
    np.testing.assert_allclose(layer(X), X.sum(-1, keepdims=True).repeat(2, -1), atol=1e-5)
    convolution = keras.layers.SeparableConv2D(2, 3, pointwise_initializer=ones)
    convolution.build((None, 5, 5, 3))
    np.testing.assert_array_equal(convolution.pointwise_kernel.numpy(), np.ones((1, 1, 3, 2)))


def test_other_functions_are_refused(keras):
    for argument in ("kernel_regularizer", "bias_constraint", "activity_regularizer"):
        with pytest.raises(keras.XferError, match=f"`{argument}` is a function in Python"):
            keras.layers.Dense(2, **{argument: lambda w: w})

    class Mine(keras.regularizers.Regularizer):
        def __call__(self, x):
            return 0.0

    with pytest.raises(keras.XferError, match="Mine"):
        keras.layers.Dense(2, kernel_regularizer=Mine())


# ---- Making, copying, looking

@pytest.mark.parametrize("make", [
    lambda k, name: k.layers.Dense(2, name=name), lambda k, name: k.Input((3,), name=name),
    lambda k, name: k.Sequential([k.layers.Dense(2)], name=name), lambda k, name: k.layers.Lambda(lambda x: x, name=name)])
def test_names(keras, make):
    for name in ("a/b", 3):
        with pytest.raises(ValueError, match="Argument `name` must be a string and cannot contain character `/`. Received: name="):
            make(keras, name)
    make(keras, "good")


def test_units(keras):
    for units in (4.0, "4", 0, -1):
        with pytest.raises(ValueError, match="Received an invalid value for `units`, expected a positive integer"):
            keras.layers.Dense(units)
    assert keras.layers.Dense(np.int64(4)).units == 4


def test_shapes_given_to_the_first_layer(keras):
    for arguments in ({"input_shape": (3,)}, {"input_dim": 3}):
        with pytest.warns(UserWarning, match="Do not pass an `input_shape`/`input_dim` argument to a layer"):
            model = keras.Sequential([keras.layers.Dense(2, **arguments), keras.layers.Dense(1)])
        assert model.built and model.input_shape == (None, 3) and len(model.layers) == 2
    assert keras.layers.Embedding(5, 2).input_dim == 5


def test_compile_without_a_loss(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("adam")
    assert isinstance(model.optimizer, keras.optimizers.Adam) and model.predict(X, verbose=0).shape == (6, 2)
    for call in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match="No loss to compute. Provide a `loss` argument in `compile\\(\\)`."):
            call(X, np.ones((6, 2), np.float32))
    loss = keras.losses.MeanSquaredError()
    with keras.GradientTape() as tape:
        value = loss(np.ones((6, 2)), model(X, training=True))
    before = model.get_weights()[0]
    model.optimizer.apply_gradients(zip(tape.gradient(value, model.trainable_weights), model.trainable_weights))
    assert not np.array_equal(before, model.get_weights()[0])
    model.compile("adam", "mse")
    model.fit(X, np.ones((6, 2), np.float32), verbose=0)


def test_copies(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="relu"), keras.layers.Dropout(0.5)], name="m")
    model.compile("adam", "mse")
    model.layers[0].trainable = False
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin is not model and twin.name == "m" and twin.layers[0].trainable is False
        np.testing.assert_array_equal(twin(X), model(X))
        twin.layers[0].kernel.assign(np.zeros((4, 2)))
        assert np.abs(model.layers[0].kernel.numpy()).max() > 0
        assert twin.evaluate(X, np.ones((6, 2)), verbose=0) > 0
    layer = copy.deepcopy(model.layers[0])
    np.testing.assert_array_equal(layer.kernel.numpy(), model.layers[0].kernel.numpy())
    assert layer.kernel is not model.layers[0].kernel
    assert copy.deepcopy(keras.layers.Dense(3)).units == 3


def test_summaries_of_nested_models(keras):
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d1"), keras.layers.Dense(2, name="d2")], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(4, name="mid"), keras.layers.Dense(1, name="last")], name="m")

    def rows(**options):
        lines = []
        model.summary(print_fn=lines.append, **options)
        return [line.split("│")[1].strip() for line in "\n".join(lines).splitlines() if line.startswith("│")]

    assert rows(expand_nested=True) == ["inner (Sequential)", "└ d1 (Dense)", "└ d2 (Dense)", "mid (Dense)", "last (Dense)"]
    assert rows() == ["inner (Sequential)", "mid (Dense)", "last (Dense)"]
    assert rows(layer_range=("mid", "last")) == ["mid (Dense)", "last (Dense)"]
    assert rows(layer_range=["i.*", "m.d"]) == ["inner (Sequential)", "mid (Dense)"]
    with pytest.raises(ValueError, match="layer_range"):
        model.summary(layer_range=("mid", "nothing"))


def test_clones_of_other_layers(keras):
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    shared = keras.layers.Dense(3, activation="relu", name="shared")
    total = keras.layers.Add(name="add")([shared(left), shared(right)])
    model = keras.Model([left, right], keras.layers.Dense(1, name="out")(total * 2.0), name="m")

    def linear(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Dense):
            config["activation"] = "linear"
        return type(layer).from_config(config)

    clone = keras.models.clone_model(model, clone_function=linear)
    assert clone.name == "m" and [x.name for x in clone.layers] == [x.name for x in model.layers]
    clone.set_weights(model.get_weights())
    kernel, out = shared.kernel.numpy(), model.get_layer("out").kernel.numpy()
    np.testing.assert_allclose(clone([X, 2 * X]), 2 * (X @ kernel + 2 * X @ kernel) @ out, atol=1e-4)
    sequence = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="relu")])
    twin = keras.models.clone_model(sequence, clone_function=linear)
    assert twin.built and twin.layers[0].activation is keras.activations.linear


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
