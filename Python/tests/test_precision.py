"""Products in bfloat16: near float32, everywhere that products are, and for what is compiled after the choice alone."""

import json

import numpy as np
import pytest


@pytest.fixture
def precision(keras):
    yield keras.set_precision
    keras.set_precision("f32")


def network(keras, seed=3):
    keras.set_random_seed(seed)
    inputs = keras.Input((24, 24, 3))
    x = keras.layers.Conv2D(32, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.SeparableConv2D(48, 3, padding="same", activation="relu")(x)
    x = keras.layers.Conv2D(33, 3, strides=2)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def data(n=32):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 24, 24, 3)).astype(np.float32)
    return x, (x.mean((1, 2, 3)) > 0).astype(np.float32)[:, None]


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def test_inference_is_near(keras, precision):
    model, (x, _) = network(keras), data()
    exact = model.predict(x, verbose=0)
    precision("bf16")
    rounded = model.predict(x, verbose=0)
    assert relative(rounded, exact) < 1e-2
    if any(p["version"].endswith(("avx512bf16", "amx")) for p in keras.plugins()["plugins"]):
        assert relative(rounded, exact) > 1e-5


def test_training_is_near(keras, precision):
    x, y = data()
    losses = {}
    for name in ("float32", "bfloat16"):
        precision(name)
        model = network(keras)
        model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
        losses[name] = model.fit(x, y, batch_size=8, epochs=5, shuffle=False, verbose=0).history["loss"]
        assert model.plan(8, training=True)["precision"] == name
    np.testing.assert_allclose(losses["bfloat16"], losses["float32"], atol=1e-2)


def test_gradients_are_near(keras, precision):
    x, y = data(8)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    gradients = {}
    for name in ("f32", "bf16"):
        precision(name)
        model = network(keras)
        with keras.GradientTape() as tape:
            value = loss(y, model(x))
        gradients[name] = [g.numpy() for g in tape.gradient(value, model.trainable_weights)]
    # A rectifier within rounding of 0 opens or closes: some hundredths, not the 2^-8 of a product.
    for exact, rounded in zip(gradients["f32"], gradients["bf16"]):
        assert np.linalg.norm(rounded - exact) <= 1e-1 * max(np.linalg.norm(exact), 1e-4)


def test_a_compiled_model_keeps_its_precision(keras, precision):
    x, y = data()
    model = network(keras)
    model.compile(keras.optimizers.SGD(0.0), keras.losses.BinaryCrossentropy(from_logits=True))
    before = model.predict(x, verbose=0)
    precision("bf16")
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)
    assert model.plan(8)["precision"] == "float32"
    model.compile(keras.optimizers.SGD(0.0), keras.losses.BinaryCrossentropy(from_logits=True))
    assert model.plan(8)["precision"] == "bfloat16"


def test_kept_features_are_those_of_the_precision(keras, precision, tmp_path):
    x, y = data()
    predictions = []
    for name in ("f32", "bf16", "f32"):
        precision(name)
        model = network(keras)
        for layer in model.layers[:-1]:
            layer.trainable = False
        model.compile(keras.optimizers.Adam(1e-2), keras.losses.BinaryCrossentropy(from_logits=True))
        predictions.append(model.fit(x, y, epochs=2, shuffle=False, verbose=0, cache="memory").history["loss"])
    assert predictions[0] == predictions[2]


def partly_frozen(keras):
    model = network(keras)
    for layer in model.layers[:-4]:
        layer.trainable = False
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def test_kept_and_uncached_features_give_the_same_bits(keras, precision):
    x, y = data()
    precision("bf16")
    histories = [
        partly_frozen(keras).fit(x, y, epochs=3, shuffle=False, verbose=0, cache=cache, validation_data=(x[:16], y[:16])).history
        for cache in ("memory", "off")
    ]
    assert histories[0] == histories[1]


def mobile(keras, seed=3):
    """Blocks that widen behind a depthwise convolution, and a shortcut of its own around the last."""
    keras.set_random_seed(seed)
    inputs = keras.Input((24, 24, 3))
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
    for width in (32, 64):
        x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
        x = keras.layers.Conv2D(width, 1, activation="relu")(x)
    shortcut = keras.layers.Conv2D(96, 1)(x)
    y = keras.layers.BatchNormalization()(keras.layers.Conv2D(96, 3, padding="same")(x))
    x = keras.layers.ReLU()(keras.layers.Add()([shortcut, y]))
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("trained", range(4, 10))
def test_wherever_a_network_is_cut_kept_features_give_the_same_bits(keras, precision, trained):
    x, y = data()
    precision("bf16")

    def history(**options):
        model = mobile(keras)
        for layer in model.layers[:trained]:
            layer.trainable = False
        model.compile(keras.optimizers.SGD(1e-2), keras.losses.BinaryCrossentropy(from_logits=True))
        return model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0, **options).history

    assert history(cache="memory") == history(cache="off")


def test_a_memory_budget_changes_no_bit(keras, precision):
    """Convolutions that are made a second time, among them one whose gradient is summed in several goes and so stays float32."""
    x, y = data(64)
    precision("bf16")

    def made():
        keras.set_random_seed(3)
        inputs = keras.Input((24, 24, 3))
        v = inputs
        for width in (64, 192, 64, 192, 64, 64):
            v = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(v)
        model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(v)))
        model.compile(keras.optimizers.SGD(1e-2), keras.losses.BinaryCrossentropy(from_logits=True))
        return model

    budget = int(0.88 * made().plan(64, training=True)["peak_bytes"])
    histories = [
        made().fit(x, y, batch_size=64, epochs=2, shuffle=False, verbose=0, memory_budget=limit).history for limit in (None, budget)
    ]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("frozen", [False, True])
def test_the_hand_written_loop_gives_the_bits_of_fit(keras, precision, frozen):
    x, y = data()
    precision("bf16")

    def made():
        model = partly_frozen(keras) if frozen else network(keras)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1e-2), loss)
        return model, loss

    fitted, _ = made()
    fitted.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    looped, loss = made()
    optimizer = keras.optimizers.SGD(1e-2)
    for _ in range(2):
        for i in range(0, len(x), 8):
            with keras.GradientTape() as tape:
                value = loss(y[i : i + 8], looped(x[i : i + 8], training=True))
            optimizer.apply_gradients(zip(tape.gradient(value, looped.trainable_weights), looped.trainable_weights))
    for one, other in zip(fitted.get_weights(), looped.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_images_between_layers_are_bfloat16(keras, precision):
    if not any(p["name"] == "simd" for p in keras.plugins()["plugins"]):
        pytest.skip("no simd plugin")
    plans = {}
    for name in ("f32", "bf16"):
        precision(name)
        model = network(keras)
        model.compile(keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True))
        plans[name] = model.plan(32, training=True)
    kinds = {node["dtype"] for node in plans["bf16"]["nodes"] if len(node["shape"]) == 4 and node["op"] == "conv2D"}
    assert kinds == {"bfloat16"}
    assert all(node["dtype"] == "float32" for node in plans["bf16"]["nodes"] if len(node["shape"]) < 4 or node["phase"] == "update")
    assert all(node["dtype"] == "float32" for node in plans["f32"]["nodes"])
    assert plans["bf16"]["peak_bytes"] < 0.75 * plans["f32"]["peak_bytes"]


def test_another_name_is_refused(keras, precision):
    with pytest.raises(keras.XferError, match="float32 .f32. or bfloat16 .bf16., 'f16' was given"):
        precision("f16")


def test_the_reference_workflow_in_bfloat16(keras, precision, shared, xception_weights):
    """Ten steps of the head and the fine-tuning that follows: losses within 1e-2 of those Keras had in float32."""
    from test_xception import build

    reference = shared / "reference" / "xception"
    trajectory = json.loads((reference / "trajectory.json").read_text())
    precision("bf16")
    base, model = build(keras, reference / "xception_notop_legacy.h5")
    model.layers[-1].set_weights([np.load(reference / "head_kernel_initial.npy"), np.load(reference / "head_bias_initial.npy")])
    x = np.load(reference / "train_u8.npy").astype(np.float32) / 127.5 - 1
    y = np.load(reference / "train_y.npy")
    loss = keras.losses.BinaryCrossentropy(from_logits=True)

    def train(rate, batches):
        model.compile(keras.optimizers.Adam(rate), loss, metrics=[])
        return [model.train_on_batch(x[8 * i : 8 * i + 8], y[8 * i : 8 * i + 8]) for i in range(batches)]

    np.testing.assert_allclose(train(1e-3, 10), trajectory["head_losses"], atol=1e-2)
    base.trainable = True
    tuned = trajectory["finetune"]["inference"]["losses"]
    np.testing.assert_allclose(train(1e-5, len(tuned)), tuned, atol=1e-2)
