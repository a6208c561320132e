"""What layers and losses written in Python are told and may add: `training`, losses, reductions of whole batches; hooks that are refused."""

import numpy as np
import pytest
from xfer._errors import UNSUPPORTED

X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32)


# ---- training

def shifting(keras):
    class Shift(keras.layers.Layer):
        def call(self, x, training=None):
            if training:
                return x + 1
            return x * 2

    return Shift


def test_call_is_told_whether_it_trains(keras):
    layer = shifting(keras)()
    np.testing.assert_allclose(layer(X), 2 * X)
    np.testing.assert_allclose(layer(X, training=True), X + 1)
    np.testing.assert_allclose(layer(X, training=False), 2 * X)


def test_a_model_computes_what_belongs_to_its_training(keras, tmp_path):
    model = keras.Sequential([keras.Input((4,)), shifting(keras)(), keras.layers.Dense(2, use_bias=False)])
    kernel = model.layers[-1].kernel.numpy()
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * X @ kernel, atol=1e-5)
    np.testing.assert_allclose(model(X, training=True), (X + 1) @ kernel, atol=1e-5)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.save(tmp_path / "m.keras")
    for tried in (model, keras.models.load_model(tmp_path / "m.keras")):
        np.testing.assert_allclose(tried.train_on_batch(X, Y), ((Y - (X + 1) @ kernel) ** 2).mean(), rtol=1e-5)
        np.testing.assert_allclose(tried.evaluate(X, Y, verbose=0), ((Y - 2 * X @ kernel) ** 2).mean(), rtol=1e-5)
    inputs = keras.Input((4,))
    fixed = keras.Model(inputs, shifting(keras)()(inputs, training=True))
    np.testing.assert_allclose(fixed.predict(X, verbose=0), X + 1, rtol=1e-6)


def test_batch_statistics_move_in_training_alone(keras):
    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.norm = keras.layers.BatchNormalization(momentum=0.0)
            self.dropout = keras.layers.Dropout(0.5)

        def call(self, x, training=None):
            return self.dropout(self.norm(x, training=training), training=training)

    layer = Block()
    np.testing.assert_allclose(layer(X), X / np.sqrt(1 + 1e-3), atol=1e-5)
    np.testing.assert_array_equal(layer.norm.moving_mean.numpy(), np.zeros(4))
    dropped = np.asarray(layer(X, training=True))
    assert (dropped == 0).any()
    np.testing.assert_allclose(layer.norm.moving_mean.numpy(), X.mean(0), atol=1e-6)
    assert len(layer.weights) == 4


def test_training_without_a_difference_leaves_nothing_behind(keras):
    class Double(keras.layers.Layer):
        def call(self, x, training=None):
            return x * 2

    model = keras.Sequential([keras.Input((4,)), Double()])
    assert "in_training" not in model.to_json()
    np.testing.assert_allclose(model(X), 2 * X)


def test_several_outputs_of_call(keras):
    class Split(keras.layers.Layer):
        def call(self, x, training=None):
            return [x[:, :2], x[:, 2:] * (3.0 if training else 1.0)]

    left, right = Split()(X, training=True)
    np.testing.assert_allclose(left, X[:, :2])
    np.testing.assert_allclose(right, 3 * X[:, 2:], rtol=1e-6)


# ---- Losses and rules of weights

def test_add_loss_and_rules_of_weights(keras, tmp_path):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(
                shape=(input_shape[-1],), initializer="ones", regularizer=keras.regularizers.L2(0.5), constraint="non_neg", name="scale")

        def call(self, x):
            self.add_loss(keras.ops.mean(x))
            return x * self.scale

    layer = Scale()
    layer(X)
    np.testing.assert_allclose([float(v) for v in layer.losses], [X.mean(), 2.0], rtol=1e-5)
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(3.0), "mse")
    model.save(tmp_path / "m.keras")
    wanted = (Y ** 2).mean() + X.mean() + 2.0
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), wanted, rtol=1e-5)
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "m.keras").evaluate(X, Y, verbose=0), wanted, rtol=1e-5)
    model.fit(X, Y, verbose=0)
    # d (0.5 Σ s²) / d s = 1, times 3: 1 - 3 is below 0 and cut.
    np.testing.assert_array_equal(layer.scale.numpy(), np.zeros(4))
    with pytest.raises(keras.XferError, match="add_loss"):
        keras.layers.Dense(2).add_loss(1.0)


# ---- Whole batches

def one_step(keras, loss):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(1.0), loss)
    prediction, kernel = np.asarray(model(X)), model.layers[0].kernel.numpy()
    value = model.train_on_batch(X, Y)
    return float(value), prediction, kernel - model.layers[0].kernel.numpy()


def test_losses_that_are_one_number(keras):
    ops = keras.ops
    value, p, step = one_step(keras, lambda t, p: ops.mean(ops.square(t - p)))
    np.testing.assert_allclose(value, ((Y - p) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(step, X.T @ (p - Y) * 2 / 16, atol=1e-5)
    value, p, step = one_step(keras, lambda t, p: ops.sqrt(ops.mean(ops.square(t - p))))
    root = np.sqrt(((Y - p) ** 2).mean())
    np.testing.assert_allclose(value, root, rtol=1e-5)
    np.testing.assert_allclose(step, X.T @ (p - Y) / 16 / root, atol=1e-5)
    value, p, step = one_step(keras, lambda t, p: ops.sum(p))
    np.testing.assert_allclose(value, p.sum(), rtol=1e-5)
    np.testing.assert_allclose(step, X.T @ np.ones((8, 2)), atol=1e-4)
    value, p, _ = one_step(keras, lambda t, p: 1 - 2 * ops.sum(t * p) / (ops.sum(t * t) + ops.sum(p * p)))
    np.testing.assert_allclose(value, 1 - 2 * (Y * p).sum() / ((Y * Y).sum() + (p * p).sum()), rtol=1e-5)
    value, p, _ = one_step(keras, lambda t, p: ops.square(t - p - ops.mean(t - p, keepdims=True)))
    np.testing.assert_allclose(value, (Y - p).var(), rtol=1e-5)


def test_sample_weights_of_a_loss_of_one_number(keras):
    """Keras multiplies the number by each weight and averages."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", lambda t, p: keras.ops.mean(keras.ops.square(t - p)))
    weights = np.arange(8, dtype=np.float32)
    plain = ((Y - np.asarray(model(X))) ** 2).mean()
    np.testing.assert_allclose(model.test_on_batch(X, Y, sample_weight=weights), plain * weights.mean(), rtol=1e-5)


def test_losses_of_one_number_are_saved(keras, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", lambda t, p: keras.ops.max(keras.ops.abs(t - p)))
    model.save(tmp_path / "m.keras")
    value = keras.models.load_model(tmp_path / "m.keras").evaluate(X, Y, verbose=0)
    np.testing.assert_allclose(value, np.abs(Y - np.asarray(model(X))).max(), rtol=1e-5)


def test_numpy_losses_of_one_number(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", lambda t, p: np.mean((np.asarray(t) - np.asarray(p)) ** 2))
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), ((Y - np.asarray(model(X))) ** 2).mean(), rtol=1e-5)


def test_metrics_of_one_number(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", metrics=[lambda t, p: keras.ops.mean(keras.ops.abs(t - p))])
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0)[1], np.abs(Y - np.asarray(model(X))).mean(), rtol=1e-5)


def test_reductions_of_arrays(keras):
    ops = keras.ops
    for name in ("sum", "mean", "max", "min", "var", "std"):
        np.testing.assert_allclose(float(getattr(ops, name)(X)), getattr(np, name)(X), rtol=2e-5, err_msg=name)
        np.testing.assert_allclose(getattr(ops, name)(X, axis=0), getattr(np, name)(X, axis=0), rtol=2e-5, atol=1e-6, err_msg=name)
        assert getattr(ops, name)(X, keepdims=True).shape == (1, 1)
    assert ops.mean(X).shape == () and ops.sum(X, axis=(0, 1)).shape == ()
    np.testing.assert_allclose(ops.logsumexp(X), np.log(np.exp(X).sum()), rtol=1e-5)
    np.testing.assert_allclose(ops.logsumexp(X, axis=0), np.log(np.exp(X).sum(0)), rtol=1e-5)
    assert float(ops.sum([1, 2])) == 3.0 and float(ops.mean(3.0)) == 3.0


def test_a_whole_reduction_under_a_tape(keras):
    layer = keras.layers.Dense(2)
    with keras.GradientTape() as tape:
        value = keras.ops.mean(keras.ops.square(layer(X)))
    gradient = tape.gradient(value, layer.weights[0])
    np.testing.assert_allclose(gradient, X.T @ np.asarray(layer(X)) * 2 / 16, atol=1e-5)


def test_layers_do_not_mix_samples(keras):
    with pytest.raises(keras.XferError, match="batch would be reduced"):
        keras.ops.mean(keras.Input((4,)))

    class Centre(keras.layers.Layer):
        def call(self, x):
            return x - keras.ops.mean(x)

    with pytest.raises(keras.XferError, match="mixes the samples"):
        Centre()(X)


# ---- Hooks of Keras' fit

@pytest.mark.parametrize("hook", ["train_step", "test_step", "predict_step", "compute_loss", "compute_metrics", "make_train_function"])
def test_hooks_are_refused(keras, hook):
    for base in (keras.Model, keras.Sequential):
        cls = type("Mine", (base,), {hook: lambda self, *a: None})
        inputs = keras.Input((4,))
        with pytest.raises(keras.XferError, match=f"Mine.{hook}: .*GradientTape"):
            cls([keras.layers.Dense(2)]) if base is keras.Sequential else cls(inputs, keras.layers.Dense(2)(inputs))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(keras.XferError, match="GradientTape"):
        setattr(model, hook, lambda *a: None)


def test_call_of_a_sequential_is_refused(keras):
    class Mine(keras.Sequential):
        def call(self, inputs, training=None):
            return super().call(inputs)

    with pytest.raises(keras.XferError, match=r"call\(\) of a subclass of Sequential"):
        Mine([keras.layers.Dense(2)])


# ---- Losses written out under a tape

@pytest.mark.parametrize("write", [
    lambda o, t, p: o.mean(o.square(t - p)), lambda o, t, p: o.mean((p - t) ** 2), lambda o, t, p: o.mean(abs(t - p)),
    lambda o, t, p: o.sqrt(o.mean(o.square(t - p))), lambda o, t, p: 1.0 - 2.0 * o.sum(t * p) / (o.sum(t * t) + o.sum(p * p)),
    lambda o, t, p: o.mean(o.square(t - p)) * o.sum(p * p) + o.mean(p)])
def test_losses_written_out_under_a_tape(keras, write):
    layer = keras.layers.Dense(2)
    layer.build((None, 4))
    with keras.GradientTape() as tape:
        value = write(keras.ops, Y, layer(X))
    gradient = np.asarray(tape.gradient(value, layer.kernel))
    kernel = layer.kernel.numpy()
    assert value.shape == ()

    def at(step, place):
        moved = kernel.astype(np.float64)
        moved[place] += step
        return float(write(Numbers, Y.astype(np.float64), X.astype(np.float64) @ moved))

    for place in ((0, 0), (3, 1)):
        np.testing.assert_allclose(gradient[place], (at(1e-5, place) - at(-1e-5, place)) / 2e-5, atol=2e-4, rtol=1e-3)
    np.testing.assert_allclose(float(value), at(0.0, (0, 0)), rtol=1e-5)


class Numbers:
    """numpy in place of ops."""

    mean, sum, square, sqrt = np.mean, np.sum, np.square, np.sqrt


def test_functions_of_numbers_give_numbers(keras):
    assert keras.ops.sqrt(4.0).shape == () and float(keras.ops.add(1.0, 2.0)) == 3.0


# ---- Under a tape: what is written is what is differentiated, or an error

Q = np.random.default_rng(5).uniform(size=(8, 1)).astype(np.float32)

WRITTEN = {
    "constant, then a power": (lambda o, p: (o.mean(p) + 1.0) ** 2, lambda p: (p.mean() + 1) ** 2),
    "constant, then a logarithm": (lambda o, p: o.log(o.mean(p) + 1.0), lambda p: np.log(p.mean() + 1)),
    "dice": (lambda o, p: 1 - (2 * o.sum(p * Q) + 1) / (o.sum(p) + o.sum(Q) + 1), lambda p: 1 - (2 * (p * Q).sum() + 1) / (p.sum() + Q.sum() + 1)),
    "quotient": (lambda o, p: o.mean(p) / (o.mean(o.square(p)) + 1.0), lambda p: p.mean() / ((p ** 2).mean() + 1)),
    "number times tensor": (lambda o, p: o.mean(p * (1.0 - o.mean(p))), lambda p: (p * (1 - p.mean())).mean()),
    "rectified": (lambda o, p: o.maximum(o.mean(p) - 0.1, 0.0), lambda p: max(p.mean() - 0.1, 0)),
    "reshaped": (lambda o, p: o.mean(o.square(o.reshape(p, (-1,)))), lambda p: (p ** 2).mean()),
    "squeezed": (lambda o, p: o.mean(p) + o.mean(o.square(o.squeeze(p, -1))), lambda p: p.mean() + (p ** 2).mean()),
    "expanded": (lambda o, p: o.mean(o.exp(o.expand_dims(p, -1))), lambda p: np.exp(p).mean()),
    "reshaped alone": (lambda o, p: o.mean(o.reshape(p, (-1,))), lambda p: p.mean()),
    "column": (lambda o, p: o.mean(o.square(p[:, 0])), lambda p: (p ** 2).mean()),
    "list of losses": (lambda o, p: o.sum([o.mean(p), o.mean(o.square(p))]), lambda p: p.mean() + (p ** 2).mean()),
    "mean of losses": (lambda o, p: o.mean([o.mean(p), o.mean(o.square(p))]) + o.mean(p), lambda p: 1.5 * p.mean() + (p ** 2).mean() / 2),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_differentiated(keras, name):
    ours, numpys = WRITTEN[name]
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    w, b = np.random.default_rng(3).normal(size=(4, 1)), np.array([0.1])
    model.set_weights([w, b])
    with keras.GradientTape() as tape:
        value = ours(keras.ops, model(X))
    gradients = tape.gradient(value, model.trainable_weights)

    def computed(w, b):
        return float(numpys(1 / (1 + np.exp(-(X.astype(np.float64) @ w + b)))))

    np.testing.assert_allclose(float(value), computed(w, b), rtol=1e-5)
    for which, gradient in enumerate(gradients):
        values = [w, b]
        wanted = np.zeros_like(values[which])
        for at in np.ndindex(wanted.shape):
            moved = [[v.copy() for v in values] for _ in range(2)]
            moved[0][which][at] += 1e-5
            moved[1][which][at] -= 1e-5
            wanted[at] = (computed(*moved[0]) - computed(*moved[1])) / 2e-5
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("write", [
    lambda keras, model, p: p[:4], lambda keras, model, p: list(p), lambda keras, model, p: p % 0.3, lambda keras, model, p: p // 0.3,
    lambda keras, model, p: keras.ops.square([p, p]), lambda keras, model, p: model.layers[0].kernel * model.layers[0].kernel,
    lambda keras, model, p: keras.regularizers.L2(0.1)(model.layers[0].kernel),
])
def test_what_a_tape_cannot_follow_is_refused(keras, write):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model(X)
    with keras.GradientTape():
        p = model(X)
        with pytest.raises(keras.XferError) as refused:
            write(keras, model, p)
        assert refused.value.status == UNSUPPORTED


def test_what_is_fixed_says_so(keras):
    for made, name in [
        (keras.regularizers.L2(0.1), "l2"), (keras.initializers.Constant(1.0), "value"), (keras.constraints.MaxNorm(1.0), "max_value"),
        (keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5), "decay_rate"),
    ]:
        with pytest.raises(AttributeError, match="fixed when the object is made"):
            setattr(made, name, 0.5)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "mse")
    with pytest.raises(AttributeError, match="compile"):
        model.optimizer = keras.optimizers.SGD(1.0)
    model.layers[-1].activation = None
    np.testing.assert_allclose(model(X), X @ model.layers[-1].kernel.numpy(), atol=1e-5)


def test_cast_and_shape(keras):
    x = keras.Input((3,))
    assert keras.ops.shape(x) == (None, 3) and keras.ops.cast(x, "float32") is x
    assert keras.ops.convert_to_tensor([[1, 2]]).dtype == np.float32
    with pytest.raises(keras.XferError, match="float32"):
        keras.ops.cast(x, "int32")


def test_losses_within_losses(keras):
    """The commonest loss of one's own: a crossentropy and something beside it."""
    def dice(t, p):
        return 1 - (2 * keras.ops.sum(t * p) + 1) / (keras.ops.sum(t) + keras.ops.sum(p) + 1)

    t = (Q > 0.5).astype(np.float32)
    bce = keras.losses.BinaryCrossentropy()
    written = {
        "object": (lambda y, p: bce(y, p) + dice(y, p)), "function": (lambda y, p: keras.losses.binary_crossentropy(y, p) * 2.0),
        "mixed": (lambda y, p: keras.losses.binary_crossentropy(y, p) + keras.ops.mean(keras.ops.square(y - p))),
        "error": (lambda y, p: keras.losses.MeanAbsoluteError(reduction="sum")(y, p)),
    }
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    first = model.get_weights()
    p = np.asarray(model(X), np.float64)
    entropy = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    wanted = {
        "object": entropy + 1 - (2 * (t * p).sum() + 1) / (t.sum() + p.sum() + 1), "function": 2 * entropy, "mixed": entropy + ((t - p) ** 2).mean(),
        "error": np.abs(t - p).sum(),
    }
    for name, loss in written.items():
        model.set_weights(first)
        model.compile(keras.optimizers.SGD(0.1), loss)
        np.testing.assert_allclose(model.evaluate(X, t, verbose=0), wanted[name], rtol=1e-5)
        assert model.train_on_batch(X, t) > model.evaluate(X, t, verbose=0)

    def sparse(y, p):
        return keras.losses.sparse_categorical_crossentropy(y, p, from_logits=True) + 0.0

    classes = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    labels = np.arange(8) % 3
    classes.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    plain = classes.evaluate(X, labels, verbose=0)
    classes.compile("sgd", sparse)
    np.testing.assert_allclose(classes.evaluate(X, labels, verbose=0), plain, rtol=1e-6)
