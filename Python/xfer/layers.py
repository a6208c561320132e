"""Keras' layers. Images are NHWC ("channels_last"), kernels (height, width, in, out)."""

import functools
import inspect

from . import layers_more
from .custom import CustomKernel, Lambda
from .layer import Layer, settings
from .layers_more import *  # noqa: F403
from .symbol import Input

__all__ = [
    "Activation", "Add", "AveragePooling2D", "BatchNormalization", "ChannelReorder", "Concatenate", "Conv2D", "CustomKernel", "Dense",
    "DepthwiseConv2D", "Dropout", "Flatten", "GlobalAveragePooling2D", "Input", "InputLayer", "Lambda", "Layer", "MaxPooling2D", "ReLU",
    "Rescaling", "SeparableConv2D", "Softmax", "ZeroPadding2D", "add", "concatenate", *layers_more.__all__,
]


def _layer(cls):
    """Makes the constructor pass its arguments on as the layer's config."""
    declared = cls.__init__
    signature = inspect.signature(declared)

    @functools.wraps(declared)
    def constructor(self, *arguments, **keywords):
        bound = signature.bind(self, *arguments, **keywords)
        bound.apply_defaults()
        Layer.__init__(self, cls.__name__, settings(bound.arguments, signature))

    cls.__init__ = constructor
    return cls


@_layer
class InputLayer(Layer):
    """The layer behind an Input; `Input(...)` is the usual way to make one."""

    def __init__(self, shape=None, dtype=None, batch_shape=None, **kwargs):
        pass


@_layer
class Dense(Layer):
    """A fully connected layer: activation(x · kernel + bias). kernel (in, units), bias (units,)."""

    def __init__(
        self, units, activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
        kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None,
        lora_rank=None, lora_alpha=None, **kwargs,
    ):
        pass


@_layer
class Conv2D(Layer):
    """2D convolution. kernel (height, width, in / groups, filters). padding "valid" or "same" (TensorFlow's: the odd
    row or column goes to the bottom or right)."""

    def __init__(
        self, filters, kernel_size, strides=(1, 1), padding="valid", data_format=None, dilation_rate=(1, 1), groups=1,
        activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros", kernel_regularizer=None,
        bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, **kwargs,
    ):
        pass


@_layer
class DepthwiseConv2D(Layer):
    """A convolution of each channel by itself. kernel (height, width, in, depth_multiplier)."""

    def __init__(
        self, kernel_size, strides=(1, 1), padding="valid", depth_multiplier=1, data_format=None, dilation_rate=(1, 1),
        activation=None, use_bias=True, depthwise_initializer="glorot_uniform", bias_initializer="zeros",
        depthwise_regularizer=None, bias_regularizer=None, activity_regularizer=None, depthwise_constraint=None,
        bias_constraint=None, **kwargs,
    ):
        pass


@_layer
class SeparableConv2D(Layer):
    """A depthwise convolution, then a 1×1 one. Weights: depthwise_kernel (height, width, in, multiplier),
    pointwise_kernel (1, 1, in · multiplier, filters), bias."""

    def __init__(
        self, filters, kernel_size, strides=(1, 1), padding="valid", data_format=None, dilation_rate=(1, 1), depth_multiplier=1,
        activation=None, use_bias=True, depthwise_initializer="glorot_uniform", pointwise_initializer="glorot_uniform",
        bias_initializer="zeros", depthwise_regularizer=None, pointwise_regularizer=None, bias_regularizer=None,
        activity_regularizer=None, depthwise_constraint=None, pointwise_constraint=None, bias_constraint=None, **kwargs,
    ):
        pass


@_layer
class BatchNormalization(Layer):
    """Normalizes each channel: by the batch while training and trainable, else by its moving statistics.

    Weights in order: gamma, beta, moving_mean, moving_variance. A frozen one always runs in inference mode.
    """

    def __init__(
        self, axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, beta_initializer="zeros", gamma_initializer="ones",
        moving_mean_initializer="zeros", moving_variance_initializer="ones", beta_regularizer=None, gamma_regularizer=None,
        beta_constraint=None, gamma_constraint=None, synchronized=False, **kwargs,
    ):
        pass


@_layer
class Activation(Layer):
    """An activation function by name: "relu", "sigmoid", "softmax" ..."""

    def __init__(self, activation, **kwargs):
        pass


@_layer
class ReLU(Layer):
    """max(x, 0), capped at max_value (6 for ReLU6), with a slope below the threshold."""

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        pass


@_layer
class Softmax(Layer):
    """exp(x) / Σ exp(x) along an axis."""

    def __init__(self, axis=-1, **kwargs):
        pass


@_layer
class Add(Layer):
    """The sum of a list of inputs."""

    def __init__(self, **kwargs):
        pass


@_layer
class Concatenate(Layer):
    """A list of inputs, one behind the other along an axis."""

    def __init__(self, axis=-1, **kwargs):
        pass


@_layer
class ZeroPadding2D(Layer):
    """Zeros around the image: n, (rows, columns) or ((top, bottom), (left, right))."""

    def __init__(self, padding=(1, 1), data_format=None, **kwargs):
        pass


@_layer
class MaxPooling2D(Layer):
    """The largest value of each window; strides None means the pool's size."""

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        pass


@_layer
class AveragePooling2D(Layer):
    """The mean of each window, padding not counted; strides None means the pool's size."""

    def __init__(self, pool_size, strides=None, padding="valid", data_format=None, name=None, **kwargs):
        pass


@_layer
class GlobalAveragePooling2D(Layer):
    """The mean over height and width."""

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        pass


@_layer
class Flatten(Layer):
    """All dimensions but the batch in one."""

    def __init__(self, data_format=None, **kwargs):
        pass


@_layer
class Dropout(Layer):
    """Zeros a share `rate` of the inputs while training and scales the rest by 1 / (1 - rate)."""

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        pass


@_layer
class Rescaling(Layer):
    """x · scale + offset."""

    def __init__(self, scale, offset=0.0, **kwargs):
        pass


@_layer
class ChannelReorder(Layer):
    """Channels in another order: ChannelReorder((2, 1, 0)) makes BGR of RGB. Xfer's own."""

    def __init__(self, order, **kwargs):
        pass


MaxPool2D, AvgPool2D, GlobalAvgPool2D = MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D


def add(inputs, **kwargs):
    """Add()(inputs)."""
    return Add(**kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """Concatenate(axis)(inputs)."""
    return Concatenate(axis=axis, **kwargs)(inputs)
