"""Keras' activations: as arguments (`activation=xfer.activations.relu`), and as functions of arrays, tensors and symbols.

>>> xfer.activations.relu([-2.0, 3.0], negative_slope=0.5).numpy()
array([-1.,  3.], dtype=float32)

Under a GradientTape the results stay differentiable. The formulas are Keras'; a gradient where a function bends is TensorFlow's.
"""

import functools
import inspect

import numpy as np

from ._errors import UNSUPPORTED, error
from .layer import CLASSES, Layer
from .symbol import Symbol
from .tensor import Tensor

__all__ = [
    "celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "serialize", "sigmoid", "silu", "soft_shrink",
    "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
]

_FUNCTIONS = {}


@functools.lru_cache(maxsize=256)
def _layer(name, arguments):
    """The layer that computes an activation with these arguments, kept for its plans."""
    return _make(name, arguments, name=name)


def _make(function_name, arguments, **keywords):
    function = {"class_name": "function", "config": function_name, "arguments": dict(arguments)} if arguments else function_name
    return CLASSES["Activation"](function, **keywords)


def _apply(name, x, arguments):
    if isinstance(x, Symbol):
        return _make(name, arguments)(x)
    if not isinstance(x, Tensor):
        x = np.asarray(x)
    if x.ndim == 0:
        # One number is a batch of one.
        return _layer(name, arguments)(np.asarray(x).reshape(1))[0]
    return _layer(name, arguments)(x)


def _activation(function):
    """Makes the function compute what it names; its arguments that differ from their defaults go along."""
    signature = inspect.signature(function)
    name = function.__name__

    @functools.wraps(function)
    def activation(*arguments, **keywords):
        bound = signature.bind(*arguments, **keywords)
        given = dict(bound.arguments)
        x = given.pop("x")
        chosen = {k: v for k, v in given.items() if v is not None and v != signature.parameters[k].default}
        return _apply(name, x, tuple(sorted(chosen.items())))

    activation.activation_name = name
    _FUNCTIONS[name] = activation
    return activation


@_activation
def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """max(x, 0), cut at max_value; below the threshold negative_slope · (x - threshold)."""


@_activation
def leaky_relu(x, negative_slope=0.2):
    """x above 0, negative_slope · x below."""


@_activation
def relu6(x):
    """max(x, 0), cut at 6."""


@_activation
def softmax(x, axis=-1):
    """exp(x) / Σ exp(x) along an axis."""


@_activation
def elu(x, alpha=1.0):
    """x above 0, alpha · (exp(x) - 1) below."""


@_activation
def selu(x):
    """1.0507 · elu(x, 1.6733)."""


@_activation
def celu(x, alpha=1.0):
    """x above 0, alpha · (exp(x / alpha) - 1) below."""


@_activation
def softplus(x):
    """log(exp(x) + 1)."""


@_activation
def softsign(x):
    """x / (|x| + 1)."""


@_activation
def soft_shrink(x, threshold=0.5):
    """x moved towards 0 by the threshold, 0 within it."""


@_activation
def hard_shrink(x, threshold=0.5):
    """x, 0 within the threshold."""


@_activation
def tanh_shrink(x):
    """x - tanh(x)."""


@_activation
def sparse_plus(x):
    """0 up to -1, (x + 1)² / 4 up to 1, then x."""


@_activation
def sparse_sigmoid(x):
    """0 up to -1, (x + 1) / 2 up to 1, then 1."""


@_activation
def silu(x):
    """x · sigmoid(x)."""


@_activation
def squareplus(x, b=4):
    """(x + √(x² + b)) / 2."""


@_activation
def gelu(x, approximate=False):
    """x · Φ(x), Φ being the standard normal distribution; approximate: by tanh."""


@_activation
def glu(x, axis=-1):
    """The first half along the axis times the sigmoid of the second."""


@_activation
def tanh(x):
    """The hyperbolic tangent."""


@_activation
def sigmoid(x):
    """1 / (1 + exp(-x))."""


@_activation
def log_sigmoid(x):
    """log(1 / (1 + exp(-x)))."""


@_activation
def exponential(x):
    """exp(x)."""


@_activation
def hard_sigmoid(x):
    """relu6(x + 3) / 6."""


@_activation
def hard_silu(x):
    """x · relu6(x + 3) / 6."""


@_activation
def hard_tanh(x):
    """x cut to [-1, 1]."""


@_activation
def linear(x):
    """x."""


@_activation
def mish(x):
    """x · tanh(softplus(x))."""


@_activation
def log_softmax(x, axis=-1):
    """log(softmax(x)) along an axis."""


@_activation
def sparsemax(x, axis=-1):
    """The nearest point of the simplex, along an axis."""


@_activation
def threshold(x, threshold, default_value):
    """x above the threshold, else the default value."""


swish, hard_swish = silu, hard_silu
_FUNCTIONS.update(swish=silu, hard_swish=hard_silu)


def get(identifier):
    """The activation function of a name, a function, a layer, a serialized one of these, or None for `linear`."""
    if identifier is None:
        return linear
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        if identifier in _FUNCTIONS:
            return _FUNCTIONS[identifier]
        raise ValueError(f"Could not interpret activation function identifier: {identifier}")
    if callable(identifier):
        return identifier
    raise ValueError(f"Could not interpret activation function identifier: {identifier}")


def serialize(activation):
    """The name of a function of this module, or a layer as a dict."""
    name = getattr(activation, "activation_name", None)
    if name is not None:
        return name
    if isinstance(activation, Layer):
        return activation._serialized()
    raise error(UNSUPPORTED, f"{activation!r} cannot be an activation; functions of xfer.activations and layers without weights can")


def deserialize(config):
    """The function of a name, or the layer of a serialized one."""
    if isinstance(config, dict) and config.get("class_name") in CLASSES:
        return CLASSES[config["class_name"]].from_config(config.get("config", {}))
    return get(config.get("config") if isinstance(config, dict) else config)
