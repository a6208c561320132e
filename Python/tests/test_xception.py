"""The whole workflow against the reference run: Xception without top, head and fine-tuning, from Python."""

import json

import numpy as np
import pytest


@pytest.fixture
def reference(shared, xception_weights):
    return shared / "reference" / "xception"


def build(keras, weights):
    base = keras.applications.Xception(weights=str(weights), input_shape=(150, 150, 3), include_top=False)
    base.trainable = False
    inputs = keras.Input(shape=(150, 150, 3))
    x = base(inputs, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return base, keras.Model(inputs, keras.layers.Dense(1)(x))


def test_architecture(keras, xception_weights):
    base, model = build(keras, xception_weights)
    assert (len(base.layers), len(base.weights), base.count_params()) == (132, 234, 20_861_480)
    kinds = [type(layer).__name__ for layer in base.layers]
    assert [kinds.count(k) for k in ("BatchNormalization", "SeparableConv2D", "Conv2D", "Add", "MaxPooling2D")] == [40, 34, 6, 12, 4]
    assert base.output_shape == (None, 5, 5, 2048) and base.input_shape == (None, 150, 150, 3)
    assert isinstance(base.layers[2], keras.layers.BatchNormalization) is (kinds[2] == "BatchNormalization")
    assert base.get_layer("block1_conv1") is base.layers[1] and base.get_layer("block1_conv1").filters == 32

    def counted(weights):
        return sum(int(np.prod(w.shape)) for w in weights)

    assert counted(model.trainable_weights) == 2_049
    base.trainable = True
    assert len(base.trainable_weights) == 154 and len(base.non_trainable_weights) == 80
    assert counted(model.trainable_weights) == 20_809_001 and counted(model.non_trainable_weights) == 54_528


def test_features(keras, reference):
    base, _ = build(keras, reference / "xception_notop_legacy.h5")
    pixels = np.load(reference / "input_u8.npy")
    x = keras.applications.xception.preprocess_input(pixels)
    np.testing.assert_allclose(x, pixels / 127.5 - 1, atol=1e-6)
    expected = np.load(reference / "features_f64.npy")
    features = base.predict(x, verbose=0)
    assert np.linalg.norm(features - expected) / np.linalg.norm(expected) < 1e-5


@pytest.mark.parametrize("loop", ["fit", "custom"])
def test_head_and_fine_tuning_follow_the_reference(keras, reference, loop):
    trajectory = json.loads((reference / "trajectory.json").read_text())
    base, model = build(keras, reference / "xception_notop_legacy.h5")
    head = model.layers[-1]
    head.set_weights([np.load(reference / "head_kernel_initial.npy"), np.load(reference / "head_bias_initial.npy")])
    x = np.load(reference / "train_u8.npy").astype(np.float32) / 127.5 - 1
    y = np.load(reference / "train_y.npy")
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

    def train(rate, batches):
        optimizer = keras.optimizers.Adam(rate)
        losses = []
        if loop == "fit":
            model.compile(optimizer, loss_fn, metrics=[])
        for i in range(batches):
            part = slice(8 * i, 8 * i + 8)
            if loop == "fit":
                losses.append(model.train_on_batch(x[part], y[part]))
                continue
            with keras.GradientTape() as tape:
                value = loss_fn(y[part], model(x[part]))
            gradients = tape.gradient(value, model.trainable_weights)
            optimizer.apply_gradients(zip(gradients, model.trainable_weights))
            losses.append(float(value))
        return losses

    before = {w.path: w.numpy() for w in base.weights}
    np.testing.assert_allclose(train(1e-3, 10), trajectory["head_losses"], atol=1e-4)
    assert all(np.array_equal(before[w.path], w.numpy()) for w in base.weights)
    base.trainable = True
    expected = trajectory["finetune"]["inference"]
    expected = expected["losses"] if isinstance(expected, dict) else expected
    np.testing.assert_allclose(train(1e-5, len(expected)), expected, atol=1e-4)
    assert all(np.array_equal(before[w.path], w.numpy()) for w in base.non_trainable_weights)
    assert any(not np.array_equal(before[w.path], w.numpy()) for w in base.trainable_weights)
