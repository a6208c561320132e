"""Owners of C handles, and the small conversions every call needs."""

import ctypes
import json
import weakref
from ctypes import byref, c_int32, c_int64, c_size_t, c_void_p

from ._c import lib
from ._errors import XferError, check


class Handle:
    """Owns one reference to a C object; the reference goes back when the owner is collected.

    `_as_parameter_` lets ctypes take the owner where a handle is wanted.
    """

    __slots__ = ("_as_parameter_", "_finalizer", "__weakref__")

    def __init__(self, pointer, kind):
        self._as_parameter_ = c_void_p(pointer)
        self._finalizer = weakref.finalize(self, getattr(lib, f"xfer_{kind}_release"), pointer)
        # At the process' end the system takes everything back: no calls into a library being torn down.
        self._finalizer.atexit = False

    @property
    def pointer(self):
        return self._as_parameter_.value

    def detach(self):
        """Gives the reference away: whoever gets the pointer releases it."""
        self._finalizer.detach()
        return self.pointer


def make(kind, function, *arguments):
    """Calls a function whose last parameter is the out-parameter of a handle of this kind."""
    out = c_void_p()
    check(function(*arguments, byref(out)))
    return Handle(out.value, kind)


def text(function, *arguments):
    """The text of a size-query-then-fill function."""
    length = c_size_t()
    capacity = 4096
    while True:
        buffer = ctypes.create_string_buffer(capacity)
        check(function(*arguments, buffer, capacity, byref(length)))
        if length.value < capacity:
            return buffer.raw[: length.value].decode()
        capacity = length.value + 1


def optional_text(function, *arguments, absent):
    """The text, or None when the function answers with the status `absent`."""
    try:
        return text(function, *arguments)
    except XferError as refusal:
        if refusal.status != absent:
            raise
        return None


def text_once(function, *arguments, capacity=1 << 20):
    """The same for functions with an effect, which must not be called twice."""
    length = c_size_t()
    buffer = ctypes.create_string_buffer(capacity)
    check(function(*arguments, buffer, capacity, byref(length)))
    return buffer.raw[: min(length.value, capacity - 1)].decode()


def fill_int(function, *arguments, kind=c_int32):
    """The number a function puts into its last parameter."""
    value = kind()
    check(function(*arguments, byref(value)))
    return value.value


def shape_of(function, handle):
    """The shape a function fills as (rank, dims[8]), with None where it is open."""
    rank, dims = c_int32(), (c_int64 * 8)()
    check(function(handle, byref(rank), dims))
    return tuple(None if n < 0 else n for n in dims[: rank.value])


def dims_of(shape):
    """A shape with None as C wants it: (rank, int64 array)."""
    numbers = [-1 if n is None else int(n) for n in shape]
    return len(numbers), (c_int64 * max(1, len(numbers)))(*numbers)


def array_of(handles):
    """An array of handles (None becomes NULL); the caller keeps the owners alive."""
    pointers = [None if h is None else h.pointer for h in handles]
    return (c_void_p * max(1, len(pointers)))(*pointers), len(pointers)


def _plain(value):
    """numpy's numbers and arrays, activations, and objects with a config, as JSON sees them."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "activation_name"):
        return value.activation_name
    if hasattr(value, "get_config"):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot stand in a config")


def encode(config):
    """A config as UTF-8 JSON."""
    return json.dumps(config, default=_plain).encode()
