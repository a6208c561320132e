"""Initializers: objects with a config, for `kernel_initializer=` and its kin. Names and formulas are Keras'."""

import sys

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Initializer", "LecunNormal", "LecunUniform", "Ones",
    "RandomNormal", "RandomUniform", "Zeros",
]


class Initializer:
    """How a weight gets its first values. The random ones draw from the seed of `set_random_seed`."""

    def __init__(self, **config):
        self._config = config

    def get_config(self):
        return dict(self._config)

    def __repr__(self):
        return f"<{type(self).__name__} {self._config}>"


class Zeros(Initializer):
    """All 0."""

    def __init__(self):
        super().__init__()


class Ones(Initializer):
    """All 1."""

    def __init__(self):
        super().__init__()


class Constant(Initializer):
    """All `value`."""

    def __init__(self, value=0.0):
        super().__init__(value=float(value))


class RandomUniform(Initializer):
    """Uniform in [minval, maxval)."""

    def __init__(self, minval=-0.05, maxval=0.05):
        super().__init__(minval=float(minval), maxval=float(maxval))


class RandomNormal(Initializer):
    """Normal with this mean and standard deviation."""

    def __init__(self, mean=0.0, stddev=0.05):
        super().__init__(mean=float(mean), stddev=float(stddev))


_SCALED = {
    "GlorotUniform": "Uniform in ±√(6 / (fan_in + fan_out)).", "GlorotNormal": "Normal of variance 2 / (fan_in + fan_out).",
    "HeUniform": "Uniform in ±√(6 / fan_in).", "HeNormal": "Normal of variance 2 / fan_in.",
    "LecunUniform": "Uniform in ±√(3 / fan_in).", "LecunNormal": "Normal of variance 1 / fan_in.",
}
for _name, _text in _SCALED.items():
    setattr(sys.modules[__name__], _name, type(_name, (Initializer,), {
        "__doc__": _text, "__module__": __name__, "__init__": lambda self: Initializer.__init__(self)}))
