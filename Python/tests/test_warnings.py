"""What the library warns of comes as warnings of Python's, once a model, at the line that called."""

import warnings

import numpy as np
import pytest


def network(keras, base_training=None, metrics=(), rate=1e-5, tmp_path=None):
    base = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, name="d"), keras.layers.BatchNormalization(name="bn")], name="base")
    if tmp_path is not None:
        base.save_weights(tmp_path / "base.safetensors")
        base.load_weights(tmp_path / "base.safetensors")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1)(base(inputs, training=base_training)))
    model.compile(keras.optimizers.Adam(rate), keras.losses.BinaryCrossentropy(from_logits=True), metrics=list(metrics))
    return model


def heard(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [str(warning.message) for warning in found if warning.filename == __file__]


def test_threshold(keras, blobs):
    model = network(keras, metrics=["binary_accuracy"])
    with pytest.warns(UserWarning, match="threshold 0.5, but the loss takes logits") as found:
        model.fit(*blobs, verbose=0)
    assert [warning.filename for warning in found] == [__file__]
    assert heard(lambda: model.fit(*blobs, verbose=0)) == []
    assert heard(lambda: network(keras, metrics=[keras.metrics.BinaryAccuracy(threshold=0)]).fit(*blobs, verbose=0)) == []


@pytest.mark.parametrize("options, words", [
    ({"rate": 1e-3, "base_training": False}, "pretrained weights are trained at a learning rate of 1.0e-03"),
    ({}, "BatchNormalization 'bn' runs in training mode"),
    ({"base_training": False}, None),
])
def test_pretrained(keras, blobs, tmp_path, options, words):
    found = heard(lambda: network(keras, tmp_path=tmp_path, **options).fit(*blobs, verbose=0))
    assert len(found) == (words is not None) and all(words in message for message in found)


def test_labels(keras, blobs):
    assert "label 2.0 in sample 0" in heard(lambda: network(keras).fit(blobs[0], np.full(64, 2), verbose=0))[0]
    assert heard(lambda: network(keras).fit(*blobs, verbose=0)) == []


def test_augmentation(keras):
    def model(inside):
        flip = keras.layers.RandomFlip(seed=1)
        base = keras.Sequential([keras.Input((4, 4, 3)), *([flip] if inside else []), keras.layers.Flatten(), keras.layers.Dense(2)], name="base")
        inputs = keras.Input((4, 4, 3))
        made = keras.Model(inputs, keras.layers.Dense(1)(base(inputs if inside else flip(inputs), training=False)))
        made.compile("sgd", "mse")
        return made

    x, y = np.ones((4, 4, 4, 3), np.float32), np.zeros(4, np.float32)
    assert "changes no image" in heard(lambda: model(True).fit(x, y, verbose=0))[0]
    assert heard(lambda: model(False).fit(x, y, verbose=0)) == []


def test_a_warning_may_be_an_error(keras, blobs):
    model = network(keras, metrics=["binary_accuracy"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="threshold"):
            model.fit(*blobs, verbose=0)
    model.fit(*blobs, verbose=0)
