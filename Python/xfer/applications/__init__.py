"""Built-in architectures. As in Keras they take preprocessed inputs: `preprocess_input` stands beside each."""

from . import efficientnet_lite, squeezenet, xception
from .efficientnet_lite import EfficientNetLite0
from .squeezenet import SqueezeNet
from .xception import Xception

__all__ = ["EfficientNetLite0", "SqueezeNet", "Xception", "efficientnet_lite", "squeezenet", "xception"]
