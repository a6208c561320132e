"""Regularizers: penalties on weights (`kernel_regularizer=`) and outputs (`activity_regularizer=`), added to the loss.

Names, formulas and defaults are Keras'. Called with values they give the penalty.
"""

import math

import numpy as np

from . import _configured
from ._configured import Described
from ._errors import UNSUPPORTED, error

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2", "orthogonal_regularizer", "serialize"]


def _penalty(value, name):
    if not isinstance(value, (float, int)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise ValueError(f"Invalid value for argument {name}: expected a non-negative float. Received: {name}={value}")
    return float(value)


def call(rule, values):
    """What a regularizer or constraint makes of values."""
    from ._c import lib
    from ._handle import encode, make
    from .tensor import Tensor, data_handle

    name = type(rule).__name__.encode()
    return make("tensor", lib.xfer_rule_call, name, encode(rule.get_config()), data_handle(np.asarray(values, np.float32))), Tensor


class Regularizer(Described):
    """A penalty on values."""

    def __call__(self, x):
        from .tape import current_tape
        from .weight import Weight

        if isinstance(x, Weight) and x.trainable and current_tape() is not None:
            raise error(UNSUPPORTED, f"{type(self).__name__} of the weight {x.path} under a GradientTape is not differentiated: give the regularizer to its "
                        "layer, and add model.losses")
        handle, tensor = call(self, x)
        return tensor(handle, shape=(), terms=[])


class L1(Regularizer):
    """l1 · Σ|x|."""

    def __init__(self, l1=0.01):
        super().__init__(l1=float(np.float32(_penalty(0.01 if l1 is None else l1, "l1"))))


class L2(Regularizer):
    """l2 · Σx²."""

    def __init__(self, l2=0.01):
        super().__init__(l2=_penalty(0.01 if l2 is None else l2, "l2"))


class L1L2(Regularizer):
    """l1 · Σ|x| + l2 · Σx²."""

    def __init__(self, l1=0.0, l2=0.0):
        super().__init__(l1=_penalty(0.0 if l1 is None else l1, "l1"), l2=_penalty(0.0 if l2 is None else l2, "l2"))


class OrthogonalRegularizer(Regularizer):
    """factor times the mean |cosine| between different rows (mode "rows") or columns ("columns") of a matrix."""

    def __init__(self, factor=0.01, mode="rows"):
        if mode not in ("rows", "columns"):
            raise ValueError(f'Invalid value for argument `mode`. Expected one of {{"rows", "columns"}}. Received: mode={mode}')
        super().__init__(factor=float(np.float32(_penalty(factor, "factor"))), mode=mode)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer


def get(identifier):
    """A regularizer from a string ("l2"), a config or a regularizer; None for none."""
    return _configured.find(identifier, Regularizer, globals(), "regularizer", {"l1l2": L1L2, "l1_l2": L1L2})


def serialize(regularizer):
    return _configured.serialize(regularizer, "keras.regularizers")


deserialize = get
