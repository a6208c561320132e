"""The range test of the learning rate."""

import xml.etree.ElementTree as xml

import numpy as np
import pytest


def classifier(keras, optimizer="adam", **options):
    keras.utils.set_random_seed(4)
    model = keras.Sequential([
        keras.Input((4,)), keras.layers.Dense(16, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2, seed=1),
        keras.layers.Dense(1)])
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), **options)
    return model


def test_range(keras, blobs, tmp_path):
    found = classifier(keras).lr_find(*blobs, steps=80, batch_size=8, min_rate=1e-6, max_rate=10.0)
    assert len(found.rates) == len(found.losses) == len(found.raw_losses) <= 80
    assert found.rates[0] == 1e-6 and np.all(np.diff(np.log(found.rates)) > 0)
    np.testing.assert_allclose(np.diff(np.log(found.rates)), np.log(1e7) / 79)
    # Nothing happens at the lowest rates, and training is fast where the suggestion says.
    assert 1e-4 < found.suggestion < 1 and found.suggestion in found.rates
    found.plot(tmp_path / "rates.svg")
    assert xml.parse(tmp_path / "rates.svg").getroot().tag.endswith("svg") and "suggestion" in repr(found)
    with pytest.raises(ValueError, match="svg"):
        found.plot("rates.png")


def test_losses_are_moving_averages(keras, blobs):
    found = classifier(keras).lr_find(*blobs, steps=12, batch_size=8, smoothing=0.5)
    average = 0
    for step, (raw, loss) in enumerate(zip(found.raw_losses, found.losses)):
        average = 0.5 * average + 0.5 * raw
        assert loss == pytest.approx(average / (1 - 0.5 ** (step + 1)))


def test_it_ends_when_the_loss_explodes(keras, blobs):
    found = classifier(keras, keras.optimizers.SGD(0.1)).lr_find(*blobs, steps=100, batch_size=8, min_rate=1e-3, max_rate=1e6, divergence=2.0)
    assert len(found.rates) < 100 and found.losses[-1] > 2 * found.losses.min()
    assert np.all(found.losses[:-1] <= 2 * np.minimum.accumulate(found.losses)[:-1])


def test_a_rate_of_nothing_suggests_nothing(keras, blobs):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    found = model.lr_find(blobs[0], np.zeros(64, np.float32), steps=5)
    assert found.suggestion is None and "None" in repr(found)


@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "Nadam", "AdamW"])
@pytest.mark.parametrize("trained", [False, True])
def test_everything_is_as_it_was(keras, blobs, optimizer, trained):
    """Training afterwards goes as it would have gone without the test, dropout and the order of the samples included."""
    models = [classifier(keras, getattr(keras.optimizers, optimizer)(0.01)) for _ in range(2)]
    ends = []
    for number, model in enumerate(models):
        keras.utils.set_random_seed(9)
        if trained:
            model.fit(*blobs, epochs=2, verbose=0)
        before = [w.copy() for w in model.get_weights()]
        if number:
            model.lr_find(*blobs, steps=20, max_rate=1e3, batch_size=8)
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
        assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
        ends.append((model.fit(*blobs, epochs=2, verbose=0).history, model.get_weights()))
    assert ends[0][0] == ends[1][0]
    assert all(np.array_equal(a, b) for a, b in zip(ends[0][1], ends[1][1]))


def test_a_schedule_stays(keras, blobs):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    models = [classifier(keras, keras.optimizers.SGD(schedule)) for _ in range(2)]
    models[1].lr_find(*blobs, steps=6)
    histories = []
    for model in models:
        keras.utils.set_random_seed(9)
        histories.append(model.fit(*blobs, epochs=2, verbose=0).history)
    assert histories[0] == histories[1]


def test_a_failure_leaves_everything_too(keras, blobs):
    model = classifier(keras)
    before = model.get_weights()

    def batches():
        yield blobs[0][:8], blobs[1][:8]
        yield blobs[0][:8] * np.float32("nan"), blobs[1][:8]

    with pytest.raises(ValueError, match="nan"):
        model.lr_find(batches(), steps=4)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_without_compile(keras, blobs):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(keras.XferError, match="compile"):
        model.lr_find(*blobs)


@pytest.mark.parametrize("options, words", [
    ({"min_rate": 0.0}, "min_rate"), ({"min_rate": 1.0, "max_rate": 0.1}, "max_rate"), ({"steps": 1}, "steps"), ({"smoothing": 1.0}, "smoothing"),
    ({"divergence": 1.0}, "divergence"),
])
def test_wrong_arguments(keras, blobs, options, words):
    with pytest.raises(ValueError, match=words):
        classifier(keras).lr_find(*blobs, **options)
