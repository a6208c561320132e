"""Models: functional, Sequential, loaded; saving and loading."""

import json
import os
import re
import sys
import tempfile
from itertools import chain

from . import _c
from ._c import lib
from ._errors import IO, STATE, UNSUPPORTED, XferError, check, error
from ._handle import Handle, array_of, dims_of, encode, make, text, text_once
from ._lora import enable
from ._structure import is_nest, leaves, named
from .composed import build_stack
from .data import is_batches
from .layer import Layer, layer_of, remember, shape_argument
from .symbol import Input, InputSymbol, Symbol, checked_name, layers_behind
from .training import Trainable, _whole

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def _symbols(value, what):
    symbols = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, (list, tuple)) else [value]
    for symbol in symbols:
        if not isinstance(symbol, Symbol):
            raise ValueError(f"Model: `{what}` are to be symbols, {type(symbol).__name__} was given")
    return symbols


# What Keras' `fit` would ask a model for, and the library's does not.
_HOOKS = (
    "train_step", "test_step", "predict_step", "compute_loss", "compute_metrics", "make_train_function", "make_test_function",
    "make_predict_function", "get_metrics_result", "reset_metrics",
)


def _refuse_hook(name, model):
    raise error(
        UNSUPPORTED, f"{type(model).__name__}.{name}: fit(), evaluate() and predict() run inside the library and would not call it. Write the loop "
        "yourself with xfer.GradientTape and optimizer.apply_gradients, or give compile() a loss or metric of your own")


class Model(Trainable, Layer):
    """A model of the layers between inputs and outputs: Model(inputs, outputs). It is a layer too."""

    def __init__(self, inputs=None, outputs=None, name=None, trainable=True):
        _real_bool(trainable)
        self._refuse_hooks()
        if inputs is None or outputs is None or type(self).call is not Layer.call:
            raise error(
                UNSUPPORTED, f"{type(self).__name__}: models of a class of your own are not supported; "
                "give the inputs and outputs, Model(inputs, outputs), or use Sequential")
        entries_given, exits_given = _symbols(inputs, "inputs"), _symbols(outputs, "outputs")
        self._input_keys = list(inputs) if isinstance(inputs, dict) else None
        self._output_keys = list(outputs) if isinstance(outputs, dict) else None
        self._listed = isinstance(inputs, (list, tuple)), isinstance(outputs, (list, tuple))
        entry, entries = array_of([s._handle for s in entries_given])
        exit_, exits = array_of([s._handle for s in exits_given])
        title = None if checked_name(name) is None else name.encode()
        self._adopt(make("model", lib.xfer_model_create, entry, entries, exit_, exits, title))
        if all(isinstance(symbol, InputSymbol) for symbol in entries_given):
            self._inputs, self._outputs = entries_given, exits_given
        # A model that begins in the middle of another has inputs and calls of its own: the library knows them.
        self._kept = layers_behind(exits_given)
        if not trainable:
            self.trainable = False

    _input_keys = _output_keys = None
    load_report = None

    # Whether the inputs and the outputs were given as lists, which those of a single symbol may be.
    _listed = False, False

    def _adopt(self, handle):
        self._model = handle
        self._adopt_layer(make("layer", lib.xfer_model_as_layer, handle))

    def _model_handle(self):
        return self._model

    def _ready_for(self, x, y):
        """x, once the model is built for it."""
        return x

    def __getattr__(self, name):
        if isinstance(getattr(type(self), name, None), property):
            return getattr(type(self), name).fget(self)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name, value):
        if name in _HOOKS:
            _refuse_hook(name, self)
        object.__setattr__(self, name, value)

    def _refuse_hooks(self):
        for name in _HOOKS:
            if hasattr(type(self), name):
                _refuse_hook(name, self)

    built = True

    # ---- Layers

    @property
    def layers(self):
        """The layers, inputs included; always the same objects."""
        return _called_in(self, self._library_layers())

    def _library_layers(self):
        count = _c.c_size_t()
        check(lib.xfer_layer_sublayer_count(self._handle, count))
        layers = [layer_of(make("layer", lib.xfer_layer_sublayer, self._handle, index)) for index in range(count.value)]
        # They live as long as the model: what they have in Python the library does not know.
        self._found = layers
        return layers

    def get_layer(self, name=None, index=None):
        """A layer by name or by index."""
        if name is not None and index is not None:
            raise ValueError(f"Provide only a layer name or a layer index. Received: index={index}, name={name}.")
        if name is None and index is None:
            raise ValueError("Provide either a layer name or layer index at `get_layer`.")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"Was asked to retrieve layer at index {index} but model only has {len(layers)} layers.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        # The library's refusal names the nearest layer.
        make("layer", lib.xfer_model_get_layer, self._model_handle(), str(name).encode())
        raise error(UNSUPPORTED, f"get_layer: '{name}' lies inside another model")

    # ---- Inputs and outputs

    def _symbols_of(self, layer, outputs):
        """The symbols at the model's ends (layer None), or of its first call of a layer; always the same objects."""
        key = layer and id(layer), outputs
        known = self.__dict__.setdefault("_known_symbols", {})
        if key not in known:
            arguments = self._model_handle(), layer and layer._handle, int(outputs)
            count = _c.c_size_t()
            check(lib.xfer_model_symbols(*arguments, None, 0, count))
            handles = (_c.c_void_p * count.value)()
            check(lib.xfer_model_symbols(*arguments, handles, count.value, count))
            dtypes = ["float32"] * count.value
            if layer is None and not outputs:
                dtypes = self._input_dtypes()
            elif type(layer).__name__ == "InputLayer":
                dtypes = [layer.dtype]
            known[key] = [Symbol(Handle(pointer, "symbol"), layer, dtype=dtype, model=self) for pointer, dtype in zip(handles, dtypes)]
        return known[key]

    def _input_dtypes(self):
        layers = {layer["config"]["name"]: layer["config"] for layer in self.get_config()["layers"] if layer["class_name"] == "InputLayer"}
        return [layers[name]["dtype"] for name in self._end_names("input")[-1]]

    def _ends(self, outputs):
        if not self.built:
            raise AttributeError(f"Sequential model '{self.name}' has no defined {'outputs' if outputs else 'inputs'} yet.")
        given = self._outputs if outputs else self._inputs
        return list(given or self._symbols_of(None, outputs))

    _inputs = _outputs = None

    def _structured(self, outputs, values):
        """A list of what belongs to the inputs or outputs, in the structure the model was made with."""
        keys = self._output_keys if outputs else self._input_keys
        if keys:
            return dict(zip(keys, values))
        return values[0] if len(values) == 1 else list(values)

    def _flat_inputs(self, inputs):
        several = isinstance(inputs, dict) or isinstance(inputs, (list, tuple)) and any(hasattr(i, "shape") for i in inputs)
        if several and (isinstance(inputs, dict) or any(is_nest(i) for i in inputs)):
            return named(inputs, self._end_names("input"), "inputs")
        return list(inputs) if several else [inputs]

    def _pack(self, outputs):
        return self._structured(True, outputs)

    @property
    def inputs(self):
        return self._ends(False)

    @property
    def outputs(self):
        return self._ends(True)

    @property
    def input(self):
        """The inputs as the model was made with them: a symbol, a list or a dict."""
        return self._ends(False) if self._listed[False] else self._structured(False, self._ends(False))

    @property
    def output(self):
        """The outputs as the model was made with them: Model(base.input, Dense(1)(base.output)) puts a head on a base."""
        return self._ends(True) if self._listed[True] else self._structured(True, self._ends(True))

    @property
    def input_shape(self):
        """The inputs' shapes, None for the batch dimension."""
        return self._structured(False, [symbol.shape for symbol in self._ends(False)])

    @property
    def output_shape(self):
        """The outputs' shapes, None for the batch dimension."""
        return self._structured(True, [symbol.shape for symbol in self._ends(True)])

    # ---- compile

    def _compile_without_loss(self, optimizer):
        """Keeps the optimizer for loops of one's own; what wants a loss says that there is none."""
        self._optimizer, self.loss, self._trainer = optimizer, None, None
        self._pending_compile = None
        self._lossless = True

    def _compile(self, *arguments):
        self._lossless = False
        super()._compile(*arguments)

    _lossless = False

    def _compiled(self):
        if self._lossless:
            raise ValueError("No loss to compute. Provide a `loss` argument in `compile()`.")
        return super()._compiled()

    # ---- Config and looks

    def get_config(self):
        return json.loads(self.to_json())["config"]

    @classmethod
    def from_config(cls, config):
        return model_from_json(json.dumps({"class_name": "Sequential" if cls is Sequential else "Functional", "config": config}))

    def to_json(self, **kwargs):
        """The architecture as JSON, without weights; kwargs go to json.dumps."""
        document = text(lib.xfer_model_to_json, self._model_handle())
        return json.dumps(json.loads(document), **kwargs) if kwargs else document

    def summary(self, line_length=None, positions=None, print_fn=None, expand_nested=False, show_trainable=False, layer_range=None):
        """Prints the table of layers, shapes and parameters; print_fn gets the text instead.

        expand_nested lists the layers of models inside. layer_range: (first, last), names or regular expressions of the layers to list.
        """
        if positions:
            raise error(UNSUPPORTED, "summary: `positions` is not supported")
        options = {"width": int(line_length or 0), "show_trainable": bool(show_trainable), "expand_nested": bool(expand_nested)}
        if layer_range is not None:
            options["layers"] = _numbers_of([layer.name for layer in self.layers], layer_range)
        table = text(lib.xfer_model_summary_with, self._model_handle(), encode(options))
        if print_fn is not None:
            print_fn(table)
        else:
            sys.stdout.write(table if table.endswith("\n") else table + "\n")

    def plan(self, batch_size=32, training=False):
        """How the model would run: {"nodes": [...], "peak_bytes", "precision"}.

        A node: {"layer", "op", "backend", "shape", "dtype", "phase", "weights", "fused_from", "flops", "bytes", "inputs"}; "weights" is "none", "frozen", "cached"
        (frozen, and run once a sample by fit) or "trained".
        """
        return json.loads(text(lib.xfer_plan_report, self._model_handle(), _whole(batch_size, "batch_size"), int(bool(training))))

    def forecast(self, images, batch_size=32, depths=None):
        """What an epoch of `images` samples will cost this compiled model, a dict for each depth to which its base may be unfrozen.

            for cost in model.forecast(2000):
                print(cost["unfreeze"], cost["uncached"]["seconds"], cost["cached"] and cost["cached"]["later"]["seconds"])

        depths: such as ["none", "last:20", "from:block14_sepconv1", "all"]. Times are sums of what the ops take here, each measured once a
        process; decoding images, callbacks and validation are not in them. "bytes" is the most memory training takes. Flags and weights stay as they are.
        """
        wanted = None if depths is None else ",".join(depths).encode()
        return json.loads(text(lib.xfer_model_forecast, self._model_handle(), _whole(images, "images", 64), _whole(batch_size, "batch_size"), wanted))

    def enable_lora(self, rank, target_layer_names=None, lora_alpha=None, a_initializer="he_uniform", b_initializer="zeros"):
        """Adapts the layers within, all that can be or those named, and freezes everything else of this model, as KerasHub's backbones do.

        >>> base.enable_lora(rank=8)
        >>> model.compile("adam", "mse")
        """
        names = None if target_layer_names is None else list(target_layer_names)
        enable(self, {"rank": rank, "lora_alpha": lora_alpha, "a_initializer": a_initializer, "b_initializer": b_initializer, "layers": names})

    def audit(self):
        """Fingerprints of all weights and statistics as they are now: {path: digest}; equal digests are equal bits.

            before = model.audit()
            model.fit(...)
            assert all(model.audit()[w.path] == before[w.path] for w in model.non_trainable_weights)
        """
        return {w["path"]: w["digest"] for w in json.loads(text(lib.xfer_model_audit, self._model_handle()))["weights"]}

    @property
    def metadata(self):
        """Facts saved with the model, a dict such as {"class_names": [...]}; assign it as a whole."""
        return json.loads(text(lib.xfer_model_metadata, self._model_handle()) or "{}")

    @metadata.setter
    def metadata(self, value):
        check(lib.xfer_model_set_metadata(self._model_handle(), encode(value)))

    # ---- Files

    def save(self, filepath, overwrite=True):
        """Writes a .keras file: architecture, weights, and what compile() was given."""
        _may_write(filepath, overwrite)
        check(lib.xfer_model_save(self._model_handle(), os.fsencode(filepath)))

    def __reduce__(self):
        # Copies and pickles are what a file gives: architecture, weights, what compile() was given.
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.keras")
            self.save(path)
            with open(path, "rb") as file:
                return _model_of_bytes, (file.read(),)

    def save_weights(self, filepath, overwrite=True):
        """Writes a .weights.h5 file as Keras does, or a .safetensors file."""
        _may_write(filepath, overwrite)
        check(lib.xfer_model_save_weights(self._model_handle(), os.fsencode(filepath)))

    def load_weights(self, filepath, skip_mismatch=False, by_name=False):
        """Reads .weights.h5, .keras, .safetensors or a legacy Keras .h5; returns what became of each tensor:
        {"loaded", "skipped", "mismatched", "missing"}, which stays as `load_report`.

        Strict by default: a file that does not fit raises XferError and changes nothing. by_name reads layers of equal names only;
        skip_mismatch leaves weights of another shape as they are.
        """
        options = encode({"by_name": bool(by_name), "skip_mismatch": bool(skip_mismatch)})
        self.load_report = json.loads(text_once(lib.xfer_model_load_weights, self._model_handle(), os.fsencode(filepath), options))
        return self.load_report

    def save_delta(self, filepath, overwrite=True):
        """Writes what training changed since the weights came from a file: changed and new weights, LoRA's matrices, and a digest of each weight
        that is still as it was loaded. With a frozen base the file is as small as the head.

        >>> model.save_delta("photos.delta.safetensors")
        >>> rebuilt.load_delta("photos.delta.safetensors")  # the same architecture, with the same pretrained weights in its base
        """
        _may_write(filepath, overwrite)
        check(lib.xfer_model_save_delta(self._model_handle(), os.fsencode(filepath)))

    def load_delta(self, filepath):
        """Reads what `save_delta` wrote. A model of another architecture, or with other weights in its base, raises XferError and is not
        changed. Layers that had LoRA get it; compile() afterwards."""
        check(lib.xfer_model_load_delta(self._model_handle(), os.fsencode(filepath)))


Functional = Model


class Sequential(Model):
    """Layers one after another. Without an Input first, it is built by the first call that brings a shape."""

    def __init__(self, layers=None, trainable=True, name=None):
        _real_bool(trainable)
        self._refuse_hooks()
        if type(self).call is not Layer.call:
            raise error(UNSUPPORTED, f"{type(self).__name__}: call() of a subclass of Sequential would not be called; put a Layer of your own in it")
        self._title, self._flag = checked_name(name), trainable
        self._pending_compile = None
        self._stack, self._first, self._built = [], None, None
        for layer in layers or []:
            self._append(layer)
        self._rebuild()

    def add(self, layer):
        """Puts a layer behind the last one. It keeps its own `trainable`; a frozen parent hides it."""
        before = list(self._stack), self._first
        self._append(layer)
        try:
            self._rebuild()
        except XferError:
            self._stack, self._first = before
            raise

    def pop(self):
        """Takes the last layer off and returns it."""
        layer = self._stack.pop()
        self._rebuild()
        return layer

    def _append(self, layer):
        if isinstance(layer, InputSymbol):
            if self._stack or self._first is not None:
                raise ValueError("Sequential: an Input can only come first")
            self._first = Layer("InputLayer", layer._config)
        elif not isinstance(layer, Layer):
            raise ValueError(f"Sequential takes layers, {type(layer).__name__} was given")
        elif type(layer).__name__ == "InputLayer" and not self._stack and self._first is None:
            self._first = layer
        else:
            if layer._input_shape is not None and not self._stack and self._first is None:
                self._first = Layer("InputLayer", {"shape": list(layer._input_shape)})
            self._stack.append(layer)

    def _rebuild(self):
        """Makes the library's model anew, keeping every layer's own `trainable`."""
        self._built = self._trainer = None
        for known in ("_known_ends", "_known_symbols"):
            self.__dict__.pop(known, None)
        if not self._stack or (self._first is None and not _knows_its_shape(self._stack[0])):
            return
        build_stack(self._first, self._stack)
        self._built = self._assemble()

    def _assemble(self):
        """The library's model of the layers: (model, the same as a layer)."""
        stack = ([self._first] if self._first is not None else []) + self._stack
        handles, count = array_of([layer._handle for layer in stack])
        title = None if self._title is None else str(self._title).encode()
        model = make("model", lib.xfer_sequential_create, handles, count, title)
        layer = make("layer", lib.xfer_model_as_layer, model)
        self._title = text(lib.xfer_layer_name, layer)
        remember(self, layer)
        if not self._flag:
            flags = [(inner, inner.trainable) for top in self._stack for inner in all_layers(top)]
            check(lib.xfer_layer_set_trainable(layer, 0))
            for inner, flag in flags:
                inner.trainable = flag
        return model, layer

    # Without an input's shape the library has a model that is not connected yet (`_loose`): another model it stands in may build it.
    @property
    def _built(self):
        if self._ready is None and self._loose is not None:
            if "build_input_shape" in json.loads(text(lib.xfer_model_to_json, self._loose[0]))["config"]:
                self._built = self._loose
                self._compile_pending()
        return self._ready

    @_built.setter
    def _built(self, pair):
        self._ready, self._loose = pair, None
        if pair is not None:
            for layer in _called_in(self, self.layers):
                if isinstance(layer, Sequential):
                    layer._built  # noqa: B018 - takes over what this model connected
                if layer._functions:
                    symbols = self._symbols_of(layer, False)
                    layer._bind_functions_of([symbol.shape for symbol in symbols])

    def _compile_pending(self):
        if self._pending_compile is not None:
            arguments, self._pending_compile = self._pending_compile, None
            self._compile(*arguments)

    def _handles(self):
        if self._built is not None:
            return self._built
        if self._loose is None:
            if not self._stack:
                raise error(STATE, f"Sequential '{self._title or ''}' has no layers and no input shape yet")
            self._loose = self._assemble()
        return self._loose

    @property
    def _handle(self):
        return self._handles()[1]

    def _model_handle(self):
        return self._handles()[0]

    def build(self, input_shape):
        """Makes the weights for inputs of this shape, the batch dimension included."""
        if self._built is not None:
            return
        if self._loose is not None:
            check(lib.xfer_layer_build(self._loose[1], *dims_of(shape_argument(input_shape))))
            self._built  # noqa: B018 - takes over what is connected now
        else:
            self._first = Layer("InputLayer", {"shape": list(shape_argument(input_shape))[1:]})
            self._rebuild()
            self._compile_pending()

    def _ready_for(self, x, y):
        if self._built is None and self._stack:
            sample, x = _first_batch(x) if y is None else (x, x)
            shape = getattr(sample, "shape", None)
            if shape is not None:
                self.build((None, *shape[1:]))
        return x

    def __call__(self, inputs, training=None):
        if self._built is None and hasattr(inputs, "shape"):
            self.build((None, *inputs.shape[1:]))
        return super().__call__(inputs, training)

    def _compile(self, optimizer, loss, *arguments):
        if self._built is None:
            self._pending_compile, self._lossless = (optimizer, loss, *arguments), False
            self._optimizer, self.loss = optimizer, loss
        else:
            super()._compile(optimizer, loss, *arguments)

    @property
    def name(self):
        return self._title if self._built is None and self._title else super().name

    @property
    def built(self):
        """Whether an input's shape is known, and so the weights were made."""
        return self._built is not None

    @property
    def layers(self):
        return list(self._stack)

    def _weights(self, which):
        return [] if self._built is None else super()._weights(which)

    @property
    def trainable(self):
        return self._flag if self._built is None else bool(Layer.trainable.fget(self))

    @trainable.setter
    def trainable(self, value):
        self._flag = bool(value)
        if self._built is not None or self._loose is not None:
            Layer.trainable.fset(self, value)
        else:
            for layer in self._stack:
                layer.trainable = value


def _called_in(model, layers):
    """The layers, which know from now on that this model calls them."""
    for layer in layers:
        layer._within = layer._within or model
    return layers


def _numbers_of(names, layer_range):
    """[first, end] of the layers a summary's layer_range names."""
    if len(layer_range) != 2 or not all(isinstance(name, str) for name in layer_range):
        raise ValueError(f"layer_range is a list or tuple of two names, {layer_range!r} was given")
    lower, upper = ([n for n, name in enumerate(names) if re.match(pattern, name)] for pattern in layer_range)
    if not lower or not upper:
        raise ValueError(f"layer_range={layer_range!r} does not match the names of the model's layers: {names}")
    first, last = (lower, upper) if lower[0] <= upper[-1] else (upper, lower)
    return [first[0], last[-1] + 1]


def _knows_its_shape(layer):
    return isinstance(layer, Model) and (not isinstance(layer, Sequential) or layer._built is not None)


def _first_batch(x):
    """(the inputs of the first batch, an x that still has it)."""
    if not is_batches(x):
        return x, x
    if hasattr(x, "__next__"):
        batch = next(x)
        return batch[0], chain([batch], x)
    return next(iter(x))[0], x


def _real_bool(trainable):
    if not isinstance(trainable, bool):
        raise ValueError(
            f"Expected `trainable` to be a boolean. Received: trainable={trainable!r} (of type {type(trainable).__name__})")


def all_layers(layer):
    """The layer and all within, outermost first."""
    yield layer
    if isinstance(layer, Model):
        for inner in layer.layers:
            yield from all_layers(inner)


def _may_write(path, overwrite):
    if not overwrite and os.path.exists(path):
        raise error(IO, f"{os.fspath(path)} exists and overwrite is False")


def _from_handle(handle):
    document = json.loads(text(lib.xfer_model_to_json, handle))
    if document["class_name"] != "Sequential":
        model = Model.__new__(Model)
        model._adopt(handle)
        return model
    model = Sequential.__new__(Sequential)
    layer = make("layer", lib.xfer_model_as_layer, handle)
    remember(model, layer)
    model._pending_compile, model._stack, model._built = None, [], (handle, layer)
    found = model._library_layers()
    model._title, model._flag = text(lib.xfer_layer_name, layer), bool(Layer.trainable.fget(model))
    if "build_input_shape" in document["config"]:
        model._first, *model._stack = _called_in(model, found)
    else:
        model._built, model._first, model._stack = None, None, found
        model._loose = handle, layer
    return model


def load_model(filepath, custom_objects=None, compile=True, safe_mode=True):
    """The model of a .keras file or of a legacy .h5. With `compile`, a model that was compiled when it was saved is so again."""
    if custom_objects:
        raise error(UNSUPPORTED, "load_model: `custom_objects` is not supported")
    if not safe_mode:
        raise error(UNSUPPORTED, "load_model: `safe_mode=False` is not supported: code in a file is never run")
    handle = make("model", lib.xfer_model_load_with, os.fsencode(filepath), encode({"compile": bool(compile)}))
    model = _from_handle(handle)
    model._restore_compiled(handle)
    return model


def _model_of_bytes(data):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        with open(path, "wb") as file:
            file.write(data)
        return load_model(path)


def save_model(model, filepath, overwrite=True):
    """model.save(filepath)."""
    model.save(filepath, overwrite)


def model_from_json(json_string, custom_objects=None):
    """A model from `to_json()`, with fresh weights."""
    if custom_objects:
        raise error(UNSUPPORTED, "model_from_json: `custom_objects` is not supported")
    return _from_handle(make("model", lib.xfer_model_from_json, json_string.encode()))


def clone_model(model, input_tensors=None, clone_function=None, call_function=None, recursive=False, **kwargs):
    """The same architecture with fresh weights, not compiled. clone_function(layer) gives the layer to take in place of each one."""
    given = {"input_tensors": input_tensors, "call_function": call_function, **kwargs}
    for name, value in given.items():
        if value is not None:
            raise error(UNSUPPORTED, f"clone_model: `{name}` is not supported")
    if recursive:
        raise error(UNSUPPORTED, "clone_model: `recursive` is not supported: clone the models inside in clone_function")
    if not isinstance(model, Model):
        raise ValueError(f"clone_model takes a Functional or Sequential model, {type(model).__name__} was given")
    if clone_function is not None:
        return _clone_by(model, clone_function)
    clone = model_from_json(model.to_json())
    for layer, twin in zip(all_layers(model), all_layers(clone)):
        twin._initializers = layer._initializers
        twin._initialize()
    return clone


def _clone_by(model, function):
    """The model with other layers called as its own are."""
    if isinstance(model, Sequential):
        layers = [function(layer) for layer in model.layers]
        return Sequential(([Input(batch_shape=model.input_shape)] if model.built else []) + layers, name=model.name)
    config = model.get_config()
    layers = {layer.name: layer for layer in model.layers}
    made, symbols = {}, {}
    # Functions of xfer.ops have nothing to clone: they are called again on what were their inputs.
    operations = {e["name"] for e in config["layers"] if e["class_name"] == "Op" or (e.get("module") or "").startswith("keras.src.ops")}

    def value(given):
        """Arguments of a call, with symbols in place of what stands for them; KeyError where one is not there yet."""
        if isinstance(given, dict) and given.get("class_name") == "__keras_tensor__":
            return symbols[tuple(given["config"]["keras_history"])]
        if isinstance(given, dict):
            return {key: value(element) for key, element in given.items()}
        return [value(element) for element in given] if isinstance(given, list) else given

    waiting = [(entry["name"], number, node) for entry in config["layers"] for number, node in enumerate(entry["inbound_nodes"])]
    for entry in config["layers"]:
        if entry["class_name"] == "InputLayer":
            symbols[entry["name"], 0, 0] = Input(**{key: entry["config"][key] for key in ("batch_shape", "dtype", "name")})
        else:
            layer = layers[entry["name"]]
            made[entry["name"]] = layer if entry["name"] in operations else function(layer)
    while waiting:
        later = []
        for name, number, node in waiting:
            try:
                arguments, keywords = value(node["args"]), value(node["kwargs"])
            except KeyError:
                later.append((name, number, node))
                continue
            if name in operations:
                result = made[name]._apply([leaf for leaf in leaves(arguments) if isinstance(leaf, Symbol)], _c.TRAINING[None])
            else:
                result = made[name](*([arguments] if isinstance(made[name], Model) and len(arguments) > 1 else arguments), **keywords)
            for index, symbol in enumerate(result if isinstance(result, (list, tuple)) else [result]):
                symbols[name, number, index] = symbol
        if len(later) == len(waiting):
            raise error(UNSUPPORTED, f"clone_model: the calls of {sorted({name for name, _, _ in later})} cannot be made again")
        waiting = later

    def ends(kind):
        found = config[f"{kind}_layers"]
        return [symbols[tuple(end)] for end in (found if isinstance(found[0], list) else [found])]

    return Model(model._structured(False, ends("input")), model._structured(True, ends("output")), name=model.name)
