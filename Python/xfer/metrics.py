"""Metrics."""

import ctypes
import json
import re
import weakref

import numpy as np

from . import _c, losses
from ._c import lib
from ._errors import check, callback_failed
from ._handle import encode, make, text
from ._metric_functions import (  # noqa: F401 - Keras' functions of this module
    FUNCTIONS, binary_accuracy, categorical_accuracy, concordance_correlation, pearson_correlation, sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy, top_k_categorical_accuracy,
)
from ._objects import Configured, adopted, resolve
from .tensor import Tensor, data_handle, label_handle, view_of, weight_handle


def _snake_case(name):
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))).lower()


class Metric(Configured):
    """A running figure: update_state(y_true, y_pred, sample_weight=None), result(), reset_state().

    A metric of one's own overrides these three (and get_config, where it has arguments), and works in compile:

    >>> class Largest(Metric):
    ...     def __init__(self, name="largest", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.value = self.add_variable(shape=(), initializer="zeros", name="value")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(max(self.value, y_pred.max()))
    ...     def result(self):
    ...         return self.value

    While a model trains, update_state gets numpy arrays.
    """

    kind = "metric"
    _native = None
    # Which way it gets better, "up" or "down"; None where that is not known.
    _direction = None
    # Whether it may have several figures.
    _is_vector = False
    # The last result of a metric in Python, where it has several.
    _array = None

    def __init__(self, name=None, dtype=None):
        self._name = name or _snake_case(type(self).__name__)
        self._dtype = str(dtype or "float32")
        self._variables = []
        self._handle = self._listen()

    def _create(self, class_name, config):
        config = {key: value for key, value in config.items() if value is not None or key in self._null_keys}
        self._native = make("metric", lib.xfer_metric_create, class_name.encode(), encode(config))
        # Methods overridden outside of this module have to be asked, which the library does through callbacks.
        ours = all(getattr(type(self), method).__module__ == __name__ for method in ("update_state", "result", "reset_state"))
        self._variables = []
        self._handle = self._native if ours else self._listen()

    # Keys whose null is another thing than their default.
    _null_keys = ()

    # ---- in Python

    def _listen(self):
        """A metric of the library that calls this object."""
        this = weakref.ref(self)

        def update(_, truth, prediction, weights):
            try:
                this().update_state(*(None if h is None else _borrowed(h) for h in (truth, prediction)),
                                    sample_weight=None if weights is None else _borrowed(weights))
                return 0
            except BaseException as error:  # noqa: B036 - raised again once C has returned
                callback_failed(error)
                return 1

        def result(_):
            try:
                # A copy: a variable of the metric goes on changing.
                value = np.array(this().result())
                this()._array = value if value.ndim else None
                return float(np.mean(value, dtype=np.float64))
            except BaseException as error:  # noqa: B036
                callback_failed(error)
                return float("nan")

        def reset(_):
            try:
                this().reset_state()
            except BaseException as error:  # noqa: B036
                callback_failed(error)

        callbacks = _c.MetricUpdateFunction(update), _c.MetricResultFunction(result), _c.MetricResetFunction(reset)
        # The library keeps the functions as long as a trainer keeps the metric, which may be longer than this object lives.
        ticket = next(_tickets)
        _kept[ticket] = callbacks
        return make("metric", lib.xfer_metric_create_custom, self.name.encode(), *callbacks, ticket, _drop)

    def add_variable(self, shape=(), initializer="zeros", dtype=None, aggregation="sum", name=None):
        """A variable that reset_state sets back to zeros."""
        variable = MetricVariable(shape, initializer, dtype, name)
        self._variables.append(variable)
        return variable

    def add_weight(self, shape=(), initializer="zeros", dtype=None, name=None):
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self):
        """The variables made by add_variable."""
        return list(self._variables)

    @property
    def dtype(self):
        return getattr(self, "_dtype", "float32")

    @property
    def name(self):
        return self._name if self._native is None else self._serialized()["config"]["name"]

    def get_config(self):
        return {"name": self._name, "dtype": self._dtype} if self._native is None else super().get_config()

    def _serialized(self):
        return json.loads(text(lib.xfer_metric_config, self._native))

    # ---- in the library

    def _library(self, what):
        if self._native is None:
            raise NotImplementedError(f"{type(self).__name__} has to define {what}")
        return self._native

    def update_state(self, y_true, y_pred, sample_weight=None):
        native = self._library("update_state")
        check(lib.xfer_metric_update(native, label_handle(y_true), data_handle(y_pred), weight_handle(sample_weight)))

    def result(self):
        """The figure over everything since the last reset: a scalar tensor, or one value a threshold or class."""
        return Tensor(make("tensor", lib.xfer_metric_result_tensor, self._library("result")), terms=[])

    def _vector(self):
        """The figures as numpy's, of a metric that has several; None of one that has a single one."""
        if self._handle is not self._native:
            return self._array
        value = np.asarray(self.result()) if self._is_vector else None
        return None if value is None or value.ndim == 0 else value

    def reset_state(self):
        for variable in self._variables:
            variable.assign(np.zeros(variable.shape))
        if self._native is not None:
            check(lib.xfer_metric_reset(self._native))

    @property
    def state(self):
        """What was gathered, as an array that can be assigned back."""
        count = ctypes.c_size_t()
        check(lib.xfer_metric_state(self._library("state"), None, 0, ctypes.byref(count)))
        numbers = (ctypes.c_double * max(1, count.value))()
        check(lib.xfer_metric_state(self._native, numbers, count.value, ctypes.byref(count)))
        return np.array(numbers[: count.value])

    @state.setter
    def state(self, values):
        values = np.asarray(values, dtype=np.float64).ravel()
        check(lib.xfer_metric_set_state(self._library("state"), (ctypes.c_double * max(1, len(values)))(*values), len(values)))

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()


class MetricVariable:
    """A number or array of a metric: assign, assign_add, arithmetic, numpy."""

    def __init__(self, shape=(), initializer="zeros", dtype=None, name=None):
        self.name = name
        if callable(initializer):
            value = initializer(shape)
        elif initializer in ("zeros", None, "Zeros"):
            value = np.zeros(shape)
        elif initializer in ("ones", "Ones"):
            value = np.ones(shape)
        else:
            raise ValueError(f"a metric's variable starts with zeros, ones or a function of the shape, {initializer!r} was given")
        # Sums are kept in double precision.
        self._value = np.array(value, dtype=np.float64 if dtype is None or "float" in str(dtype) else str(dtype))

    shape = property(lambda self: self._value.shape)
    dtype = property(lambda self: self._value.dtype)
    value = property(lambda self: self._value)

    def assign(self, value):
        self._value[...] = np.asarray(value)
        return self

    def assign_add(self, value):
        self._value[...] += np.asarray(value)
        return self

    def assign_sub(self, value):
        self._value[...] -= np.asarray(value)
        return self

    def numpy(self):
        return self._value.copy() if self._value.ndim else self._value[()]

    def __array__(self, dtype=None, copy=None):
        return np.array(self._value, dtype=dtype)

    def __float__(self):
        return float(self._value)

    def __getitem__(self, index):
        return self._value[index]

    def __repr__(self):
        return f"<MetricVariable {self.name} {self._value}>"


def _operator(name):
    return lambda self, *others: getattr(self._value, name)(*(np.asarray(other) for other in others))


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(MetricVariable, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(MetricVariable, f"__r{_name}__", _operator(f"__r{_name}__"))
for _name in ("neg", "abs", "lt", "le", "gt", "ge"):
    setattr(MetricVariable, f"__{_name}__", _operator(f"__{_name}__"))

_kept = {}
_tickets = iter(range(1, 1 << 62))


@_c.DestroyFunction
def _drop(ticket):
    _kept.pop(ticket, None)


def _borrowed(pointer):
    """A copy of the data of a tensor that is the library's."""
    return view_of(ctypes.c_void_p(pointer)).copy()


class Mean(Metric):
    """The weighted mean of the values given: update_state(values, sample_weight=None)."""

    def __init__(self, name="mean", dtype=None):
        self._create("Mean", {"name": name, "dtype": dtype})

    def update_state(self, values, sample_weight=None):
        check(lib.xfer_metric_update(self._native, None, data_handle(values), weight_handle(sample_weight)))


class Sum(Metric):
    """The weighted sum of the values given: update_state(values, sample_weight=None)."""

    def __init__(self, name="sum", dtype=None):
        self._create("Sum", {"name": name, "dtype": dtype})

    def update_state(self, values, sample_weight=None):
        check(lib.xfer_metric_update(self._native, None, data_handle(values), weight_handle(sample_weight)))


class MeanMetricWrapper(Metric):
    """The mean over all samples of fn(y_true, y_pred, **kwargs), a function on arrays that gives one value a sample."""

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        self._fn, self._arguments = fn, kwargs
        self._direction = "down" if isinstance(fn, losses.Loss) else None
        super().__init__(name or _snake_case(getattr(fn, "__name__", type(fn).__name__)), dtype)
        self._mean = Mean()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self._mean.update_state(self._fn(y_true, y_pred, **self._arguments), sample_weight)

    def result(self):
        return self._mean.result()

    def reset_state(self):
        self._mean.reset_state()

    def get_config(self):
        return {**super().get_config(), "fn": getattr(self._fn, "__name__", repr(self._fn)), **self._arguments}


def _define(class_name, arguments, text, direction=None, null_keys=(), is_vector=False):
    """A metric class: `arguments` are (name, default) pairs in Keras' order, `name` and `dtype` among them; ... is required."""
    names = [name for name, _ in arguments]
    defaults = dict(arguments)

    def __init__(self, *args, **kwargs):
        if len(args) > len(names):
            raise TypeError(f"{class_name} takes up to {len(names)} arguments, {len(args)} were given")
        given = dict(zip(names, args))
        for key, value in kwargs.items():
            if key not in defaults:
                raise TypeError(f"{class_name} has no argument '{key}'; it has {', '.join(names)}")
            if key in given:
                raise TypeError(f"{class_name}: '{key}' was given twice")
            given[key] = value
        config = {**defaults, **given}
        missing = [key for key in names if config[key] is ...]
        if missing:
            raise TypeError(f"{class_name}: '{missing[0]}' is required")
        self._create(class_name, config)

    signature = ", ".join(f"{k}" if v is ... else f"{k}={v!r}" for k, v in arguments)
    members = {
        "__init__": __init__, "__doc__": f"{text}\n\n    {class_name}({signature})\n    ", "__module__": __name__, "_null_keys": null_keys,
        "_direction": direction, "_is_vector": is_vector}
    return type(class_name, (Metric,), members)


def _mean_of(class_name, name, text, *arguments, direction="down"):
    return _define(class_name, [("name", name), ("dtype", None), *arguments], text, direction)


Accuracy = _mean_of("Accuracy", "accuracy", "The share of predictions that equal their targets.", direction="up")
BinaryAccuracy = _mean_of(
    "BinaryAccuracy", "binary_accuracy", "The share of predictions on the right side of `threshold`: .5 by default, for logits 0 is meant.",
    ("threshold", 0.5), direction="up")
CategoricalAccuracy = _mean_of(
    "CategoricalAccuracy", "categorical_accuracy", "The share of samples whose largest prediction is where the one-hot target is 1.",
    direction="up")
SparseCategoricalAccuracy = _mean_of(
    "SparseCategoricalAccuracy", "sparse_categorical_accuracy", "The share of samples whose largest prediction is that of their class number.",
    direction="up")
TopKCategoricalAccuracy = _define(
    "TopKCategoricalAccuracy", [("k", 5), ("name", "top_k_categorical_accuracy"), ("dtype", None)],
    "The share of samples whose class is among the k largest predictions; targets are one-hot.", direction="up")
SparseTopKCategoricalAccuracy = _define(
    "SparseTopKCategoricalAccuracy", [("k", 5), ("name", "sparse_top_k_categorical_accuracy"), ("dtype", None), ("from_sorted_ids", False)],
    "The share of samples whose class number is among the k largest predictions.", direction="up")
_COUNT = [("thresholds", None), ("name", None), ("dtype", None)]
TruePositives = _define("TruePositives", _COUNT, "The weighted count of targets 1 predicted above a threshold.", is_vector=True)
FalsePositives = _define("FalsePositives", _COUNT, "The weighted count of targets 0 predicted above a threshold.", is_vector=True)
TrueNegatives = _define("TrueNegatives", _COUNT, "The weighted count of targets 0 predicted not above a threshold.", is_vector=True)
FalseNegatives = _define("FalseNegatives", _COUNT, "The weighted count of targets 1 predicted not above a threshold.", is_vector=True)
_RATE = [("thresholds", None), ("top_k", None), ("class_id", None), ("name", None), ("dtype", None)]
Precision = _define("Precision", _RATE, "The share of right ones among what is predicted positive.", direction="up", is_vector=True)
Recall = _define("Recall", _RATE, "The share of targets 1 that are predicted positive.", direction="up", is_vector=True)


def _constrained(class_name, key, text):
    return _define(class_name, [(key, ...), ("num_thresholds", 200), ("class_id", None), ("name", None), ("dtype", None)], text, "up")


SensitivityAtSpecificity = _constrained("SensitivityAtSpecificity", "specificity", "The best sensitivity where specificity is at least this.")
SpecificityAtSensitivity = _constrained("SpecificityAtSensitivity", "sensitivity", "The best specificity where sensitivity is at least this.")
PrecisionAtRecall = _constrained("PrecisionAtRecall", "recall", "The best precision where recall is at least this.")
RecallAtPrecision = _constrained("RecallAtPrecision", "precision", "The best recall where precision is at least this.")
AUC = _define(
    "AUC", [
        ("num_thresholds", 200), ("curve", "ROC"), ("summation_method", "interpolation"), ("name", None), ("dtype", None), ("thresholds", None),
        ("multi_label", False), ("num_labels", None), ("label_weights", None), ("from_logits", False)],
    "The area under the ROC, PR or PRGAIN curve.", direction="up")
FBetaScore = _define(
    "FBetaScore", [("average", None), ("beta", 1.0), ("threshold", None), ("name", "fbeta_score"), ("dtype", None)],
    "(1 + beta²) · precision · recall / (beta² · precision + recall), a value each class or averaged.", direction="up", is_vector=True)
F1Score = _define(
    "F1Score", [("average", None), ("threshold", None), ("name", "f1_score"), ("dtype", None)], "FBetaScore with beta = 1.",
    direction="up", is_vector=True)
ConfusionMatrix = _define(
    "ConfusionMatrix", [("num_classes", ...), ("name", "confusion_matrix"), ("dtype", None), ("threshold", 0.5)],
    "How often each class was taken for each: result() is a matrix, rows are targets. Xfer's own.", is_vector=True)
_IOU = [("name", None), ("dtype", None), ("ignore_class", None), ("sparse_y_true", True), ("sparse_y_pred", True), ("axis", -1)]
_ONE_HOT = [("name", None), ("dtype", None), ("ignore_class", None), ("sparse_y_pred", False), ("axis", -1)]
IoU = _define("IoU", [("num_classes", ...), ("target_class_ids", ...), *_IOU], "Intersection over union, the mean over some classes.",
    direction="up")
MeanIoU = _define("MeanIoU", [("num_classes", ...), *_IOU], "Intersection over union, the mean over all classes.", direction="up")
BinaryIoU = _define(
    "BinaryIoU", [("target_class_ids", (0, 1)), ("threshold", 0.5), ("name", None), ("dtype", None)], "IoU of predictions cut at a threshold.",
    direction="up")
OneHotIoU = _define("OneHotIoU", [("num_classes", ...), ("target_class_ids", ...), *_ONE_HOT], "IoU of one-hot targets and scores.", direction="up")
OneHotMeanIoU = _define("OneHotMeanIoU", [("num_classes", ...), *_ONE_HOT], "MeanIoU of one-hot targets and scores.", direction="up")
R2Score = _define(
    "R2Score", [("class_aggregation", "uniform_average"), ("num_regressors", 0), ("name", "r2_score"), ("dtype", None)],
    "The coefficient of determination.", null_keys=("class_aggregation",), direction="up", is_vector=True)
MeanSquaredError = _mean_of("MeanSquaredError", "mean_squared_error", "The mean of squared differences.")
RootMeanSquaredError = _mean_of("RootMeanSquaredError", "root_mean_squared_error", "The root of the mean of squared differences.")
MeanAbsoluteError = _mean_of("MeanAbsoluteError", "mean_absolute_error", "The mean of absolute differences.")
MeanAbsolutePercentageError = _mean_of(
    "MeanAbsolutePercentageError", "mean_absolute_percentage_error", "100 times the mean of differences relative to the target.")
MeanSquaredLogarithmicError = _mean_of(
    "MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "The mean of squared differences of log(1 + value).")
CosineSimilarity = _mean_of(
    "CosineSimilarity", "cosine_similarity", "The cosine of the angle between targets and predictions.", ("axis", -1), direction="up")
LogCoshError = _mean_of("LogCoshError", "logcosh", "The mean of log(cosh(difference)).")
PearsonCorrelation = _mean_of(
    "PearsonCorrelation", "pearson_correlation", "Pearson's correlation along `axis`.", ("axis", -1), direction="up")
ConcordanceCorrelation = _mean_of(
    "ConcordanceCorrelation", "concordance_correlation", "Lin's concordance along `axis`.", ("axis", -1), direction="up")
Hinge = _mean_of("Hinge", "hinge", "The mean of max(1 - target * prediction, 0).")
SquaredHinge = _mean_of("SquaredHinge", "squared_hinge", "The mean of max(1 - target * prediction, 0) squared.")
CategoricalHinge = _mean_of("CategoricalHinge", "categorical_hinge", "max(largest wrong - right + 1, 0) of one-hot targets.")
KLDivergence = _mean_of("KLDivergence", "kl_divergence", "The sum of target * log(target / prediction).")
Poisson = _mean_of("Poisson", "poisson", "The mean of prediction - target * log(prediction).")
BinaryCrossentropy = _mean_of(
    "BinaryCrossentropy", "binary_crossentropy", "Crossentropy of targets in [0, 1].", ("from_logits", False), ("label_smoothing", 0))
CategoricalCrossentropy = _mean_of(
    "CategoricalCrossentropy", "categorical_crossentropy", "Crossentropy of one-hot targets.", ("from_logits", False), ("label_smoothing", 0),
    ("axis", -1))
SparseCategoricalCrossentropy = _mean_of(
    "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", "Crossentropy of class numbers.", ("from_logits", False),
    ("ignore_class", None), ("axis", -1))

_CLASSES = {name: value for name, value in list(globals().items()) if isinstance(value, type) and issubclass(value, Metric) and value is not Metric}
_BY_NAME = {**_CLASSES, **{_snake_case(name): cls for name, cls in _CLASSES.items() if name != "Accuracy"}}
for _short, _long in {
    "bce": "BinaryCrossentropy", "mse": "MeanSquaredError", "mae": "MeanAbsoluteError", "mape": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError",
}.items():
    _BY_NAME[_short] = _BY_NAME[_short.upper()] = _CLASSES[_long]


_AUTOMATIC = ("accuracy", "acc")


class _AutomaticAccuracy(Metric):
    """"accuracy" and "acc", which choose by the shapes of targets and predictions."""

    _direction = "up"


# Keras' functions: those of the losses, and those that are of metrics alone.
binary_crossentropy, binary_focal_crossentropy = losses.binary_crossentropy, losses.binary_focal_crossentropy
categorical_crossentropy, categorical_focal_crossentropy = losses.categorical_crossentropy, losses.categorical_focal_crossentropy
categorical_hinge, hinge, squared_hinge = losses.categorical_hinge, losses.hinge, losses.squared_hinge
huber, kl_divergence, log_cosh, poisson = losses.huber, losses.kl_divergence, losses.log_cosh, losses.poisson
mean_absolute_error, mean_squared_error = losses.mean_absolute_error, losses.mean_squared_error
mean_absolute_percentage_error, mean_squared_logarithmic_error = losses.mean_absolute_percentage_error, losses.mean_squared_logarithmic_error
sparse_categorical_crossentropy = losses.sparse_categorical_crossentropy

_LOSSES = [
    binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy, categorical_focal_crossentropy, categorical_hinge, hinge, huber,
    kl_divergence, log_cosh, mean_absolute_error, mean_absolute_percentage_error, mean_squared_error, mean_squared_logarithmic_error, poisson,
    sparse_categorical_crossentropy, squared_hinge,
]

__all__ = ["Metric", "deserialize", "get", "serialize", *_CLASSES, *(function.__name__ for function in FUNCTIONS + _LOSSES)]


def for_compile(identifier):
    """A metric as compile() takes it: one made by a string has that name in the logs, a function's its own."""
    if isinstance(identifier, str) and identifier in _BY_NAME and identifier.lower() not in _AUTOMATIC:
        return _BY_NAME[identifier](name=identifier)
    return get(identifier)


def get(identifier):
    """A metric from a string, a class, a function of (y_true, y_pred), a config or a metric; None stays None.

    "accuracy" and "acc", however they are written, choose by the shapes of targets and predictions.
    """
    if identifier is None:
        return None
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if callable(identifier) and not isinstance(identifier, Metric):
        # A function that a metric of the library computes is that metric.
        known = identifier in FUNCTIONS or isinstance(identifier, losses.LossFunction)
        metric_class = _BY_NAME.get(identifier.__name__) if known else None
        return MeanMetricWrapper(identifier) if metric_class is None else metric_class(name=identifier.__name__)
    if isinstance(identifier, str) and identifier.lower() in _AUTOMATIC:
        identifier = {"class_name": "accuracy", "config": {"name": identifier}}
    elif isinstance(identifier, str) and identifier in _BY_NAME:
        return _BY_NAME[identifier]()
    made = resolve(identifier, Metric, {}, "metric")
    if type(made) is Metric and made._native is not None:
        made.__class__ = _BY_CLASS.get(made._serialized()["class_name"], Metric)
    return made


_BY_CLASS = {**_CLASSES, "accuracy": _AutomaticAccuracy}


def serialize(metric):
    """The metric as {"module", "class_name", "config", "registered_name"}."""
    return {"module": "keras.metrics", "class_name": type(metric).__name__, "config": metric.get_config(), "registered_name": None}


def deserialize(config):
    """A metric from what `serialize` gave."""
    return get(config)


def adopt(handle, class_name):
    """The object for one the library made, as when a model is loaded."""
    made = adopted(handle, class_name, Metric, _BY_CLASS)
    made._native = handle
    return made
