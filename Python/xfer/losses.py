"""Losses."""

import numpy as np

from ._c import lib
from ._handle import make
from ._objects import Configured, adopted, resolve
from .tape import current_tape
from .tensor import Tensor, data_handle, label_handle, weight_handle

__all__ = ["BinaryCrossentropy", "CustomLoss", "Loss", "SparseCategoricalCrossentropy", "get"]


class Loss(Configured):
    """A loss: loss(y_true, y_pred, sample_weight=None) is the scalar Σ(weight · loss) / N."""

    kind = "loss"
    # A Python function behind the loss (custom.LossFunction), and the shapes it was made for.
    _function = None
    _made_for = None

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        """Of a class of one's own, whose call(y_true, y_pred) is composed of `xfer.ops`: one loss a sample, or more to be averaged."""
        from .custom import LossFunction

        if type(self).call is Loss.call:
            raise TypeError(f"{type(self).__name__}: a loss of one's own has a method call(self, y_true, y_pred)")
        self._function = LossFunction(self.call, name=name or type(self).__name__, reduction=reduction)

    def get_config(self):
        """The config as Keras writes it; of a function, what belongs to every loss."""
        if self._function is not None:
            return {"name": self._function._name, "reduction": self._function._reduction}
        return super().get_config()

    def _bind(self, truth_shape, prediction_shape):
        """Makes the library's loss of a Python function, for arguments of these shapes without the batch."""
        key = tuple(truth_shape), tuple(prediction_shape)
        if self._function is not None and self._made_for != key:
            self._create(*self._function.config_for(*key))
            self._made_for = key

    def __call__(self, y_true, y_pred, sample_weight=None):
        if self._function is not None:
            self._bind(np.shape(y_true)[1:], np.shape(y_pred)[1:])
        truth, prediction, weights = label_handle(y_true), data_handle(y_pred), weight_handle(sample_weight)
        value = make("tensor", lib.xfer_loss_call, self._handle, truth, prediction, weights, current_tape())
        return Tensor(value, shape=())

    call = __call__


class BinaryCrossentropy(Loss):
    """Crossentropy of targets in [0, 1], the mean over the last axis. Probabilities are clipped to [1e-7, 1 - 1e-7]."""

    def __init__(
        self, from_logits=False, label_smoothing=0.0, axis=-1, reduction="sum_over_batch_size", name="binary_crossentropy",
        dtype=None,
    ):
        self._create("BinaryCrossentropy", {
            "from_logits": bool(from_logits), "label_smoothing": float(label_smoothing), "axis": axis, "reduction": reduction,
            "name": name, "dtype": dtype})


class SparseCategoricalCrossentropy(Loss):
    """Crossentropy of class numbers (n,) or (n, 1) and predictions (n, classes)."""

    def __init__(
        self, from_logits=False, ignore_class=None, reduction="sum_over_batch_size", axis=-1,
        name="sparse_categorical_crossentropy", dtype=None,
    ):
        if axis != -1:
            raise ValueError(f"SparseCategoricalCrossentropy: classes stand on the last axis, axis={axis} was given")
        self._create("SparseCategoricalCrossentropy", {
            "from_logits": bool(from_logits), "ignore_class": ignore_class, "reduction": reduction, "name": name, "dtype": dtype})


class CustomLoss(Loss):
    """A loss of one's own: a function of (y_true, y_pred), or a registered kernel.

    A function composed of `xfer.ops` is differentiated by the library. A function of numpy arrays gives one loss a sample, (n,); its
    gradient(y_true, y_pred) gives d loss / d y_pred of each sample, in y_pred's shape, and without one the loss only evaluates.
    y_true has y_pred's shape unless target_shape (without the batch dimension) says otherwise.
    """

    def __init__(
        self, function=None, gradient=None, *, kernel=None, attributes=None, target_shape=None, name=None, reduction="sum_over_batch_size",
    ):
        from .custom import LossFunction

        if (function is None) == (kernel is None):
            raise ValueError("CustomLoss: give a function or the name of a kernel")
        self.target_shape = target_shape
        if kernel is not None:
            self._create("CustomLoss", {"kernel": kernel, "attributes": dict(attributes or {}), "name": name, "reduction": reduction})
            return
        if attributes:
            raise ValueError("CustomLoss: `attributes` go with a kernel")
        own = getattr(function, "__name__", "custom_loss")
        self._function = LossFunction(function, gradient, name or ("custom_loss" if own.startswith("<") else own), reduction)


_ALIASES = {
    "binary_crossentropy": BinaryCrossentropy, "BinaryCrossentropy": BinaryCrossentropy, "bce": BinaryCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "SparseCategoricalCrossentropy": SparseCategoricalCrossentropy,
}


def get(identifier):
    """A loss from a string ("binary_crossentropy"), a config, a loss, or a function of (y_true, y_pred)."""
    if callable(identifier) and not isinstance(identifier, (str, Loss)):
        return CustomLoss(identifier)
    return resolve(identifier, Loss, _ALIASES, "loss")


def adopt(handle, class_name):
    """The object for one the library made, as when a model is loaded."""
    return adopted(handle, class_name, Loss, globals())
