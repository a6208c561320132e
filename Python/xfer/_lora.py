"""Low-rank adaptation: what Dense, Conv2D, Embedding and models have of it."""

import numpy as np

from ._c import lib
from ._errors import STATE, XferError, XferValueError, check
from ._handle import encode
from .tensor import constant


def enable(layer, arguments):
    """Calls the library's function with the arguments that are not None."""
    try:
        check(lib.xfer_layer_enable_lora(layer._handle, encode({key: value for key, value in arguments.items() if value is not None})))
    except XferError as refusal:
        # Keras has ValueErrors for these.
        if refusal.status == STATE:
            raise XferValueError(str(refusal), STATE) from None
        raise


class Adaptable:
    """A layer whose kernel can be adapted."""

    # The weight that is adapted.
    _adapted = "kernel"

    def enable_lora(self, rank, lora_alpha=None, a_initializer="he_uniform", b_initializer="zeros"):
        """Adapts the kernel by the product of two small matrices, lora_kernel_a and lora_kernel_b, scaled by lora_alpha / rank, and trains
        it itself no more: compile() the model afterwards. The layer is to be built. Files hold the sum as the kernel.

        >>> base.trainable = False
        >>> model.get_layer("dense").enable_lora(rank=4)
        """
        given = {"a_initializer": a_initializer, "b_initializer": b_initializer}
        own = {key: value for key, value in given.items() if callable(value) and not hasattr(value, "get_config")}
        enable(self, {"rank": rank, "lora_alpha": lora_alpha, **given, **dict.fromkeys(own, "zeros")})
        for key, function in own.items():
            matrix = self._weight(f"lora_{self._adapted}_{key[0]}")
            matrix.assign(function(matrix.shape, dtype="float32"))

    @property
    def lora_enabled(self):
        """Whether the kernel is adapted."""
        return self._weight(f"lora_{self._adapted}_a") is not None

    def __getattr__(self, name):
        # The config has them with LoRA only.
        if name in ("lora_rank", "lora_alpha"):
            return self.get_config().get(name)
        return super().__getattr__(name)

    def _weight(self, name):
        return next((weight for weight in self.weights if weight.name == name), None)

    def _used(self, weight):
        """The kernel as the layer computes with it, a tensor, as in Keras."""
        if weight.name != self._adapted or not self.lora_enabled:
            return weight
        a, b = (self._weight(f"lora_{self._adapted}_{letter}").numpy() for letter in "ab")
        return constant(weight.numpy() + np.float32(self.lora_alpha / self.lora_rank) * np.matmul(a, b))
