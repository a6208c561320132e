"""Makes layers-*.json: what Keras' layers of convolution, pooling, merging, shape and activation give for small inputs.

Each case holds the class and config as Keras writes them, inputs, weights, the output y, factors w of its elements, and the gradients of
Σ w·y with respect to inputs and weights. Run with Keras 3 on TensorFlow: python layers.py
"""

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

L, A = keras.layers, keras.activations
generator = np.random.default_rng(20)


def numbers(array):
    array = np.asarray(array, np.float64)
    return {"shape": list(array.shape), "values": [float(f"{v:.7g}") for v in array.ravel()]}


def normal(shape):
    return generator.standard_normal(shape).astype(np.float32)


def split_convolution(layer, x):
    """A grouped convolution as several: the CPU kernels of TensorFlow have no gradient of the grouped one."""
    kernels = tf.split(layer.kernel, layer.groups, axis=3)
    parts = [
        keras.ops.conv(part, kernel, strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate)
        for part, kernel in zip(tf.split(x, layer.groups, axis=3), kernels)
    ]
    return layer.activation(tf.concat(parts, axis=3) + layer.bias)


def dilated_transpose(layer, x):
    """A dilated transposed convolution by its kernel with zeros between the taps, for the same reason."""
    kernel, (dh, dw) = layer.kernel, layer.dilation_rate
    kh, kw = layer.kernel_size
    rows = np.zeros(((kh - 1) * dh + 1, kh), np.float32)
    rows[np.arange(kh) * dh, np.arange(kh)] = 1
    columns = np.zeros(((kw - 1) * dw + 1, kw), np.float32)
    columns[np.arange(kw) * dw, np.arange(kw)] = 1
    wide = tf.einsum("ra,cb,abfi->rcfi", rows, columns, kernel)
    y = keras.ops.conv_transpose(x, wide, strides=layer.strides, padding=layer.padding, output_padding=layer.output_padding)
    return layer.activation(y + layer.bias)


def case(layer, *inputs, call=None):
    inputs = [np.asarray(x, np.float32) if not isinstance(x, tuple) else normal(x) for x in inputs]
    given = [tf.constant(x) for x in inputs]
    if not layer.built:
        layer.build([x.shape for x in inputs] if len(inputs) > 1 or isinstance(layer, (L.Add, L.Average)) else inputs[0].shape)
    layer.set_weights([normal(w.shape) * np.float32(0.5) for w in layer.weights])
    variables = [w.value for w in layer.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch(given)
        argument = given if len(given) > 1 or isinstance(layer, (L.Add, L.Average)) else given[0]
        y = call(layer, argument) if call else layer(argument)
        w = normal(y.shape)
        total = tf.reduce_sum(y * w)
    gradients = tape.gradient(total, given + variables)
    return {
        "class": type(layer).__name__, "config": layer.get_config(), "inputs": [numbers(x) for x in inputs],
        "weights": [{"name": v.name, **numbers(v.numpy())} for v in layer.weights], "output": numbers(y), "factors": numbers(w),
        "gradients": [numbers(g) for g in gradients],
    }


def convolution():
    image = (2, 6, 5, 4)
    yield case(L.Conv2D(3, 3), image)
    yield case(L.Conv2D(3, (2, 3), strides=2, padding="same", activation="relu"), image)
    yield case(L.Conv2D(3, (3, 2), strides=(1, 2), padding="valid", use_bias=False), image)
    yield case(L.Conv2D(2, 3, dilation_rate=2, padding="same"), image)
    yield case(L.Conv2D(2, 2, dilation_rate=(1, 3), activation="tanh"), image)
    yield case(L.Conv2D(6, 3, groups=2, padding="same"), image, call=split_convolution)
    yield case(L.Conv2D(8, 2, groups=4, strides=2), image, call=split_convolution)
    yield case(L.Conv2D(4, 3, groups=2, dilation_rate=2, padding="same", activation="silu"), image, call=split_convolution)
    yield case(L.DepthwiseConv2D(3, padding="same", depth_multiplier=2), image)
    yield case(L.DepthwiseConv2D((2, 3), strides=2, activation="relu6"), image)
    yield case(L.DepthwiseConv2D(2, dilation_rate=2, padding="same"), image)
    yield case(L.SeparableConv2D(3, 3, padding="same", depth_multiplier=2), image)
    yield case(L.SeparableConv2D(3, (3, 2), strides=2, activation="elu"), image)
    yield case(L.SeparableConv2D(3, 2, dilation_rate=2, padding="same", use_bias=False), image)
    for padding in ("valid", "same"):
        yield case(L.Conv2DTranspose(3, 3, padding=padding), (2, 3, 4, 2))
        yield case(L.Conv2DTranspose(3, (2, 3), strides=2, padding=padding, activation="relu"), (2, 3, 4, 2))
        yield case(L.Conv2DTranspose(2, (1, 2), strides=(3, 3), padding=padding, use_bias=False), (1, 3, 2, 2))
        yield case(L.Conv2DTranspose(2, 3, strides=2, padding=padding, output_padding=1), (1, 3, 2, 2))
        yield case(L.Conv2DTranspose(2, 3, strides=(2, 3), padding=padding, output_padding=(0, 2)), (1, 3, 2, 2))
        yield case(L.Conv2DTranspose(2, (3, 2), dilation_rate=(2, 1), padding=padding), (1, 4, 3, 2), call=dilated_transpose)
        yield case(L.Conv2DTranspose(2, 2, dilation_rate=3, padding=padding, activation="tanh"), (1, 4, 3, 2), call=dilated_transpose)


def pooling():
    image = (2, 5, 6, 3)
    ties = generator.integers(0, 3, image)
    for padding in ("valid", "same"):
        yield case(L.MaxPooling2D(padding=padding), image)
        yield case(L.MaxPooling2D((3, 2), strides=(2, 1), padding=padding), ties)
        yield case(L.AveragePooling2D(2, padding=padding), image)
        yield case(L.AveragePooling2D((3, 2), strides=(2, 1), padding=padding), image)
    for keepdims in (False, True):
        yield case(L.GlobalAveragePooling2D(keepdims=keepdims), image)
        yield case(L.GlobalMaxPooling2D(keepdims=keepdims), ties)


def merging():
    a, b, c = (2, 3, 4), (2, 3, 4), (2, 1, 4)
    whole = [generator.integers(-2, 3, (2, 3, 4)) for _ in range(3)]
    for layer in (L.Add, L.Multiply, L.Average, L.Maximum, L.Minimum):
        yield case(layer(), a, b, c)
        yield case(layer(), a, (2, 4))
        yield case(layer(), *whole)
    yield case(L.Add(), a)
    yield case(L.Subtract(), a, b)
    yield case(L.Subtract(), c, b)
    yield case(L.Concatenate(), a, (2, 3, 2))
    yield case(L.Concatenate(axis=1), a, c, b)
    yield case(L.Dot(axes=1), (2, 5), (2, 5))
    yield case(L.Dot(axes=-1, normalize=True), (2, 5), (2, 5))
    yield case(L.Dot(axes=(1, 2)), (2, 3, 4), (2, 5, 3))
    yield case(L.Dot(axes=2), (2, 3, 4), (2, 5, 4))
    yield case(L.Dot(axes=(2, 1), normalize=True), (2, 3, 4), (2, 4, 5))
    yield case(L.Dot(axes=(1, 1)), (2, 4), (2, 4, 3))
    yield case(L.Dot(axes=(2, 1)), (2, 3, 4), (2, 4))
    yield case(L.Dot(axes=(2, 1)), (2, 3, 4, 2), (2, 4, 3))


def shaping():
    yield case(L.Reshape((6, 2)), (2, 3, 4))
    yield case(L.Reshape((-1,)), (2, 3, 4))
    yield case(L.Reshape((2, -1, 3)), (2, 3, 4))
    yield case(L.Permute((2, 1)), (2, 3, 4))
    yield case(L.Permute((3, 1, 2)), (2, 3, 4, 2))
    yield case(L.RepeatVector(3), (2, 4))
    yield case(L.Flatten(), (2, 3, 4))
    yield case(L.Flatten(), (3,))
    yield case(L.ZeroPadding2D(), (1, 2, 3, 2))
    yield case(L.ZeroPadding2D((1, 2)), (1, 2, 3, 2))
    yield case(L.ZeroPadding2D(((0, 2), (3, 1))), (1, 2, 3, 2))
    yield case(L.Cropping2D(((1, 0), (0, 2))), (2, 4, 5, 2))
    yield case(L.Cropping2D(1), (2, 4, 5, 2))
    yield case(L.UpSampling2D(), (1, 3, 2, 2))
    yield case(L.UpSampling2D((3, 1)), (1, 3, 2, 2))
    yield case(L.UpSampling2D((2, 3), interpolation="bilinear"), (1, 3, 4, 2))
    # TensorFlow's cubic weights come from a table of 1024 places: factors of two fall on them.
    yield case(L.UpSampling2D((2, 4), interpolation="bicubic"), (1, 5, 4, 2))
    yield case(L.UpSampling2D((3, 2), interpolation="lanczos3"), (1, 5, 4, 2))
    yield case(L.UpSampling2D(2, interpolation="lanczos5"), (1, 6, 4, 1))


def activation():
    # Without sparsemax: Keras 3.15.1 sums the partial sums where the definition has the sum of the support.
    x = np.concatenate([generator.standard_normal(17) * 2, [-100, -6, -3.5, 0.25, 4, 6.5, 60]]).reshape(3, 8)
    names = sorted(name for name in A.ALL_OBJECTS_DICT if name not in ("threshold", "sparsemax")) if hasattr(A, "ALL_OBJECTS_DICT") else [
        "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu",
        "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus",
        "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "swish", "tanh", "tanh_shrink"]
    for name in names:
        yield case(L.Activation(name), np.minimum(x, 20) if name == "exponential" else x)
    yield case(L.Activation(L.LeakyReLU(0.1)), x)
    yield case(L.Dense(3, activation=L.ELU(0.5)), (2, 4))
    yield case(L.Dense(3, activation="mish"), (2, 4))
    yield case(L.ReLU(), x)
    yield case(L.ReLU(max_value=3.0), x)
    yield case(L.ReLU(negative_slope=0.25), x)
    yield case(L.ReLU(max_value=2.0, negative_slope=0.5, threshold=1.0), np.round(x * 2) / 2)
    yield case(L.ReLU(threshold=0.5), x)
    yield case(L.LeakyReLU(), x)
    yield case(L.LeakyReLU(negative_slope=0.05), x)
    yield case(L.ELU(), x)
    yield case(L.ELU(alpha=0.3), x)
    yield case(L.PReLU(), x)
    yield case(L.PReLU(shared_axes=[1, 2]), (2, 3, 2, 4))
    yield case(L.PReLU(shared_axes=2), (2, 3, 4))
    yield case(L.Softmax(), x)
    yield case(L.Softmax(axis=1), (2, 3, 4))
    yield case(L.Softmax(axis=[1, 2]), (2, 3, 4))
    yield case(L.Softmax(axis=(-1, 1)), (2, 3, 2, 4))
    yield case(L.Softmax(axis=[2]), (2, 3, 4))


def functions():
    """Activations with arguments, as eager functions: name, arguments, input, output, factors, gradient."""
    x = np.concatenate([generator.standard_normal(20) * 2, [-3.5, 0.25, 4, 6.5]]).reshape(3, 8).astype(np.float32)
    for name, arguments in [
        ("relu", {"max_value": 6.0}), ("relu", {"negative_slope": 0.5}), ("relu", {"threshold": 1.0}),
        ("relu", {"negative_slope": 0.2, "max_value": 2.0, "threshold": 0.5}), ("leaky_relu", {"negative_slope": 0.01}), ("celu", {"alpha": 0.7}),
        ("elu", {"alpha": 1.5}), ("gelu", {"approximate": True}), ("gelu", {"approximate": False}), ("glu", {"axis": -1}), ("softmax", {"axis": 0}),
        ("log_softmax", {"axis": 0}), ("hard_shrink", {"threshold": 1.0}), ("soft_shrink", {"threshold": 0.2}),
        ("squareplus", {"b": 1.0}), ("threshold", {"threshold": 0.5, "default_value": -2.0}),
    ]:
        given = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(given)
            y = getattr(A, name)(given, **arguments)
            w = normal(y.shape)
            total = tf.reduce_sum(y * w)
        yield {
            "name": name, "arguments": arguments, "input": numbers(x), "output": numbers(y), "factors": numbers(w),
            "gradient": numbers(tape.gradient(total, given)),
        }


if __name__ == "__main__":
    for group in (convolution, pooling, merging, shaping, activation, functions):
        lines = ",\n".join(json.dumps(case) for case in group())
        (Path(__file__).parent / f"layers-{group.__name__}.json").write_text(f"[\n{lines}\n]\n")
