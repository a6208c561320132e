"""Random numbers as tensors. An int as seed gives the same numbers each time, a SeedGenerator goes on from call to call, and without
either they come from numpy's generator, which `set_random_seed` seeds. The numbers are numpy's, not those of Keras' backends."""

import numpy as np

from ._errors import UNSUPPORTED, error
from .tensor import constant

__all__ = ["SeedGenerator", "normal", "randint", "shuffle", "truncated_normal", "uniform"]


class SeedGenerator:
    """A seed that gives other numbers with each call, the same ones in each program."""

    def __init__(self, seed=None, name=None):
        self.name = name
        self._generator = np.random.default_rng(np.random.randint(1 << 31) if seed is None else seed)


def _generator(seed):
    if isinstance(seed, SeedGenerator):
        return seed._generator
    return np.random.default_rng(np.random.randint(1 << 31) if seed is None else seed)


def _typed(values, dtype, default):
    dtype = str(dtype or default)
    if dtype not in ("float32", "int32", "int64", "uint8"):
        raise error(UNSUPPORTED, f"random numbers of dtype {dtype!r}; float32, int32, int64 and uint8 are supported")
    return constant(np.asarray(values).astype(dtype))


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal with this mean and standard deviation."""
    return _typed(_generator(seed).normal(mean, stddev, shape), dtype, "float32")


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal, drawn again until it lies within two standard deviations."""
    generator = _generator(seed)
    values = generator.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values = np.where(outside, generator.standard_normal(shape), values)
    return _typed(mean + stddev * values, dtype, "float32")


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Uniform in [minval, maxval)."""
    return _typed(_generator(seed).uniform(minval, maxval, shape), dtype, "float32")


def randint(shape, minval, maxval, dtype="int32", seed=None):
    """Whole numbers in [minval, maxval)."""
    return _typed(_generator(seed).integers(minval, maxval, shape), dtype, "int32")


def shuffle(x, axis=0, seed=None):
    """The slices of x along the axis in another order."""
    return constant(_generator(seed).permutation(np.asarray(x), axis=axis))
