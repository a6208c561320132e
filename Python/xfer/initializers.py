"""Initializers: objects with a config, for `kernel_initializer=` and its kin. Names and formulas are Keras'.

Called with a shape they give a tensor. A `seed` gives the same values each time; without one the values come from the seed of
`set_random_seed`.
"""

import sys

import numpy as np

from . import _configured
from ._configured import Described

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer", "Initializer", "LecunNormal",
    "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
    "Zeros", "deserialize", "get", "serialize",
]


class Initializer(Described):
    """How a weight gets its first values."""

    def __call__(self, shape, dtype=None):
        """A tensor of first values for a weight of this shape."""
        from ._c import lib
        from ._errors import UNSUPPORTED, error
        from ._handle import dims_of, encode, make
        from .tensor import Tensor

        if dtype not in (None, "float32", np.float32):
            raise error(UNSUPPORTED, f"{type(self).__name__}: dtype {dtype!r}; weights are float32")
        name = type(self).__name__.encode()
        return Tensor(make("tensor", lib.xfer_initializer_call, name, encode(self.get_config()), *dims_of(tuple(shape))), terms=[])

    def clone(self):
        return type(self).from_config(self.get_config())


class Zeros(Initializer):
    """All 0."""

    def __init__(self):
        super().__init__()


class Ones(Initializer):
    """All 1."""

    def __init__(self):
        super().__init__()


class Constant(Initializer):
    """All `value`: a number, or an array that is stretched to the weight's shape."""

    def __init__(self, value=0.0):
        super().__init__(value=value.tolist() if hasattr(value, "tolist") else value)


class Identity(Initializer):
    """The identity matrix times `gain`."""

    def __init__(self, gain=1.0):
        super().__init__(gain=gain)


class RandomUniform(Initializer):
    """Uniform in [minval, maxval)."""

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        super().__init__(seed=seed, minval=minval, maxval=maxval)


class RandomNormal(Initializer):
    """Normal with this mean and standard deviation."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed=seed, mean=mean, stddev=stddev)


class TruncatedNormal(Initializer):
    """Normal, drawn again until it lies within two standard deviations."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed=seed, mean=mean, stddev=stddev)


class Orthogonal(Initializer):
    """Rows, or columns, of length `gain` at right angles (Saxe et al. 2014)."""

    def __init__(self, gain=1.0, seed=None):
        super().__init__(seed=seed, gain=gain)


class VarianceScaling(Initializer):
    """Of variance scale / n, n from the shape: mode "fan_in", "fan_out" or "fan_avg"; distribution "truncated_normal",
    "untruncated_normal" or "uniform"."""

    def __init__(
        self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None, input_axes=None, output_axes=None,
    ):
        if scale <= 0.0:
            raise ValueError(f"Argument `scale` must be positive float. Received: scale={scale}")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"Invalid `mode` argument: {mode}. Please use one of fan_in, fan_out, fan_avg")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("uniform", "truncated_normal", "untruncated_normal"):
            raise ValueError(f"Invalid `distribution` argument: {distribution}.")
        super().__init__(
            seed=seed, scale=scale, mode=mode, distribution=distribution, input_axes=input_axes, output_axes=output_axes)


_SCALED = {
    "GlorotUniform": "Uniform in ±√(6 / (fan_in + fan_out)).", "GlorotNormal": "Normal of variance 2 / (fan_in + fan_out).",
    "HeUniform": "Uniform in ±√(6 / fan_in).", "HeNormal": "Normal of variance 2 / fan_in.",
    "LecunUniform": "Uniform in ±√(3 / fan_in).", "LecunNormal": "Normal of variance 1 / fan_in.",
}


def _scaled(self, seed=None, input_axes=None, output_axes=None):
    Initializer.__init__(self, seed=seed, input_axes=input_axes, output_axes=output_axes)


for _name, _text in _SCALED.items():
    setattr(sys.modules[__name__], _name, type(_name, (Initializer,), {"__doc__": _text, "__module__": __name__, "__init__": _scaled}))

IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal
# Keras' lower-case names are the classes, too.
_LOWER = {_configured.snake_case(name): globals()[name] for name in __all__ if name[0].isupper() and name != "Initializer" and "Initializer" not in name}
globals().update(_LOWER)
__all__ += [*_LOWER]
_ALIASES = {"zero": Zeros, "one": Ones, "normal": RandomNormal, "uniform": RandomUniform}


def get(identifier):
    """An initializer from a string ("glorot_uniform"), a config or an initializer."""
    return _configured.find(identifier, Initializer, globals(), "initializer", _ALIASES)


def serialize(initializer):
    return _configured.serialize(initializer, "keras.initializers")


deserialize = get
