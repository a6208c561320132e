"""More of Keras' layers, of `xfer.layers`: normalizations, noise, images, tables. Images are NHWC ("channels_last")."""

import inspect

import numpy as np

from . import _c
from ._c import lib
from ._errors import check
from ._handle import encode
from .layer import Layer, configured, settings
from ._lora import Adaptable
from .symbol import Symbol
from .tensor import Tensor, constant, data_handle

__all__ = [
    "AlphaDropout", "CenterCrop", "Embedding", "GaussianDropout", "GaussianNoise", "GroupNormalization", "LayerNormalization",
    "MultiHeadAttention", "Normalization", "RMSNormalization", "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation",
    "RandomTranslation", "RandomZoom", "Resizing", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "UnitNormalization",
]


@configured
class LayerNormalization(Layer):
    """Each sample normalized over `axis`. Weights: gamma, beta of the shape of these dimensions."""

    def __init__(
        self, axis=-1, epsilon=0.001, center=True, scale=True, rms_scaling=False, beta_initializer="zeros", gamma_initializer="ones",
        beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None, **kwargs,
    ):
        pass


@configured
class GroupNormalization(Layer):
    """Each sample normalized over groups of channels; groups -1 is one a channel. Weights: gamma, beta (channels,)."""

    def __init__(
        self, groups=32, axis=-1, epsilon=0.001, center=True, scale=True, beta_initializer="zeros", gamma_initializer="ones",
        beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None, **kwargs,
    ):
        pass


@configured
class RMSNormalization(Layer):
    """x / sqrt(mean(x²) + epsilon) · scale over `axis`."""

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        pass


@configured
class UnitNormalization(Layer):
    """x divided by its Euclidean norm over `axis`."""

    def __init__(self, axis=-1, **kwargs):
        pass


@configured
class SpatialDropout1D(Layer):
    """Dropout of whole channels of (batch, steps, channels)."""

    def __init__(self, rate, seed=None, name=None, dtype=None):
        pass


@configured
class SpatialDropout2D(Layer):
    """Dropout of whole channels of images."""

    def __init__(self, rate, data_format=None, seed=None, name=None, dtype=None):
        pass


@configured
class SpatialDropout3D(Layer):
    """Dropout of whole channels of volumes."""

    def __init__(self, rate, data_format=None, seed=None, name=None, dtype=None):
        pass


@configured
class GaussianNoise(Layer):
    """Adds normal noise of this deviation, from 0 to 1, while training."""

    def __init__(self, stddev, seed=None, **kwargs):
        pass


@configured
class GaussianDropout(Layer):
    """Multiplies by normal noise around 1 of deviation sqrt(rate / (1 - rate)) while training."""

    def __init__(self, rate, seed=None, **kwargs):
        pass


@configured
class AlphaDropout(Layer):
    """Dropout for networks of SELU: keeps mean and variance."""

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        pass


class Embedding(Adaptable, Layer):
    """Rows of a table by number: ids (batch, ...) to (batch, ..., output_dim). Weight: embeddings (input_dim, output_dim).

    `weights` are first values of the table. An id outside the table gives a row of NaN. mask_zero is refused.
    """

    _adapted = "embeddings"

    def __init__(
        self, input_dim, output_dim, embeddings_initializer="uniform", embeddings_regularizer=None, embeddings_constraint=None,
        mask_zero=False, weights=None, lora_rank=None, lora_alpha=None, quantization_config=None, **kwargs,
    ):
        scope = {name: value for name, value in locals().items() if name not in ("weights", "__class__")}
        signature = inspect.signature(Embedding.__init__)
        own = signature.replace(parameters=[p for p in signature.parameters.values() if p.name != "weights"])
        Layer.__init__(self, "Embedding", settings(scope, own))
        if weights is not None:
            self.build((None,))
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])


@configured
class MultiHeadAttention(Layer):
    """Attention of several heads: layer(query, value, key=None, attention_mask=None, return_attention_scores=False,
    training=None, use_causal_mask=False).

    query (batch, T, features), value and key (batch, S, features), attention_mask (batch, T, S) or (batch, heads, T, S).
    With scores, a pair: output (batch, T, features), scores (batch, heads, T, S). Weights: kernel and bias of query, key,
    (gate,) value and attention_output.
    """

    def __init__(
        self, num_heads, key_dim, value_dim=None, dropout=0.0, use_bias=True, output_shape=None, attention_axes=None,
        sliding_window=None, flash_attention=None, kernel_initializer="glorot_uniform", bias_initializer="zeros",
        kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None,
        use_gate=False, seed=None, **kwargs,
    ):
        pass

    def __call__(
        self, query, value, key=None, query_mask=None, value_mask=None, key_mask=None, attention_mask=None,
        return_attention_scores=False, training=None, use_causal_mask=False,
    ):
        for name, mask in (("query_mask", query_mask), ("value_mask", value_mask), ("key_mask", key_mask)):
            if mask is not None:
                raise ValueError(f"`{name}` is not supported: give an attention_mask")
        if training is not None and not isinstance(training, (bool, np.bool_)):
            raise ValueError(f"`training` is None or a bool, {training!r} was given")
        inputs = {"query": query, "value": value, "key": key, "attention_mask": attention_mask}
        inputs = {name: given for name, given in inputs.items() if given is not None}
        arguments = {"inputs": list(inputs)}
        # Absent means False, in the library as in Keras; what is not said is not written into configs.
        arguments |= {"return_attention_scores": True} if return_attention_scores else {}
        arguments |= {"use_causal_mask": True} if use_causal_mask else {}
        check(lib.xfer_layer_set_call_arguments(self._handle, encode(arguments)))
        mode = _c.TRAINING[None if training is None else bool(training)]
        values = list(inputs.values())
        if self._functions:
            self._bind_functions_of([v.shape for v in values])
        symbolic = any(isinstance(v, Symbol) for v in values)
        results = self._apply(values, mode) if symbolic else self._compute(values, mode)
        results = tuple(results) if return_attention_scores else results[0]
        if symbolic and self._first_call is None:
            self._first_call = values, results
        self._called = True
        return results


@configured
class Resizing(Layer):
    """Images at another size, by "bilinear", "nearest", "bicubic", "area", "lanczos3" or "lanczos5". Always float32, not rounded."""

    def __init__(
        self, height, width, interpolation="bilinear", crop_to_aspect_ratio=False, pad_to_aspect_ratio=False, fill_mode="constant",
        fill_value=0.0, antialias=False, data_format=None, **kwargs,
    ):
        pass


@configured
class CenterCrop(Layer):
    """The middle of each image; too small ones are cropped to the proportions and resized."""

    def __init__(self, height, width, data_format=None, **kwargs):
        pass


def _plain(value):
    """A number or nested lists of an array."""
    return None if value is None else np.asarray(value).tolist()


class Normalization(Layer):
    """(x - mean) / sqrt(variance), by numbers given or learned by `adapt`; `invert` undoes it. Weights: mean, variance, count."""

    def __init__(self, axis=-1, mean=None, variance=None, invert=False, **kwargs):
        config = {"axis": None if axis is None else np.atleast_1d(axis).tolist(), "invert": invert}
        if mean is not None or variance is not None:
            config |= {"mean": _plain(mean), "variance": _plain(variance)}
        Layer.__init__(self, "Normalization", config | settings({"kwargs": kwargs}, inspect.Signature()))

    def adapt(self, data):
        """Learns mean and variance: from an array or tensor, or from all batches of something that yields x or (x, y).

        data: numbers with the batch dimension first. What was learned before is forgotten.
        """
        whole = isinstance(data, (np.ndarray, Tensor))
        count = 0
        for batch in [data] if whole else data:
            x = batch[0] if isinstance(batch, (tuple, list)) and hasattr(batch[0], "shape") else batch
            check(lib.xfer_layer_adapt(self._handle, data_handle(x if isinstance(x, Tensor) else np.asarray(x, np.float32)), count > 0))
            count += 1
        if not count:
            raise ValueError("adapt() received an empty iterable: at least one batch is wanted")

    @property
    def mean(self):
        """What is subtracted, in the inputs' rank; None until it is known."""
        return self._statistic("mean")

    @property
    def variance(self):
        """The squares of what is divided by, in the inputs' rank; None until they are known."""
        return self._statistic("variance")

    def _statistic(self, name):
        shape = self._serialized().get("build_config", {}).get("input_shape")
        if shape is None:
            return None
        axis = self.get_config()["axis"]
        axes = [n % len(shape) for n in ([] if axis is None else np.atleast_1d(axis))]
        kept = [size if place in axes else 1 for place, size in enumerate(shape)]
        found = [weight.numpy() for weight in self.weights if weight.name == name]
        values = found[0] if found else np.asarray(self.get_config()[name], np.float32)
        return constant(np.broadcast_to(values if values.size == 1 else values.reshape(kept), kept))


@configured
class RandomFlip(Layer):
    """Mirrors half of the images: mode "horizontal", "vertical" or "horizontal_and_vertical" (both at once)."""

    def __init__(self, mode="horizontal_and_vertical", seed=None, data_format=None, **kwargs):
        pass


@configured
class RandomRotation(Layer):
    """Turns images by a random part of a full turn: factor f is (-f, f); positive ones go counterclockwise."""

    def __init__(
        self, factor, fill_mode="reflect", interpolation="bilinear", seed=None, fill_value=0.0, data_format=None, **kwargs,
    ):
        pass


@configured
class RandomZoom(Layer):
    """Zooms out (factors above 0) or in (below 0); without width_factor the proportions stay."""

    def __init__(
        self, height_factor, width_factor=None, fill_mode="reflect", interpolation="bilinear", seed=None, fill_value=0.0,
        data_format=None, **kwargs,
    ):
        pass


@configured
class RandomTranslation(Layer):
    """Moves images by random parts of their height and width."""

    def __init__(
        self, height_factor, width_factor, fill_mode="reflect", interpolation="bilinear", seed=None, fill_value=0.0, data_format=None,
        **kwargs,
    ):
        pass


@configured
class RandomCrop(Layer):
    """A window of the images, at one random place a batch; in inference the largest one in the middle, resized."""

    def __init__(self, height, width, seed=None, data_format=None, name=None, **kwargs):
        pass


@configured
class RandomContrast(Layer):
    """(x - mean) · f + mean, f from 1 - factor[0] to 1 + factor[1]; a number is (0, number), as in Keras."""

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        pass


@configured
class RandomBrightness(Layer):
    """x + f · (width of value_range), f from factor[0] to factor[1]; a number f is (-f, f)."""

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        pass
