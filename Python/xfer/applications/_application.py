"""What the architectures share."""

import json
import os

import numpy as np

from .._c import lib
from .._errors import NOT_FOUND, UNSUPPORTED, error
from .._handle import encode, make
from ..models import _from_handle
from ..tensor import Tensor, data_handle, take


def create(
    architecture, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name,
    default_classes=1000,
):
    """The model of an architecture; the arguments are Keras'."""
    if input_tensor is not None:
        raise error(UNSUPPORTED, f"{architecture}: `input_tensor` is not supported; call the model on it instead")
    if classifier_activation != "softmax":
        raise error(UNSUPPORTED, f"{architecture}: classifier_activation={classifier_activation!r}; only 'softmax' is supported")
    config = {"include_top": bool(include_top), "weights": None if weights is None else os.fspath(weights)}
    if input_shape is not None:
        config["input_shape"] = [int(n) for n in input_shape]
    if pooling is not None:
        config["pooling"] = pooling
    if classes != default_classes:
        config["classes"] = int(classes)
    if name is not None:
        config["name"] = name
    return _from_handle(make("model", lib.xfer_application_create, architecture.encode(), encode(config)))


def preprocess(architecture, x, data_format):
    """Pixels 0...255, (h, w, 3) or (n, h, w, 3), to what the architecture was trained on; float32, x is left alone."""
    if data_format not in (None, "channels_last"):
        raise error(UNSUPPORTED, f"preprocess_input: data_format={data_format!r}; only 'channels_last' is supported")
    pixels = np.asarray(x)
    if pixels.ndim not in (3, 4):
        raise ValueError(f"preprocess_input wants (h, w, 3) or (n, h, w, 3), an array of shape {pixels.shape} was given")
    batch = pixels if pixels.ndim == 4 else pixels[None]
    handle = make("tensor", lib.xfer_application_preprocess, architecture.encode(), data_handle(batch))
    if isinstance(x, Tensor):
        return Tensor(handle, shape=pixels.shape, terms=[])
    return take(handle).reshape(pixels.shape)


_INDEX = "imagenet_class_index.json"


def decode_predictions(preds, top=5):
    """The likeliest classes of each row of 1000 probabilities: (class name, description, score), the best first.

    The names come from imagenet_class_index.json, which Keras keeps in ~/.keras/models; the folder XFER_WEIGHTS is searched first. Nothing
    is downloaded.
    """
    preds = np.asarray(preds)
    if preds.ndim != 2 or preds.shape[1] != 1000:
        raise ValueError(
            "`decode_predictions` expects a batch of predictions (i.e. a 2D array of shape (samples, 1000)). "
            f"Received array with shape: {preds.shape}")
    index = _class_index()
    return [[(*index[str(i)], row[i]) for i in row.argsort()[-top:][::-1]] for row in preds]


def _class_index():
    given = os.environ.get("XFER_WEIGHTS")
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    folders = ([os.path.dirname(given) if os.path.isfile(given) else given] if given else []) + [os.path.join(home, "models")]
    for folder in folders:
        path = os.path.join(folder, _INDEX)
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                return json.load(file)
    raise error(NOT_FOUND, f"decode_predictions: {_INDEX} with the names of the classes is in none of {', '.join(folders)}; put it there")
