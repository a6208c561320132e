"""Layers: weights, calling on data, configs, trainable flags (SEMANTICS 1-6 of a layer by itself)."""

import numpy as np
import pytest


@pytest.mark.parametrize("make, shape, counts", [
    (lambda k: k.layers.Dense(3), (None, 4), (2, 2, 0)),
    (lambda k: k.layers.Dense(3, use_bias=False), (None, 4), (1, 1, 0)),
    (lambda k: k.layers.BatchNormalization(), (None, 4), (4, 2, 2)),
    (lambda k: k.layers.BatchNormalization(scale=False), (None, 4), (3, 1, 2)),
    (lambda k: k.layers.Conv2D(5, 3), (None, 8, 8, 2), (2, 2, 0)),
    (lambda k: k.layers.DepthwiseConv2D(3), (None, 8, 8, 2), (2, 2, 0)),
    (lambda k: k.layers.SeparableConv2D(5, 3), (None, 8, 8, 2), (3, 3, 0)),
    (lambda k: k.layers.ReLU(), (None, 4), (0, 0, 0)),
])
def test_weight_counts_free_and_frozen(keras, make, shape, counts):
    layer = make(keras)
    layer.build(shape)
    assert (len(layer.weights), len(layer.trainable_weights), len(layer.non_trainable_weights)) == counts
    layer.trainable = False
    assert layer.trainable is False and layer.trainable_weights == []
    assert layer.non_trainable_weights == layer.weights
    layer.trainable = True
    assert (len(layer.weights), len(layer.trainable_weights), len(layer.non_trainable_weights)) == counts


def test_trainable_coerces(keras):
    layer = keras.layers.Dense(1)
    for value in (0, "", [], None):
        layer.trainable = value
        assert layer.trainable is False
    for value in (1, "no", np.True_):
        layer.trainable = value
        assert layer.trainable is True
    assert keras.layers.Dense(1, trainable=False).trainable is False


def test_weights_are_objects_with_paths_shapes_and_values(keras):
    layer = keras.layers.SeparableConv2D(5, (3, 2), depth_multiplier=2, name="sep")
    layer.build((None, 9, 9, 4))
    assert [w.shape for w in layer.weights] == [(3, 2, 4, 2), (1, 1, 8, 5), (5,)]
    assert [w.name for w in layer.weights] == ["depthwise_kernel", "pointwise_kernel", "bias"]
    assert all(w.path == f"sep/{w.name}" for w in layer.weights)
    assert layer.weights[0] is layer.trainable_weights[0]
    assert layer.count_params() == 48 + 40 + 5
    normal = keras.layers.BatchNormalization(name="bn")
    normal.build((None, 4))
    assert [w.name for w in normal.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w.trainable for w in normal.weights] == [True, True, False, False]


def test_assign_and_set_weights(keras):
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    kernel = np.arange(6, dtype=np.float32).reshape(3, 2)
    layer.weights[0].assign(kernel)
    assert np.array_equal(layer.weights[0].numpy(), kernel)
    layer.weights[1].assign_add([1.0, 2.0])
    assert np.array_equal(layer(np.eye(3))[1], kernel[1] + [1, 2])
    layer.set_weights([kernel * 2, np.zeros(2)])
    assert np.array_equal(layer.get_weights()[0], kernel * 2)
    with pytest.raises(keras.XferError, match=r"\(3, 2\).*\(2, 3\)") as refused:
        layer.weights[0].assign(kernel.T)
    assert refused.value.status == 3 and isinstance(refused.value, ValueError)
    with pytest.raises(ValueError, match="2 weights, 1 arrays"):
        layer.set_weights([kernel])
    values = layer.weights[0].numpy()
    values[:] = 7
    assert np.array_equal(layer.weights[0].numpy(), kernel * 2)


def test_calls_on_data(keras):
    layer = keras.layers.Dense(2, activation="relu")
    x = np.random.default_rng(0).standard_normal((5, 3))
    y = layer(x)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(y, np.maximum(x.astype(np.float32) @ kernel + bias, 0), rtol=1e-5, atol=1e-6)
    assert y.shape == (5, 2) and y.numpy().dtype == np.float32
    limit = np.sqrt(6 / 5)
    assert np.abs(kernel).max() <= limit and np.array_equal(bias, [0, 0])
    assert np.array_equal(keras.layers.ReLU(max_value=6.0)(np.array([[-1, 3, 9]])), [[0, 3, 6]])
    assert np.array_equal(keras.layers.Rescaling(0.5, offset=-1.0)(np.array([[0, 2, 255]], np.uint8)), [[-1, 0, 126.5]])
    assert np.array_equal(keras.layers.Add()([np.ones((1, 2)), np.full((1, 2), 3.0)]), [[4, 4]])
    assert keras.layers.Concatenate()([np.ones((1, 2)), np.ones((1, 3))]).shape == (1, 5)
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    assert np.array_equal(keras.layers.MaxPooling2D()(image)[0, :, :, 0], [[5, 7], [13, 15]])
    assert np.array_equal(keras.layers.AveragePooling2D(3, strides=2, padding="same")(image)[0, 1, 1, 0], (10 + 11 + 14 + 15) / 4)
    assert float(keras.layers.GlobalAveragePooling2D()(image)) == 7.5
    assert keras.layers.Flatten()(image).shape == (1, 16)
    assert keras.layers.ZeroPadding2D(((0, 1), (2, 3)))(image).shape == (1, 5, 9, 1)
    np.testing.assert_allclose(keras.layers.Softmax()(np.array([[0.0, np.log(3)]])), [[0.25, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(keras.layers.Activation("sigmoid")(np.array([[0.0]])), [[0.5]], rtol=1e-6)


def test_dropout_scales_in_training_only(keras):
    x = np.ones((100, 100), np.float32)
    layer = keras.layers.Dropout(0.25)
    assert np.array_equal(layer(x), x) and np.array_equal(layer(x, training=False), x)
    dropped = layer(x, training=True).numpy()
    assert set(np.unique(dropped)) <= {0.0, np.float32(1 / 0.75)}
    assert abs((dropped == 0).mean() - 0.25) < 0.02


def test_batch_normalization_by_mode(keras):
    x = np.random.default_rng(1).normal(3, 2, (64, 2)).astype(np.float32)
    layer = keras.layers.BatchNormalization()
    first = layer(x)
    np.testing.assert_allclose(first, x / np.sqrt(1 + 1e-3), rtol=1e-5)
    trained = layer(x, training=True).numpy()
    np.testing.assert_allclose(trained.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(layer.get_weights()[2], 0.01 * x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(layer.get_weights()[3], 0.99 + 0.01 * x.var(0), rtol=1e-4)
    statistics = layer.get_weights()
    layer.trainable = False
    layer(x, training=True)
    assert all(np.array_equal(a, b) for a, b in zip(statistics, layer.get_weights()))


def test_configs_go_round(keras):
    layer = keras.layers.Conv2D(8, (3, 5), strides=2, padding="same", activation="relu", name="c", trainable=False)
    config = layer.get_config()
    assert config["filters"] == 8 and list(config["kernel_size"]) == [3, 5] and list(config["strides"]) == [2, 2]
    again = keras.layers.Conv2D.from_config(config)
    assert again.get_config() == config and again.trainable is False and again.name == "c"
    assert layer.filters == 8 and layer.padding == "same"
    with pytest.raises(AttributeError):
        layer.units
    assert keras.layers.Dense(2).name != keras.layers.Dense(2).name


def test_shapes(keras):
    x = keras.Input(shape=(32, 24, 3))
    assert x.shape == (None, 32, 24, 3)
    y = keras.layers.Conv2D(4, 3, strides=2, padding="same")(x)
    assert y.shape == (None, 16, 12, 4)
    assert keras.layers.Flatten()(y).shape == (None, 16 * 12 * 4)
    assert keras.layers.Dense(3).compute_output_shape((None, 7)) == (None, 3)


@pytest.mark.parametrize("call, status, words", [
    (lambda k: k.layers.Dense(0), 1, "units"),
    (lambda k: k.layers.Conv2D(3, 3, padding="some"), 1, "some"),
    (lambda k: k.layers.Activation("rellu"), 1, "relu"),
    (lambda k: k.layers.Dense(2, dtype="float16"), 8, "float16"),
    (lambda k: k.layers.Dense(2, kernel_initializer="glorot"), 1, "glorot"),
    (lambda k: k.layers.Conv2D(2, 5)(k.Input((3, 3, 1))), 3, "conv2d"),
    (lambda k: k.layers.Add()([k.Input((3,)), k.Input((4,))]), 3, "4"),
    (lambda k: k.layers.Dense(2)(np.array([["a"]])), 4, "numbers"),
])
def test_refusals(keras, call, status, words):
    with pytest.raises(keras.XferError, match=words) as refused:
        call(keras)
    assert refused.value.status == status and refused.value.status_name.startswith("XFER_E_")


def test_initializers(keras):
    layer = keras.layers.Dense(2, kernel_initializer=keras.initializers.Constant(3.0), bias_initializer="ones")
    layer.build((None, 2))
    assert np.array_equal(layer.get_weights()[0], np.full((2, 2), 3)) and np.array_equal(layer.get_weights()[1], [1, 1])


def test_seeds_repeat(keras):
    def kernel():
        keras.set_random_seed(11)
        layer = keras.layers.Dense(3)
        layer.build((None, 4))
        return layer.get_weights()[0]

    assert np.array_equal(kernel(), kernel())
