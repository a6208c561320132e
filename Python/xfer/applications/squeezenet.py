"""SqueezeNet v1.1 (Iandola et al., 2016)."""

from ..layers import ChannelReorder, Rescaling
from ..symbol import Symbol
from ._application import create, decode_predictions, preprocess

__all__ = ["SqueezeNet", "decode_predictions", "preprocess_input"]


def SqueezeNet(
    include_top=True, weights="imagenet", input_tensor=None, input_shape=None, pooling=None, classes=1000,
    classifier_activation="softmax", name="squeezenet",
):
    """SqueezeNet v1.1; inputs 227×227×3, BGR minus the ImageNet means.

    weights: a file, None for random ones, or "imagenet", which searches XFER_WEIGHTS and then ~/.keras/models.
    pooling (without top): None for feature maps, "avg" or "max" for vectors.
    """
    return create("SqueezeNet", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)


def preprocess_input(x, data_format=None):
    """RGB pixels 0...255 to BGR minus (103.939, 116.779, 123.68). Takes arrays, tensors and symbols."""
    if isinstance(x, Symbol):
        return Rescaling(1.0, offset=[-103.939, -116.779, -123.68])(ChannelReorder((2, 1, 0))(x))
    return preprocess("SqueezeNet", x, data_format)
