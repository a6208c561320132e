"""The base of all optimizers: rate, steps, state."""

import ctypes
import math
import numbers
import re
import warnings

import numpy as np

from .. import _c
from .._c import lib
from .._errors import STATE, check, error
from .._handle import array_of, encode, fill_int, make, text
from .._objects import Configured
from ..tensor import data_handle, lend, take
from ..weight import Weight
from .schedules import LearningRateSchedule, get as schedule_of


def _of_library(schedule):
    """Whether the library computes this schedule; those of the program are asked through a callback."""
    return type(schedule).__module__ == LearningRateSchedule.__module__ and type(schedule) is not LearningRateSchedule


def _fits(pattern, path):
    """Whether a path is what a pattern says: "*" is any text, "?" any character."""
    return re.fullmatch("".join({"*": ".*", "?": "."}.get(c) or re.escape(c) for c in pattern), path, re.DOTALL) is not None


class StateVariable:
    """One variable of an optimizer: iteration, learning_rate, or a slot of a weight."""

    def __init__(self, optimizer, index):
        self._optimizer, self._index = optimizer, index

    @property
    def path(self):
        """"adam/dense_kernel_momentum"."""
        return text(lib.xfer_optimizer_state_name, self._optimizer._handle, self._index)

    @property
    def name(self):
        return self.path.partition("/")[2]

    @property
    def shape(self):
        return self.numpy().shape

    @property
    def dtype(self):
        return self.numpy().dtype.name

    def numpy(self):
        """A copy of the values."""
        return np.asarray(take(make("tensor", lib.xfer_optimizer_state_read, self._optimizer._handle, self._index)))

    value = property(numpy)

    def assign(self, value):
        """Replaces the values; the shape has to be the same."""
        array = np.asarray(value, self.dtype)
        check(lib.xfer_optimizer_state_assign(self._optimizer._handle, self._index, lend(array)))
        return self

    def __array__(self, dtype=None, copy=None):
        values = self.numpy()
        return values if dtype is None else values.astype(dtype, copy=False)

    def __repr__(self):
        return f"<xfer optimizer variable path={self.path} shape={self.shape}>"


class _Rate(float):
    """The learning rate as a number, which numpy() reads anew and assign() sets."""

    def __new__(cls, optimizer, value):
        made = super().__new__(cls, value)
        made._optimizer = optimizer
        return made

    shape, dtype = (), "float32"

    def numpy(self):
        return np.float32(self._optimizer.learning_rate)

    value = property(numpy)

    def assign(self, value):
        self._optimizer.learning_rate = value
        return self._optimizer.learning_rate

    def __reduce__(self):
        # A copy is a number alone.
        return float, (float(self),)


class _Steps(int):
    """The steps taken as a number, which numpy() reads anew and assign() sets."""

    def __new__(cls, optimizer, value):
        made = super().__new__(cls, value)
        made._optimizer = optimizer
        return made

    shape, dtype = (), "int64"

    def numpy(self):
        return np.int64(self._optimizer.iterations)

    value = property(numpy)

    def assign(self, value):
        self._optimizer.variables[0].assign(value)
        return self._optimizer.iterations

    def __reduce__(self):
        return int, (int(self),)


class Optimizer(Configured):
    """Moves weights along gradients. Made as Adam(...), SGD(...) and so on.

    Its arguments are attributes (`optimizer.beta_1`), which may be set until it is compiled into a model or builds its slots.
    """

    kind = "optimizer"
    _schedule = None
    # What it was made with; None of one that came with a model.
    _arguments = None
    # Whether a model or slots depend on the optimizer as it is.
    _is_used = False
    _has_slots = False
    _problem = None

    def _make(self, class_name, config):
        self._class_name, self._arguments = class_name, dict(config)
        rate = config["learning_rate"]
        if isinstance(rate, dict):
            rate = schedule_of(rate)
        if isinstance(rate, LearningRateSchedule) or callable(rate):
            self._schedule = rate
            if _of_library(rate):
                config["learning_rate"] = {"class_name": type(rate).__name__, "config": rate.get_config()}
            else:
                del config["learning_rate"]
        elif isinstance(rate, bool) or not isinstance(rate, (float, np.floating)):
            raise ValueError(
                "Argument `learning_rate` should be float, or an instance of LearningRateSchedule, or a callable (that takes no "
                f"argument and returns the rate). Received instead: learning_rate={rate!r} (of type {type(rate).__name__})")
        else:
            config["learning_rate"] = float(rate)
        if class_name == "AdamW" and config["weight_decay"] is None:
            raise ValueError("Argument `weight_decay` must be a float. Received: weight_decay=None")
        self._create(class_name, config)
        if self._schedule is not None and not _of_library(self._schedule):
            self._follow(self._schedule)

    def _follow(self, schedule):
        """Lets the library ask a function of the program for the rate."""
        def ask(_, step):
            try:
                return float(schedule(step) if isinstance(schedule, LearningRateSchedule) else schedule())
            except BaseException as problem:  # must not pass through C
                self._problem = problem
                return math.nan

        self._problem = None
        self._callback = _c.ScheduleFunction(ask)
        check(lib.xfer_optimizer_set_schedule(self._handle, self._callback, None, _c.DestroyFunction()))

    def __getattr__(self, name):
        # Asked for what is not there otherwise; never for what this class itself keeps.
        if not name.startswith("_") and "_handle" in self.__dict__:
            config = self.get_config()
            if name in config:
                return config[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name, value):
        known = not name.startswith("_") and "_handle" in self.__dict__ and not isinstance(getattr(type(self), name, None), property)
        config = self.get_config() if known else {}
        if name not in config:
            super().__setattr__(name, value)
        elif self._is_used or self.iterations:
            raise AttributeError(
                f"{type(self).__name__}: '{name}' cannot be set any more, the optimizer is in use; make another one and compile with it")
        else:
            self._make(self._class_name, {**self._arguments, name: value})

    @property
    def name(self):
        return self.get_config()["name"]

    @property
    def built(self):
        """Whether it has the slots of its weights."""
        return self._has_slots or self.iterations > 0

    @property
    def learning_rate(self):
        """The rate of the next step; may be set at any time unless a schedule gives it."""
        return _Rate(self, fill_int(lib.xfer_optimizer_get_learning_rate, self._handle, kind=ctypes.c_double))

    @learning_rate.setter
    def learning_rate(self, value):
        if self._schedule is not None:
            raise TypeError(
                "This optimizer was created with a `LearningRateSchedule` object as its `learning_rate` constructor argument, "
                "hence its learning rate is not settable.")
        if isinstance(value, bool) or not isinstance(value, numbers.Real) and np.ndim(value) != 0:
            raise ValueError(f"learning_rate is to be a number, {value!r} was given")
        check(lib.xfer_optimizer_set_learning_rate(self._handle, float(value)))
        if self._arguments is not None:
            self._arguments["learning_rate"] = float(value)

    @property
    def iterations(self):
        """The updates done; with gradient accumulation, full rounds of it."""
        return _Steps(self, fill_int(lib.xfer_optimizer_iterations, self._handle, kind=ctypes.c_uint64))

    def _bind(self, model):
        """What compile() does with its optimizer: the arguments are settled, and the patterns of rates have to fit weights."""
        paths = [weight.path for weight in model.weights]
        for pattern, _ in self.get_config().get("learning_rate_multipliers") or []:
            if paths and not any(_fits(pattern, path) for path in paths):
                raise ValueError(
                    f"learning_rate_multipliers: the pattern {pattern!r} fits no weight of '{model.name}', which has {', '.join(paths[:8])}")
        self._is_used = True

    # ---- Steps

    def apply_gradients(self, grads_and_vars):
        """One step from (gradient, weight) pairs; a gradient of None leaves its weight alone."""
        pairs = list(grads_and_vars)
        if not any(gradient is not None for gradient, _ in pairs):
            raise ValueError(f"No gradients provided for any variable: {len(pairs)} pairs were given")
        for _, weight in pairs:
            if not isinstance(weight, Weight):
                raise ValueError(f"apply_gradients wants (gradient, weight) pairs, {weight!r} was given for a weight")
        missing = [weight.path for gradient, weight in pairs if gradient is None]
        if missing:
            warnings.warn(f"Gradients do not exist for variables {missing} when minimizing the loss.", stacklevel=2)
        owners = [None if g is None else data_handle(g, keep_integers=False) for g, _ in pairs]
        gradients, count = array_of(owners)
        weights, _ = array_of([weight._handle for _, weight in pairs])
        self._is_used = self._has_slots = True
        status = lib.xfer_optimizer_apply(self._handle, gradients, weights, count)
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem
        check(status)
        return self.iterations

    def apply(self, grads, trainable_variables):
        """apply_gradients for two lists."""
        return self.apply_gradients(zip(grads, trainable_variables))

    def scale_loss(self, loss):
        """The loss times loss_scale_factor, to be differentiated; gradients are divided by it again."""
        factor = self.get_config()["loss_scale_factor"]
        return loss if factor is None else loss * factor

    # ---- Weights and state

    def build(self, variables):
        """Makes the slots for these weights, as the first step does by itself."""
        handles, count = array_of([weight._handle for weight in variables])
        check(lib.xfer_optimizer_build(self._handle, handles, count))
        self._is_used = self._has_slots = True

    def rebind(self, variables, keep_slots=True):
        """Ties the optimizer to other weights, after `trainable` changed for example. Kept slots stay with their weights and the
        steps go on; new slots start at zero. Xfer's own."""
        handles, count = array_of([weight._handle for weight in variables])
        check(lib.xfer_optimizer_rebind(self._handle, handles, count, bool(keep_slots)))
        self._is_used = self._has_slots = True

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Keeps weights out of weight decay: these, and those whose name contains one of these texts. Before the first step."""
        handles, count = array_of([weight._handle for weight in var_list or []])
        check(lib.xfer_optimizer_exclude_from_weight_decay(self._handle, handles, count, encode(list(var_names or []))))
        self._is_used = True

    def finalize_variable_values(self, var_list=None):
        """With use_ema: writes the moving averages over the weights, as `fit` does when it ends."""
        check(lib.xfer_optimizer_finalize(self._handle))

    @property
    def variables(self):
        """Everything a step changes, in Keras' order: iteration, learning_rate, averages, gathered gradients, slots."""
        count = fill_int(lib.xfer_optimizer_state_count, self._handle, kind=ctypes.c_size_t)
        return [StateVariable(self, index) for index in range(count)]

    def get_weights(self):
        return [variable.numpy() for variable in self.variables]

    def set_weights(self, weights):
        """Replaces the state; count and shapes are checked before anything changes."""
        own, values = self.variables, [np.asarray(value) for value in weights]
        if len(own) != len(values):
            raise error(STATE, f"optimizer '{self.name}' has {len(own)} variables, {len(values)} arrays were given")
        for variable, value in zip(own, values):
            if variable.shape != value.shape:
                raise ValueError(f"Optimizer variable {variable.path} has shape {variable.shape} not compatible with provided weight shape {value.shape}.")
        for variable, value in zip(own, values):
            variable.assign(value)

    @classmethod
    def from_config(cls, config):
        # JSON writes 1.0 as 1; only a number in a program can be an int by mistake.
        rate = config.get("learning_rate")
        return cls(**{**config, "learning_rate": float(rate)} if isinstance(rate, int) and not isinstance(rate, bool) else config)


def layer_wise_decay(model, factor):
    """(pattern, factor) pairs for `learning_rate_multipliers`: the layer next to the output keeps its rate, each layer with weights
    before it has `factor` times the rate of the next (Howard & Ruder 2018). Xfer's own."""
    if not factor > 0 or not math.isfinite(factor):
        raise ValueError(f"layer_wise_decay: the factor is to be above 0, {factor!r} was given")
    pairs, rate, owner = [], 1.0, None
    for weight in reversed(model.weights):
        layer = weight.path.rpartition("/")[0]
        if owner is not None and layer != owner:
            rate *= factor
        owner = layer
        pairs.append((weight.path, rate))
    return pairs
