"""GradientTape against finite differences, and its edges."""

import numpy as np
import pytest


@pytest.fixture
def setting(keras, blobs):
    x, y = blobs
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(5, activation="sigmoid")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    return keras, model, keras.losses.BinaryCrossentropy(from_logits=True), x[:6], y[:6]


def test_gradients_by_finite_differences(setting):
    keras, model, loss_fn, x, y = setting
    with keras.GradientTape() as tape:
        value = loss_fn(y, model(x))
    gradients = tape.gradient(value, model.trainable_weights)
    assert [g.shape for g in gradients] == [w.shape for w in model.trainable_weights]
    step = 1e-2
    for weight, gradient in zip(model.trainable_weights, gradients):
        values = weight.numpy()
        index = tuple(n // 2 for n in values.shape)
        sides = []
        for sign in (1, -1):
            moved = values.copy()
            moved[index] += sign * step
            weight.assign(moved)
            sides.append(float(loss_fn(y, model(x))))
        weight.assign(values)
        assert float(gradient[index]) == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=2e-2, abs=1e-4)


def test_linear_expressions_of_losses(setting):
    keras, model, loss_fn, x, y = setting

    def gradients(combine):
        with keras.GradientTape() as tape:
            first = loss_fn(y[:3], model(x[:3]))
            second = loss_fn(y[3:], model(x[3:]))
            total = combine(first, second)
        return float(first), float(second), float(total), tape.gradient(total, model.trainable_weights)

    a, b, total, both = gradients(lambda first, second: (2 * first - second / 4 + 1.0) * 0.5)
    assert total == pytest.approx((2 * a - b / 4 + 1) * 0.5, rel=1e-6)
    one, two = (gradients(choose)[3] for choose in (lambda first, second: first, lambda first, second: second))
    for g, h, sum_ in zip(one, two, both):
        np.testing.assert_allclose(sum_, np.asarray(g) - np.asarray(h) / 8, rtol=1e-4, atol=1e-7)


def test_two_losses_of_one_prediction_and_persistent_tapes(setting):
    keras, model, loss_fn, x, y = setting
    with keras.GradientTape(persistent=True) as tape:
        prediction = model(x)
        value = loss_fn(y, prediction)
        twice = value + loss_fn(y, prediction)
    once = tape.gradient(value, model.weights)
    for g, h, i in zip(once, tape.gradient(value, model.weights), tape.gradient(twice, model.weights)):
        assert np.array_equal(g, h)
        np.testing.assert_allclose(i, 2 * np.asarray(g), rtol=1e-6)


def test_training_by_hand_equals_train_on_batch(setting):
    keras, model, loss_fn, x, y = setting
    start = model.get_weights()
    model.compile(keras.optimizers.Adam(0.01), loss_fn)
    losses = [model.train_on_batch(x, y) for _ in range(3)]
    trained = model.get_weights()
    model.set_weights(start)
    optimizer = keras.optimizers.Adam(0.01)
    for expected in losses:
        with keras.GradientTape() as tape:
            value = loss_fn(y, model(x, training=True))
        optimizer.apply_gradients(zip(tape.gradient(value, model.trainable_weights), model.trainable_weights))
        assert float(value) == pytest.approx(expected, rel=1e-6)
    for one, two in zip(trained, model.get_weights()):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_a_buffer_that_is_filled_again_does_not_reach_the_tape(setting):
    keras, model, loss_fn, x, y = setting
    buffer = x.copy()
    gradients = []
    for spoil in (False, True):
        with keras.GradientTape() as tape:
            value = loss_fn(y, model(buffer))
        if spoil:
            buffer[:] = 1e3
        gradients.append(tape.gradient(value, model.trainable_weights))
    assert all(np.array_equal(a, b) for a, b in zip(*gradients))


def test_single_weights_and_unrelated_ones(setting):
    keras, model, loss_fn, x, y = setting
    other = keras.layers.Dense(1)
    other.build((None, 2))
    with keras.GradientTape() as tape:
        value = loss_fn(y, model(x))
    kernel, none = tape.gradient(value, [model.weights[0], other.weights[0]])
    assert kernel.shape == (4, 5) and none is None
    with keras.GradientTape() as tape:
        value = loss_fn(y, model(x))
    assert np.array_equal(tape.gradient(value, model.weights[0]), kernel)


def test_refusals(setting):
    keras, model, loss_fn, x, y = setting
    with keras.GradientTape() as tape:
        prediction = model(x)
        value = loss_fn(y, prediction)
    outside = loss_fn(y, model(x))
    for target, status in ((outside, 16), (prediction, 3), (np.float32(1), 16), (value * value, 16)):
        with pytest.raises(keras.XferError) as refused:
            tape.gradient(target, model.weights)
        assert refused.value.status == status
    assert tape.gradient(value, model.weights)[0] is not None
    with pytest.raises(RuntimeError, match="persistent"):
        tape.gradient(value, model.weights)
    with pytest.raises(keras.XferError), keras.GradientTape(), keras.GradientTape():
        pass
    with keras.GradientTape() as tape:
        value = loss_fn(y, model(x))
    assert tape.gradient(value, model.weights)[0] is not None
