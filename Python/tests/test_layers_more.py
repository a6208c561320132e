"""Normalizations, noise, images, tables and attention: what Python adds to the layers the Swift tests hold to Keras."""

import numpy as np
import pytest


@pytest.mark.parametrize("make, shape", [
    (lambda k: k.layers.LayerNormalization(axis=[1, 2], epsilon=1e-2), (2, 3, 4)),
    (lambda k: k.layers.GroupNormalization(groups=2), (2, 3, 3, 4)),
    (lambda k: k.layers.RMSNormalization(), (2, 5)),
    (lambda k: k.layers.UnitNormalization(axis=(1, 2)), (2, 3, 4)),
    (lambda k: k.layers.BatchNormalization(axis=1), (2, 3, 4)),
    (lambda k: k.layers.Dropout(0.5, noise_shape=(None, 1, 4), seed=1), (2, 3, 4)),
    (lambda k: k.layers.SpatialDropout1D(0.5), (2, 3, 4)),
    (lambda k: k.layers.SpatialDropout2D(0.5, seed=2), (2, 3, 3, 4)),
    (lambda k: k.layers.GaussianNoise(0.1), (2, 3)),
    (lambda k: k.layers.GaussianDropout(0.1, seed=3), (2, 3)),
    (lambda k: k.layers.AlphaDropout(0.1), (2, 3)),
    (lambda k: k.layers.Resizing(2, 5, interpolation="bicubic", antialias=True), (2, 3, 3, 1)),
    (lambda k: k.layers.CenterCrop(2, 2), (2, 3, 3, 1)),
    (lambda k: k.layers.Normalization(mean=[1.0, 2.0], variance=np.array([1.0, 4.0])), (3, 2)),
    (lambda k: k.layers.RandomFlip("horizontal"), (2, 3, 3, 1)),
    (lambda k: k.layers.RandomRotation((-0.1, 0.2), fill_mode="constant", fill_value=3.0), (2, 3, 3, 1)),
    (lambda k: k.layers.RandomZoom(0.1, (0.2, 0.3)), (2, 3, 3, 1)),
    (lambda k: k.layers.RandomTranslation(0.1, 0.2), (2, 3, 3, 1)),
    (lambda k: k.layers.RandomContrast(0.1, value_range=(0, 1)), (2, 3, 3, 1)),
    (lambda k: k.layers.RandomBrightness((-0.5, 0.1)), (2, 3, 3, 1)),
    (lambda k: k.layers.RandomCrop(2, 2, seed=1), (2, 3, 3, 1)),
])
def test_configs_make_the_same_layer_again(keras, make, shape):
    layer = make(keras)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    y = np.asarray(layer(x))
    config = layer.get_config()
    again = type(layer).from_config(config)
    again.build(shape)
    again.set_weights(layer.get_weights())
    assert np.array_equal(np.asarray(again(x)), y)
    assert {k: v for k, v in again.get_config().items() if k != "name"} == {k: v for k, v in config.items() if k != "name"}


def test_layer_normalization_is_numpys(keras):
    x = np.random.default_rng(2).standard_normal((3, 4)).astype(np.float32)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(keras.layers.LayerNormalization()(x), expected, atol=1e-5)


def test_adapt_takes_arrays_batches_and_pairs(keras):
    x = np.random.default_rng(3).normal(2, 3, (50, 4)).astype(np.float32)
    labels = np.zeros(50, np.int32)
    sources = [x, keras.layers.Rescaling(1.0)(x), [x[:20], x[20:]], ((x[i:i + 7], labels[i:i + 7]) for i in range(0, 50, 7))]
    for data in sources:
        layer = keras.layers.Normalization()
        layer.adapt(data)
        mean, variance, count = layer.get_weights()
        np.testing.assert_allclose(mean, x.mean(0), atol=1e-5)
        np.testing.assert_allclose(variance, x.var(0), rtol=1e-4)
        assert count.shape == ()
    np.testing.assert_allclose(layer(x), (x - x.mean(0)) / x.std(0), atol=1e-4)
    back = keras.layers.Normalization(invert=True)
    back.adapt(x)
    np.testing.assert_allclose(back(layer(x)), x, atol=1e-4)
    # What was learned before is forgotten.
    layer.adapt(x + 5)
    np.testing.assert_allclose(layer.get_weights()[0], x.mean(0) + 5, atol=1e-5)
    with pytest.raises(ValueError):
        layer.adapt([])
    with pytest.raises(keras.XferError):
        keras.layers.Normalization(mean=1.0, variance=1.0).adapt(x)


def test_embedding_looks_up_rows_and_trains(keras):
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    layer = keras.layers.Embedding(4, 3, weights=table)
    ids = np.array([[0, 3], [1, 1]])
    assert np.array_equal(np.asarray(layer(ids)), table[ids])
    with pytest.raises(keras.XferError, match="mask_zero"):
        keras.layers.Embedding(4, 3, mask_zero=True)
    model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Embedding(5, 2), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss=keras.losses.BinaryCrossentropy(from_logits=True))
    x = np.array([[0, 1], [2, 3], [1, 0], [3, 2]] * 8, np.int32)
    y = np.array([[0], [1], [0], [1]] * 8, np.float32)
    losses = model.fit(x, y, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < 0.3 < losses[0]


def test_augmentation_acts_in_training_only_and_stays_out_of_predictions(keras):
    x = np.random.default_rng(4).integers(0, 256, (6, 5, 5, 3)).astype(np.uint8)
    layer = keras.layers.RandomRotation(0.2, seed=1)
    assert np.array_equal(np.asarray(layer(x)), x)
    turned = np.asarray(layer(x, training=True))
    assert turned.shape == x.shape and not np.allclose(turned, x)
    inputs = keras.Input((5, 5, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(layer(keras.layers.RandomFlip(seed=2)(inputs))))
    assert np.array_equal(np.asarray(model(x)).reshape(x.shape), x)
    assert not np.allclose(np.asarray(model(x, training=True)).reshape(x.shape), x)


def test_attention_has_keras_weights_masks_and_scores(keras):
    x = np.random.default_rng(5).standard_normal((2, 4, 6)).astype(np.float32)
    layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=3, name="mha")
    output, scores = layer(x, x, return_attention_scores=True, use_causal_mask=True)
    assert output.shape == (2, 4, 6) and scores.shape == (2, 2, 4, 4)
    scores = np.asarray(scores)
    np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-5)
    assert (np.triu(scores[0, 0], 1) == 0).all()
    assert [(w.path, w.shape) for w in layer.weights] == [
        ("mha/query/kernel", (6, 2, 3)), ("mha/query/bias", (2, 3)), ("mha/key/kernel", (6, 2, 3)), ("mha/key/bias", (2, 3)),
        ("mha/value/kernel", (6, 2, 3)), ("mha/value/bias", (2, 3)), ("mha/attention_output/kernel", (2, 3, 6)),
        ("mha/attention_output/bias", (6,)),
    ]
    mask = np.zeros((2, 4, 4), bool)
    mask[:, :, 1] = True
    _, chosen = layer(x, x, attention_mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(np.asarray(chosen)[..., 1], 1, atol=1e-6)
    # A call leaves nothing behind for the next.
    assert np.asarray(layer(x, x)).shape == (2, 4, 6)
    inputs = keras.Input((4, 6))
    model = keras.Model(inputs, layer(inputs, inputs, use_causal_mask=True))
    np.testing.assert_allclose(model(x), output, atol=1e-5)
    with pytest.raises(ValueError, match="query_mask"):
        layer(x, x, query_mask=np.ones((2, 4)))
