"""Functions of tensors: on symbols they build models, on arrays and tensors they compute; under a tape they are differentiated.

Shapes and axes count the batch as dimension 0. Layers compute each sample alone: of symbols no function reduces, moves or splits the
batch, so axes are 1 and above, or negative ones that do not reach the batch. Losses, metrics and add_loss may reduce everything to one
number; arrays are reduced along any axis.
"""

import builtins
import contextlib
import functools
import math
import threading

import numpy as np

from . import _c
from ._errors import SHAPE, UNSUPPORTED, error
from ._handle import encode
from .layer import Layer
from .symbol import Symbol
from .tape import current_tape
from .tensor import Tensor, _is_watched, _untaped, constant, view_of
from .weight import Weight

__all__ = [
    "abs", "absolute", "add", "cast", "clip", "concatenate", "convert_to_numpy", "convert_to_tensor", "cos", "divide", "elu", "equal", "erf", "exp", "expand_dims", "expm1", "floor",
    "gelu", "greater", "greater_equal", "hard_sigmoid", "hard_silu", "identity", "leaky_relu", "less", "less_equal", "log", "log1p", "log_softmax",
    "logsumexp", "matmul", "max", "maximum", "mean", "min", "minimum", "multiply", "negative", "not_equal", "power", "reciprocal", "relu", "relu6",
    "reshape", "round", "rsqrt", "selu", "shape", "sigmoid", "sign", "silu", "sin", "softmax", "softplus", "softsign", "sqrt", "square", "squeeze", "stack",
    "std", "subtract", "sum", "take", "tanh", "transpose", "true_divide", "var", "where",
]


class Op(Layer):
    """The layer behind one call of a function here."""

    def __init__(self, op, operands=None, arguments=None, **kwargs):
        self._call = encode([op, operands, arguments or {}])
        Layer.__init__(self, "Op", {"op": op, "operands": operands, "arguments": arguments or {}, **kwargs})


# Functions of single elements.
_ELEMENTWISE = {
    "negative", "absolute", "sign", "square", "sqrt", "rsqrt", "reciprocal", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf", "floor",
    "round", "identity", "relu", "relu6", "sigmoid", "softplus", "softsign", "silu", "selu", "hard_sigmoid", "hard_silu", "elu", "gelu", "add",
    "subtract", "multiply", "divide", "maximum", "minimum", "power", "equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "clip",
    "where",
}

# Layers of calls on data, by what they compute: their plans are worth keeping.
_known = {}


def _call(op, values, **arguments):
    from .composed import current_trace

    symbolic = any(isinstance(v, Symbol) for v in values)
    trace = current_trace() if any(isinstance(v, Weight) for v in values) else None
    symbolic = symbolic or trace is not None
    inputs, operands = [], []
    number = not symbolic and op in _ELEMENTWISE and all(len(_shape(v)) == 0 for v in values)
    for value in values:
        if isinstance(value, Tensor) and not value.ndim and value._terms and not symbolic and current_tape() is not None:
            value = _recorded(value)
        if isinstance(value, Symbol):
            operands.append({"input": len(inputs)})
            inputs.append(value)
        elif isinstance(value, Weight):
            if trace is not None:
                operands.append({"weight": len(inputs)})
                inputs.append(trace.weight(value))
            elif symbolic:
                raise error(UNSUPPORTED, f"ops.{op}: the weight {value.path} serves within its own layer's call() only")
            else:
                if current_tape() is not None:
                    raise error(UNSUPPORTED, f"ops.{op}: under a GradientTape the weight {value.path} serves within its layer's call() only")
                operands.append({"input": len(inputs)})
                inputs.append(_data(op, value.numpy()))
        elif isinstance(value, Tensor) and not symbolic and value.ndim:
            operands.append({"input": len(inputs)})
            inputs.append(value)
        else:
            array = _data(op, value)
            if symbolic or not array.ndim:
                operands.append({"constant": [float(n) for n in array.reshape(-1)], "shape": list(array.shape)})
            else:
                operands.append({"input": len(inputs)})
                inputs.append(array)
    if not inputs:
        # Numbers alone: one becomes a tensor of a single sample.
        operands[0] = {"input": 0}
        inputs.append(_data(op, values[0]).reshape(1))
    if symbolic:
        fixed = _fixed_shape(op, inputs, operands, arguments)
        # Through _apply: an Op of one input is not called on a list, whatever that input is.
        result = Op(op, operands, arguments)._apply(inputs, _c.TRAINING[None])[0]
        result._fixed = fixed
        return result
    key = encode([op, operands, arguments])
    if key not in _known:
        if len(_known) >= 256:
            _known.clear()
        _known[key] = Op(op, operands, arguments)
    result = _known[key](inputs if len(inputs) > 1 else inputs[0])
    return Tensor(result._handle, shape=(), terms=result._terms) if number else result


def _recorded(value):
    """A number computed under a tape as a tensor of one element, which the tape knows."""
    parts = [Tensor(handle) if factor == 1.0 else multiply(Tensor(handle), factor) for factor, handle in value._terms]
    # What was added to it on the way is no term of it.
    rest = float(value) - builtins.sum(factor * float(view_of(handle).item()) for factor, handle in value._terms)
    return functools.reduce(add, [*parts, rest] if rest else parts)


def _fixed_shape(op, inputs, operands, arguments):
    """The shape of what is made of the whole batch alone, and so has no batch dimension; None for all else."""
    if arguments.get("whole"):
        return (1,) * len(inputs[0].shape) if arguments.get("keepdims") else ()
    if all(s._fixed is None for s in inputs) or op == "add_loss":
        return None
    if op not in _ELEMENTWISE:
        raise error(UNSUPPORTED, f"ops.{op}: of a number made of the whole batch only functions of single elements are computed")
    if any(s._fixed is None for s in inputs):
        return None
    return np.broadcast_shapes(*(s._fixed for s in inputs), *(tuple(o["shape"]) for o in operands if "shape" in o))


def refuse_mixed(symbols, what):
    """Refuses outputs of layers that depend on the whole batch: a layer computes each sample alone."""
    seen, waiting = set(), list(symbols)
    while waiting:
        symbol = waiting.pop()
        if symbol._fixed is not None:
            raise error(UNSUPPORTED, f"{what}: a reduction without `axis` mixes the samples of the batch; it serves in losses, metrics and add_loss")
        if id(symbol) not in seen:
            seen.add(id(symbol))
            waiting.extend(symbol._inputs)


def _data(op, value):
    if isinstance(value, (list, tuple)) and any(_is_watched(v) for v in value):
        raise _untaped(f"ops.{op} of a list of tensors", next(v for v in value if _is_watched(v)))
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"ops.{op}: symbols, tensors, arrays or numbers are wanted, {type(value).__name__} was given")
    return array.astype(np.float32)


def _shape(x):
    return x.shape if hasattr(x, "shape") else np.shape(x)


def _unary(name, text):
    def function(x):
        return _call(name, [x])

    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


def _binary(name, text):
    def function(x1, x2):
        return _call(name, [x1, x2])

    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


negative = _unary("negative", "-x")
absolute = abs = _unary("absolute", "|x|")
sign = _unary("sign", "-1, 0 or 1")
square = _unary("square", "x²")
sqrt = _unary("sqrt", "√x")
rsqrt = _unary("rsqrt", "1 / √x")
reciprocal = _unary("reciprocal", "1 / x")
exp = _unary("exp", "eˣ")
expm1 = _unary("expm1", "eˣ - 1")
log = _unary("log", "The natural logarithm.")
log1p = _unary("log1p", "log(1 + x)")
sin = _unary("sin", "sin x")
cos = _unary("cos", "cos x")
tanh = _unary("tanh", "tanh x")
erf = _unary("erf", "The error function.")
floor = _unary("floor", "The whole number below.")
round = _unary("round", "The nearest whole number, halves to even.")
identity = _unary("identity", "x")
relu = _unary("relu", "max(x, 0)")
relu6 = _unary("relu6", "min(max(x, 0), 6)")
sigmoid = _unary("sigmoid", "1 / (1 + e⁻ˣ)")
softplus = _unary("softplus", "log(1 + eˣ)")
softsign = _unary("softsign", "x / (1 + |x|)")
silu = _unary("silu", "x · sigmoid(x)")
selu = _unary("selu", "Scaled elu.")
hard_sigmoid = _unary("hard_sigmoid", "relu6(x + 3) / 6")
hard_silu = _unary("hard_silu", "x · hard_sigmoid(x)")
add = _binary("add", "x1 + x2")
subtract = _binary("subtract", "x1 - x2")
multiply = _binary("multiply", "x1 · x2")
divide = true_divide = _binary("divide", "x1 / x2")
maximum = _binary("maximum", "The larger of two elements.")
minimum = _binary("minimum", "The smaller of two elements.")
power = _binary("power", "x1 to the power of x2.")
equal = _binary("equal", "1 where x1 = x2, else 0.")
not_equal = _binary("not_equal", "1 where x1 ≠ x2, else 0.")
greater = _binary("greater", "1 where x1 > x2, else 0.")
greater_equal = _binary("greater_equal", "1 where x1 ≥ x2, else 0.")
less = _binary("less", "1 where x1 < x2, else 0.")
less_equal = _binary("less_equal", "1 where x1 ≤ x2, else 0.")
matmul = _binary("matmul", "Products of matrices over the last two dimensions.")


def elu(x, alpha=1.0):
    """x above 0, alpha · (eˣ - 1) below."""
    if alpha == 1.0:
        return _call("elu", [x])
    return where(greater(x, 0), x, multiply(expm1(minimum(x, 0)), alpha))


def gelu(x, approximate=True):
    """x · Φ(x); Keras' default is the approximation by tanh."""
    if not approximate:
        return _call("gelu", [x])
    inner = multiply(add(x, multiply(multiply(multiply(x, x), x), 0.044715)), math.sqrt(2 / math.pi))
    return multiply(multiply(x, 0.5), add(tanh(inner), 1.0))


def leaky_relu(x, negative_slope=0.2):
    """x above 0, negative_slope · x below."""
    return where(greater(x, 0), x, multiply(x, negative_slope))


def clip(x, x_min, x_max):
    """x brought into [x_min, x_max]."""
    return _call("clip", [x], x_min=float(x_min), x_max=float(x_max))


def where(condition, x1, x2):
    """x1 where the condition is not 0, else x2."""
    return _call("where", [condition, x1, x2])


def softmax(x, axis=-1):
    return _call("softmax", [x], axis=axis)


def log_softmax(x, axis=-1):
    return _call("log_softmax", [x], axis=axis)


_scope = threading.local()


@contextlib.contextmanager
def whole_batches():
    """Within it reductions of symbols may mix the samples: where a loss is composed."""
    before = getattr(_scope, "open", False)
    _scope.open = True
    try:
        yield
    finally:
        _scope.open = before


def _reduction(name, text, numpy_function):
    def function(x, axis=None, keepdims=False):
        from .composed import current_trace

        if isinstance(x, (list, tuple)) and name in ("sum", "mean") and axis in (None, 0) and any(_is_watched(v) and not v.ndim for v in x):
            # Losses in a list, as `model.losses` gives them.
            total = functools.reduce(lambda a, b: a + b, x)
            return total / float(len(x)) if name == "mean" else total
        axis = list(axis) if isinstance(axis, (tuple, list)) else axis
        rank, keepdims = len(_shape(x)), bool(keepdims)
        places = set(range(rank)) if axis is None else {n + rank if n < 0 else n for n in np.atleast_1d(axis).tolist()}
        symbolic = isinstance(x, (Symbol, Weight)) and (isinstance(x, Symbol) or current_trace() is not None)
        if places == set(range(rank)) and not isinstance(x, Weight):
            if symbolic and current_trace() is None and not getattr(_scope, "open", False):
                raise error(UNSUPPORTED, f"ops.{name}: 'axis' is wanted: without it the batch would be reduced too")
            result = _call(name, [x], whole=True, keepdims=keepdims)
            shape = (1,) * rank if keepdims else ()
            return result if symbolic else Tensor(result._handle, shape=shape, terms=result._terms)
        if 0 in places and not symbolic and current_tape() is None:
            # The batch alone is reduced of plain numbers only.
            axis = None if axis is None else tuple(places)
            return constant(numpy_function(np.asarray(x, np.float32), axis=axis, keepdims=keepdims))
        return _call(name, [x], axis=axis, keepdims=keepdims)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{text} over `axis`: of symbols not the batch, but in losses and add_loss, where without an axis one number is made of all."
    return function


def _logsumexp(x, axis, keepdims):
    top = np.max(x, axis=axis, keepdims=True)
    result = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return result if keepdims else np.squeeze(result, axis=axis)


sum = _reduction("sum", "The sum", np.sum)
mean = _reduction("mean", "The mean", np.mean)
max = _reduction("max", "The largest element", np.max)
min = _reduction("min", "The smallest element", np.min)
var = _reduction("var", "The biased variance", np.var)
std = _reduction("std", "The biased standard deviation", np.std)
logsumexp = _reduction("logsumexp", "log Σ eˣ", _logsumexp)


def loss(class_name, config, y_true, y_pred):
    """The values of a loss, one a sample: what calls of losses on symbols are."""
    return _call("loss", [y_true, y_pred], class_name=class_name, config=config)


def in_training(x1, x2):
    """Within a layer's call: x1 where the model trains, else x2; only one of them is computed."""
    return _call("in_training", [x1, x2])


def add_loss(x, loss):
    """x; the sum of `loss` is added to the loss of the model that computes it."""
    return _call("add_loss", [x, loss])


def reshape(x, newshape):
    """Another shape, the batch first (None, -1 or its size); one further -1 stands for what is left."""
    shape = [-1 if n is None else int(n) for n in newshape]
    if shape:
        shape[0] = -1 if len(shape) == 1 else 1
    return _call("reshape", [x], newshape=shape)


def transpose(x, axes=None):
    """Dimensions in another order, the batch first; without axes the others are reversed."""
    return _call("transpose", [x], axes=None if axes is None else [int(a) for a in axes])


def expand_dims(x, axis):
    return _call("expand_dims", [x], axis=int(axis))


def squeeze(x, axis=None):
    return _call("squeeze", [x], axis=list(axis) if isinstance(axis, (tuple, list)) else axis)


def concatenate(xs, axis=-1):
    return _call("concatenate", list(xs), axis=int(axis))


def stack(x, axis=-1):
    return _call("stack", list(x), axis=int(axis))


def take(x, indices, axis=-1):
    """The elements of these whole numbers along an axis."""
    return _call("take", [x], indices=[int(i) for i in np.reshape(indices, -1)], axis=int(axis))


def convert_to_numpy(x):
    return np.asarray(x)


def convert_to_tensor(x, dtype=None):
    """Symbols and tensors as they are, anything else as a tensor of float32."""
    _float32_only("convert_to_tensor", dtype)
    return x if isinstance(x, (Symbol, Tensor)) else constant(_data("convert_to_tensor", x))


def cast(x, dtype):
    """x: everything is computed in float32."""
    _float32_only("cast", dtype)
    return convert_to_tensor(x)


def _float32_only(op, dtype):
    if dtype not in (None, "float32", "float", np.float32):
        raise error(UNSUPPORTED, f"ops.{op}: dtype {dtype!r}; everything is computed in float32")


def shape(x):
    """The shape as a tuple; None for what a symbol leaves open."""
    return tuple(_shape(x))


def item(x, key):
    """x[key] of a symbol: whole numbers, slices of step 1, None and ..., the batch as it is."""
    keys = list(key) if isinstance(key, tuple) else [key]
    rank = len(x.shape)
    count = builtins.sum(k is not None and k is not Ellipsis for k in keys)
    if Ellipsis in [k for k in keys if not isinstance(k, (np.ndarray, Symbol))]:
        at = next(i for i, k in enumerate(keys) if k is Ellipsis)
        keys[at:at + 1] = [slice(None)] * (rank - count)
    axis, gone = 0, []
    for k in keys:
        if k is None:
            if axis == 0:
                raise error(UNSUPPORTED, "a symbol's batch dimension stays first")
            x = expand_dims(x, axis)
            axis += 1
            continue
        if axis >= len(x.shape):
            raise error(SHAPE, f"too many indices for a symbol of shape {x.shape}")
        size = x.shape[axis]
        if isinstance(k, slice) and k == slice(None):
            pass
        elif axis == 0:
            raise error(UNSUPPORTED, "a symbol's batch dimension is taken whole: begin with ':'")
        elif isinstance(k, slice):
            start, stop, step = k.indices(size)
            if step != 1 or stop <= start:
                raise error(UNSUPPORTED, f"a slice of a symbol is of step 1 and not empty, {k} of {size} was given")
            x = _call("slice", [x], axis=axis, **{"from": start, "count": stop - start})
        else:
            index = int(k) + (size if int(k) < 0 else 0)
            if not 0 <= index < size:
                raise IndexError(f"index {k} of an axis of {size}")
            x = _call("slice", [x], axis=axis, **{"from": index, "count": 1})
            gone.append(axis)
        axis += 1
    return squeeze(x, axis=gone) if gone else x


def _swapped(function):
    return lambda x, y: function(y, x)


# Arithmetic of symbols. numpy is kept from taking them for objects.
Symbol.__array_ufunc__ = None
for _name, _function in {
    "add": add, "sub": subtract, "mul": multiply, "truediv": divide, "pow": power, "matmul": matmul,
}.items():
    setattr(Symbol, f"__{_name}__", _function)
    setattr(Symbol, f"__r{_name}__", _swapped(_function))
for _name, _function in {"lt": less, "le": less_equal, "gt": greater, "ge": greater_equal}.items():
    setattr(Symbol, f"__{_name}__", _function)
Symbol.__neg__ = negative
Symbol.__abs__ = absolute
Symbol.__getitem__ = item


def _weight_operator(function, plain, swap):
    """Of a weight within its layer's call a symbol, else numbers as ever."""
    @functools.wraps(function)
    def operator(self, other):
        from .composed import current_trace

        if isinstance(other, Symbol) or current_trace() is not None:
            return function(other, self) if swap else function(self, other)
        if current_tape() is not None and self.trainable:
            raise error(UNSUPPORTED, f"under a GradientTape arithmetic of the weight {self.path} serves within its layer's call() only; for the values "
                        "alone take .numpy(), for penalties a regularizer of the layer")
        if plain is not None:
            return plain(self, other)
        left, right = (other, self.value) if swap else (self.value, other)
        return {add: lambda a, b: a + b, subtract: lambda a, b: a - b, multiply: lambda a, b: a * b, divide: lambda a, b: a / b,
                power: lambda a, b: a ** b, matmul: lambda a, b: a @ b}[function](left, right)

    return operator


for _name, _function in {
    "add": add, "sub": subtract, "mul": multiply, "truediv": divide, "pow": power, "matmul": matmul,
}.items():
    setattr(Weight, f"__{_name}__", _weight_operator(_function, getattr(Weight, f"__{_name}__", None), False))
    setattr(Weight, f"__r{_name}__", _weight_operator(_function, getattr(Weight, f"__r{_name}__", None), True))
