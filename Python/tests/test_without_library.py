"""What must hold before any library is there."""

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest

import xfer
from xfer import layers
from xfer.utils import to_categorical

POSITIONS = {
    "Dense": ["units", "activation", "use_bias"],
    "Conv2D": ["filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", "activation"],
    "DepthwiseConv2D": ["kernel_size", "strides", "padding", "depth_multiplier"],
    "SeparableConv2D": ["filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "depth_multiplier"],
    "BatchNormalization": ["axis", "momentum", "epsilon", "center", "scale"],
    "MaxPooling2D": ["pool_size", "strides", "padding"],
    "AveragePooling2D": ["pool_size", "strides", "padding"],
    "ReLU": ["max_value", "negative_slope", "threshold"],
    "Dropout": ["rate", "noise_shape", "seed"],
    "Rescaling": ["scale", "offset"],
    "ZeroPadding2D": ["padding"],
    "Concatenate": ["axis"],
    "Activation": ["activation"],
    "Softmax": ["axis"],
    "Flatten": ["data_format"],
    "GlobalAveragePooling2D": ["data_format", "keepdims"],
    "Add": [],
}


@pytest.mark.parametrize("name", POSITIONS)
def test_signatures(name):
    cls = getattr(layers, name)
    parameters = list(inspect.signature(cls).parameters)
    assert parameters[: len(POSITIONS[name])] == POSITIONS[name]
    assert cls.__doc__


def test_public_names_exist():
    for module in (xfer, xfer.layers, xfer.losses, xfer.metrics, xfer.optimizers, xfer.callbacks, xfer.models, xfer.utils,
                   xfer.applications, xfer.initializers, xfer.config, xfer.random, xfer.saving):
        for name in module.__all__:
            assert getattr(module, name) is not None
    for module in (xfer.applications.xception, xfer.applications.efficientnet_lite, xfer.applications.squeezenet):
        assert callable(module.preprocess_input)


@pytest.mark.parametrize("trainable", [0, 1, "no", None, np.True_])
def test_trainable_is_a_real_bool(trainable):
    with pytest.raises(ValueError, match="boolean"):
        xfer.layers.Dense(3, trainable=trainable)
    with pytest.raises(ValueError, match="boolean"):
        xfer.Sequential(trainable=trainable)


def test_learning_rates_are_floats():
    for optimizer in (xfer.optimizers.Adam, xfer.optimizers.SGD):
        with pytest.raises(ValueError, match="should be float"):
            optimizer(1)
        with pytest.raises(ValueError, match="should be float"):
            optimizer(learning_rate=True)


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError):
        xfer.layers.Flatten(1, 2, 3)
    with pytest.raises(ValueError, match="filterz"):
        xfer.layers.Conv2D(3, 3, filterz=2)
    with pytest.raises(ValueError, match="momentun"):
        xfer.optimizers.SGD(0.1, momentun=0.9)
    with pytest.raises(ValueError, match="shape"):
        xfer.Input()
    with pytest.raises(ValueError, match="hook"):
        xfer.callbacks.LambdaCallback(on_epoch=print)


def test_to_categorical():
    assert to_categorical([0, 2, 1]).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert to_categorical([[1]], 2).tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="3 classes"):
        to_categorical([3], 3)


def test_a_missing_library_is_an_import_error(tmp_path):
    program = "import xfer\ntry:\n  xfer.layers.Dense(3)\nexcept ImportError as e:\n  print(e)"
    environment = {**os.environ, "XFER_LIBRARY": str(tmp_path / "absent.so")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "absent.so: no such file" in done.stdout


def test_a_foreign_library_is_an_import_error(tmp_path):
    import ctypes.util

    program = "import xfer\ntry:\n  xfer.layers.Dense(3)\nexcept ImportError as e:\n  print(e)"
    environment = {**os.environ, "XFER_LIBRARY": ctypes.util.find_library("c") or "libc.so.6"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "has no function xfer_" in done.stdout
