"""Metrics."""

import ctypes

import numpy as np

from ._c import lib
from ._errors import check
from ._handle import fill_int
from ._objects import Configured, adopted, resolve
from .tensor import constant, data_handle, label_handle, weight_handle

__all__ = ["BinaryAccuracy", "Metric", "SparseCategoricalAccuracy", "get"]


class Metric(Configured):
    """A running figure: update_state(y_true, y_pred), result(), reset_state()."""

    kind = "metric"

    def update_state(self, y_true, y_pred, sample_weight=None):
        check(lib.xfer_metric_update(self._handle, label_handle(y_true), data_handle(y_pred), weight_handle(sample_weight)))

    def result(self):
        """The figure over everything since the last reset, as a scalar tensor."""
        return constant(np.float32(fill_int(lib.xfer_metric_result, self._handle, kind=ctypes.c_double)))

    def reset_state(self):
        check(lib.xfer_metric_reset(self._handle))

    def __call__(self, y_true, y_pred, sample_weight=None):
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()


class BinaryAccuracy(Metric):
    """The share of predictions on the right side of `threshold`: .5 by default, for logits 0 is meant."""

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        self._create("BinaryAccuracy", {"name": name, "dtype": dtype, "threshold": float(threshold)})


class SparseCategoricalAccuracy(Metric):
    """The share of samples whose largest prediction is that of their class number."""

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        self._create("SparseCategoricalAccuracy", {"name": name, "dtype": dtype})


_ALIASES = {
    "binary_accuracy": BinaryAccuracy, "BinaryAccuracy": BinaryAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy, "SparseCategoricalAccuracy": SparseCategoricalAccuracy,
}


def get(identifier):
    """A metric from a string, a config or a metric. "accuracy" chooses by the shapes of targets and predictions."""
    return resolve(identifier, Metric, _ALIASES, "metric")


def adopt(handle, class_name):
    """The object for one the library made, as when a model is loaded."""
    return adopted(handle, class_name, Metric, globals())
