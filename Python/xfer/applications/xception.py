"""Xception (Chollet, 2017)."""

from ..layers import Rescaling
from ..symbol import Symbol
from ._application import create, decode_predictions, preprocess

__all__ = ["Xception", "decode_predictions", "preprocess_input"]


def Xception(
    include_top=True, weights="imagenet", input_tensor=None, input_shape=None, pooling=None, classes=1000,
    classifier_activation="softmax", name="xception",
):
    """Xception; inputs 299×299×3 in [-1, 1], at least 71×71 without top.

    weights: a file, None for random ones, or "imagenet", which searches XFER_WEIGHTS and then ~/.keras/models.
    pooling (without top): None for feature maps, "avg" or "max" for vectors.
    """
    return create("Xception", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)


def preprocess_input(x, data_format=None):
    """Pixels 0...255 to x / 127.5 - 1. Takes arrays, tensors and symbols."""
    if isinstance(x, Symbol):
        return Rescaling(1 / 127.5, offset=-1.0)(x)
    return preprocess("Xception", x, data_format)
