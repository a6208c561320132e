"""Optimizers, schedules, regularizers, constraints and initializers through Python; the numbers are Keras', from Tests/goldens."""

import inspect
import json
import pathlib

import numpy as np
import pytest

GOLDENS = pathlib.Path(__file__).parents[2] / "Tests" / "goldens"
NAMES = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Nadam", "RMSprop", "SGD"]


def golden(name):
    return json.loads((GOLDENS / name).read_text())


def weights_of(keras, start, **kwargs):
    layer = keras.layers.Dense(3, **kwargs)
    layer.build((None, 2))
    layer.set_weights([np.reshape(start["kernel"], (2, 3)), start["bias"]])
    return layer


def test_every_optimizer_moves_weights_as_keras(keras):
    seen, goldens = set(), golden("optimizers.json")
    for case in goldens["plain"]:
        layer = weights_of(keras, goldens["start"])
        optimizer = getattr(keras.optimizers, case["optimizer"])(**case["config"])
        for gradients in goldens["gradients"]:
            grads = [np.reshape(gradients["kernel"], (2, 3)).astype("float32"), np.array(gradients["bias"], "float32")]
            optimizer.apply_gradients(zip(grads, layer.trainable_weights))
        for weight, name in zip(layer.weights, ("kernel", "bias")):
            np.testing.assert_allclose(weight.numpy().ravel(), case["weights"][name], rtol=3e-6, atol=3e-6, err_msg=str(case["config"]))
        seen.add(case["optimizer"])
    assert seen == set(NAMES)


def test_constraints_in_layers_as_keras(keras):
    goldens = golden("optimizers.json")
    for case in goldens["constrained"]:
        constraint = keras.constraints.deserialize(case["constraint"])
        layer = weights_of(keras, goldens["start"], kernel_constraint=constraint)
        optimizer = keras.optimizers.get({"class_name": case["optimizer"], "config": case["config"]})
        for gradients in goldens["gradients"]:
            grads = [np.reshape(gradients["kernel"], (2, 3)).astype("float32"), np.array(gradients["bias"], "float32")]
            optimizer.apply(grads, layer.trainable_weights)
        np.testing.assert_allclose(layer.weights[0].numpy().ravel(), case["weights"]["kernel"], rtol=3e-6, atol=5e-6)


def test_configs_are_keras(keras):
    for case in golden("optimizers.json")["plain"]:
        cls = getattr(keras.optimizers, case["optimizer"])
        optimizer = cls.from_config(case["config"])
        config, wanted = optimizer.get_config(), dict(case["written"])
        # Keras counts names up: adam, adam_1.
        wanted["name"] = config["name"]
        assert config == wanted
        assert cls.from_config(config).get_config() == config, case["optimizer"]


@pytest.mark.parametrize("name", NAMES)
def test_strings_and_signatures(keras, name):
    cls = getattr(keras.optimizers, name)
    assert type(keras.optimizers.get(name.lower())) is type(keras.optimizers.get(name)) is cls
    parameters = list(inspect.signature(cls).parameters)
    assert parameters[0] == "learning_rate" and {"clipnorm", "use_ema", "name"} <= set(parameters)
    for wrong in (1, True, "fast", None):
        with pytest.raises(ValueError, match="should be float"):
            cls(learning_rate=wrong)
    with pytest.raises(ValueError, match="not recognized"):
        cls(speed=3)
    assert keras.optimizers.serialize(cls())["class_name"] == name


def test_adamw_wants_a_decay(keras):
    assert keras.optimizers.AdamW().get_config()["weight_decay"] == 0.004
    with pytest.raises(ValueError, match="weight_decay"):
        keras.optimizers.AdamW(weight_decay=None)


def test_schedules(keras):
    schedules = keras.optimizers.schedules
    for case in golden("schedules.json"):
        schedule = schedules.deserialize(case["schedule"])
        assert schedules.serialize(schedule) == case["schedule"]
        np.testing.assert_allclose([schedule(s) for s in case["steps"]], case["rates"], atol=1e-6)
        optimizer = keras.optimizers.Adam(schedule)
        assert optimizer.get_config()["learning_rate"] == case["schedule"]
        assert keras.optimizers.Adam.from_config(optimizer.get_config()).learning_rate == optimizer.learning_rate
        with pytest.raises(TypeError, match="not settable"):
            optimizer.learning_rate = 0.1
    with pytest.raises(ValueError, match="decay_steps"):
        schedules.CosineDecay(0.1, 0)
    with pytest.raises(ValueError, match="boundaries"):
        schedules.PiecewiseConstantDecay([1], [0.1])


def test_functions_as_rates(keras):
    rates = iter([1.0, 0.5, 0.25])
    layer = weights_of(keras, {"kernel": np.zeros(6), "bias": np.zeros(3)})
    optimizer = keras.optimizers.SGD(lambda: next(rates))
    ones = [np.ones((2, 3), "float32"), np.ones(3, "float32")]
    for wanted in (-1, -1.5, -1.75):
        optimizer.apply(ones, layer.weights)
        assert layer.weights[1].numpy().tolist() == [wanted] * 3
    with pytest.raises(StopIteration):
        optimizer.apply(ones, layer.weights)

    class Halving(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.5 ** step

    optimizer = keras.optimizers.SGD(Halving())
    layer.set_weights([np.zeros((2, 3)), np.zeros(3)])
    for _ in range(3):
        optimizer.apply(ones, layer.weights)
    assert layer.weights[1].numpy().tolist() == [-1.75] * 3


def test_state_reads_assigns_and_goes_on(keras):
    start = {"kernel": np.arange(6.0), "bias": np.ones(3)}
    first, layer = keras.optimizers.RMSprop(0.1, momentum=0.5, centered=True), weights_of(keras, start)
    ones = [np.ones((2, 3), "float32"), np.ones(3, "float32")]
    first.apply(ones, layer.weights)
    names = [v.name.partition("_")[2] if i > 1 else v.name for i, v in enumerate(first.variables)]
    assert names[:2] == ["iteration", "learning_rate"] and first.variables[0].numpy() == 1
    assert [n.rpartition("kernel_")[2].rpartition("bias_")[2] for n in names[2:]] == [
        "velocity", "velocity", "momentum", "momentum", "average_gradient", "average_gradient"]
    second, copy = keras.optimizers.RMSprop(0.5, momentum=0.5, centered=True), weights_of(keras, start)
    copy.set_weights(layer.get_weights())
    second.build(copy.weights)
    second.set_weights(first.get_weights())
    assert second.iterations == 1 and second.learning_rate == pytest.approx(0.1)
    first.apply(ones, layer.weights)
    second.apply(ones, copy.weights)
    assert all((a == b).all() for a, b in zip(layer.get_weights(), copy.get_weights()))
    second.variables[0].assign(7)
    assert second.iterations == 7
    with pytest.raises(ValueError, match="shape"):
        second.set_weights([np.zeros(2)] * len(second.variables))


def test_rebind(keras):
    layers = [weights_of(keras, {"kernel": np.zeros(6), "bias": np.zeros(3)}) for _ in range(2)]
    optimizer = keras.optimizers.Adam(0.1)
    ones = [np.ones((2, 3), "float32"), np.ones(3, "float32")]
    optimizer.apply(ones, layers[0].weights)
    with pytest.raises(keras.XferError, match="rebind"):
        optimizer.apply(ones, layers[1].weights)
    optimizer.rebind(layers[0].weights + layers[1].weights)
    assert optimizer.iterations == 1 and optimizer.variables[2].numpy().any()
    optimizer.rebind(layers[1].weights, keep_slots=False)
    assert optimizer.iterations == 0 and not optimizer.variables[2].numpy().any()


def test_rates_by_path(keras):
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(3, name="first")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="last")(hidden))
    pairs = keras.optimizers.layer_wise_decay(model, 0.5)
    assert dict(pairs) == {"last/kernel": 1.0, "last/bias": 1.0, "first/kernel": 0.5, "first/bias": 0.5}
    optimizer = keras.optimizers.SGD(1.0, learning_rate_multipliers=[("first/b*", 0.0)] + pairs)
    before = model.get_weights()
    optimizer.apply([np.ones(w.shape, "float32") for w in model.weights], model.weights)
    moved = [float((b - a).max()) for a, b in zip(model.get_weights(), before)]
    assert moved == pytest.approx([0.5, 0.0, 1.0, 1.0])
    assert optimizer.get_config()["learning_rate_multipliers"][0] == ["first/b*", 0.0]


def test_rules_on_values(keras):
    case = golden("rules.json")
    x = np.reshape(case["x"], (3, 4)).astype("float32")
    for rule in case["rules"]:
        module = keras.regularizers if hasattr(keras.regularizers, rule["class_name"]) else keras.constraints
        made = module.deserialize({"class_name": rule["class_name"], "config": rule["config"]})
        assert made.get_config() == rule["config"]
        np.testing.assert_allclose(np.ravel(made(x)), rule["result"], rtol=1e-5, atol=1e-6)
    assert isinstance(keras.regularizers.get("l2"), keras.regularizers.L2) and keras.regularizers.get(None) is None
    assert isinstance(keras.constraints.get("max_norm"), keras.constraints.MaxNorm)
    for wrong in (-1.0, float("nan"), "a"):
        with pytest.raises(ValueError, match="l2"):
            keras.regularizers.L2(wrong)


def test_losses_of_a_model(keras):
    x, y = np.random.default_rng(0).normal(size=(8, 3)).astype("float32"), np.ones((8, 1), "float32")
    layer = keras.layers.Dense(1, kernel_regularizer="l2", activity_regularizer=keras.regularizers.L1(0.5))
    model = keras.Sequential([keras.Input((3,)), layer])
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    kernel = layer.weights[0]
    with keras.GradientTape() as tape:
        prediction = model(x)
        plain = loss_fn(y, prediction)
        total = plain + sum(model.losses)
    penalty = 0.5 * np.abs(prediction.numpy()).sum() / 8 + 0.01 * (kernel.numpy() ** 2).sum()
    assert len(model.losses) == 2 and float(total) == pytest.approx(float(plain) + penalty, rel=1e-5)
    gradients = tape.gradient(total, model.trainable_weights)
    assert all(g is not None for g in gradients)
    model.compile("sgd", loss_fn)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(float(total), rel=1e-5)
    history = model.fit(x, y, epochs=1, verbose=0)
    assert history.history["loss"][0] == pytest.approx(float(total), rel=1e-5)
    layer.trainable = False
    assert len(model.losses) == 1


def test_moving_averages_end_in_the_model(keras):
    x, y = np.random.default_rng(0).normal(size=(8, 3)).astype("float32"), np.ones((8, 1), "float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(x, y, epochs=3, verbose=0)
    averages = [v.numpy() for v in optimizer.variables if v.name.endswith("average")]
    assert all(np.array_equal(a, w) for a, w in zip(averages, model.get_weights()))


def test_initializers_on_shapes(keras):
    initializers = keras.initializers
    for json_ in golden("initializers.json"):
        made = initializers.deserialize(json_)
        written = initializers.serialize(made)
        if json_["class_name"] == "Identity":
            # Keras 3.15 forgets the gain.
            assert written["config"].pop("gain") == 1.0
        assert written == json_
        assert made((4, 4)).shape == (4, 4)
    seeded = initializers.GlorotUniform(seed=3)
    assert np.array_equal(seeded((3, 4)), seeded((3, 4)))
    a = keras.layers.Dense(4, kernel_initializer=seeded)
    a.build((None, 3))
    assert np.array_equal(a.weights[0], seeded((3, 4)))
    assert a.get_config()["kernel_initializer"]["config"]["seed"] == 3
    array = np.arange(6.0).reshape(2, 3)
    b = keras.layers.Dense(3, kernel_initializer=array, bias_initializer=initializers.Constant([1.0, 2.0, 3.0]))
    b.build((None, 2))
    assert np.array_equal(b.weights[0], array) and b.weights[1].numpy().tolist() == [1, 2, 3]
    with pytest.raises(keras.XferError, match="shape"):
        keras.layers.Dense(2, kernel_initializer=array).build((None, 2))
    with pytest.raises(ValueError, match="mode"):
        initializers.VarianceScaling(mode="fan")


def test_arguments_are_attributes(keras):
    optimizer = keras.optimizers.Adam(0.1, beta_1=0.8, clipnorm=2.0)
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon, optimizer.clipnorm, optimizer.amsgrad) == (0.8, 0.999, 1e-7, 2.0, False)
    assert (optimizer.weight_decay, optimizer.use_ema, optimizer.name, optimizer.built) == (None, False, "adam", False)
    optimizer.build(weights_of(keras, {"kernel": np.zeros(6), "bias": np.zeros(3)}).weights)
    assert optimizer.built
    with pytest.raises(AttributeError, match="'Adam' object has no attribute 'momentum'"):
        optimizer.momentum  # noqa: B018
    optimizer.note = "mine"
    assert optimizer.note == "mine"


def test_arguments_can_be_set_until_they_are_used(keras, blobs):
    ones = [np.ones((2, 3), "float32"), np.ones(3, "float32")]

    def moved(optimizer):
        layer = weights_of(keras, {"kernel": np.zeros(6), "bias": np.zeros(3)})
        for _ in range(3):
            optimizer.apply(ones, layer.weights)
        return layer.weights[1].numpy().tolist()

    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
    optimizer.learning_rate = 0.25
    optimizer.momentum = 0.0
    assert optimizer.momentum == 0.0 and moved(optimizer) == [-0.75] * 3
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.5]), nesterov=True, momentum=0.9)
    optimizer.momentum, optimizer.nesterov = 0.0, False
    assert moved(optimizer) == [-2.0] * 3
    optimizer = keras.optimizers.SGD(lambda: 0.5, momentum=0.9)
    optimizer.momentum = 0.0
    assert moved(optimizer) == [-1.5] * 3
    with pytest.raises(AttributeError, match="SGD: 'momentum' cannot be set any more"):
        optimizer.momentum = 0.5
    with pytest.raises(ValueError, match="clip"):
        keras.optimizers.SGD(clipnorm=1.0).clipvalue = 0.5
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(), "mse")
    with pytest.raises(AttributeError, match="Adam: 'clipnorm' cannot be set any more"):
        model.optimizer.clipnorm = 1.0
    model.optimizer.learning_rate = 0.5
    assert model.optimizer.learning_rate == 0.5 and not model.optimizer.built
    model.fit(*blobs, verbose=0)
    assert model.optimizer.built


def test_rates_and_steps_read_like_variables(keras):
    optimizer = keras.optimizers.SGD(0.5)
    rate, steps = optimizer.learning_rate, optimizer.iterations
    assert isinstance(rate, float) and rate == 0.5 and isinstance(steps, int) and steps == 0
    rate.assign(0.25)
    assert optimizer.learning_rate == 0.25 and rate.numpy() == np.float32(0.25) and rate.numpy().dtype == np.float32
    assert json.dumps([optimizer.learning_rate]) == "[0.25]" and f"{optimizer.learning_rate:.3f}" == "0.250"
    steps.assign(7)
    assert optimizer.iterations == 7 and steps.numpy() == 7 and steps.numpy().dtype == np.int64
    scheduled = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5))
    with pytest.raises(TypeError, match="not settable"):
        scheduled.learning_rate.assign(0.1)


def test_patterns_of_rates_have_to_fit(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="head")], name="m")
    model.compile(keras.optimizers.SGD(learning_rate_multipliers=[("*/kernel", 0.5), ("*", 1)]), "mse")
    model.compile(keras.optimizers.SGD(learning_rate_multipliers=keras.optimizers.layer_wise_decay(model, 0.5)), "mse")
    with pytest.raises(ValueError, match=r"pattern 'block\?/\*' fits no weight of 'm', which has .*head/kernel"):
        model.compile(keras.optimizers.SGD(learning_rate_multipliers=[("block?/*", 0.5)]), "mse")
    for broken in ("kernel", ("", 0.5), ("a", "b"), ("a", 1, 2), (3, 0.5), ("a", True)):
        with pytest.raises(ValueError, match="pairs of a pattern and a number"):
            keras.optimizers.SGD(learning_rate_multipliers=[broken])
    with pytest.raises(ValueError):
        keras.optimizers.SGD(learning_rate_multipliers=[("a", -1.0)])


@pytest.mark.parametrize("options, validated", [
    (None, [0.31192, 0.26921, 0.25433]), ({}, [0.34692, 0.31643, 0.28849]), ({"swap_on_epoch": True}, [0.34692, 0.31643, 0.28849])])
def test_validation_with_moving_averages(keras, options, validated):
    """Keras' numbers."""
    constant = keras.initializers.Constant
    model = keras.Sequential([
        keras.Input((2,)), keras.layers.Dense(1, kernel_initializer=constant(0.1)), keras.layers.BatchNormalization(),
        keras.layers.Dense(1, kernel_initializer=constant(0.3))])
    x, y = np.arange(24, dtype=np.float32).reshape(12, 2) / 10, (np.arange(12, dtype=np.float32) % 2)[:, None]
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8), "mse")
    callbacks = [] if options is None else [keras.callbacks.SwapEMAWeights(**options)]
    history = model.fit(x, y, batch_size=6, epochs=3, shuffle=False, verbose=0, validation_data=(x, y), callbacks=callbacks).history
    np.testing.assert_allclose(history["loss"], [0.44325, 0.31143, 0.26156], atol=1e-5)
    np.testing.assert_allclose(history["val_loss"], validated, atol=1e-5)
    np.testing.assert_allclose(model.get_weights()[0].ravel(), [0.083718] * 2, atol=1e-6)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="use_ema=False"):
        model.evaluate(x, y, verbose=0, callbacks=[keras.callbacks.SwapEMAWeights()])
