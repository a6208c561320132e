"""The way of transfer learning from its first to its last step, on a network small enough for any machine."""

import numpy as np
import pytest


@pytest.fixture
def pictures():
    """48 pictures of two kinds, brighter above or below, and their class numbers, in batches of 16."""
    generator = np.random.default_rng(11)
    kinds = np.arange(48) % 2
    x = generator.random((48, 12, 12, 3), dtype=np.float32)
    x[kinds == 0, :6] += 1
    x[kinds == 1, 6:] += 1
    return [(x[i : i + 16], kinds[i : i + 16].astype(np.float32)) for i in range(0, 48, 16)]


def pretrained(keras):
    """Stands for a network someone else trained."""
    return keras.Sequential([
        keras.Input((12, 12, 3)), keras.layers.Conv2D(6, 3, strides=2), keras.layers.BatchNormalization(), keras.layers.ReLU(),
        keras.layers.Conv2D(8, 3)], name="trunk")


def known_loss(keras, name):
    try:
        keras.losses.get(name)
    except keras.XferError as refused:
        pytest.skip(str(refused))


def with_head(keras, base):
    inputs = keras.Input((12, 12, 3))
    # In inference mode for good: its statistics stay even when its weights are trained later.
    x = base(inputs, training=False)
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))


@pytest.mark.parametrize(("make", "whole", "trained", "fixed"), [
    (lambda keras: keras.layers.Dense(5), 2, 2, 0), (lambda keras: keras.layers.BatchNormalization(), 4, 2, 2)])
def test_point2_what_a_layer_holds(keras, make, whole, trained, fixed):
    layer = make(keras)
    layer.build((None, 7))
    assert (len(layer.weights), len(layer.trainable_weights), len(layer.non_trainable_weights)) == (whole, trained, fixed)
    layer.trainable = False
    assert (len(layer.weights), len(layer.trainable_weights), len(layer.non_trainable_weights)) == (whole, 0, whole)


@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
def test_frozen_weights_stay(keras, loss):
    known_loss(keras, loss)
    fixed, free = keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2, activation="sigmoid")
    model = keras.Sequential([keras.Input((4,)), fixed, free])
    fixed.trainable = False
    generator = np.random.default_rng(0)
    before = fixed.get_weights(), free.get_weights()
    model.compile(optimizer="adam", loss=loss)
    model.fit(generator.random((6, 4)), generator.random((6, 2)), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before[0], fixed.get_weights()))
    assert not np.array_equal(before[1][0], free.get_weights()[0])


def test_point1_a_flag_reaches_all_within(keras):
    within = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(2)])
    around = keras.Sequential([keras.Input((3,)), within, keras.layers.Dense(1)])
    around.trainable = False
    assert within.trainable is False and [layer.trainable for layer in within.layers] == [False, False]
    within.layers[1].trainable = True
    assert around.trainable_weights == [] and len(within.layers[1].trainable_weights) == 2


def test_head_then_everything(keras, pictures, tmp_path):
    base = pretrained(keras)
    base.trainable = False
    model = with_head(keras, base)
    assert len(model.trainable_weights) == 2
    loss, accuracy = keras.losses.BinaryCrossentropy(from_logits=True), keras.metrics.BinaryAccuracy(threshold=0.0)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss, metrics=[accuracy])
    trunk = base.get_weights()
    history = model.fit(pictures, epochs=12, validation_data=pictures[:1], verbose=0).history
    assert all(np.array_equal(a, b) for a, b in zip(trunk, base.get_weights()))
    assert history["loss"][-1] < 0.7 * history["loss"][0] and history["val_binary_accuracy"][-1] > 0.9

    model.save(tmp_path / "head.keras")
    model = keras.models.load_model(tmp_path / "head.keras")
    base = model.get_layer("trunk")
    assert base.trainable is False
    base.trainable = True
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=loss, metrics=[accuracy])
    assert len(model.trainable_weights) == 8
    statistics = [w.numpy() for w in base.non_trainable_weights]
    finer = model.fit(pictures, epochs=4, validation_data=pictures[:1], verbose=0).history
    assert finer["loss"][-1] < history["loss"][-1]
    assert all(np.array_equal(a, w.numpy()) for a, w in zip(statistics, base.non_trainable_weights))
    assert not np.array_equal(trunk[0], base.get_weights()[0])


def test_a_loop_of_ones_own(keras, pictures):
    base = pretrained(keras)
    base.trainable = False
    model = with_head(keras, base)
    loss_fn, optimizer = keras.losses.BinaryCrossentropy(from_logits=True), keras.optimizers.Adam(0.01)
    trunk, losses = base.get_weights(), []
    for _ in range(6):
        for inputs, targets in pictures:
            with keras.GradientTape() as tape:
                loss = loss_fn(targets, model(inputs))
            gradients = tape.gradient(loss, model.trainable_weights)
            optimizer.apply_gradients(zip(gradients, model.trainable_weights))
            losses.append(float(loss))
    assert len(gradients) == 2 and optimizer.iterations == 18
    assert losses[-1] < 0.8 * losses[0]
    assert all(np.array_equal(a, b) for a, b in zip(trunk, base.get_weights()))
