"""Xfer: transfer learning with Keras' names, over the C library libxfer.

>>> import xfer as keras
>>> base = keras.applications.Xception(weights="imagenet", input_shape=(150, 150, 3), include_top=False)
>>> base.trainable = False
>>> inputs = keras.Input(shape=(150, 150, 3))
>>> x = base(inputs, training=False)
>>> x = keras.layers.GlobalAveragePooling2D()(x)
>>> model = keras.Model(inputs, keras.layers.Dense(1)(x))

numpy arrays go in and come out. Refusals are `XferError`s with a `.status`.
"""

from . import (
    activations, applications, backend, callbacks, config, constraints, initializers, layers, losses, metrics, models, ops, optimizers, phases, random,
    regularizers, saving, utils,
)
from ._errors import XferError
from .backend import get_threads, load_plugin, plugins, set_backend, set_precision, set_threads, version
from .data import Dataset
from ._kernels import kernels, register_kernel, unregister_kernel
from .initializers import Initializer
from .layer import Layer
from .losses import Loss
from .metrics import Metric
from .models import Functional, Model, Sequential
from .optimizers import Optimizer
from .regularizers import Regularizer
from .symbol import Input, Symbol
from .tape import GradientTape
from .tensor import Tensor
from .utils import set_random_seed
from .weight import Weight

__version__ = "0.1.0"

__all__ = [
    "Dataset", "Functional", "GradientTape", "Initializer", "Input", "Layer", "Loss", "Metric", "Model", "Optimizer", "Regularizer", "Sequential",
    "Symbol", "Tensor", "Weight", "XferError", "activations", "applications", "backend", "callbacks", "config", "constraints", "get_threads",
    "initializers", "kernels", "layers", "load_plugin", "losses", "metrics", "models", "ops", "optimizers", "phases", "plugins", "random",
    "register_kernel", "regularizers", "saving", "set_backend", "set_precision", "set_random_seed", "set_threads", "unregister_kernel", "utils",
    "version",
]
