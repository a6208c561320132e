"""SEMANTICS 1-9 and 10-19 as Python sees them."""

import numpy as np
import pytest

STALE, NOT_COMPILED = 12, 13


def images(count=8, size=8):
    generator = np.random.default_rng(5)
    return generator.random((count, size, size, 3), dtype=np.float32), (np.arange(count) % 2).astype(np.float32)


def base_and_model(keras, **call):
    """A small base with a BatchNormalization, and a model of it and a head."""
    base = keras.Sequential([
        keras.Input(shape=(8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv"), keras.layers.BatchNormalization(name="bn"),
        keras.layers.ReLU()], name="base")
    inputs = keras.Input(shape=(8, 8, 3))
    x = base(inputs, **call)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return base, keras.Model(inputs, keras.layers.Dense(1, name="head")(x))


def compiled(keras, model, rate=0.01):
    model.compile(keras.optimizers.Adam(rate), keras.losses.BinaryCrossentropy(from_logits=True), metrics=[keras.metrics.BinaryAccuracy()])
    return model


def bits(layer):
    return [w.tobytes() for w in layer.get_weights()]


def test_1_setting_recurses(keras):
    inner = keras.Sequential([keras.Input(shape=(3,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(3, activation="relu")])
    model = keras.Sequential([keras.Input(shape=(3,)), inner, keras.layers.Dense(3, activation="sigmoid")])
    model.trainable = False
    assert inner.trainable is False and inner.layers[0].trainable is False
    model.trainable = True
    assert inner.trainable is True and inner.layers[1].trainable is True


def test_2_order_of_weights(keras):
    base, model = base_and_model(keras)
    assert [w.path for w in base.weights] == [
        "base/conv/kernel", "base/conv/bias", "base/bn/gamma", "base/bn/beta", "base/bn/moving_mean", "base/bn/moving_variance"]
    assert [w.name for w in model.trainable_weights] == ["kernel", "bias", "gamma", "beta", "kernel", "bias"]
    base.trainable = False
    assert base.non_trainable_weights == base.weights
    assert [w.path for w in model.trainable_weights] == ["head/kernel", "head/bias"]


def test_3_frozen_parents_hide(keras):
    base, model = base_and_model(keras)
    base.trainable = False
    base.get_layer("conv").trainable = True
    assert base.get_layer("conv").trainable is True and base.trainable_weights == []
    added = keras.layers.Dense(2)
    base.add(keras.layers.GlobalAveragePooling2D())
    base.add(added)
    assert added.trainable is True and base.trainable is False and base.trainable_weights == []
    assert base.get_layer("conv").trainable is True and base.get_layer("bn").trainable is False
    assert len(base.weights) == 8


def test_4_dropout_adds_no_weights(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    assert len(model.weights) == 2


def test_6_training_false_holds_after_unfreezing(keras):
    x, y = images()
    base, model = base_and_model(keras, training=False)
    base.trainable = False
    compiled(keras, model).fit(x, y, verbose=0)
    base.trainable = True
    compiled(keras, model)
    before = base.get_layer("bn").get_weights()
    model.fit(x, y, verbose=0)
    after = base.get_layer("bn").get_weights()
    assert not np.array_equal(before[0], after[0]), "gamma is trained"
    assert np.array_equal(before[2], after[2]) and np.array_equal(before[3], after[3]), "statistics stay"


def test_6_the_default_is_that_of_the_enclosing_call(keras):
    x, y = images()
    base, model = base_and_model(keras)
    compiled(keras, model).fit(x, y, verbose=0)
    assert not np.array_equal(base.get_layer("bn").get_weights()[2], np.zeros(4))
    statistics = base.get_layer("bn").get_weights()[2]
    model(x)
    model.predict(x, verbose=0)
    assert np.array_equal(base.get_layer("bn").get_weights()[2], statistics)
    model(x, training=True)
    assert not np.array_equal(base.get_layer("bn").get_weights()[2], statistics)


def test_7_all_frozen_fits_and_changes_nothing(keras):
    x, y = images()
    _, model = base_and_model(keras)
    model.trainable = False
    compiled(keras, model)
    before = bits(model)
    history = model.fit(x, y, epochs=2, verbose=0)
    assert bits(model) == before and len(history.history["loss"]) == 2
    assert history.history["loss"][0] == history.history["loss"][1]


def test_8_stale_flags_are_an_error_that_names_the_layer(keras):
    x, y = images()
    base, model = base_and_model(keras, training=False)
    base.trainable = False
    compiled(keras, model).fit(x, y, verbose=0)
    base.trainable = True
    for call in (lambda: model.fit(x, y, verbose=0), lambda: model.train_on_batch(x, y)):
        with pytest.raises(keras.XferError, match="compile") as refused:
            call()
        assert refused.value.status == STALE and "base" in str(refused.value)
    model.predict(x, verbose=0)
    before = bits(base)
    model.fit(x, y, verbose=0, stale_trainable="recompile")
    assert bits(base) != before
    with pytest.raises(ValueError, match="stale_trainable"):
        model.fit(x, y, stale_trainable="ignore")


def test_8_the_tape_reads_the_flags_of_the_call(keras):
    x, y = images()
    base, model = base_and_model(keras, training=False)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    for flag in (False, True):
        base.trainable = flag
        with keras.GradientTape() as tape:
            value = loss(y, model(x))
        gradients = tape.gradient(value, model.weights)
        known = [w.path for w, g in zip(model.weights, gradients) if g is not None]
        assert known == [w.path for w in model.trainable_weights]


def test_9_frozen_layers_do_not_move_by_a_bit(keras):
    x, y = images()
    base, model = base_and_model(keras)
    base.trainable = False
    before, head = bits(base), bits(model.get_layer("head"))
    compiled(keras, model).fit(x, y, epochs=3, batch_size=4, verbose=0)
    assert bits(base) == before and bits(model.get_layer("head")) != head


def test_10_recompiling_keeps_weights_and_refreshes_the_optimizer(keras):
    x, y = images()
    base, model = base_and_model(keras, training=False)
    base.trainable = False
    compiled(keras, model).fit(x, y, verbose=0)
    used, before = model.optimizer, bits(model)
    assert used.iterations == 1
    base.trainable = True
    compiled(keras, model)
    assert bits(model) == before and model.optimizer.iterations == 0
    with pytest.raises(keras.XferError):
        model.compile(used, keras.losses.BinaryCrossentropy(from_logits=True))
        model.fit(x, y, verbose=0)


def test_11_metrics_none_keeps_the_last_ones(keras):
    x, y = images()
    _, model = base_and_model(keras)
    compiled(keras, model)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile("adam", loss)
    assert list(model.fit(x, y, verbose=0).history) == ["loss", "binary_accuracy"]
    model.compile("adam", loss, metrics=[])
    assert list(model.fit(x, y, verbose=0).history) == ["loss"]


def test_12_adam_golden(keras):
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(2.0))
    layer.build((None, 1))
    optimizer = keras.optimizers.Adam()
    optimizer.apply_gradients([(np.array([[1e-6]]), layer.weights[0])])
    assert abs(float(layer.weights[0].numpy()[0, 0]) - 1.9997598) < 2e-7
    assert optimizer.iterations == 1 and optimizer.learning_rate == pytest.approx(1e-3)
    optimizer.learning_rate = 0.5
    assert optimizer.learning_rate == 0.5
    with pytest.raises(ValueError, match="No gradients"):
        optimizer.apply_gradients([(None, layer.weights[0])])


def test_12_sgd_with_momentum(keras):
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    layer.build((None, 1))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.5)
    for expected in (0.9, 0.75):
        optimizer.apply([np.array([[1.0]])], layer.weights)
        assert abs(float(layer.weights[0].numpy()[0, 0]) - expected) < 1e-6


def test_14_losses(keras):
    z = np.array([[2.0], [-1.0], [0.5]])
    y = np.array([1, 0, 0])
    expected = np.maximum(z, 0) - z * y[:, None] + np.log1p(np.exp(-np.abs(z)))
    logits = keras.losses.BinaryCrossentropy(from_logits=True)
    assert float(logits(y, z)) == pytest.approx(expected.mean(), rel=1e-6)
    assert logits(y, z).shape == ()
    p = 1 / (1 + np.exp(-z))
    assert float(keras.losses.BinaryCrossentropy()(y[:, None], p)) == pytest.approx(expected.mean(), rel=1e-5)
    weights = np.array([2.0, 0.0, 1.0])
    assert float(logits(y, z, sample_weight=weights)) == pytest.approx((expected[:, 0] * weights).sum() / 3, rel=1e-6)
    sure = keras.losses.BinaryCrossentropy()(np.array([[1.0]]), np.array([[0.0]]))
    assert float(sure) == pytest.approx(-np.log(1e-7), rel=1e-5)
    scores = np.array([[1.0, 2.0, 0.5], [0.1, 0.2, 3.0]])
    soft = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(sparse(np.array([1, 0]), scores)) == pytest.approx(-np.log(soft[[0, 1], [1, 0]]).mean(), rel=1e-6)


def test_15_accuracies(keras):
    metric = keras.metrics.BinaryAccuracy()
    metric.update_state(np.array([1, 0, 1]), np.array([[0.6], [0.4], [0.5]]))
    assert float(metric.result()) == pytest.approx(2 / 3)
    metric.reset_state()
    assert float(metric(np.array([1]), np.array([[0.7]]))) == 1.0
    assert float(keras.metrics.BinaryAccuracy(threshold=0.0)(np.array([1]), np.array([[0.1]]))) == 1.0
    sparse = keras.metrics.SparseCategoricalAccuracy()
    assert float(sparse(np.array([2, 0]), np.array([[0, 0, 1.0], [0, 1.0, 0]]))) == 0.5
    assert sparse.name == "sparse_categorical_accuracy"


def test_16_class_weights(keras):
    from xfer.data import class_weighted

    assert class_weighted([0, 1, 2], {0: 2.0, 2: 0.5}).tolist() == [2.0, 1.0, 0.5]
    assert class_weighted([[0, 1], [1, 0]], {1: 3.0}, [1.0, 2.0]).tolist() == [3.0, 2.0]
    x, y = images()
    _, model = base_and_model(keras)
    compiled(keras, model)
    loss = lambda **k: model.evaluate(x, y, verbose=0, **k)[0]  # noqa: E731
    each = np.array([model.test_on_batch(x[i:i + 1], y[i:i + 1])[0] for i in range(8)])
    assert loss() == pytest.approx(each.mean(), rel=1e-5)
    weights = np.where(y == 1, 3.0, 1.0)
    assert loss(sample_weight=weights) == pytest.approx((each * weights).sum() / 8, rel=1e-5)


def test_17_18_batches_and_splits(keras):
    generator = np.random.default_rng(0)
    x, y = generator.random((10, 4), dtype=np.float32), (np.arange(10) % 2).astype(np.float32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    seen = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    history = model.fit(x, y, batch_size=4, validation_split=0.25, callbacks=[watch], verbose=0).history
    assert seen == [0, 1], "7 samples in batches of 4"
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    tail = model.evaluate(x[7:], y[7:], verbose=0)
    assert history["val_loss"][0] == pytest.approx(tail[0], rel=1e-6)
    losses = [model.test_on_batch(x[a:b], y[a:b])[0] for a, b in ((0, 4), (4, 8), (8, 10))]
    weighted = (4 * losses[0] + 4 * losses[1] + 2 * losses[2]) / 10
    assert model.evaluate(x, y, batch_size=4, verbose=0)[0] == pytest.approx(weighted, rel=1e-6)


def test_19_shuffling_repeats_with_the_seed(keras):
    x, y = images(32)

    def run(seed):
        keras.set_random_seed(seed)
        _, model = base_and_model(keras)
        return compiled(keras, model).fit(x, y, batch_size=4, epochs=2, verbose=0).history["loss"]

    assert run(1) == run(1) and run(1) != run(2)


def test_not_compiled(keras):
    x, y = images()
    _, model = base_and_model(keras)
    for call in (lambda: model.fit(x, y), lambda: model.evaluate(x, y), lambda: model.train_on_batch(x, y)):
        with pytest.raises(keras.XferError, match="compile") as refused:
            call()
        assert refused.value.status == NOT_COMPILED
