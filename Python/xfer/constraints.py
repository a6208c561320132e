"""Constraints: what weights are projected to after each update (`kernel_constraint=` and its kin).

Names, formulas and defaults are Keras'; `axis` is a number or a list of them. Called with values they give the projected ones.
"""

from . import _configured
from ._configured import Described
from .regularizers import call

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm", "non_neg", "serialize", "unit_norm"]


class Constraint(Described):
    """A projection of a weight."""

    def __call__(self, w):
        handle, tensor = call(self, w)
        return tensor(handle, terms=[])


class MaxNorm(Constraint):
    """Norms over `axis` of at most max_value."""

    def __init__(self, max_value=2, axis=0):
        super().__init__(max_value=max_value, axis=axis)


class NonNeg(Constraint):
    """No value below 0."""

    def __init__(self):
        super().__init__()


class UnitNorm(Constraint):
    """Norms over `axis` of 1."""

    def __init__(self, axis=0):
        super().__init__(axis=axis)


class MinMaxNorm(Constraint):
    """Norms over `axis` moved by `rate` of the way into [min_value, max_value]."""

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        super().__init__(min_value=min_value, max_value=max_value, rate=rate, axis=axis)


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm


def get(identifier):
    """A constraint from a string ("max_norm"), a config or a constraint; None for none."""
    return _configured.find(identifier, Constraint, globals(), "constraint")


def serialize(constraint):
    return _configured.serialize(constraint, "keras.constraints")


deserialize = get
