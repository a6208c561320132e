"""Layers and losses of one's own: registered kernels, functions of numpy arrays, functions composed of `xfer.ops`."""

import numpy as np

from . import ops
from ._c import lib
from ._errors import STATE, error
from ._handle import encode, make
from .composed import Composition, prepare
from ._kernels import automatic_name, register_numpy
from .layer import Layer, take_shape_argument
from .symbol import Input, Symbol

__all__ = ["CustomKernel", "Lambda"]


class CustomKernel(Layer):
    """A registered kernel as a layer, saved by the kernel's name. See `xfer.register_kernel`.

    output_shape leaves the batch dimension out; without it the output has the shape of the first input.
    """

    def __init__(self, kernel, attributes=None, output_shape=None, **kwargs):
        config = {"kernel": kernel, "attributes": dict(attributes or {})}
        if output_shape is not None:
            config["output_shape"] = [int(n) for n in output_shape]
        for name, value in kwargs.items():
            if name not in ("name", "trainable", "dtype"):
                raise ValueError(f"Unrecognized keyword argument: {name}={value!r}")
            if value is not None:
                config[name] = value
        Layer.__init__(self, "CustomKernel", config)


class Lambda(Layer):
    """A function as a layer.

    function(inputs, **arguments) composed of layers and `xfer.ops` runs once, on symbols, and is differentiated by the library. A function
    of numpy arrays runs with each batch; gradient(inputs, dy, **arguments) gives its gradient (a list of them for a list of inputs), without one
    nothing can be trained through the layer. The first kind is saved with the model; of the second kind the name is saved: `kernel`, or the function's
    own, under which `xfer.register_kernel` or another Lambda has to register it before the file is loaded.

    output_shape: without the batch dimension; found by calling the function on a sample of zeros otherwise.
    """

    def __init__(self, function, output_shape=None, mask=None, arguments=None, *, gradient=None, kernel=None, **kwargs):
        if not callable(function):
            raise TypeError(f"Lambda: a function is wanted, {type(function).__name__} was given")
        if mask is not None:
            raise ValueError("Lambda: `mask` is not supported")
        if not isinstance(output_shape, (tuple, list, type(None))):
            raise ValueError(f"Lambda: output_shape is a tuple without the batch dimension, {output_shape!r} was given")
        self._function, self._arguments = function, dict(arguments or {})
        self._gradient, self._kernel, self._output_shape = gradient, kernel, output_shape
        self._input_shape = take_shape_argument(kwargs)
        self._composition = Composition(self, kwargs)

    def call(self, inputs):
        return self._function(inputs, **self._arguments)

    def _make(self, values):
        if self._made:
            return
        if self._gradient is None and self._kernel is None:
            try:
                prepare(self, values)
                return
            except (TypeError, AttributeError) as reason:
                # numpy was asked to read a symbol: then the function is one of arrays.
                if "symbol" not in str(reason).lower():
                    raise
        several = len(values) > 1
        shape = self._output_shape
        if shape is None:
            sample = [np.zeros((1, *v.shape[1:]), np.float32) for v in values]
            shape = np.shape(self._function(sample if several else sample[0], **self._arguments))[1:]
        name = self._kernel or automatic_name(self._function, "lambda")
        if several:
            function = lambda *xs, **a: self._function(list(xs), **a)  # noqa: E731
            gradient = self._gradient and (lambda *xs, **a: self._gradient(list(xs[:-1]), xs[-1], **a))
        else:
            function, gradient = self._function, self._gradient
        register_numpy(name, function, gradient, self._arguments)
        config = {"kernel": name, "output_shape": [int(n) for n in shape], "name": self._composition.name, "trainable": self._composition.trainable}
        if not config["output_shape"]:
            raise error(STATE, f"Lambda '{self.name}': the function's output has no dimension besides the batch; keep one, as in x[:, None]")
        self._adopt_layer(make("layer", lib.xfer_layer_create, b"CustomKernel", encode(config)))


def is_composed(function, *symbols):
    """The symbol a function composes of symbols, None when it is one of arrays."""
    try:
        with ops.whole_batches():
            result = function(*symbols)
    except (TypeError, AttributeError) as reason:
        if "symbol" not in str(reason).lower():
            raise
        return None
    return result if isinstance(result, Symbol) else None


def _reading(truth, result):
    """The result as one that depends on the targets, for a model wants all its inputs read: zeros of them are added where it does not."""
    waiting, seen = [result], set()
    while waiting:
        symbol = waiting.pop()
        if symbol is truth:
            return result
        if id(symbol) not in seen:
            seen.add(id(symbol))
            waiting.extend(symbol._inputs)
    size = int(np.prod(truth.shape[1:]))
    zero = ops.sum(ops.reshape(ops.clip(truth, 0, 0), (-1, size)), axis=1)
    for _ in result.shape[1:]:
        zero = ops.expand_dims(zero, -1)
    return result + zero


class LossFunction:
    """The half of a loss that is a Python function: made into the library's when the shapes of its arguments are known."""

    def __init__(self, function, gradient=None, name="custom_loss", reduction="sum_over_batch_size"):
        self._function, self._gradient, self._name, self._reduction = function, gradient, name, reduction
        self._by_shape = {}
        self._kernel = None

    def config_for(self, truth_shape, prediction_shape):
        """(class name, config) for arguments of these shapes without the batch."""
        from .models import Model

        config = {"name": self._name, "reduction": self._reduction}
        key = tuple(truth_shape), tuple(prediction_shape)
        if self._kernel is None and self._gradient is None:
            if key not in self._by_shape:
                truth, prediction = Input(shape=key[0]), Input(shape=key[1])
                result = is_composed(self._function, truth, prediction)
                if result is not None:
                    result = _reading(truth, result)
                    model = Model([truth, prediction], result, name=self._name)
                    self._by_shape[key] = {"class_name": "Functional", "config": model.get_config()}
            if key in self._by_shape:
                return "CustomLoss", {**config, "model": self._by_shape[key]}
        if self._kernel is None:
            self._kernel = automatic_name(self._function, "loss")
            register_numpy(self._kernel, self._samples, self._gradient and self._slopes, {})
        return "CustomLoss", {**config, "kernel": self._kernel}

    def _samples(self, truth, prediction):
        values = np.asarray(self._function(truth, prediction))
        if values.ndim == 0:
            # One number for all samples is the loss of each.
            return np.full(len(prediction), values)
        return values.reshape(len(prediction), -1).mean(-1) if values.ndim > 1 else values

    def _slopes(self, truth, prediction, dy):
        # dy is one number a sample; gradient gives d loss / d y_pred of single samples.
        slopes = np.asarray(self._gradient(truth, prediction))
        if slopes.shape != prediction.shape:
            raise ValueError(f"the gradient of loss '{self._name}' has shape {slopes.shape}, y_pred has {prediction.shape}")
        return None, slopes * dy.reshape((-1,) + (1,) * (prediction.ndim - 1))

