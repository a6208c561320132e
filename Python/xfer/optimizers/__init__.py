"""Optimizers with Keras' names, arguments and formulas, and `schedules`.

Arguments all of them take: weight_decay, one of clipnorm, clipvalue and global_clipnorm, use_ema with ema_momentum and
ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name, and Xfer's own learning_rate_multipliers: a list of
(pattern, factor) pairs; the first pattern that fits a weight's path scales its rate.

learning_rate is a float, a schedule, or a function without arguments that gives the rate of the coming step.
"""

import functools
import inspect
import numbers

from .._objects import adopted, resolve
from . import schedules
from ._optimizer import Optimizer, layer_wise_decay

__all__ = [
    "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Nadam", "Optimizer", "RMSprop", "SGD", "deserialize",
    "get", "layer_wise_decay", "schedules", "serialize",
]

_SHARED = {
    "weight_decay": None, "clipnorm": None, "clipvalue": None, "global_clipnorm": None, "use_ema": False, "ema_momentum": 0.99,
    "ema_overwrite_frequency": None, "loss_scale_factor": None, "gradient_accumulation_steps": None, "name": None,
}
# Read by keyword alone: "learning_rate_multipliers" is ours, "decay" of old files means nothing any more.
_EXTRA = ("learning_rate_multipliers", "decay")


def _multiplier(pair):
    good = not isinstance(pair, str) and len(pair) == 2 and isinstance(pair[0], str) and pair[0] != ""
    if not good or isinstance(pair[1], bool) or not isinstance(pair[1], numbers.Real):
        raise ValueError(f"learning_rate_multipliers wants pairs of a pattern and a number, {pair!r} was given")
    return [pair[0], float(pair[1])]


def _optimizer(cls):
    """Completes a constructor by the shared arguments and makes it pass everything on as the config."""
    declared = inspect.signature(cls.__init__)
    own = [p for p in declared.parameters.values() if p.kind is not p.VAR_KEYWORD]
    shared = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for name, default in _SHARED.items() if name not in declared.parameters]
    signature = declared.replace(parameters=own + shared + [inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)])

    @functools.wraps(cls.__init__)
    def constructor(self, *arguments, **keywords):
        bound = signature.bind(self, *arguments, **keywords)
        bound.apply_defaults()
        values = dict(bound.arguments)
        extra = values.pop("kwargs")
        values.pop("self")
        strangers = {name: value for name, value in extra.items() if name not in _EXTRA}
        if strangers:
            raise ValueError(f"Argument(s) not recognized: {strangers}")
        if extra.get("learning_rate_multipliers"):
            values["learning_rate_multipliers"] = [_multiplier(pair) for pair in extra["learning_rate_multipliers"]]
        self._make(cls.__name__, values)

    constructor.__signature__ = signature
    cls.__init__ = constructor
    return cls


@_optimizer
class SGD(Optimizer):
    """v = momentum · v - lr · g; w += v (with nesterov: w += momentum · v - lr · g)."""

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False):
        pass


@_optimizer
class RMSprop(Optimizer):
    """v = rho · v + (1 - rho) · g²; w -= lr · g / √(v + ε), with v less the squared mean gradient where centered."""

    def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-07, centered=False):
        pass


@_optimizer
class Adagrad(Optimizer):
    """a += g²; w -= lr · g / √(a + ε)."""

    def __init__(self, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-07):
        pass


@_optimizer
class Adadelta(Optimizer):
    """Steps of the size √(mean squared step) / √(mean squared gradient) · g."""

    def __init__(self, learning_rate=0.001, rho=0.95, epsilon=1e-07):
        pass


@_optimizer
class Adam(Optimizer):
    """w -= lr · √(1 - β2ᵗ) / (1 - β1ᵗ) · m / (√v + ε); with amsgrad v is the largest so far."""

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07, amsgrad=False):
        pass


@_optimizer
class AdamW(Optimizer):
    """Adam with weight decay, 0.004 unless given."""

    def __init__(self, learning_rate=0.001, weight_decay=0.004, beta_1=0.9, beta_2=0.999, epsilon=1e-07, amsgrad=False):
        pass


@_optimizer
class Adamax(Optimizer):
    """Adam with u = max(β2 · u, |g|) in the place of √v."""

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07):
        pass


@_optimizer
class Nadam(Optimizer):
    """Adam with Nesterov momentum."""

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07):
        pass


@_optimizer
class Ftrl(Optimizer):
    """Follow the regularized leader."""

    def __init__(
        self, learning_rate=0.001, learning_rate_power=-0.5, initial_accumulator_value=0.1, l1_regularization_strength=0.0,
        l2_regularization_strength=0.0, l2_shrinkage_regularization_strength=0.0, beta=0.0,
    ):
        pass


@_optimizer
class Lion(Optimizer):
    """w -= lr · sign(β1 · m + (1 - β1) · g); m = β2 · m + (1 - β2) · g."""

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.99):
        pass


@_optimizer
class Lamb(Optimizer):
    """Adam with each weight's step scaled by the weight's norm."""

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07):
        pass


_CLASSES = {cls.__name__.lower(): cls for cls in (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Ftrl, Lion, Lamb)}


class _Names(dict):
    """Keras finds optimizers whatever the case of their names."""

    def __contains__(self, name):
        return isinstance(name, str) and name.lower() in _CLASSES

    def __getitem__(self, name):
        return _CLASSES[name.lower()]


def get(identifier):
    """An optimizer from a string ("adam", "sgd"), a config or an optimizer."""
    if isinstance(identifier, dict) and identifier.get("class_name") in _Names():
        return _Names()[identifier["class_name"]].from_config(identifier.get("config") or {})
    return resolve(identifier, Optimizer, _Names(), "optimizer")


deserialize = get


def serialize(optimizer):
    """{"module", "class_name", "config", "registered_name"} as Keras writes it."""
    return {"module": "keras.optimizers", "class_name": type(optimizer).__name__, "config": optimizer.get_config(), "registered_name": None}


def adopt(handle, class_name):
    """The object for one the library made, as when a model is loaded."""
    made = adopted(handle, class_name, Optimizer, globals())
    made._class_name, made._is_used = class_name, True
    return made
