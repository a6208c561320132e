"""Optimizers."""

import ctypes
import numbers

import numpy as np

from ._c import lib
from ._errors import check
from ._handle import array_of, fill_int
from ._objects import Configured, adopted, resolve
from .tensor import data_handle
from .weight import Weight

__all__ = ["Adam", "Optimizer", "SGD", "get"]


def _rate(value):
    if isinstance(value, bool) or not isinstance(value, (float, np.floating)):
        raise ValueError(
            f"Argument `learning_rate` should be float. Received instead: learning_rate={value!r} (of type {type(value).__name__})")
    return float(value)


class Optimizer(Configured):
    """Moves weights along gradients. Made as Adam(...) or SGD(...)."""

    kind = "optimizer"

    @property
    def learning_rate(self):
        """The rate of the next step; may be set at any time."""
        return fill_int(lib.xfer_optimizer_get_learning_rate, self._handle, kind=ctypes.c_double)

    @learning_rate.setter
    def learning_rate(self, value):
        if isinstance(value, bool) or not isinstance(value, numbers.Real) and np.ndim(value) != 0:
            raise ValueError(f"learning_rate is to be a number, {value!r} was given")
        check(lib.xfer_optimizer_set_learning_rate(self._handle, float(value)))

    @property
    def iterations(self):
        """The steps taken."""
        return fill_int(lib.xfer_optimizer_iterations, self._handle, kind=ctypes.c_uint64)

    def apply_gradients(self, grads_and_vars):
        """One step from (gradient, weight) pairs; a gradient of None leaves its weight alone."""
        pairs = list(grads_and_vars)
        if not any(gradient is not None for gradient, _ in pairs):
            raise ValueError(f"No gradients provided for any variable: {len(pairs)} pairs were given")
        for _, weight in pairs:
            if not isinstance(weight, Weight):
                raise ValueError(f"apply_gradients wants (gradient, weight) pairs, {weight!r} was given for a weight")
        owners = [None if g is None else data_handle(g, keep_integers=False) for g, _ in pairs]
        gradients, count = array_of(owners)
        weights, _ = array_of([weight._handle for _, weight in pairs])
        check(lib.xfer_optimizer_apply(self._handle, gradients, weights, count))
        return self.iterations

    def apply(self, grads, trainable_variables):
        """apply_gradients for two lists."""
        return self.apply_gradients(zip(grads, trainable_variables))


def _shared(config, kwargs, defaults):
    """The arguments all optimizers have; those at their defaults say nothing."""
    for name, value in kwargs.items():
        if name not in defaults:
            raise ValueError(f"Argument(s) not recognized: {{'{name}': {value!r}}}")
        if value != defaults[name]:
            config[name] = value
    return config


_COMMON = {
    "weight_decay": None, "clipnorm": None, "clipvalue": None, "global_clipnorm": None, "use_ema": False, "ema_momentum": 0.99,
    "ema_overwrite_frequency": None, "loss_scale_factor": None, "gradient_accumulation_steps": None,
}


class Adam(Optimizer):
    """w -= lr · √(1 - β2ᵗ) / (1 - β1ᵗ) · m / (√v + ε)."""

    def __init__(
        self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07, amsgrad=False, weight_decay=None, clipnorm=None,
        clipvalue=None, global_clipnorm=None, use_ema=False, ema_momentum=0.99, ema_overwrite_frequency=None,
        loss_scale_factor=None, gradient_accumulation_steps=None, name="adam", **kwargs,
    ):
        given = locals()
        config = {"learning_rate": _rate(learning_rate), "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "name": name}
        if amsgrad:
            config["amsgrad"] = True
        self._create("Adam", _shared(config, {**kwargs, **{k: given[k] for k in _COMMON}}, _COMMON))


class SGD(Optimizer):
    """v = momentum · v - lr · g; w += v (with nesterov: w += momentum · v - lr · g)."""

    def __init__(
        self, learning_rate=0.01, momentum=0.0, nesterov=False, weight_decay=None, clipnorm=None, clipvalue=None,
        global_clipnorm=None, use_ema=False, ema_momentum=0.99, ema_overwrite_frequency=None, loss_scale_factor=None,
        gradient_accumulation_steps=None, name="SGD", **kwargs,
    ):
        given = locals()
        config = {"learning_rate": _rate(learning_rate), "momentum": momentum, "nesterov": bool(nesterov), "name": name}
        self._create("SGD", _shared(config, {**kwargs, **{k: given[k] for k in _COMMON}}, _COMMON))


def get(identifier):
    """An optimizer from a string ("adam", "sgd"), a config or an optimizer."""
    return resolve(identifier, Optimizer, {"adam": Adam, "Adam": Adam, "sgd": SGD, "SGD": SGD}, "optimizer")


def adopt(handle, class_name):
    """The object for one the library made, as when a model is loaded."""
    return adopted(handle, class_name, Optimizer, globals())
