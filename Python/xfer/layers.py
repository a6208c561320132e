"""Keras' layers. Images are NHWC ("channels_last"), kernels (height, width, in, out)."""

import numbers

from . import layers_more
from ._errors import INVALID_ARGUMENT, error
from .custom import CustomKernel, Lambda
from .layer import Layer, configured
from ._lora import Adaptable
from .layers_more import *  # noqa: F403
from .symbol import Input
from ._layer_configs import deserialize, serialize  # noqa: F401

__all__ = [
    "Activation", "Add", "Average", "AveragePooling2D", "BatchNormalization", "ChannelReorder", "Concatenate", "Conv2D",
    "Conv2DTranspose", "Cropping2D", "CustomKernel", "Dense", "DepthwiseConv2D", "Dot", "Dropout", "ELU", "Flatten",
    "GlobalAveragePooling2D", "GlobalMaxPooling2D", "Input", "InputLayer", "Lambda", "Layer", "LeakyReLU", "MaxPooling2D",
    "Maximum", "Minimum", "Multiply", "PReLU", "Permute", "ReLU", "RepeatVector", "Rescaling", "Reshape", "SeparableConv2D",
    "Softmax", "Subtract", "UpSampling2D", "ZeroPadding2D", "add", "average", "concatenate", "dot", "maximum", "minimum",
    "multiply", "subtract", *layers_more.__all__,
]


@configured
class InputLayer(Layer):
    """The layer behind an Input; `Input(...)` is the usual way to make one."""

    def __init__(self, shape=None, dtype=None, batch_shape=None, **kwargs):
        pass

    @property
    def dtype(self):
        """The element type of the input."""
        return self.get_config()["dtype"]


@configured
class Dense(Adaptable, Layer):
    """A fully connected layer: activation(x · kernel + bias). kernel (in, units), bias (units,)."""

    def __init__(
        self, units, activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
        kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None,
        lora_rank=None, lora_alpha=None, **kwargs,
    ):
        if not isinstance(units, numbers.Integral) or units <= 0:
            raise error(INVALID_ARGUMENT, f"Received an invalid value for `units`, expected a positive integer. Received: units={units}")


@configured
class Conv2D(Adaptable, Layer):
    """2D convolution. kernel (height, width, in / groups, filters). padding "valid" or "same" (TensorFlow's: the odd
    row or column goes to the bottom or right)."""

    def __init__(
        self, filters, kernel_size, strides=(1, 1), padding="valid", data_format=None, dilation_rate=(1, 1), groups=1,
        activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros", kernel_regularizer=None,
        bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, lora_rank=None, lora_alpha=None,
        **kwargs,
    ):
        pass


@configured
class Conv2DTranspose(Layer):
    """The transposed convolution, which enlarges by its strides. kernel (height, width, filters, in)."""

    def __init__(
        self, filters, kernel_size, strides=(1, 1), padding="valid", output_padding=None, data_format=None, dilation_rate=(1, 1),
        activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros", kernel_regularizer=None,
        bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, **kwargs,
    ):
        pass


@configured
class DepthwiseConv2D(Layer):
    """A convolution of each channel by itself. kernel (height, width, in, depth_multiplier)."""

    def __init__(
        self, kernel_size, strides=(1, 1), padding="valid", depth_multiplier=1, data_format=None, dilation_rate=(1, 1),
        activation=None, use_bias=True, depthwise_initializer="glorot_uniform", bias_initializer="zeros",
        depthwise_regularizer=None, bias_regularizer=None, activity_regularizer=None, depthwise_constraint=None,
        bias_constraint=None, **kwargs,
    ):
        pass


@configured
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


@configured
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


@configured
class Activation(Layer):
    """An activation: a name ("relu"), a function of xfer.activations, or a layer without weights."""

    def __init__(self, activation, **kwargs):
        pass


@configured
class ReLU(Layer):
    """max(x, 0), capped at max_value (6 for ReLU6), with a slope below the threshold."""

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        pass


@configured
class LeakyReLU(Layer):
    """x above 0, negative_slope · x below. alpha is the slope's old name."""

    def __init__(self, negative_slope=0.3, alpha=None, **kwargs):
        pass


@configured
class ELU(Layer):
    """x above 0, alpha · (exp(x) - 1) below."""

    def __init__(self, alpha=1.0, **kwargs):
        pass


@configured
class PReLU(Layer):
    """x above 0, alpha · x below; alpha is learned and has the shape of a sample, with 1 along shared_axes."""

    def __init__(self, alpha_initializer="Zeros", alpha_regularizer=None, alpha_constraint=None, shared_axes=None, **kwargs):
        pass


@configured
class Softmax(Layer):
    """exp(x) / Σ exp(x) along an axis, or along several together."""

    def __init__(self, axis=-1, **kwargs):
        pass


@configured
class Add(Layer):
    """The sum of a list of inputs."""

    def __init__(self, **kwargs):
        pass


@configured
class Subtract(Layer):
    """The first of two inputs less the second."""

    def __init__(self, **kwargs):
        pass


@configured
class Multiply(Layer):
    """The product of a list of inputs."""

    def __init__(self, **kwargs):
        pass


@configured
class Average(Layer):
    """The mean of a list of inputs."""

    def __init__(self, **kwargs):
        pass


@configured
class Maximum(Layer):
    """The largest of a list of inputs, element by element."""

    def __init__(self, **kwargs):
        pass


@configured
class Minimum(Layer):
    """The smallest of a list of inputs, element by element."""

    def __init__(self, **kwargs):
        pass


@configured
class Dot(Layer):
    """Products of two inputs summed along `axes`, one for both or one each; normalize makes cosines."""

    def __init__(self, axes, normalize=False, **kwargs):
        pass


@configured
class Concatenate(Layer):
    """A list of inputs, one behind the other along an axis."""

    def __init__(self, axis=-1, **kwargs):
        pass


@configured
class ZeroPadding2D(Layer):
    """Zeros around the image: n, (rows, columns) or ((top, bottom), (left, right))."""

    def __init__(self, padding=(1, 1), data_format=None, **kwargs):
        pass


@configured
class Cropping2D(Layer):
    """Takes off the image's sides: n, (rows, columns) or ((top, bottom), (left, right))."""

    def __init__(self, cropping=((0, 0), (0, 0)), data_format=None, **kwargs):
        pass


@configured
class UpSampling2D(Layer):
    """Enlarges images by whole factors: "nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"."""

    def __init__(self, size=(2, 2), data_format=None, interpolation="nearest", **kwargs):
        pass


@configured
class MaxPooling2D(Layer):
    """The largest value of each window; strides None means the pool's size."""

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        pass


@configured
class AveragePooling2D(Layer):
    """The mean of each window, padding not counted; strides None means the pool's size."""

    def __init__(self, pool_size, strides=None, padding="valid", data_format=None, name=None, **kwargs):
        pass


@configured
class GlobalAveragePooling2D(Layer):
    """The mean over height and width."""

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        pass


@configured
class GlobalMaxPooling2D(Layer):
    """The maximum over height and width."""

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        pass


@configured
class Reshape(Layer):
    """The dimensions behind the batch as target_shape, of which one may be -1."""

    def __init__(self, target_shape, **kwargs):
        pass


@configured
class Permute(Layer):
    """The dimensions behind the batch in another order, counted from 1."""

    def __init__(self, dims, **kwargs):
        pass


@configured
class RepeatVector(Layer):
    """(batch, features) to (batch, n, features)."""

    def __init__(self, n, **kwargs):
        pass


@configured
class Flatten(Layer):
    """All dimensions but the batch in one."""

    def __init__(self, data_format=None, **kwargs):
        pass


@configured
class Dropout(Layer):
    """Zeros a share `rate` of the inputs while training and scales the rest by 1 / (1 - rate)."""

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        pass


@configured
class Rescaling(Layer):
    """x · scale + offset."""

    def __init__(self, scale, offset=0.0, **kwargs):
        pass


@configured
class ChannelReorder(Layer):
    """Channels in another order: ChannelReorder((2, 1, 0)) makes BGR of RGB. Xfer's own."""

    def __init__(self, order, **kwargs):
        pass


MaxPool2D, AvgPool2D, GlobalAvgPool2D, GlobalMaxPool2D = MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D
Convolution2D, Convolution2DTranspose, SeparableConvolution2D = Conv2D, Conv2DTranspose, SeparableConv2D


def add(inputs, **kwargs):
    """Add()(inputs)."""
    return Add(**kwargs)(inputs)


def subtract(inputs, **kwargs):
    """Subtract()(inputs)."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs, **kwargs):
    """Multiply()(inputs)."""
    return Multiply(**kwargs)(inputs)


def average(inputs, **kwargs):
    """Average()(inputs)."""
    return Average(**kwargs)(inputs)


def maximum(inputs, **kwargs):
    """Maximum()(inputs)."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs, **kwargs):
    """Minimum()(inputs)."""
    return Minimum(**kwargs)(inputs)


def dot(inputs, axes=-1, **kwargs):
    """Dot(axes)(inputs)."""
    return Dot(axes=axes, **kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """Concatenate(axis)(inputs)."""
    return Concatenate(axis=axis, **kwargs)(inputs)
