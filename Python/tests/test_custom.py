"""Layers and losses of one's own: kernels, numpy functions, compositions of xfer.ops, classes."""

import ctypes
import ctypes.util
import math

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def no_kernels_left(library):
    import xfer

    before = set(xfer.kernels())
    yield
    for name in set(xfer.kernels()) - before:
        xfer.unregister_kernel(name)


@pytest.fixture
def libm():
    return ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")


def differences(model, x, factors, weight, step=4e-3):
    """Central differences of Σ factors · model(x) for a weight."""
    values = weight.numpy()
    result = np.zeros_like(values)
    for index in np.ndindex(*values.shape):
        totals = []
        for sign in (1, -1):
            moved = values.copy()
            moved[index] += sign * step
            weight.assign(moved)
            totals.append(float((np.asarray(model(x)).astype(np.float64) * factors).sum()))
        result[index] = (totals[0] - totals[1]) / (2 * step)
    weight.assign(values)
    return result


def check_gradients(keras, model, x):
    """Every weight's gradient of a quadratic loss against differences."""
    generator = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(generator.normal(0, 0.5, weight.shape))
    target = generator.normal(size=np.shape(model(x))).astype(np.float32)
    loss = keras.losses.CustomLoss(lambda t, p: keras.ops.mean(keras.ops.square(p - t), axis=-1))
    with keras.GradientTape() as tape:
        value = loss(target, model(x))
    gradients = tape.gradient(value, model.trainable_weights)
    y = np.asarray(model(x)).astype(np.float64)
    factors = 2 * (y - target) / y.size
    for weight, gradient in zip(model.trainable_weights, gradients):
        wanted = differences(model, x, factors, weight)
        assert np.abs(wanted).max() > 1e-4
        np.testing.assert_allclose(np.asarray(gradient), wanted, atol=0.03 * np.abs(wanted).max(), err_msg=weight.path)


X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


# ---- Kernels

def test_function_of_libm(keras, libm):
    keras.register_kernel("erf", "f64(f64)", libm.erf, backward=("f64(f64 x, f64 dy)", lambda x, dy: 2 / math.sqrt(math.pi) * math.exp(-x * x) * dy))
    layer = keras.layers.CustomKernel("erf")
    np.testing.assert_allclose(layer(X), np.vectorize(math.erf)(X), atol=1e-6)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.CustomKernel("erf")(keras.layers.Dense(3)(inputs)))
    check_gradients(keras, model, X)
    assert keras.kernels()["erf"]["signature"] == "f64(f64)"


def test_blas_by_its_own_signature(keras):
    """A BLAS function as it is: y = alpha x + y, y being zero."""
    path = ctypes.util.find_library("openblas") or "libopenblas.so.0"
    try:
        blas = ctypes.CDLL(path)
    except OSError:
        pytest.skip("no OpenBLAS here")
    keras.register_kernel("saxpy", "void(i32 n, f32 alpha, const f32* x, i32 incx, f32* y, i32 incy)", blas.cblas_saxpy)
    layer = keras.layers.CustomKernel("saxpy", attributes={"alpha": 2.5, "incx": 1, "incy": 1})
    np.testing.assert_allclose(layer(X), 2.5 * X, rtol=1e-6)


def test_python_callable_by_signature(keras):
    seen = []

    def forward(x, n, rows, dims, alpha, y):
        seen.append((n, rows, list(dims)))
        y[...] = alpha * x ** 3

    def backward(x, dy, alpha, dx):
        dx[...] = 3 * alpha * x ** 2 * dy

    keras.register_kernel(
        "cube", "void(const f64* x, i64 n, i32 rows, const i64* dims, f32 alpha, f64* y)", forward,
        backward=("void(f32* x, f32* dy, f32 alpha, f32* dx)", backward))
    layer = keras.layers.CustomKernel("cube", {"alpha": 0.5})
    np.testing.assert_allclose(layer(X), 0.5 * X.astype(np.float64) ** 3, rtol=1e-5)
    assert seen == [(24, 6, [6, 4])]
    inputs = keras.Input((4,))
    check_gradients(keras, keras.Model(inputs, layer(keras.layers.Dense(3)(inputs))), X)


def test_same_registration_twice_is_nothing_another_is_refused(keras):
    def f(x, y):
        y[...] = x

    keras.register_kernel("twice", "void(f32* x, f32* y)", f)
    keras.register_kernel("twice", "void(f32* x, f32* y)", f)
    with pytest.raises(keras.XferError, match="registered already"):
        keras.register_kernel("twice", "void(f32* x, f32* y)", lambda x, y: None)
    with pytest.raises(keras.XferError, match="character 14.*unknown type 'image'"):
        keras.register_kernel("wrong", "void(f32* x, image y)", f)
    with pytest.raises(ValueError, match="did you mean 'twice'"):
        keras.layers.CustomKernel("twise")
    keras.unregister_kernel("twice")
    keras.register_kernel("twice", "void(f32* x, f32* y)", lambda x, y: None)


def test_saved_and_loaded_by_name(keras, libm, tmp_path):
    keras.register_kernel("tanh_c", "f64(f64)", libm.tanh, backward=("f64(f64 y, f64 dy)", lambda y, dy: dy * (1 - y * y)))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.CustomKernel("tanh_c", name="act")])
    again = keras.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert isinstance(again.get_layer("act"), keras.layers.CustomKernel)
    path = tmp_path / "model.keras"
    model.save(path)
    np.testing.assert_array_equal(keras.models.load_model(path).predict(X), model.predict(X))
    keras.unregister_kernel("tanh_c")
    with pytest.raises(keras.XferError, match="no kernel 'tanh_c' is registered"):
        keras.models.load_model(path)


class Unlucky(Exception):
    pass


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_exceptions_come_out(keras, where):
    def fail(*_):
        raise Unlucky(where)

    def forward(x, y):
        y[...] = x

    keras.register_kernel(
        "unlucky", "void(f32* x, f32* y)", fail if where == "forward" else forward, backward=("void(f32* dy, f32* dx)", fail))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1), keras.layers.CustomKernel("unlucky")])
    model.compile("sgd", "binary_crossentropy")
    with pytest.raises(Unlucky, match=where):
        model.fit(X, np.zeros((6, 1), np.float32), verbose=0)
    if where == "forward":
        with pytest.raises(Unlucky):
            model.predict(X)
    else:
        model.predict(X)
    # It does not linger.
    with pytest.raises(keras.XferError):
        keras.layers.CustomKernel("nothing")


def test_no_gradient_is_named(keras, libm):
    keras.register_kernel("cbrt", "f64(f64)", libm.cbrt)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1), keras.layers.CustomKernel("cbrt")])
    model.compile("sgd", "binary_crossentropy")
    with pytest.raises(keras.XferError, match="kernel 'cbrt' was given without a backward"):
        model.fit(X, np.zeros((6, 1), np.float32), verbose=0)


# ---- Lambda

def test_lambda_of_arrays(keras):
    layer = keras.layers.Lambda(lambda x: np.sinh(x)[:, :2], gradient=lambda x, dy: np.pad(dy * np.cosh(x[:, :2]), ((0, 0), (0, x.shape[1] - 2))))
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layer(keras.layers.Dense(3)(inputs)))
    assert model.output_shape == (None, 2)
    check_gradients(keras, model, X)
    two = keras.layers.Lambda(lambda xs: xs[0] * xs[1], gradient=lambda xs, dy: [dy * xs[1], dy * xs[0]])
    dense = keras.layers.Dense(3)(inputs)
    check_gradients(keras, keras.Model(inputs, two([dense, keras.layers.Dense(3)(inputs)])), X)
    plain = keras.layers.Lambda(lambda x: np.sort(x, axis=-1))
    np.testing.assert_array_equal(plain(X), np.sort(X, axis=-1))


def test_lambda_composed(keras, tmp_path):
    ops = keras.ops
    layer = keras.layers.Lambda(lambda x, k: ops.tanh(x * k) - ops.mean(x, axis=-1, keepdims=True), arguments={"k": 2.0})
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layer(keras.layers.Dense(3)(inputs)))
    check_gradients(keras, model, X)
    path = tmp_path / "m.keras"
    model.save(path)
    np.testing.assert_array_equal(keras.models.load_model(path).predict(X), model.predict(X))


# ---- Classes

def make_layer(keras):
    class Attention(keras.layers.Layer):
        """Weights, a layer within, arithmetic, a matrix product, a softmax."""

        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.inner = keras.layers.Dense(units, activation="tanh")

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="kernel")
            self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")
            self.steps = self.add_weight(shape=(1,), initializer="zeros", trainable=False, name="steps")

        def call(self, x, training=None):
            mixed = keras.ops.softmax(keras.ops.matmul(x, self.kernel) * self.scale)
            return mixed * self.inner(x) + 0.1 + self.steps

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    return Attention


def test_layer_class(keras, tmp_path):
    attention = make_layer(keras)(3, name="attention")
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(1)(attention(inputs))
    model = keras.Model(inputs, outputs)
    kernel, scale = attention.kernel, attention.scale
    assert kernel.shape == (4, 3) and (scale.numpy() == 1).all()
    assert len(attention.weights) == 5 and len(attention.trainable_weights) == 4
    assert any(w is kernel for w in model.trainable_weights)
    check_gradients(keras, model, X)
    inner = attention.inner.get_weights()
    e = np.exp(X @ kernel.numpy() * scale.numpy())
    wanted = e / e.sum(-1, keepdims=True) * np.tanh(X @ inner[0] + inner[1]) + 0.1 + attention.steps.numpy()
    np.testing.assert_allclose(attention(X), wanted, rtol=1e-4, atol=1e-5)
    assert model.get_layer("attention") is attention
    attention.trainable = False
    assert len(model.trainable_weights) == 2 and attention.trainable_weights == []
    config = attention.get_config()
    assert config["units"] == 3 and config["trainable"] is False
    assert type(attention).from_config({"units": 5}).units == 5
    path = tmp_path / "m.keras"
    model.save(path)
    np.testing.assert_array_equal(keras.models.load_model(path).predict(X), model.predict(X))


def test_layer_class_trains(keras, blobs):
    points, labels = blobs
    model = keras.Sequential([keras.Input((4,)), make_layer(keras)(6), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.05), keras.losses.BinaryCrossentropy(from_logits=True))
    history = model.fit(points, labels[:, None].astype(np.float32), epochs=15, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]


def test_layer_class_refusals(keras):
    class Nothing(keras.layers.Layer):
        pass

    with pytest.raises(TypeError, match="has a method call"):
        Nothing()

    class Arrays(keras.layers.Layer):
        def call(self, x):
            return np.asarray(x)

    with pytest.raises(TypeError, match="symbol"):
        Arrays()(keras.Input((3,)))

    class Doubled(keras.layers.Dense):
        def call(self, x):
            return 2 * super().call(x)

    with pytest.raises(keras.XferError, match="Doubled.*derive from Layer"):
        Doubled(3)

    class Fine(keras.layers.Layer):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="Unrecognized keyword argument"):
        Fine(unit=3)
    with pytest.raises(keras.XferError, match="not built"):
        Fine()._handle  # noqa: B018 - raises
    np.testing.assert_array_equal(Fine()(X), X)
    assert [Fine(name="f").name, Fine(trainable=False).trainable] == ["f", False]


def test_layer_class_of_several_inputs_and_layers_within(keras):
    class Mix(keras.layers.Layer):
        def build(self, input_shape):
            assert input_shape == [(None, 4), (None, 3)]
            self.w = self.add_weight(shape=(4, 3), name="w")
            self.inner = make_layer(keras)(3)

        def call(self, inputs):
            a, b = inputs
            return self.inner(keras.ops.tanh(a @ self.w) + b)

    inputs = keras.Input((4,))
    mix = Mix()
    model = keras.Model(inputs, mix([inputs, keras.layers.Dense(3)(inputs)]))
    check_gradients(keras, model, X)
    assert len(mix.weights) == 6
    with keras.GradientTape(), pytest.raises(keras.XferError, match="within its layer's call"):
        keras.ops.matmul(X, mix.w)
    np.testing.assert_allclose(keras.ops.matmul(X, mix.w), X @ mix.w.numpy(), rtol=1e-5)


def test_training_argument_reaches_layers_within(keras):
    class Dropped(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.drop = keras.layers.Dropout(0.5, seed=1)

        def call(self, x, training=None):
            return self.drop(x, training=training)

    layer = Dropped()
    ones = np.ones((4, 50), np.float32)
    np.testing.assert_array_equal(layer(ones), ones)
    assert set(np.unique(layer(ones, training=True))) == {0.0, 2.0}
    model = keras.Sequential([keras.Input((50,)), layer])
    np.testing.assert_array_equal(model.predict(ones), ones)


def test_ops_under_a_tape(keras):
    dense = keras.layers.Dense(2)
    loss = keras.losses.CustomLoss(lambda t, p: keras.ops.abs(p))
    with keras.GradientTape() as tape:
        value = loss(np.zeros((6, 2), np.float32), keras.ops.exp(dense(X)))
    gradient, _ = tape.gradient(value, dense.trainable_weights)
    kernel, bias = dense.get_weights()
    np.testing.assert_allclose(gradient, X.T @ (np.exp(X @ kernel + bias) / 12), rtol=1e-4, atol=1e-5)


# ---- ops

B = np.abs(X) + 0.3
CASES = {
    "negative": (lambda o: o.negative(X), -X), "abs": (lambda o: o.abs(X), np.abs(X)), "sign": (lambda o: o.sign(X), np.sign(X)),
    "square": (lambda o: o.square(X), X * X), "sqrt": (lambda o: o.sqrt(B), np.sqrt(B)), "rsqrt": (lambda o: o.rsqrt(B), 1 / np.sqrt(B)),
    "reciprocal": (lambda o: o.reciprocal(B), 1 / B), "exp": (lambda o: o.exp(X), np.exp(X)), "expm1": (lambda o: o.expm1(X), np.expm1(X)),
    "log": (lambda o: o.log(B), np.log(B)), "log1p": (lambda o: o.log1p(B), np.log1p(B)), "sin": (lambda o: o.sin(X), np.sin(X)),
    "cos": (lambda o: o.cos(X), np.cos(X)), "tanh": (lambda o: o.tanh(X), np.tanh(X)), "erf": (lambda o: o.erf(X), np.vectorize(math.erf)(X)),
    "floor": (lambda o: o.floor(X), np.floor(X)), "round": (lambda o: o.round(X), np.round(X)), "relu": (lambda o: o.relu(X), np.maximum(X, 0)),
    "sigmoid": (lambda o: o.sigmoid(X), 1 / (1 + np.exp(-X))), "softplus": (lambda o: o.softplus(X), np.log1p(np.exp(X))),
    "silu": (lambda o: o.silu(X), X / (1 + np.exp(-X))), "elu": (lambda o: o.elu(X, 0.5), np.where(X > 0, X, 0.5 * np.expm1(X))),
    "leaky_relu": (lambda o: o.leaky_relu(X, 0.1), np.where(X > 0, X, 0.1 * X)),
    "gelu": (lambda o: o.gelu(X), 0.5 * X * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X ** 3)))),
    "gelu exact": (lambda o: o.gelu(X, False), X * 0.5 * (1 + np.vectorize(math.erf)(X / np.sqrt(2)))),
    "add": (lambda o: o.add(X, 2), X + 2), "subtract": (lambda o: o.subtract(1, X), 1 - X), "multiply": (lambda o: o.multiply(X, B), X * B),
    "divide": (lambda o: o.divide(X, B[0]), X / B[0]), "maximum": (lambda o: o.maximum(X, 0.2), np.maximum(X, 0.2)),
    "minimum": (lambda o: o.minimum(X, B), np.minimum(X, B)), "power": (lambda o: o.power(B, 1.5), B ** 1.5),
    "less": (lambda o: o.less(X, 0.1), X < 0.1), "less_equal": (lambda o: o.less_equal(X, X), X <= X), "not_equal": (lambda o: o.not_equal(X, X), X != X),
    "where": (lambda o: o.where(o.greater(X, 0), X, B), np.where(X > 0, X, B)), "clip": (lambda o: o.clip(X, -0.5, 0.5), X.clip(-0.5, 0.5)),
    "softmax": (lambda o: o.softmax(X), np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
    "log_softmax": (lambda o: o.log_softmax(X), X - np.log(np.exp(X).sum(-1, keepdims=True))),
    "sum": (lambda o: o.sum(X, axis=1), X.sum(1)), "mean": (lambda o: o.mean(X, axis=-1, keepdims=True), X.mean(-1, keepdims=True)),
    "max": (lambda o: o.max(X, axis=-1), X.max(-1)), "min": (lambda o: o.min(X, axis=-1), X.min(-1)), "var": (lambda o: o.var(X, axis=-1), X.var(-1)),
    "std": (lambda o: o.std(X, axis=-1), X.std(-1)), "logsumexp": (lambda o: o.logsumexp(X, axis=-1), np.log(np.exp(X).sum(-1))),
    "reshape": (lambda o: o.reshape(X, (-1, 2, 2)), X.reshape(-1, 2, 2)), "expand_dims": (lambda o: o.expand_dims(X, 1), X[:, None]),
    "squeeze": (lambda o: o.squeeze(X[:, :1]), X[:, 0]), "transpose": (lambda o: o.transpose(X.reshape(3, 2, 4)), X.reshape(3, 2, 4).transpose(0, 2, 1)),
    "concatenate": (lambda o: o.concatenate([X, B]), np.concatenate([X, B], -1)), "stack": (lambda o: o.stack([X, B], axis=1), np.stack([X, B], 1)),
    "take": (lambda o: o.take(X, [3, 0, -1]), X[:, [3, 0, -1]]), "matmul": (lambda o: o.matmul(X, B.T), X @ B.T),
    "batch matmul": (lambda o: o.matmul(X.reshape(3, 2, 4), B.reshape(3, 4, 2)), X.reshape(3, 2, 4) @ B.reshape(3, 4, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_ops_on_arrays(keras, name):
    call, wanted = CASES[name]
    got = np.asarray(call(keras.ops))
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6)


def test_symbols_in_arithmetic(keras):
    x = keras.Input((4,))
    table = np.arange(4, dtype=np.float32)
    y = (2 - x) * table + table * x / 2 - -abs(x) ** 2
    y = keras.ops.concatenate([y[:, 1:3], y[..., -1:], (x > 0)[:, :1], y[:, 0][:, None]])
    model = keras.Model(x, y)
    full = (2 - X) * table + table * X / 2 + np.abs(X) ** 2
    wanted = np.concatenate([full[:, 1:3], full[:, -1:], (X > 0)[:, :1], full[:, :1]], -1)
    np.testing.assert_allclose(model.predict(X), wanted, rtol=1e-5, atol=1e-6)
    again = keras.models.model_from_json(model.to_json())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_ops_refuse_the_batch(keras):
    for call in (lambda: keras.ops.sum(keras.Input((3,))), lambda: keras.ops.mean(keras.Input((3,)), axis=0), lambda: keras.Input((3,))[0]):
        with pytest.raises(keras.XferError, match="batch"):
            call()


# ---- Losses

def squared(t, p):
    return ((p - t) ** 2).mean(-1)


@pytest.fixture
def line(keras):
    keras.set_random_seed(1)
    truth = (X @ np.array([[1, 2], [0, 1], [-1, 0], [0.5, 1]], np.float32)).astype(np.float32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    return model, truth


def test_loss_of_arrays(keras, line):
    model, truth = line
    loss = keras.losses.CustomLoss(squared, gradient=lambda t, p: 2 * (p - t) / p.shape[-1])
    assert abs(float(loss(truth, model(X))) - squared(truth, model.predict(X)).mean()) < 1e-5
    model.compile(keras.optimizers.SGD(0.1), loss)
    history = model.fit(X, truth, epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]


def test_losses_composed_agree(keras, line):
    """A function, a class and numpy's gradient take the same steps."""
    model, truth = line

    class Squared(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return keras.ops.mean(keras.ops.square(y_pred - y_true), axis=-1)

    def function(y_true, y_pred):
        return keras.ops.square(y_true - y_pred)

    start, ends = model.get_weights(), []
    numpy_loss = keras.losses.CustomLoss(squared, gradient=lambda t, p: 2 * (p - t) / p.shape[-1])
    for loss in (Squared(), function, numpy_loss):
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.1), loss)
        model.fit(X, truth, epochs=3, shuffle=False, verbose=0)
        ends.append(model.get_weights()[0])
    assert np.abs(ends[0] - start[0]).max() > 0.01
    for end in ends[1:]:
        np.testing.assert_allclose(end, ends[0], rtol=1e-4, atol=1e-6)


def test_loss_exceptions_and_missing_gradients(keras, line):
    model, truth = line

    def unlucky(t, p):
        raise Unlucky("loss")

    model.compile("sgd", keras.losses.CustomLoss(unlucky, gradient=lambda t, p: p))
    with pytest.raises(Unlucky):
        model.fit(X, truth, verbose=0)
    model.compile("sgd", keras.losses.CustomLoss(lambda t, p: np.abs(np.asarray(p) - np.asarray(t)).sum(-1)))
    assert model.evaluate(X, truth, verbose=0) > 0
    with pytest.raises(keras.XferError, match="without a backward"):
        model.fit(X, truth, verbose=0)


def test_loss_kernel(keras, line):
    model, truth = line

    def loss(y_true, y_pred, y):
        y[...] = squared(y_true, y_pred)

    def slope(y_true, y_pred, dy, dy_pred):
        dy_pred[...] = 2 * (y_pred - y_true) / y_pred.shape[-1] * dy[:, None]

    keras.register_kernel(
        "squared", "void(const f32* y_true, const f32* y_pred, f32* y)", loss,
        backward=("void(const f32* y_true, const f32* y_pred, const f32* dy, f32* dy_pred)", slope))
    model.compile(keras.optimizers.SGD(0.1), keras.losses.CustomLoss(kernel="squared"))
    history = model.fit(X, truth, epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]


def test_arity_is_checked_at_registration(library):
    import xfer as keras

    with pytest.raises(TypeError, match=r"kernel 'narrow' of .* is called with 3 arguments"):
        keras.register_kernel("narrow", "void(const f32* x, i64 n, f32* y)", lambda x: None)
    assert "narrow" not in keras.kernels()
    keras.register_kernel("any", "void(const f32* x, i64 n, f32* y)", lambda *all: None)
    keras.unregister_kernel("any")


def test_attributes_nobody_asked_for_are_refused(library):
    import xfer as keras

    def scale(x, n, alpha, y):
        y[...] = alpha * x

    keras.register_kernel("scale", "void(const f32* x, i64 n, f32 alpha, f32* y)", scale)
    try:
        x = np.ones((2, 3), np.float32)
        assert np.asarray(keras.layers.CustomKernel("scale", {"alpha": 2.0})(x)).max() == 2
        with pytest.raises(ValueError, match="no attribute 'beta'; it has alpha"):
            keras.layers.CustomKernel("scale", {"alpha": 2.0, "beta": 1.0})(x)
    finally:
        keras.unregister_kernel("scale")
