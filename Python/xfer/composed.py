"""Layers written in Python: a class with __init__, build and call, or a function.

`call` runs once, on symbols; what it composes of layers and `xfer.ops` becomes a model inside the layer. Files hold that model, so that
loading them needs no Python code of one's own.
"""

import inspect
import itertools
import re
import threading
from collections import defaultdict

import numpy as np

from . import _c
from ._c import lib
from ._errors import STATE, UNSUPPORTED, check, error
from ._handle import array_of, dims_of, make
from .symbol import Input, Symbol, checked_name

_traces = threading.local()
_counts = defaultdict(itertools.count)


def current_trace():
    """The innermost call() of a layer written in Python that runs on this thread, else None."""
    stack = getattr(_traces, "stack", None)
    return stack[-1] if stack else None


class Trace:
    """One run of a layer's call() on symbols."""

    def __init__(self, composition, anchor):
        self._composition, self._anchor = composition, anchor
        self._symbols = {}
        self.losses = []

    def __enter__(self):
        if not hasattr(_traces, "stack"):
            _traces.stack = []
        _traces.stack.append(self)
        return self

    def __exit__(self, *exception):
        _traces.stack.pop()

    def weight(self, weight):
        """The symbol of a weight of the layer."""
        if weight._identity not in self._symbols:
            layer = self._composition.parameters.get(weight._identity)
            if layer is None:
                raise error(UNSUPPORTED, f"the weight {weight.path} is not of this layer: add_weight makes those that call() may use")
            self._symbols[weight._identity] = layer(self._anchor)
        return self._symbols[weight._identity]


class Composition:
    """What a layer written in Python is made of, before and after its call() has run."""

    def __init__(self, layer, options):
        for name, value in options.items():
            if name not in ("name", "trainable", "dtype", "activity_regularizer", "autocast"):
                raise ValueError(f"Unrecognized keyword argument: {name}={value!r}")
        if options.get("activity_regularizer") is not None:
            raise error(UNSUPPORTED, f"{type(layer).__name__}: `activity_regularizer` is not supported for layers written in Python")
        if options.get("dtype") not in (None, "float32"):
            raise error(UNSUPPORTED, f"{type(layer).__name__}: dtype {options['dtype']!r}; layers compute in float32")
        trainable = options.get("trainable", True)
        if not isinstance(trainable, bool):
            raise ValueError(
                f"Expected `trainable` to be a boolean. Received: trainable={trainable!r} (of type {type(trainable).__name__})")
        self.trainable, self.built = trainable, False
        self.parameters, self.order = {}, []
        self.model = None
        name = checked_name(options.get("name"))
        if name is None:
            base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(layer).__name__).lower()
            index = next(_counts[base])
            name = base if index == 0 else f"{base}_{index}"
        self.name = name

    def add_weight(self, shape, initializer, name, statistic, rules):
        from .layer import Layer

        shape = [int(n) for n in ((shape,) if isinstance(shape, int) else shape or ())]
        title = name or ("variable" if not self.order else f"variable_{len(self.order)}")
        config = {"shape": shape, "weight_name": title, "statistic": statistic, "name": f"{self.name}_{title}"}
        if initializer is not None:
            config["initializer"] = initializer
        config |= {rule: value for rule, value in rules.items() if value is not None}
        layer = Layer("Parameter", config)
        check(lib.xfer_layer_build(layer._handle, *dims_of((None, 1))))
        if not self.trainable:
            layer.trainable = False
        weight = layer.weights[0]
        self.parameters[weight._identity] = layer
        self.order.append((weight, statistic))
        return weight

    def build(self, layer, shapes):
        if not self.built:
            layer.build(shapes if len(shapes) > 1 else shapes[0])
            self.built = True

    def trace(self, layer, shapes, dtypes):
        """Runs call() on fresh inputs, once for each value `training` may have; the result is the layer's handle."""
        from .ops import in_training

        inputs = [Input(shape=shape[1:], dtype=dtype) for shape, dtype in zip(shapes, dtypes)]
        with Trace(self, inputs[0]) as trace:
            if "training" in inspect.signature(layer.call).parameters:
                runs = [self._run(layer, inputs, trace, {"training": flag}) for flag in (True, False)]
            else:
                runs = [self._run(layer, inputs, trace, {})]
        if len({len(run) for run in runs}) > 1:
            raise TypeError(f"{type(layer).__name__}.call() gives {len(runs[0])} outputs in training and {len(runs[1])} otherwise")
        results = [pair[0] if len(pair) == 1 or same(*pair) else in_training(*pair) for pair in zip(*runs)]
        self.keep = inputs, results
        entry, entries = array_of([s._handle for s in inputs])
        exit_, exits = array_of([s._handle for s in results])
        self.model = make("model", lib.xfer_model_create, entry, entries, exit_, exits, self.name.encode())
        handle = make("layer", lib.xfer_model_as_layer, self.model)
        if not self.trainable:
            check(lib.xfer_layer_set_trainable(handle, 0))
        return handle

    def _run(self, layer, inputs, trace, keywords):
        """The symbols one run of call() gives, as a list."""
        from .ops import add_loss, identity, refuse_mixed

        result = layer.call(inputs if len(inputs) > 1 else inputs[0], **keywords)
        results = list(result) if isinstance(result, (list, tuple)) else [result]
        for symbol in results:
            if not isinstance(symbol, Symbol):
                raise TypeError(
                    f"{type(layer).__name__}.call() is to compose symbols of layers and xfer.ops, {type(symbol).__name__} came out; functions of "
                    "numpy arrays go into layers.Lambda with a gradient, or into register_kernel")
        refuse_mixed(results, f"{type(layer).__name__}.call()")
        results = [identity(s) if any(s is i for i in inputs) else s for s in results]
        while trace.losses:
            results[0] = add_loss(results[0], trace.losses.pop(0))
        return results

    def weights(self, which):
        """Those made so far, before there is a model to ask."""
        trained = {_c.ALL: (True, False), _c.TRAINABLE: (True,), _c.NON_TRAINABLE: (False,)}[which]
        return [weight for weight, statistic in self.order if (self.trainable and not statistic) in trained]


def same(one, other):
    """Whether two symbols are computed alike from the same inputs, weights and layers."""
    pairs = [(one, other)]
    while pairs:
        a, b = pairs.pop()
        if a is b:
            continue
        if a._layer is None or b._layer is None or a._training != b._training or len(a._inputs) != len(b._inputs):
            return False
        if a._layer is not b._layer and not _alike(a._layer, b._layer):
            return False
        pairs += zip(a._inputs, b._inputs)
    return True


def _alike(one, other):
    from .ops import Op

    return isinstance(one, Op) and isinstance(other, Op) and one._call == other._call


def prepare(layer, values):
    """Makes a composed layer's handle for inputs like these."""
    composition = layer._composition
    shapes = [tuple(v.shape) if hasattr(v, "shape") else np.shape(v) for v in values]
    shapes = [(None, *shape[1:]) for shape in shapes]
    composition.build(layer, shapes)
    if "_handle" not in layer.__dict__:
        layer._adopt_layer(composition.trace(layer, shapes, [v.dtype if isinstance(v, Symbol) else "float32" for v in values]))


def unbuilt(layer):
    return error(STATE, f"layer '{layer.name}' is not built: call it on an Input or on data first")


def build_stack(first, layers):
    """Builds those layers of a Sequential that are written in Python: each needs to know what the one before gives."""
    if all(layer._made for layer in layers):
        return
    shape = first.get_config()["batch_shape"] if first is not None else layers[0].input_shape
    symbol = Input(batch_shape=shape)
    for layer in layers:
        # The model makes calls of its own: these are for the shapes alone.
        known = layer._first_call
        symbol = layer(symbol)
        layer._first_call = known
