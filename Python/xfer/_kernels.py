"""Functions of the program's own as kernels: C functions by their address, Python functions over numpy arrays.

>>> libm = ctypes.CDLL("libm.so.6")
>>> xfer.register_kernel("erf", "f64(f64)", libm.erf)
>>> layer = xfer.layers.CustomKernel("erf")

Signatures and the names of parameters: docs/custom-kernels.md.
"""

import ctypes
import inspect
import itertools
import json

import numpy as np

from . import _c
from ._c import lib
from ._errors import callback_failed, check
from ._handle import text

_TYPES = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "u8": np.uint8}
_DTYPES = {_c.F32: np.float32, _c.F64: np.float64, _c.U8: np.uint8, _c.I32: np.int32, _c.I64: np.int64, _c.BOOL: np.bool_}

# What C may call, by ticket, until C says that it will not: see `tensor._lent` for why there is no lock.
_kept = {}
_tickets = itertools.count(1)
# What was registered under a name from here, to know the same thing when it comes again.
_registered = {}


@_c.DestroyFunction
def _forget(ticket):
    _kept.pop(ticket, None)


def register_kernel(name, signature, function, *, backward=None):
    """Registers a function for `layers.CustomKernel` and `losses.CustomLoss`.

    signature: such as "void(const f32* x, i64 n, f32 alpha, f32* y)".
    function: a function of a library loaded by ctypes, its address, or a Python callable. A Python callable gets the parameters in
      order: numpy arrays for tensors, which it fills in place where they are written (`y[...] = x * alpha`), numbers for the rest. Of a function of
      elements ("f32(f32)") it is called for each element.
    backward: (signature, function) of the gradient.

    An exception in a Python callable comes out of the call that ran the model. The same function under the same name again changes
    nothing; another one raises XferError (XFER_E_STATE) until `unregister_kernel(name)`.
    """
    if backward is not None and (not isinstance(backward, (tuple, list)) or len(backward) != 2):
        raise ValueError(f"register_kernel: `backward` is (signature, function), {backward!r} was given")
    given = (signature, function, None if backward is None else tuple(backward))
    if _registered.get(name) == given and name in kernels():
        return
    _register(name, signature, function, False)
    if backward is not None:
        try:
            _register(name, *backward, True)
        except BaseException:
            check(lib.xfer_kernel_unregister(name.encode()))
            raise
    _registered[name] = given


def unregister_kernel(name):
    """Forgets a name. Layers and losses that have the kernel keep it."""
    check(lib.xfer_kernel_unregister(str(name).encode()))
    _registered.pop(name, None)


def kernels():
    """{name: {"signature", "backward"}} of all registered kernels."""
    listed = json.loads(text(lib.xfer_kernels_json))["kernels"]
    return {kernel.pop("name"): kernel for kernel in listed}


def _register(name, signature, function, backward):
    if isinstance(function, int) or isinstance(function, ctypes._CFuncPtr):
        address = function if isinstance(function, int) else ctypes.cast(function, ctypes.c_void_p).value
        ticket = next(_tickets)
        _kept[ticket] = function
        entry = lib.xfer_kernel_set_backward if backward else lib.xfer_kernel_register
        # `user` is what the function itself gets: it is not ours to use, so the library object is kept for good.
        check(entry(name.encode(), signature.encode(), ctypes.cast(address, _c.KernelFunction), None, _c.DestroyFunction()))
        return
    if not callable(function):
        raise TypeError(f"register_kernel: a callable, a ctypes function or an address is wanted, {type(function).__name__} was given")
    document = json.loads(text(lib.xfer_kernel_signature_json, signature.encode(), int(backward)))
    _check_arity(name, signature, function, len(document["parameters"]))
    register_frame(name, _by_signature(name, document, function), backward)


def _check_arity(name, signature, function, count):
    try:
        own = inspect.signature(function)
    except (TypeError, ValueError):  # functions of C know of none
        return
    try:
        own.bind(*range(count))
    except TypeError:
        raise TypeError(f"register_kernel: kernel '{name}' of \"{signature}\" is called with {count} arguments, the function takes {own}") from None


def register_frame(name, function, backward=False):
    """Registers function(inputs, output shapes, wanted, attributes) -> list of arrays, over copies of the memory."""
    @_c.FrameFunction
    def frame(pointer):
        try:
            call = _c.Call.from_address(pointer)
            inputs = [_array(call.inputs[i]) for i in range(call.n_inputs)]
            places = [call.outputs[i] for i in range(call.n_outputs)]
            shapes = [tuple(p.dims[: p.rank]) if p.dims else None for p in places]
            attributes = {call.attribute_names[i].decode(): call.attribute_values[i] for i in range(call.n_attributes)}
            for place, shape, result in zip(places, shapes, function(inputs, shapes, attributes)):
                if place.data and result is not None:
                    _view(place)[...] = result
            return 0
        except BaseException as error:  # noqa: B036 - nothing may travel through C; it is raised when C has returned
            callback_failed(error)
            return 1

    ticket = next(_tickets)
    _kept[ticket] = frame
    entry = lib.xfer_kernel_set_backward_frame if backward else lib.xfer_kernel_register_frame
    try:
        check(entry(name.encode(), frame, ticket, _forget))
    except BaseException:
        _forget(ticket)
        raise


def _view(tensor):
    """The memory of a call's tensor: good within the call only."""
    shape, dtype = tuple(tensor.dims[: tensor.rank]), np.dtype(_DTYPES[tensor.dtype])
    if not tensor.count:
        return np.zeros(shape, dtype)
    memory = (ctypes.c_char * (tensor.count * dtype.itemsize)).from_address(tensor.data)
    return np.ndarray(shape, dtype, memory)


def _array(tensor):
    # A copy: the function may keep what it is given, the memory is another value's soon.
    return _view(tensor).copy()


def _by_signature(name, document, function):
    """A frame function that calls `function` with the parameters of a signature."""
    parameters, result = document["parameters"], document["result"]
    known = {p["name"] for p in parameters if p["role"] == "attribute"}

    def frame(inputs, shapes, attributes):
        if strangers := sorted(set(attributes) - known):
            raise ValueError(f"kernel '{name}' has no attribute '{strangers[0]}'; it has {', '.join(sorted(known)) or 'none'}")
        backward = any(p["of"] in ("dx", "dy") for p in parameters)
        own = len(inputs) - 2 if backward else len(inputs)
        if document["inputs"] > own or (not backward and document["inputs"] != own):
            raise ValueError(f"kernel '{name}' takes {document['inputs']} inputs, {own} were given")
        loss = any(p["name"].endswith("_pred") for p in parameters)
        outputs = [None] * len(shapes)
        shape_of_y = inputs[own].shape if backward else shapes[0]

        def shape(of, index):
            return shape_of_y if of == "y" else inputs[index if of else int(loss)].shape

        values = []
        for p in parameters:
            role, of, index = p["role"], p["of"], p["index"]
            if role == "tensor":
                dtype = _TYPES[p["type"]]
                if of == "x":
                    value = inputs[index].astype(dtype, copy=False)
                elif of == "dy":
                    value = inputs[own + 1].astype(dtype, copy=False)
                elif of == "y" and backward:
                    value = inputs[own].astype(dtype, copy=False)
                else:
                    place = 0 if of == "y" else index
                    value = outputs[place] = np.zeros(shape_of_y if of == "y" else inputs[index].shape, dtype)
            elif role == "count":
                value = int(np.prod(shape(of, index), dtype=np.int64))
            elif role == "rank":
                value = len(shape(of, index))
            elif role == "dims":
                value = np.array(shape(of, index), np.int64)
            elif role == "rows":
                value = shape(None, None)[0]
            elif role == "cols":
                value = int(np.prod(shape(None, None)[1:], dtype=np.int64))
            elif role == "user":
                value = None
            elif p["name"] in attributes:
                value = attributes[p["name"]]
                value = int(value) if p["type"] in ("i32", "i64", "u8") else value
            else:
                raise ValueError(f"kernel '{name}' wants the attribute '{p['name']}', which was not given")
            values.append(value)
        if result in ("f32", "f64"):
            flat = [v.reshape(-1) if isinstance(v, np.ndarray) else itertools.repeat(v) for v in values]
            made = [function(*row) for row in zip(*flat)]
            return [np.array(made, np.float32).reshape(inputs[0].shape if backward else shapes[0])]
        status = function(*values)
        if result == "i32" and status:
            raise RuntimeError(f"kernel '{name}' returned the status {status}")
        return outputs

    return frame


def register_numpy(name, function, gradient, arguments):
    """Registers functions over whole arrays: function(*inputs) -> output, gradient(*inputs, dy) -> gradient or one an input."""
    def forward(inputs, shapes, _):
        result = np.asarray(function(*inputs, **arguments))
        if result.shape != shapes[0]:
            raise ValueError(f"the function of '{name}' returned shape {result.shape}, {shapes[0]} is wanted: give output_shape")
        return [result]

    def backward(inputs, shapes, _):
        *own, _, dy = inputs
        result = gradient(*own, dy, **arguments)
        several = result if isinstance(result, (tuple, list)) else [result]
        if len(several) != len(own):
            raise ValueError(f"the gradient of '{name}' returned {len(several)} arrays, one for each of {len(own)} inputs is wanted")
        for value, x in zip(several, own):
            if value is not None and np.shape(value) != x.shape:
                raise ValueError(f"the gradient of '{name}' returned shape {np.shape(value)}, the input has {x.shape}")
        return several

    register_frame(name, forward)
    if gradient is not None:
        register_frame(name, backward, True)


_automatic = itertools.count()


def automatic_name(function, what):
    """A name no other kernel has; of the function where it has one of its own."""
    own = getattr(function, "__name__", what)
    base = what if own.startswith("<") else own
    taken = kernels()
    return base if base not in taken else next(n for i in _automatic if (n := f"{base}_{i + 1}") not in taken)
