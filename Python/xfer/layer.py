"""The base of all layers: calling, building, weights, `trainable`, config."""

import ctypes
import functools
import inspect
import json
import warnings
import weakref

import numpy as np

from . import _c
from ._c import lib
from ._errors import INVALID_ARGUMENT, SHAPE, UNSUPPORTED, XferError, check, error
from ._handle import Handle, array_of, dims_of, encode, fill_int, make, text
from .symbol import Symbol, checked_name
from .tape import current_tape
from .tensor import Tensor, data_handle
from .weight import weight_of

# Class name to Python class, filled as classes are defined: layers found inside models get theirs.
CLASSES = {}

# Layer objects by the library's number: one object a layer, wherever it is found.
_objects = weakref.WeakValueDictionary()


def settings(scope, signature):
    """The config of a constructor call: the arguments that differ from their defaults.

    scope: the constructor's locals(); signature: its own parameters and their defaults.
    """
    extra = scope.get("kwargs", {})
    config = {}
    for name, parameter in signature.parameters.items():
        if name in ("self", "kwargs"):
            continue
        value = scope[name]
        if parameter.default is parameter.empty or value is not parameter.default and not _same(value, parameter.default):
            config[name] = value
    for name, value in extra.items():
        if name not in ("name", "trainable", "dtype", "activity_regularizer", *_SHAPE_ARGUMENTS):
            raise ValueError(f"Unrecognized keyword argument: {name}={value!r}")
        if value is not None or name == "trainable":
            config[name] = value
    return config


# What a Sequential may begin with in place of an Input.
_SHAPE_ARGUMENTS = ("input_shape", "input_dim")


def take_shape_argument(options):
    """Takes input_shape or input_dim out of keyword arguments; the shape without the batch, or None."""
    shape = options.pop("input_shape", None)
    width = options.pop("input_dim", None)
    if shape is None and width is None:
        return None
    warnings.warn(
        "Do not pass an `input_shape`/`input_dim` argument to a layer. When using Sequential models, prefer using an `Input(shape)` object as the "
        "first layer in the model instead.", stacklevel=4)
    return (width,) if shape is None else tuple(shape)


def _same(value, default):
    return type(value) is type(default) and value == default


def shape_argument(shape):
    """A shape from a tuple, or from the list of one tuple."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    return tuple(shape)


class Layer:
    """A layer of the library. Its classes stand in `xfer.layers` with Keras' signatures.

    Common keyword arguments: name, trainable (a bool), dtype ("float32").
    Calling it on symbols builds a model, on arrays or tensors it computes. The `training` argument of a call
    wins over that of the enclosing call, for good.

    A class of one's own makes weights by `add_weight` in __init__ or build and composes its output of layers and `xfer.ops` in call:

    >>> class Scale(xfer.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight(shape=input_shape[-1:], initializer="ones", name="scale")
    ...     def call(self, x):
    ...         return x * self.scale

    call runs once, on symbols of the shape of the first inputs; a saved model holds what it composed.
    """

    # What a layer written in Python is made of (composed.Composition).
    _composition = None
    # The first call on symbols (inputs, outputs), and a model that calls the layer where the library did that.
    _first_call = _within = None
    _called = False
    # Python functions in the config (see _take_functions): initializers by argument, the activation, and whether they wait for the
    # layer to be built.
    _initializers = _activation_function = None
    _functions = False
    # The shape of inputs, without the batch, that a Sequential begins with.
    _input_shape = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        CLASSES.setdefault(cls.__name__, cls)

    def __init__(self, class_name=None, config=None, **kwargs):
        if class_name is None:
            from .composed import Composition

            if type(self).call is Layer.call:
                raise TypeError(f"{type(self).__name__}: a layer of one's own has a method call(self, inputs)")
            self._input_shape = take_shape_argument(kwargs)
            self._composition = Composition(self, kwargs)
            return
        if type(self).call is not Layer.call and not type(self).__module__.startswith("xfer."):
            raise error(
                UNSUPPORTED, f"{type(self).__name__}: call() of a subclass of {class_name} would not be called; derive from Layer and keep a {class_name} in it")
        config = dict(config or {})
        checked_name(config.get("name"))
        # An Embedding's input_dim is the number of rows.
        shape = {name: config.pop(name) for name in _SHAPE_ARGUMENTS if name in config and class_name != "Embedding"}
        self._input_shape = take_shape_argument(shape)
        functions = _take_functions(class_name, config)
        trainable = config.get("trainable", True)
        if not isinstance(trainable, bool):
            raise ValueError(
                f"Expected `trainable` to be a boolean. Received: trainable={trainable!r} (of type {type(trainable).__name__})")
        if class_name != "InputLayer" and (dtype := config.pop("dtype", None)) not in (None, "float32"):
            raise error(UNSUPPORTED, f"{class_name}: dtype {dtype!r}; layers compute in float32")
        self._adopt_layer(make("layer", lib.xfer_layer_create, class_name.encode(), encode(config)))
        if functions:
            self._functions, self._activation_function = True, functions.pop("activation", None)
            self._initializers = functions

    def _adopt_layer(self, handle):
        self._handle = handle
        remember(self, handle)

    # ---- Identity and config

    @property
    def name(self):
        if self._composition is not None:
            return self._composition.name
        return text(lib.xfer_layer_name, self._handle)

    def _serialized(self):
        return json.loads(text(lib.xfer_layer_config, self._handle))

    def get_config(self):
        """The config as Keras writes it; `from_config` takes it back."""
        if self._composition is not None:
            return {"name": self.name, "trainable": self.trainable, "dtype": "float32"}
        config = self._serialized()["config"] | (self._initializers or {})
        return config | ({"activation": self._activation_function} if self._functions and self._activation_function is not None else {})

    @classmethod
    def from_config(cls, config):
        if cls.call is not Layer.call:
            return cls(**config)
        layer = cls.__new__(cls)
        Layer.__init__(layer, cls.__name__, {k: v for k, v in config.items() if k != "dtype" or cls.__name__ == "InputLayer"})
        return layer

    def __getattr__(self, name):
        if isinstance(getattr(type(self), name, None), property):
            # The property itself refused: once more, for its own message.
            return getattr(type(self), name).fget(self)
        # layer.filters, layer.rate ...: what the config says; layer.kernel, layer.gamma ...: weights.
        if not name.startswith("_") and self._composition is None:
            found = [weight for weight in self.weights if weight.name == name]
            if len(found) == 1:
                return self._used(found[0])
            if name == "activation" and self._activation_function is not None:
                return self._activation_function
            config = self.get_config()
            if name in config:
                return _as_attribute(name, config[name])
            if name == "activity_regularizer" or config.get(_OPTIONAL_WEIGHTS.get(name)) is False:
                return None
        if name == "_handle" and self._composition is not None:
            from .composed import unbuilt

            raise unbuilt(self)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name, value):
        # What the config says is the library's: an attribute of Python's own would hide it and change nothing.
        if name.startswith("_") or self._composition is not None or "_handle" not in self.__dict__ or hasattr(type(self), name):
            object.__setattr__(self, name, value)
        elif name in self.get_config() or name == "activity_regularizer" or name in inspect.signature(type(self).__init__).parameters:
            self._set(name, value)
        elif any(weight.name == name for weight in self.weights):
            raise AttributeError(f"{type(self).__name__} '{self.name}': `{name}` is a weight, whose values layer.{name}.assign(values) replaces")
        else:
            object.__setattr__(self, name, value)

    def _set(self, name, value):
        if name == "activation" and value is None:
            value = "linear"
        if name == "activation" and callable(value) and not isinstance(value, Layer) and not hasattr(value, "activation_name"):
            raise AttributeError(
                f"{type(self).__name__} '{self.name}': a function of one's own is given as `activation` when the layer is made; "
                "functions of xfer.activations may be set later")
        try:
            check(lib.xfer_layer_set(self._handle, encode({name: value})))
        except XferError as refusal:
            if refusal.status != UNSUPPORTED:
                raise
            cls = type(self).__name__
            raise AttributeError(
                f"{cls} '{self.name}': `{name}` is fixed when the layer is made. Make another one, {cls}.from_config({{**layer.get_config(), "
                f"\"{name}\": ...}}), and give it the weights by set_weights(layer.get_weights())") from None
        if name == "activation":
            self._activation_function = None

    def _bind_functions_of(self, shapes):
        """Gives what is a Python function in the config its effect, once shapes of inputs are known."""
        from .symbol import Input

        output = self._apply([Input(batch_shape=(None, *shape[1:])) for shape in shapes], _c.TRAINING[None])[0]
        self._initialize()
        activation = self._activation_function
        if activation is not None:
            self._bind_activation(activation, output)
        self._functions = False

    def _bind_activation(self, activation, output):
        from .custom import is_composed
        from .models import Model
        from .symbol import Input

        # Any size but that of the features: a convolution's images may be others the next time.
        x = Input(batch_shape=[None] * (output.ndim - 1) + [output.shape[-1]])
        result = is_composed(activation, x)
        if result is None:
            raise error(
                UNSUPPORTED, f"{type(self).__name__} '{self.name}': an `activation` of one's own is composed of xfer.ops; put a function of numpy "
                "arrays into layers.Lambda with a gradient")
        if result.shape != x.shape:
            raise error(SHAPE, f"{type(self).__name__} '{self.name}': the `activation` makes {result.shape} of {x.shape}")
        if result is not x:
            model = Model(x, result)
            check(lib.xfer_layer_set(self._handle, encode({"activation": {"class_name": "Functional", "config": model.get_config()}})))

    def _initialize(self):
        """Gives weights the values of initializers that are Python functions."""
        for argument, function in (self._initializers or {}).items():
            name = _WEIGHT_OF.get(argument, argument.removesuffix("_initializer"))
            for weight in self.weights:
                if weight.name == name:
                    weight.assign(function(weight.shape, dtype="float32"))

    def __reduce__(self):
        if self._composition is not None:
            raise TypeError(f"layer '{self.name}' is written in Python: copy the model it stands in, or make another one")
        shape = self._serialized().get("build_config", {}).get("input_shape")
        return _copied, (type(self), self.get_config(), shape, self.get_weights())

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"

    @property
    def dtype(self):
        """The element type of weights and of what is computed."""
        return "float32"

    compute_dtype = variable_dtype = dtype

    @property
    def dtype_policy(self):
        """The element types, all of them float32."""
        return DTypePolicy("float32")

    @property
    def built(self):
        """Whether the weights were made."""
        if self._composition is not None:
            return self._composition.built
        return self._called or self._within is not None or "build_config" in self._serialized()

    @built.setter
    def built(self, value):
        if self._composition is None:
            raise AttributeError(f"{type(self).__name__} '{self.name}' knows itself whether it is built")
        self._composition.built = bool(value)

    # ---- Symbols

    def _symbols(self, outputs):
        if self._first_call is not None:
            return self._first_call[outputs]
        if self._within is not None:
            return _one_or_list(self._within._symbols_of(self, outputs))
        raise AttributeError(f"The layer {self.name} has never been called and thus has no defined {'output' if outputs else 'input'}.")

    @property
    def input(self):
        """The symbol, or list of symbols, of the layer's first call."""
        return self._symbols(False)

    @property
    def output(self):
        """What came out of the layer's first call on symbols: Model(model.input, layer.output) computes a feature."""
        return self._symbols(True)

    @property
    def _made(self):
        """Whether the library has the layer: of one written in Python once its call() has run."""
        return self._composition is None or "_handle" in self.__dict__

    # ---- Weights

    def add_weight(self, shape=None, initializer=None, dtype=None, trainable=True, autocast=True, regularizer=None, constraint=None,
                   aggregation="none", overwrite_with_gradient=False, name=None):
        """Makes a weight of a layer of one's own; within call() it stands in `xfer.ops` and arithmetic."""
        if self._composition is None:
            raise error(UNSUPPORTED, f"layer '{self.name}' makes its weights itself")
        if overwrite_with_gradient:
            raise error(UNSUPPORTED, "add_weight: `overwrite_with_gradient` is not supported")
        if dtype not in (None, "float32"):
            raise error(UNSUPPORTED, f"add_weight: dtype {dtype!r}; weights are float32")
        from . import constraints, regularizers

        rules = {"regularizer": regularizers.get(regularizer), "constraint": constraints.get(constraint)}
        return self._composition.add_weight(shape, initializer, name, not trainable, rules)

    def add_loss(self, loss):
        """Adds numbers composed in call() of a layer of one's own to the loss, their sum being taken: self.add_loss(ops.mean(x ** 2))."""
        from .composed import current_trace

        trace = current_trace()
        if self._composition is None or trace is None:
            raise error(UNSUPPORTED, f"'{self.name}'.add_loss: it serves in call() of a layer of one's own, with what is composed there")
        for value in loss if isinstance(loss, (list, tuple)) else [loss]:
            if not isinstance(value, Symbol):
                raise TypeError(f"add_loss: what is composed in call() of layers and xfer.ops is wanted, {type(value).__name__} was given")
            trace.losses.append(value)

    @property
    def trainable(self):
        """Whether the weights are trained. Setting coerces to bool, recurses to all layers within and takes
        effect at the next compile()."""
        if not self._made:
            return self._composition.trainable
        return bool(fill_int(lib.xfer_layer_get_trainable, self._handle))

    @trainable.setter
    def trainable(self, value):
        if self._composition is not None:
            self._composition.trainable = bool(value)
            for layer in self._composition.parameters.values():
                layer.trainable = value
            if not self._made:
                return
        check(lib.xfer_layer_set_trainable(self._handle, bool(value)))

    def _weights(self, which):
        if not self._made:
            return self._composition.weights(which)
        count = fill_int(lib.xfer_layer_weight_count, self._handle, which, kind=ctypes.c_size_t)
        return [weight_of(make("weight", lib.xfer_layer_weight, self._handle, which, i)) for i in range(count)]

    @property
    def weights(self):
        """All weights, in the order in which they were made."""
        return self._weights(_c.ALL)

    @property
    def trainable_weights(self):
        return self._weights(_c.TRAINABLE)

    @property
    def non_trainable_weights(self):
        return self._weights(_c.NON_TRAINABLE)

    def _used(self, weight):
        """What an attribute with a weight's name gives."""
        return weight

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def get_weights(self):
        """The values of all weights, as a list of arrays of your own."""
        return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights):
        """Replaces the values of all weights; count and shapes are checked before anything changes."""
        own = self.weights
        values = [np.asarray(value, np.float32) for value in weights]
        if len(values) != len(own):
            raise error(INVALID_ARGUMENT, f"layer '{self.name}' has {len(own)} weights, {len(values)} arrays were given")
        for weight, value in zip(own, values):
            if weight.shape != value.shape:
                raise error(SHAPE, f"the weight {weight.path} has shape {weight.shape}, an array of shape {value.shape} was given")
        for weight, value in zip(own, values):
            weight.assign(value)

    def count_params(self):
        """The number of single numbers in all weights."""
        return sum(int(np.prod(weight.shape)) for weight in self.weights)

    @property
    def losses(self):
        """What the layer adds to the loss, as scalars: the penalties on its outputs at its last call on data, then one for each
        trainable weight with a regularizer. Under a GradientTape the latter can be differentiated."""
        count = fill_int(lib.xfer_layer_losses, self._handle, None, None, 0, kind=ctypes.c_size_t)
        values, made = (ctypes.c_void_p * max(1, count))(), ctypes.c_size_t()
        check(lib.xfer_layer_losses(self._handle, current_tape(), values, count, ctypes.byref(made)))
        return [Tensor(Handle(pointer, "tensor"), shape=()) for pointer in values[: made.value]]

    # ---- Building and calling

    def build(self, input_shape):
        """Makes the weights for inputs of this shape, the batch dimension included: (None, 4)."""
        if self._composition is not None:
            self._composition.built = True
            return
        self._called = True
        if self._functions:
            self._bind_functions_of([shape_argument(input_shape)])
        check(lib.xfer_layer_build(self._handle, *dims_of(shape_argument(input_shape))))

    def __call__(self, inputs, training=None):
        values = self._flat_inputs(inputs)
        if training is not None and not isinstance(training, (bool, np.bool_)):
            raise ValueError(f"`training` is None or a bool, {training!r} was given")
        if self._composition is not None:
            self._make(values)
        elif self._functions:
            self._bind_functions_of([np.shape(v) if not hasattr(v, "shape") else v.shape for v in values])
        mode = _c.TRAINING[None if training is None else bool(training)]
        symbolic = any(isinstance(v, Symbol) for v in values)
        results = self._pack(self._apply(values, mode) if symbolic else self._compute(values, mode))
        self._called = True
        if symbolic and self._first_call is None:
            self._first_call = inputs, results
        return results

    call = __call__

    def _flat_inputs(self, inputs):
        """What a call was given, as a list."""
        several = isinstance(inputs, (list, tuple)) and any(hasattr(i, "shape") for i in inputs)
        return list(inputs) if several else [inputs]

    def _pack(self, outputs):
        """What a call gives of a list of outputs."""
        return _one_or_list(outputs)

    def _make(self, values):
        from .composed import prepare

        prepare(self, values)

    def _apply(self, symbols, mode):
        if not all(isinstance(s, Symbol) for s in symbols):
            raise TypeError(f"layer '{self.name}' was called on symbols and data together")
        handles, count = array_of([s._handle for s in symbols])
        made = self._all(lib.xfer_layer_apply_all, "symbol", handles, count, mode)
        return [Symbol(handle, self, symbols, training=mode) for handle in made]

    def _all(self, function, kind, *arguments):
        """The handles of all outputs of a call."""
        capacity = fill_int(lib.xfer_layer_output_count, self._handle, kind=ctypes.c_size_t)
        outputs, made = (ctypes.c_void_p * capacity)(), ctypes.c_size_t()
        check(function(self._handle, *arguments, outputs, capacity, ctypes.byref(made)))
        return [Handle(pointer, kind) for pointer in outputs[: made.value]]

    def _compute(self, values, mode):
        tape = current_tape()
        if tape is not None:
            # The tape keeps the inputs until the gradient: buffers that a caller fills again must not reach it.
            values = [v if isinstance(v, Tensor) else np.array(v) for v in values]
        owners = [data_handle(v) for v in values]
        handles, count = array_of(owners)
        return [Tensor(handle) for handle in self._all(lib.xfer_layer_call_all, "tensor", handles, count, mode, tape)]

    def compute_output_shape(self, input_shape):
        """The output's shape for inputs of this shape; builds the layer if need be."""
        from .symbol import Input

        several = len(input_shape) > 0 and all(isinstance(shape, (tuple, list)) for shape in input_shape)
        symbols = [Input(batch_shape=shape_argument(shape)) for shape in (input_shape if several else [input_shape])]
        if self._composition is not None:
            self._make(symbols)
        return _one_or_list([symbol.shape for symbol in self._apply(symbols, _c.TRAINING[None])])


def configured(cls):
    """Makes the constructor pass its arguments on as the layer's config."""
    declared = cls.__init__
    signature = inspect.signature(declared)

    @functools.wraps(declared)
    def constructor(self, *arguments, **keywords):
        declared(self, *arguments, **keywords)
        bound = signature.bind(self, *arguments, **keywords)
        bound.apply_defaults()
        Layer.__init__(self, cls.__name__, settings(bound.arguments, signature))

    cls.__init__ = constructor
    return cls


# Which weight an initializer is for, where it is not its name.
_WEIGHT_OF = {"depthwise_initializer": "depthwise_kernel", "pointwise_initializer": "pointwise_kernel"}


def _take_functions(class_name, config):
    """Takes Python functions out of a config, by argument: activations and initializers, which Python can do; others are refused."""
    from .initializers import Initializer, Zeros

    taken = {}
    for name, value in config.items():
        if inspect.isclass(value):
            # A class of descriptions stands for one with its defaults.
            value = config[name] = value()
        own = callable(value) and not hasattr(value, "get_config") and not hasattr(value, "activation_name")
        if isinstance(value, Initializer) and not type(value).__module__.startswith("xfer."):
            own = True
        if not own:
            continue
        if name.endswith(("_regularizer", "_constraint")):
            raise error(
                UNSUPPORTED, f"{class_name}: `{name}` is a function in Python, which the library would not call; use those of xfer.regularizers and "
                "xfer.constraints, or self.add_loss in a layer of your own")
        if name == "activation" or name.endswith("_initializer"):
            taken[name] = value
    for name in taken:
        config[name] = None if name == "activation" else Zeros()
    if class_name == "Activation" and "activation" in taken:
        config["activation"] = "linear"
    return taken


def _copied(cls, config, shape, weights):
    layer = cls.from_config(config)
    if weights:
        layer.build(shape)
        layer.set_weights(weights)
    return layer


class DTypePolicy:
    """Which element types a layer has."""

    def __init__(self, name):
        self.name = self.compute_dtype = self.variable_dtype = name

    def __repr__(self):
        return f'<DTypePolicy "{self.name}">'


# Weights that a flag in the config leaves out.
_OPTIONAL_WEIGHTS = {"bias": "use_bias", "gamma": "scale", "beta": "center"}


def _as_attribute(name, value):
    """A value of a config as Keras' layers have it: objects for descriptions, tuples for lists."""
    from . import activations, constraints, initializers, regularizers

    if name == "activation":
        arguments = value.get("arguments") if isinstance(value, dict) else None
        function = activations.get(value)
        return functools.wraps(function)(functools.partial(function, **arguments)) if arguments else function
    for ending, module in (("_initializer", initializers), ("_regularizer", regularizers), ("_constraint", constraints)):
        if name.endswith(ending):
            return module.get(value)
    return tuple(value) if isinstance(value, list) else value


def _one_or_list(values):
    return values[0] if len(values) == 1 else values


def remember(layer, handle):
    """Makes `layer` the one object of the library's layer."""
    _objects[fill_int(lib.xfer_layer_id, handle, kind=ctypes.c_uint64)] = layer


def layer_of(handle):
    """The one object for a layer that C handed out: of its Python class, or a model."""
    layer = _objects.get(fill_int(lib.xfer_layer_id, handle, kind=ctypes.c_uint64))
    if layer is not None:
        return layer
    if fill_int(lib.xfer_layer_sublayer_count, handle, kind=ctypes.c_size_t):
        from .models import _from_handle

        return _from_handle(make("model", lib.xfer_layer_as_model, handle))
    entry = json.loads(text(lib.xfer_layer_config, handle))
    # Functions of xfer.ops may be written as Keras' functions, which share names with layers.
    function = (entry.get("module") or "").startswith("keras.src.ops")
    cls = CLASSES.get("Op" if function else entry["class_name"], Layer)
    layer = cls.__new__(cls)
    layer._adopt_layer(handle)
    return layer
