"""Symbols: outputs of layers, shapes without data, of which models are built."""

from ._c import lib
from ._handle import encode, make, shape_of


def checked_name(name):
    """The name, if it may be one; None stays."""
    if name is not None and (not isinstance(name, str) or "/" in name):
        raise ValueError(f"Argument `name` must be a string and cannot contain character `/`. Received: name={name} (of type {type(name)})")
    return name


class Symbol:
    """The output of a layer called on symbols; `shape` has None where it is open (the batch)."""

    def __init__(self, handle, layer=None, inputs=(), dtype="float32", model=None, training=None):
        self._handle = handle
        self._layer = layer
        self._inputs = tuple(inputs)
        # The model that made the symbol, where that was the library's doing: it has the layers behind.
        self._model = model
        # The call's `training`, and the shape where it has no batch dimension.
        self._training = training
        self._fixed = None
        self.dtype = dtype

    @property
    def shape(self):
        return self._fixed if self._fixed is not None else shape_of(lib.xfer_symbol_shape, self._handle)

    @property
    def ndim(self):
        return len(self.shape)

    def __repr__(self):
        return f"<xfer.Symbol shape={self.shape} dtype={self.dtype}>"

    def __array__(self, *_, **__):
        raise TypeError("a symbol is a shape without data: numpy cannot read it; call layers on it")


class InputSymbol(Symbol):
    """The symbol `Input` makes; remembers its config, so that Sequential can begin with it."""

    def __init__(self, handle, config):
        super().__init__(handle, dtype=config["dtype"])
        self._config = config


def Input(shape=None, batch_size=None, dtype=None, sparse=None, batch_shape=None, name=None, tensor=None):
    """A model's input. `shape` leaves the batch dimension out: Input(shape=(150, 150, 3))."""
    if tensor is not None or sparse:
        raise ValueError("Input: `tensor` and `sparse` are not supported")
    if batch_shape is not None:
        if shape is not None or batch_size is not None:
            raise ValueError("Input: give `shape` and `batch_size`, or `batch_shape`; both were given")
        batch_size, *shape = batch_shape
    if shape is None:
        raise ValueError("Input: `shape` is required, without the batch dimension")
    if isinstance(shape, int):
        shape = (shape,)
    # A fixed batch size is kept in the config and changes nothing else: models take batches of any size.
    dims = [None if n is None else int(n) for n in (batch_size, *shape)]
    config = {"batch_shape": dims, "dtype": str(dtype or "float32")}
    if checked_name(name) is not None:
        config["name"] = name
    return InputSymbol(make("symbol", lib.xfer_input_create, encode(config)), config)


def layers_behind(symbols):
    """The layer objects, and models, these symbols were made by, in no particular order."""
    found, seen, waiting = [], set(), list(symbols)
    while waiting:
        symbol = waiting.pop()
        if id(symbol) in seen:
            continue
        seen.add(id(symbol))
        found += [maker for maker in (symbol._layer, symbol._model) if maker is not None]
        waiting.extend(symbol._inputs)
    return found
