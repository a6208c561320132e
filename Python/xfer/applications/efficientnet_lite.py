"""EfficientNet-Lite0 (the EfficientNet family for mobile hardware: no squeeze-and-excite, ReLU6)."""

from ..layers import Rescaling
from ..symbol import Symbol
from ._application import create, decode_predictions, preprocess

__all__ = ["EfficientNetLite0", "decode_predictions", "preprocess_input"]


def EfficientNetLite0(
    include_top=True, weights="imagenet", input_tensor=None, input_shape=None, pooling=None, classes=1000,
    classifier_activation="softmax", name="efficientnetlite0",
):
    """EfficientNet-Lite0; inputs 224×224×3 of (pixel - 127) / 128.

    weights: a file, None for random ones, or "imagenet", which searches XFER_WEIGHTS and then ~/.keras/models.
    pooling (without top): None for feature maps, "avg" or "max" for vectors.
    """
    return create("EfficientNetLite0", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)


def preprocess_input(x, data_format=None):
    """Pixels 0...255 to (x - 127) / 128. Takes arrays, tensors and symbols."""
    if isinstance(x, Symbol):
        return Rescaling(1 / 128, offset=-127 / 128)(x)
    return preprocess("EfficientNetLite0", x, data_format)
