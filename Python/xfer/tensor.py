"""Tensors with data: what calls on data return, and the way of numpy arrays into C without a copy."""

import ctypes
import itertools
import operator

import numpy as np

from . import _c
from ._c import lib
from ._errors import DTYPE, UNSUPPORTED, check, error
from ._handle import Handle, dims_of, make

_CODES = {"float32": _c.F32, "float64": _c.F64, "float16": _c.F16, "uint8": _c.U8, "int32": _c.I32, "int64": _c.I64, "bool": _c.BOOL}
_NAMES = {code: name for name, code in _CODES.items()}

# Arrays lent to C, by ticket, until C says that it needs them no more. That may happen on any thread, and inside
# itself, when an array was the last to hold another tensor: so no lock; the dict's own operations are atomic.
_lent = {}
_tickets = itertools.count(1)


@_c.DestroyFunction
def _give_back(ticket):
    _lent.pop(ticket, None)


class _Memory:
    """A window on a C tensor's data for numpy; keeps the tensor alive."""

    def __init__(self, handle, address, shape, dtype):
        self.handle = handle
        self.__array_interface__ = {"version": 3, "data": (address, False), "shape": shape, "typestr": np.dtype(dtype).str}


def lend(array):
    """A handle on an array's memory, uncopied; the array lives as long as C needs it."""
    array = np.asarray(array)
    try:
        code = _CODES[array.dtype.name]
    except KeyError:
        raise error(DTYPE, f"an array of {array.dtype} was given; {', '.join(_CODES)} can serve") from None
    if array.ndim > 8:
        raise error(DTYPE, f"an array of {array.ndim} dimensions was given, at most 8 are possible")
    if not array.flags.c_contiguous or not array.flags.aligned or not array.dtype.isnative:
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    ticket = next(_tickets)
    _lent[ticket] = array
    try:
        return make("tensor", lib.xfer_tensor_wrap, code, *dims_of(array.shape), array.ctypes.data, _give_back, ticket)
    except BaseException:
        _give_back(ticket)
        raise


def view_of(handle):
    """The data of a C tensor as a numpy array over the same memory."""
    dtype, rank, data = ctypes.c_int32(), ctypes.c_int32(), ctypes.c_void_p()
    dims = (ctypes.c_int64 * 8)()
    check(lib.xfer_tensor_describe(handle, ctypes.byref(dtype), ctypes.byref(rank), dims, ctypes.byref(data)))
    if dtype.value not in _NAMES:
        raise error(DTYPE, f"a tensor of element type {dtype.value} has no numpy counterpart")
    shape = tuple(dims[: rank.value])
    if 0 in shape or not data.value:
        return np.zeros(shape, _NAMES[dtype.value])
    return np.asarray(_Memory(handle, data.value, shape, _NAMES[dtype.value]))


class Tensor:
    """A tensor with data, as calls on data return it. Reads like a numpy array and like Keras' eager tensors.

    Arithmetic gives tensors. Under a GradientTape that of what calls returned stays differentiable.
    """

    # numpy leaves mixed arithmetic to this class.
    __array_priority__ = 1000

    def __init__(self, handle, shape=None, terms=None):
        self._handle = handle
        view = view_of(handle)
        self._view = view if shape is None else view.reshape(shape)
        self._view.flags.writeable = False
        # (factor, recorded handle) pairs whose sum this tensor is, for a tape.
        self._terms = [(1.0, handle)] if terms is None else terms

    @property
    def shape(self):
        return self._view.shape

    @property
    def ndim(self):
        return self._view.ndim

    @property
    def dtype(self):
        return self._view.dtype

    @property
    def size(self):
        return self._view.size

    def numpy(self):
        """A copy of the values, yours to change."""
        return self._view.copy() if self._view.ndim else self._view[()]

    def __array__(self, dtype=None, copy=None):
        """The values themselves, read-only; a copy where another dtype is wanted or `copy` says so."""
        if dtype is not None and np.dtype(dtype) != self._view.dtype:
            return self._view.astype(dtype)
        return self._view.copy() if copy else self._view

    def item(self):
        return self._view.item()

    def tolist(self):
        return self._view.tolist()

    def __float__(self):
        return float(self._view.item())

    def __int__(self):
        return int(self._view.item())

    def __bool__(self):
        return bool(self._view)

    def __len__(self):
        return len(self._view)

    def __iter__(self):
        if _is_watched(self):
            raise _untaped("going through the samples of a tensor", self)
        return (constant(row) for row in self._view)

    def __getitem__(self, index):
        if _is_watched(self):
            from . import ops

            return ops.item(self, index)
        return constant(self._view[_plain(index)])

    def __format__(self, spec):
        return format(self._view.item() if self._view.size == 1 and spec else self._view, spec)

    def __repr__(self):
        return f"<xfer.Tensor shape={self.shape} dtype={self.dtype} value={self._view}>"

    __hash__ = object.__hash__

    def __eq__(self, other):
        return constant(self._view == _plain(other))

    def __ne__(self, other):
        return constant(self._view != _plain(other))

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        """numpy's functions on tensors give numpy arrays; operators come back here by priority."""
        operators = {np.add: "__radd__", np.subtract: "__rsub__", np.multiply: "__rmul__", np.true_divide: "__rtruediv__"}
        if method == "__call__" and len(inputs) == 2 and inputs[1] is self and ufunc in operators and not keywords:
            return getattr(self, operators[ufunc])(inputs[0])
        return getattr(ufunc, method)(*map(_plain, inputs), **{k: _plain(v) for k, v in keywords.items()})


def _plain(value):
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return np.asarray(value) if isinstance(value, Tensor) else value


def _scaled(terms, factor):
    return [(c * factor, h) for c, h in terms]


def _linear(name, left, right):
    """The terms of left ∘ right where that is linear in recorded scalars, else None."""
    def terms(value):
        return value._terms if isinstance(value, Tensor) else []

    scalars = all(np.ndim(_plain(v)) == 0 for v in (left, right))
    if not scalars:
        return None
    if name in ("add", "sub"):
        return terms(left) + _scaled(terms(right), 1.0 if name == "add" else -1.0)
    if name == "mul" and not isinstance(right, Tensor):
        return _scaled(terms(left), float(right))
    if name == "mul" and not isinstance(left, Tensor):
        return _scaled(terms(right), float(left))
    if name == "truediv" and not isinstance(right, Tensor):
        return _scaled(terms(left), 1.0 / float(right))
    return None


def _is_watched(value):
    """Whether a tape that is open knows where this came from."""
    from .tape import current_tape

    return isinstance(value, Tensor) and bool(value._terms) and current_tape() is not None


def _untaped(what, value):
    return error(
        UNSUPPORTED, f"{what} is not differentiated, and a GradientTape is open that recorded it: use xfer.ops, or .numpy() for the values alone "
        f"(shape {value.shape})")


def _is_recorded(name, left, right):
    """Whether an operation belongs on the tape: one of what calls under it returned, but for what is linear in numbers."""
    from .tape import current_tape

    return (
        name in _RECORDED and current_tape() is not None and any(isinstance(v, Tensor) and v._terms for v in (left, right))
        and _linear(name, left, right) is None)


_RECORDED = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power", "matmul": "matmul"}


def _on_tape(name, left, right):
    from . import ops

    return getattr(ops, _RECORDED[name])(left, right)


def _result(value, terms=None):
    array = np.asarray(value)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return Tensor(lend(array), terms=terms or [])


def constant(value):
    """A tensor of values, with no past on any tape."""
    return _result(np.array(value))


def _binary(name):
    function = getattr(operator, name)

    def forward(self, other):
        if name in ("floordiv", "mod") and (_is_watched(self) or _is_watched(other)):
            raise _untaped(f"'{name}'", self)
        if _is_recorded(name, self, other):
            return _on_tape(name, self, other)
        return _result(function(self._view, _plain(other)), _linear(name, self, other))

    def backward(self, other):
        if name in ("floordiv", "mod") and _is_watched(self):
            raise _untaped(f"'{name}'", self)
        if _is_recorded(name, other, self):
            return _on_tape(name, other, self)
        return _result(function(_plain(other), self._view), _linear(name, other, self))

    return forward, backward


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    _forward, _backward = _binary(_name)
    setattr(Tensor, f"__{_name}__", _forward)
    setattr(Tensor, f"__r{_name}__", _backward)
for _name in ("lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_name}__", _binary(_name)[0])
Tensor.__neg__ = lambda self: self * -1.0


def _absolute(self):
    from . import ops
    from .tape import current_tape

    return ops.absolute(self) if self._terms and current_tape() is not None else _result(abs(self._view))


Tensor.__abs__ = _absolute


def data_handle(value, keep_integers=True):
    """A handle on inputs: uint8 and int32 as they are, all other numbers as float32.

    A Tensor's own handle passes through, so that a tape recognises it.
    """
    if isinstance(value, Tensor):
        return value._handle
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise error(DTYPE, f"numbers are wanted, an array of {array.dtype} was given")
    kept = ("float32", "uint8", "int32") if keep_integers else ("float32",)
    return lend(array if array.dtype.name in kept else array.astype(np.float32))


def label_handle(value):
    """A handle on targets: whole numbers as int32, all others as float32."""
    if isinstance(value, Tensor):
        return value._handle
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        limits = np.iinfo(np.int32)
        if array.size and (array.min() < limits.min or array.max() > limits.max):
            raise error(DTYPE, f"labels from {array.min()} to {array.max()} were given, 32 bits are wanted")
        return lend(array.astype(np.int32, copy=False))
    return data_handle(array, keep_integers=False)


def weight_handle(value):
    """A handle on sample weights, None for none."""
    return None if value is None else data_handle(value, keep_integers=False)


def take(handle):
    """The array of a tensor that nobody else holds: writable, uncopied."""
    assert isinstance(handle, Handle)
    return view_of(handle)
