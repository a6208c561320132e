"""Keras' functions behind metrics that are no losses: matches or correlations, one a sample, from arrays."""

import numpy as np

from .tensor import constant

# What the correlations add to a divisor, as Keras' epsilon().
_EPSILON = 1e-7


def _pair(y_true, y_pred):
    """Both as arrays; where one has a last dimension of 1 more than the other, that is no difference."""
    truth, prediction = np.asarray(y_true), np.asarray(y_pred)
    if truth.ndim == prediction.ndim + 1:
        prediction, truth = _same_rank(prediction, truth)
    elif prediction.ndim == truth.ndim + 1:
        truth, prediction = _same_rank(truth, prediction)
    return truth, prediction


def _same_rank(smaller, larger):
    if larger.shape[-1] != 1:
        return smaller, larger
    return (smaller[:, None], larger) if smaller.ndim == 1 else (smaller, larger[..., 0])


def _matches(values):
    return constant(np.asarray(values, np.float32))


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """1 where a prediction is on its target's side of the threshold."""
    truth, prediction = _pair(y_true, y_pred)
    return _matches(truth == (prediction > threshold).astype(truth.dtype))


def categorical_accuracy(y_true, y_pred):
    """1 where the largest prediction is where the one-hot target is 1."""
    return _matches(np.argmax(y_true, -1) == np.argmax(y_pred, -1))


def _class_numbers(y_true, y_pred):
    """Class numbers (n,) or (n, 1) as (n,), and the predictions."""
    truth, prediction = np.asarray(y_true), np.asarray(y_pred)
    return truth[..., 0] if truth.ndim == prediction.ndim and truth.shape[-1] == 1 else truth, prediction


def sparse_categorical_accuracy(y_true, y_pred):
    """1 where the largest prediction is that of the class number."""
    truth, prediction = _class_numbers(y_true, y_pred)
    return _matches(truth == prediction.argmax(-1))


def _among_largest(classes, prediction, k):
    own = np.take_along_axis(prediction, classes[..., None].astype(np.int64), -1)
    return _matches(np.isfinite(own[..., 0]) & ((prediction > own).sum(-1) < k))


def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """1 where the one-hot target's class is among the k largest predictions."""
    return _among_largest(np.argmax(y_true, -1), np.asarray(y_pred), k)


def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5, from_sorted_ids=False):
    """1 where the class number is among the k largest predictions; from_sorted_ids: the first k class numbers given for them."""
    truth, prediction = _class_numbers(y_true, y_pred)
    if from_sorted_ids:
        found = _matches((prediction[..., :k] == truth[..., None]).any(-1))
    else:
        found = _among_largest(truth, prediction, k)
    # Here, and here alone, Keras gives back the class numbers' own shape.
    return found if found.shape == np.shape(y_true) else _matches(np.reshape(found, np.shape(y_true)))


def pearson_correlation(y_true, y_pred, axis=-1):
    """Pearson's correlation along the axis."""
    truth, prediction = (a - a.mean(axis, keepdims=True) for a in _floats(y_true, y_pred))
    return _matches((truth / truth.std(axis, keepdims=True) * prediction / prediction.std(axis, keepdims=True)).mean(axis))


def concordance_correlation(y_true, y_pred, axis=-1):
    """Lin's concordance along the axis."""
    truth, prediction = _floats(y_true, y_pred)
    means = truth.mean(axis, keepdims=True), prediction.mean(axis, keepdims=True)
    # Keras takes the mean of the predictions off both, which sums to the same.
    covariance = (truth - means[1]) * (prediction - means[1])
    norm = truth.var(axis, keepdims=True) + prediction.var(axis, keepdims=True) + (means[0] - means[1]) ** 2
    return _matches((2 * covariance / (norm + _EPSILON)).mean(axis))


def _floats(y_true, y_pred):
    return (np.asarray(a, np.float32) for a in _pair(y_true, y_pred))


FUNCTIONS = [
    binary_accuracy, categorical_accuracy, concordance_correlation, pearson_correlation, sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy, top_k_categorical_accuracy,
]
