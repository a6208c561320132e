"""Losses."""

from ._c import lib
from ._handle import make
from ._objects import Configured, resolve
from .tape import current_tape
from .tensor import Tensor, data_handle, label_handle, weight_handle

__all__ = ["BinaryCrossentropy", "Loss", "SparseCategoricalCrossentropy", "get"]


class Loss(Configured):
    """A loss: loss(y_true, y_pred, sample_weight=None) is the scalar Σ(weight · loss) / N."""

    kind = "loss"

    def __call__(self, y_true, y_pred, sample_weight=None):
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


_ALIASES = {
    "binary_crossentropy": BinaryCrossentropy, "BinaryCrossentropy": BinaryCrossentropy, "bce": BinaryCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "SparseCategoricalCrossentropy": SparseCategoricalCrossentropy,
}


def get(identifier):
    """A loss from a string ("binary_crossentropy"), a config or a loss."""
    return resolve(identifier, Loss, _ALIASES, "loss")
