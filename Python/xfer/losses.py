"""Losses."""

import inspect

import numpy as np

from ._c import lib
from ._errors import UNSUPPORTED, error
from ._handle import make
from ._objects import Configured, adopted, resolve
from .symbol import Symbol
from .tape import current_tape
from .tensor import Tensor, data_handle, label_handle, weight_handle

_SUM = "sum_over_batch_size"


class Loss(Configured):
    """A loss: loss(y_true, y_pred, sample_weight=None).

    reduction: "sum_over_batch_size" or "mean" (Σ(weight · loss) / N), "sum", "mean_with_sample_weight"
    (Σ(weight · loss) / Σ weight), "none" or None (one value a sample).
    """

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

    def _create(self, class_name, config):
        # None is a reduction of its own, not the default.
        if "reduction" in config and config["reduction"] is None:
            config = {**config, "reduction": "none"}
        super()._create(class_name, config)

    def __call__(self, y_true, y_pred, sample_weight=None):
        if isinstance(y_true, Symbol) or isinstance(y_pred, Symbol):
            return self._composed(y_true, y_pred, sample_weight)
        if self._function is not None:
            self._bind(np.shape(y_true)[1:], np.shape(y_pred)[1:])
        truth, prediction, weights = label_handle(y_true), data_handle(y_pred), weight_handle(sample_weight)
        value = Tensor(make("tensor", lib.xfer_loss_call, self._handle, truth, prediction, weights, current_tape()))
        if self.reduction == "none":
            return value
        return Tensor(value._handle, shape=(), terms=value._terms)

    call = __call__

    def _composed(self, y_true, y_pred, sample_weight):
        """Within a loss of one's own: one value a sample, reduced as the loss says."""
        from . import ops

        reductions = {"none": lambda x: x, "sum": ops.sum, "sum_over_batch_size": ops.mean, "mean": ops.mean}
        if self._function is not None or sample_weight is not None or self.reduction not in reductions:
            raise error(UNSUPPORTED, f"{type(self).__name__} within a loss of one's own: losses of Keras', without weights, reduced by "
                        f"{', '.join(reductions)}, can be used there")
        return reductions[self.reduction](ops.loss(type(self).__name__, self.get_config(), y_true, y_pred))

    _reduction = None

    @property
    def reduction(self):
        # Asked once: training loops call losses often.
        if self._reduction is None:
            self._reduction = self.get_config()["reduction"]
        return self._reduction


class BinaryCrossentropy(Loss):
    """Crossentropy of targets in [0, 1], the mean over `axis`. Probabilities are clipped to [1e-7, 1 - 1e-7]."""

    def __init__(
        self, from_logits=False, label_smoothing=0.0, axis=-1, reduction=_SUM, name="binary_crossentropy", dtype=None,
    ):
        self._create("BinaryCrossentropy", {
            "from_logits": bool(from_logits), "label_smoothing": float(label_smoothing), "axis": axis, "reduction": reduction,
            "name": name, "dtype": dtype})


class BinaryFocalCrossentropy(Loss):
    """Binary crossentropy times (1 - p_t) ** gamma; with apply_class_balancing also times alpha or 1 - alpha."""

    def __init__(
        self, apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1, reduction=_SUM,
        name="binary_focal_crossentropy", dtype=None,
    ):
        self._create("BinaryFocalCrossentropy", {
            "apply_class_balancing": bool(apply_class_balancing), "alpha": alpha, "gamma": gamma, "from_logits": bool(from_logits),
            "label_smoothing": float(label_smoothing), "axis": axis, "reduction": reduction, "name": name, "dtype": dtype})


class CategoricalCrossentropy(Loss):
    """Crossentropy of one-hot targets and predictions over classes along `axis`."""

    def __init__(
        self, from_logits=False, label_smoothing=0.0, axis=-1, reduction=_SUM, name="categorical_crossentropy", dtype=None,
    ):
        self._create("CategoricalCrossentropy", {
            "from_logits": bool(from_logits), "label_smoothing": float(label_smoothing), "axis": axis, "reduction": reduction,
            "name": name, "dtype": dtype})


class CategoricalFocalCrossentropy(Loss):
    """Categorical crossentropy times alpha * (1 - p) ** gamma; alpha is a number or one for each class."""

    def __init__(
        self, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1, reduction=_SUM,
        name="categorical_focal_crossentropy", dtype=None,
    ):
        self._create("CategoricalFocalCrossentropy", {
            "alpha": alpha, "gamma": gamma, "from_logits": bool(from_logits), "label_smoothing": float(label_smoothing), "axis": axis,
            "reduction": reduction, "name": name, "dtype": dtype})


class SparseCategoricalCrossentropy(Loss):
    """Crossentropy of class numbers (n,) or (n, 1) and predictions (n, classes).

    ignore_class: samples of this class count neither in the sum nor in the mean's divisor.
    """

    def __init__(
        self, from_logits=False, ignore_class=None, reduction=_SUM, axis=-1, name="sparse_categorical_crossentropy", dtype=None,
    ):
        self._create("SparseCategoricalCrossentropy", {
            "from_logits": bool(from_logits), "ignore_class": ignore_class, "reduction": reduction, "axis": axis, "name": name,
            "dtype": dtype})


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between targets and predictions along `axis`."""

    def __init__(self, axis=-1, reduction=_SUM, name="cosine_similarity", dtype=None):
        self._create("CosineSimilarity", {"axis": axis, "reduction": reduction, "name": name, "dtype": dtype})


class Huber(Loss):
    """Quadratic up to `delta`, linear beyond."""

    def __init__(self, delta=1.0, reduction=_SUM, name="huber_loss", dtype=None):
        self._create("Huber", {"delta": delta, "reduction": reduction, "name": name, "dtype": dtype})


class Dice(Loss):
    """One minus twice the overlap over the sum of sizes, over `axis` (None: all dimensions)."""

    def __init__(self, reduction=_SUM, name="dice", axis=None, dtype=None):
        self._create("Dice", {"reduction": reduction, "name": name, "axis": axis, "dtype": dtype})


class Tversky(Loss):
    """Dice's generalization: alpha and beta weigh the two kinds of error."""

    def __init__(self, alpha=0.5, beta=0.5, reduction=_SUM, name="tversky", axis=None, dtype=None):
        self._create("Tversky", {"alpha": alpha, "beta": beta, "reduction": reduction, "name": name, "axis": axis, "dtype": dtype})


class CategoricalGeneralizedCrossEntropy(Loss):
    """(1 - p ** q) / q of the class number's probability p: robust against wrong labels."""

    def __init__(self, q=0.5, reduction=_SUM, name="categorical_generalized_cross_entropy", dtype=None):
        self._create("CategoricalGeneralizedCrossEntropy", {"q": q, "reduction": reduction, "name": name, "dtype": dtype})


def _plain(class_name, default_name, text):
    """A loss class without arguments of its own."""

    def __init__(self, reduction=_SUM, name=default_name, dtype=None):
        self._create(class_name, {"reduction": reduction, "name": name, "dtype": dtype})

    return type(class_name, (Loss,), {"__init__": __init__, "__doc__": text, "__module__": __name__})


MeanSquaredError = _plain("MeanSquaredError", "mean_squared_error", "The mean over the last axis of squared differences.")
MeanAbsoluteError = _plain("MeanAbsoluteError", "mean_absolute_error", "The mean over the last axis of absolute differences.")
MeanAbsolutePercentageError = _plain(
    "MeanAbsolutePercentageError", "mean_absolute_percentage_error", "100 times the mean of differences relative to the target.")
MeanSquaredLogarithmicError = _plain(
    "MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "The mean of squared differences of log(1 + value).")
LogCosh = _plain("LogCosh", "log_cosh", "The mean of log(cosh(difference)).")
Poisson = _plain("Poisson", "poisson", "The mean of prediction - target * log(prediction).")
KLDivergence = _plain("KLDivergence", "kl_divergence", "The sum of target * log(target / prediction).")
Hinge = _plain("Hinge", "hinge", "The mean of max(1 - target * prediction, 0); targets of 0 and 1 become -1 and 1.")
SquaredHinge = _plain("SquaredHinge", "squared_hinge", "The mean of max(1 - target * prediction, 0) squared.")
CategoricalHinge = _plain("CategoricalHinge", "categorical_hinge", "max(largest wrong - right + 1, 0) of one-hot targets.")


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


class LossFunction(Loss):
    """A loss as Keras' function: mean_squared_error(y_true, y_pred) is one value a sample.

    Handed to compile() it is reduced as every loss is.
    """

    def __init__(self, loss_class, function_name, name=None):
        self._class, self.__name__ = loss_class, function_name
        self._given_name = name or function_name
        self.__doc__ = loss_class.__doc__
        self._made = {}
        # The arguments of the class that are not of every loss, in their order, after the two values.
        own = [p for p in list(inspect.signature(loss_class.__init__).parameters.values())[1:] if p.name not in ("reduction", "name", "dtype")]
        values = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("y_true", "y_pred")]
        self.__signature__ = inspect.Signature(values + own)

    @property
    def _handle(self):
        # Made at the first use: importing this module must not load the library.
        return self._loss("reduced", {"name": self._given_name})._handle

    def _loss(self, key, arguments):
        if key not in self._made:
            self._made[key] = self._class(**arguments)
        return self._made[key]

    def __call__(self, *values, **keywords):
        arguments = self.__signature__.bind(*values, **keywords).arguments
        y_true, y_pred = arguments.pop("y_true"), arguments.pop("y_pred")
        key = repr(sorted(arguments.items()))
        return self._loss(key, {**arguments, "reduction": "none"})(y_true, y_pred)

    call = __call__

    def __repr__(self):
        return f"<function xfer.losses.{self.__name__}>"


_CLASSES = [
    BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy, CategoricalHinge, CosineSimilarity, Dice, Hinge, Huber, KLDivergence, LogCosh, MeanAbsoluteError,
    MeanAbsolutePercentageError, MeanSquaredError, MeanSquaredLogarithmicError, Poisson, SparseCategoricalCrossentropy, SquaredHinge,
    Tversky,
]

binary_crossentropy = LossFunction(BinaryCrossentropy, "binary_crossentropy")
binary_focal_crossentropy = LossFunction(BinaryFocalCrossentropy, "binary_focal_crossentropy")
categorical_crossentropy = LossFunction(CategoricalCrossentropy, "categorical_crossentropy")
categorical_focal_crossentropy = LossFunction(CategoricalFocalCrossentropy, "categorical_focal_crossentropy")
categorical_generalized_cross_entropy = LossFunction(CategoricalGeneralizedCrossEntropy, "categorical_generalized_cross_entropy")
categorical_hinge = LossFunction(CategoricalHinge, "categorical_hinge")
cosine_similarity = LossFunction(CosineSimilarity, "cosine_similarity")
dice = LossFunction(Dice, "dice")
hinge = LossFunction(Hinge, "hinge")
huber = LossFunction(Huber, "huber")
kl_divergence = LossFunction(KLDivergence, "kl_divergence")
log_cosh = LossFunction(LogCosh, "log_cosh")
mean_absolute_error = LossFunction(MeanAbsoluteError, "mean_absolute_error")
mean_absolute_percentage_error = LossFunction(MeanAbsolutePercentageError, "mean_absolute_percentage_error")
mean_squared_error = LossFunction(MeanSquaredError, "mean_squared_error")
mean_squared_logarithmic_error = LossFunction(MeanSquaredLogarithmicError, "mean_squared_logarithmic_error")
poisson = LossFunction(Poisson, "poisson")
sparse_categorical_crossentropy = LossFunction(SparseCategoricalCrossentropy, "sparse_categorical_crossentropy")
squared_hinge = LossFunction(SquaredHinge, "squared_hinge")
tversky = LossFunction(Tversky, "tversky")

_FUNCTIONS = [
    binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy, categorical_focal_crossentropy,
    categorical_generalized_cross_entropy, categorical_hinge, cosine_similarity, dice, hinge, huber, kl_divergence, log_cosh,
    mean_absolute_error, mean_absolute_percentage_error, mean_squared_error, mean_squared_logarithmic_error, poisson,
    sparse_categorical_crossentropy, squared_hinge, tversky,
]
_SHORT = {
    "bce": binary_crossentropy, "kld": kl_divergence, "mae": mean_absolute_error, "mse": mean_squared_error,
    "mape": mean_absolute_percentage_error, "msle": mean_squared_logarithmic_error,
}

__all__ = ["CustomLoss", "Loss", "LossFunction", "deserialize", "get", "serialize"]
__all__ += [cls.__name__ for cls in _CLASSES] + [function.__name__ for function in _FUNCTIONS]

# A class makes a new object each time; a function is one object, under its short form with that name.
_ALIASES = {cls.__name__: cls for cls in _CLASSES}
_ALIASES.update({function.__name__: (lambda function=function: function) for function in _FUNCTIONS})
for _short, _function in _SHORT.items():
    for _name in (_short, _short.upper()):
        _ALIASES[_name] = lambda function=_function, name=_name: LossFunction(function._class, function.__name__, name)


def get(identifier):
    """A loss from a string ("mse", "mean_squared_error", "MeanSquaredError"), a class, a function, a config or a loss; None stays None."""
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier) and not isinstance(identifier, (str, Loss)):
        return CustomLoss(identifier)
    return None if identifier is None else resolve(identifier, Loss, _ALIASES, "loss")


def serialize(loss):
    """The loss as {"module", "class_name", "config", "registered_name"}."""
    if isinstance(loss, LossFunction):
        return loss.__name__
    return {"module": "keras.losses", "class_name": type(loss).__name__, "config": loss.get_config(), "registered_name": None}


def deserialize(config):
    """A loss from what `serialize` gave."""
    return get(config)


def adopt(handle, class_name):
    """The object for one the library made, as when a model is loaded."""
    return adopted(handle, class_name, Loss, globals())
