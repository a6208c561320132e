"""Weights: the variables layers hold."""

import ctypes
import weakref

import numpy as np

from ._c import lib
from ._errors import SHAPE, check, error
from ._handle import fill_int, make, shape_of, text
from .tensor import Tensor, data_handle, take


class Weight:
    """A variable of a layer. There is one object a variable, so weights compare by `is`."""

    def __init__(self, handle, identity):
        self._handle = handle
        self._identity = identity

    @property
    def path(self):
        """"dense/kernel"."""
        return text(lib.xfer_weight_path, self._handle)

    @property
    def name(self):
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def shape(self):
        return shape_of(lib.xfer_weight_shape, self._handle)

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def dtype(self):
        return "float32"

    @property
    def trainable(self):
        """Whether training moves it: its layer's flag, never for statistics."""
        return bool(fill_int(lib.xfer_weight_trainable, self._handle))

    def numpy(self):
        """A copy of the values."""
        return take(make("tensor", lib.xfer_weight_read, self._handle))

    @property
    def value(self):
        """The values of this moment, as a tensor."""
        return Tensor(make("tensor", lib.xfer_weight_read, self._handle), terms=[])

    def assign(self, value):
        """Replaces the values; the shape has to be the same."""
        array = np.asarray(value, dtype=np.float32)
        if array.shape != self.shape:
            raise error(SHAPE, f"the weight {self.path} has shape {self.shape}, values of shape {array.shape} were given")
        check(lib.xfer_weight_assign(self._handle, data_handle(array)))
        return self

    def assign_add(self, value):
        return self.assign(self.numpy() + np.asarray(value))

    def assign_sub(self, value):
        return self.assign(self.numpy() - np.asarray(value))

    def __array__(self, dtype=None, copy=None):
        values = self.numpy()
        return values if dtype is None else values.astype(dtype, copy=False)

    def __repr__(self):
        return f"<xfer.Weight path={self.path} shape={self.shape} trainable={self.trainable}>"


_known = weakref.WeakValueDictionary()


def weight_of(handle):
    """The one object for the variable behind a handle."""
    identity = fill_int(lib.xfer_weight_id, handle, kind=ctypes.c_uint64)
    weight = _known.get(identity)
    if weight is None:
        weight = _known[identity] = Weight(handle, identity)
    return weight
