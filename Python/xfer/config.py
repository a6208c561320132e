"""Keras' settings: those that can only be as they are say so when they are to be changed."""

from ._errors import UNSUPPORTED, error

__all__ = [
    "backend", "epsilon", "floatx", "image_data_format", "set_epsilon", "set_floatx", "set_image_data_format",
]

_FLOATX, _EPSILON, _FORMAT = "float32", 1e-7, "channels_last"


def _only(name, value, known):
    if value != known:
        raise error(UNSUPPORTED, f"{name}({value!r}): only {known!r} is supported")


def backend():
    """Who computes: "xfer"."""
    return "xfer"


def floatx():
    """The element type of weights and results: "float32"."""
    return _FLOATX


def set_floatx(value):
    """Refuses anything but "float32"."""
    _only("set_floatx", value, _FLOATX)


def epsilon():
    """What losses keep probabilities away from 0 and 1 by: 1e-7."""
    return _EPSILON


def set_epsilon(value):
    """Refuses anything but 1e-7."""
    _only("set_epsilon", value, _EPSILON)


def image_data_format():
    """How images lie in memory: "channels_last"."""
    return _FORMAT


def set_image_data_format(data_format):
    """Refuses anything but "channels_last"."""
    _only("set_image_data_format", data_format, _FORMAT)
