"""What training takes: a budget of memory, and the forecast."""

import numpy as np
import pytest


def network(keras):
    keras.utils.set_random_seed(3)
    image = keras.Input((24, 24, 3))
    x = keras.layers.Conv2D(24, 3, padding="same", activation="relu")(image)
    for _ in range(10):
        y = keras.layers.BatchNormalization()(x)
        y = keras.layers.Conv2D(24, 3, padding="same", activation="tanh")(y)
        x = keras.layers.add([x, y])
    base = keras.Model(image, x)
    inputs = keras.Input((24, 24, 3))
    outputs = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(base(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    return model, base


def data():
    rng = np.random.default_rng(1)
    return rng.normal(size=(40, 24, 24, 3)).astype("float32"), rng.integers(0, 2, 40).astype("float32")


@pytest.mark.parametrize("phases", [False, True])
def test_a_budget_changes_no_number(keras, phases):
    x, y = data()
    results = []
    for share in (None, 0.7):
        model, _ = network(keras)
        weights = 3 * sum(w.numpy().nbytes for w in model.weights)  # Adam keeps two numbers beside each
        budget = None if share is None else f"{(weights + share * model.plan(20, training=True)['peak_bytes']) / 1e6:.3f}MB"
        if phases:
            plan = [{"name": "all", "unfreeze": "all", "epochs": 2, "learning_rate": 1e-3}]
            history = model.fit_phases(x, y, plan, batch_size=20, verbose=0, shuffle=False, memory_budget=budget)
            losses = history["all"].history["loss"]
        else:
            losses = model.fit(x, y, batch_size=20, epochs=2, verbose=0, shuffle=False, memory_budget=budget).history["loss"]
        results.append((losses, [w.numpy() for w in model.weights]))
    for losses, weights in results[1:]:
        assert losses == results[0][0]
        for a, b in zip(weights, results[0][1]):
            np.testing.assert_array_equal(a, b)


def test_a_budget_nothing_fits_into(keras):
    x, y = data()
    model, _ = network(keras)
    with pytest.raises(MemoryError, match="memory budget leaves"):
        model.fit(x, y, epochs=1, verbose=0, memory_budget="1MB")
    with pytest.raises(MemoryError, match="weights and optimizer take"):
        model.fit(x, y, epochs=1, verbose=0, memory_budget=1000)
    for budget in ("much", "-1GB", 0, "1TB?"):
        with pytest.raises(ValueError, match="memory_budget"):
            model.fit(x, y, epochs=1, verbose=0, memory_budget=budget)


def test_the_forecast_leaves_the_model_alone(keras):
    model, base = network(keras)
    base.trainable = False
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    before = [w.numpy() for w in model.weights]
    costs = model.forecast(100, batch_size=8)
    assert [cost["unfreeze"] for cost in costs] == ["none", "last:10%", "last:33%", "last:67%", "all"]
    assert costs[0]["cached"]["later"]["flops"] < costs[0]["cached"]["first"]["flops"] < costs[-1]["uncached"]["flops"]
    assert costs[-1]["cached"] is None and all(cost["uncached"]["bytes"] > 0 for cost in costs)
    assert not base.trainable and len(model.trainable_weights) == 2
    for weight, values in zip(model.weights, before):
        np.testing.assert_array_equal(weight.numpy(), values)
    assert [cost["unfreeze"] for cost in model.forecast(8, 8, depths=["none", "last:2"])] == ["none", "last:2"]
    with pytest.raises(ValueError, match="images"):
        model.forecast(0)


def test_numbers_beyond_what_c_takes_are_refused(keras):
    model, _ = network(keras)
    x, y = data()
    for caching in ({"cache_variants": 2**32}, {"memory_budget": 2**70}, {"cache_bytes": "1e30GB"}, {"batch_size": 2**32 + 2}):
        with pytest.raises(ValueError, match=next(iter(caching))):
            model.fit(x, y, verbose=0, **caching)
    for images, batch in ((2**64 + 5, 8), (8, 2**32)):
        with pytest.raises(ValueError, match="2\\*\\*"):
            model.forecast(images, batch)
    with pytest.raises(keras.XferError, match="batch_size is to be from 1"):
        keras.utils.plot_model(model, to_file=None, batch_size=2**40)


def test_what_has_no_room_is_computed_again(keras):
    x, y = data()
    losses = []
    for caching in ({"cache": None}, {"cache_bytes": 100 * 24 * 4}, {"cache_bytes": "1GB"}):
        model, base = network(keras)
        base.trainable = False
        model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
        losses.append(model.fit(x, y, batch_size=16, epochs=3, verbose=0, shuffle=False, **caching).history["loss"])
    assert losses[0] == losses[1] == losses[2]
