"""Makes optimizers.json and schedules.json: what Keras' optimizers do to small weights. Run with an environment that has Keras 3."""

import json
import pathlib

import numpy as np
from keras import Variable, constraints, initializers, ops, optimizers, regularizers

SCHEDULES = optimizers.schedules
HERE = pathlib.Path(__file__).parent
STEPS = 5

SHARED = [
    {"weight_decay": 0.1}, {"clipnorm": 0.5}, {"clipvalue": 0.2}, {"global_clipnorm": 0.6}, {"use_ema": True, "ema_momentum": 0.8},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2}, {"loss_scale_factor": 4.0}, {"gradient_accumulation_steps": 2},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_momentum": 0.8, "global_clipnorm": 0.6, "weight_decay": 0.1},
]
CASES = (
    [("SGD", c) for c in [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}] + [{"momentum": 0.9, **s} for s in SHARED]]
    + [("RMSprop", c) for c in [{}, {"momentum": 0.5}, {"centered": True}, {"momentum": 0.5, "centered": True, "rho": 0.8, "epsilon": 1e-3}] + SHARED]
    + [("Adagrad", c) for c in [{}, {"initial_accumulator_value": 0.3, "epsilon": 1e-2}] + SHARED]
    + [("Adadelta", c) for c in [{}, {"learning_rate": 1.0, "rho": 0.8, "epsilon": 1e-3}] + SHARED]
    + [("Adam", c) for c in [{}, {"amsgrad": True}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}] + SHARED + [{"amsgrad": True, **s} for s in SHARED]]
    + [("AdamW", c) for c in [{}, {"weight_decay": 0.2}] + SHARED]
    + [(name, c) for name in ("Adamax", "Nadam", "Lamb") for c in [{}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}] + SHARED]
    + [("Ftrl", c) for c in [
        {}, {"l1_regularization_strength": 0.01, "l2_regularization_strength": 0.1, "beta": 0.1}, {"l2_shrinkage_regularization_strength": 0.1},
        {"learning_rate_power": -0.8, "initial_accumulator_value": 0.3}] + SHARED]
    + [("Lion", c) for c in [{}, {"beta_1": 0.5, "beta_2": 0.9}] + SHARED]
)


def numbers(array):
    # Nine digits tell any two float32 numbers apart.
    return [float(f"{x:.9g}") for x in np.asarray(array, np.float32).ravel()]


RANDOM = np.random.default_rng(7)
SHAPES = {"kernel": (2, 3), "bias": (3,)}
START = {k: RANDOM.normal(size=s).astype("float32") for k, s in SHAPES.items()}
GRADIENTS = [{k: (RANDOM.normal(size=s) * 0.6).astype("float32") for k, s in SHAPES.items()} for _ in range(STEPS)]


def run(name, config, kernel_constraint=None):
    config = dict(config)
    config.setdefault("learning_rate", 0.05)
    optimizer = getattr(optimizers, name)(**config)
    weights = [Variable(v, name=k) for k, v in START.items()]
    if kernel_constraint is not None:
        weights[0].constraint = kernel_constraint
    optimizer.build(weights)
    for gradient in GRADIENTS:
        optimizer.apply([g.copy() for g in gradient.values()], weights)
    return {
        "optimizer": name, "config": config, "written": optimizer.get_config(), "weights": {w.name: numbers(w) for w in weights},
        "state": [[v.name, numbers(v)] for v in optimizer.variables],
    }


def with_constraints():
    rules = [constraints.MaxNorm(0.8, axis=0), constraints.MaxNorm(0.8, axis=[0, 1]), constraints.NonNeg(), constraints.UnitNorm(axis=1),
             constraints.MinMaxNorm(0.5, 0.7, rate=0.5)]
    result = []
    for rule in rules:
        for config in [{}, {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2}, {"gradient_accumulation_steps": 2}]:
            case = run("Adam", config, rule)
            case["constraint"] = {"class_name": type(rule).__name__, "config": rule.get_config()}
            result.append(case)
    return result


def schedules():
    made = [
        SCHEDULES.ExponentialDecay(0.1, 10, 0.9), SCHEDULES.ExponentialDecay(0.1, 10, 0.5, staircase=True),
        SCHEDULES.InverseTimeDecay(0.1, 10, 0.5), SCHEDULES.InverseTimeDecay(0.1, 10, 0.5, staircase=True),
        SCHEDULES.PiecewiseConstantDecay([5, 20], [0.1, 0.05, 0.01]), SCHEDULES.PolynomialDecay(0.1, 20, 0.01, power=2.0),
        SCHEDULES.PolynomialDecay(0.1, 7, 0.01, power=0.5, cycle=True), SCHEDULES.CosineDecay(0.1, 20), SCHEDULES.CosineDecay(0.1, 20, alpha=0.1),
        SCHEDULES.CosineDecay(0.0, 20, warmup_target=0.2, warmup_steps=7), SCHEDULES.CosineDecayRestarts(0.1, 6),
        SCHEDULES.CosineDecayRestarts(0.1, 5, t_mul=1.0, m_mul=0.5, alpha=0.1), SCHEDULES.CosineDecayRestarts(0.1, 5, t_mul=1.5, m_mul=0.9),
    ]
    steps = [0, 1, 3, 5, 6, 7, 13, 19, 20, 21, 33]
    return [{"schedule": SCHEDULES.serialize(s), "steps": steps, "rates": [float(s(k)) for k in steps]} for s in made]


def rules():
    """Regularizers and constraints of a matrix."""
    x = np.random.default_rng(3).normal(size=(3, 4)).astype("float32")
    made = [
        regularizers.L1(), regularizers.L2(0.3), regularizers.L1L2(0.1, 0.2), regularizers.L1L2(), regularizers.OrthogonalRegularizer(0.5),
        regularizers.OrthogonalRegularizer(0.5, mode="columns"), constraints.MaxNorm(1.2), constraints.MaxNorm(1.2, axis=[0, 1]),
        constraints.NonNeg(), constraints.UnitNorm(), constraints.UnitNorm(axis=-1), constraints.MinMaxNorm(0.5, 1.0, rate=0.3, axis=1)]
    return {"x": numbers(x), "rules": [
        {"class_name": type(r).__name__, "config": r.get_config(), "result": numbers(r(ops.convert_to_tensor(x)))} for r in made]}


def written_initializers():
    made = [
        initializers.Zeros(), initializers.Ones(), initializers.Constant(2.0), initializers.Identity(2.0), initializers.Orthogonal(1.5, seed=3),
        initializers.RandomNormal(0.1, 0.2, seed=3), initializers.TruncatedNormal(seed=1), initializers.RandomUniform(-1.0, 2.0),
        initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=5), initializers.VarianceScaling(distribution="normal"),
        initializers.GlorotUniform(seed=2), initializers.GlorotNormal(), initializers.HeUniform(), initializers.HeNormal(),
        initializers.LecunUniform(), initializers.LecunNormal()]
    return [initializers.serialize(i) for i in made]


def write(name, value):
    (HERE / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


write("optimizers.json", {
    "start": {k: numbers(v) for k, v in START.items()}, "gradients": [{k: numbers(v) for k, v in g.items()} for g in GRADIENTS],
    "plain": [run(n, c) for n, c in CASES], "constrained": with_constraints()})
write("schedules.json", schedules())
write("rules.json", rules())
write("initializers.json", written_initializers())
