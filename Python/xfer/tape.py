"""GradientTape: a training loop of one's own."""

import threading
from ctypes import c_void_p

from ._c import lib
from ._errors import STATE, UNSUPPORTED, check, error
from ._handle import Handle, array_of, make
from .tensor import Tensor
from .weight import Weight

_current = threading.local()


def current_tape():
    """The handle of the tape whose `with` block this thread is in, else None."""
    tape = getattr(_current, "tape", None)
    return None if tape is None else tape._handle


class GradientTape:
    """Records calls of layers, models and losses inside a `with` block, for gradients afterwards.

    >>> with GradientTape() as tape:
    ...     loss = loss_fn(targets, model(inputs))
    >>> gradients = tape.gradient(loss, model.trainable_weights)

    persistent: whether `gradient` may be called more than once.
    """

    def __init__(self, persistent=False, watch_accessed_variables=True):
        if not watch_accessed_variables:
            raise error(UNSUPPORTED, "GradientTape(watch_accessed_variables=False): tapes watch trainable weights, and only these")
        self._persistent = persistent
        self._used = False
        self._handle = make("tape", lib.xfer_tape_create)

    def __enter__(self):
        if getattr(_current, "tape", None) is not None:
            raise error(UNSUPPORTED, "a GradientTape inside another one: gradients of gradients are not computed")
        _current.tape = self
        return self

    def __exit__(self, *exception):
        _current.tape = None

    def watch(self, tensor):
        """Refused for anything but weights, which are watched anyway."""
        if not isinstance(tensor, Weight):
            raise error(UNSUPPORTED, "GradientTape.watch: gradients are computed for weights, not for inputs")

    def gradient(self, target, sources, output_gradients=None, unconnected_gradients=None):
        """d target / d source for a weight or a list of them, as tensors; None where there is no dependence.

        target: a scalar computed under this tape by a loss, or a linear expression of such scalars.
        Raises XferError with status XFER_E_STATE for other targets.
        """
        if output_gradients is not None or unconnected_gradients not in (None, "none"):
            raise error(UNSUPPORTED, "GradientTape.gradient: output_gradients and unconnected_gradients are not supported")
        if self._used and not self._persistent:
            raise error(STATE, "a GradientTape gives gradients once; GradientTape(persistent=True) gives them again")
        if getattr(_current, "tape", None) is self and not self._persistent:
            _current.tape = None
        weights = [sources] if isinstance(sources, Weight) else list(sources)
        if not isinstance(target, Tensor) or not target._terms:
            raise error(STATE, "the target of a gradient is a scalar that a loss computed under this tape")
        if not all(isinstance(w, Weight) for w in weights):
            raise error(UNSUPPORTED, "GradientTape.gradient: gradients are computed for weights")
        total = [None] * len(weights)
        for factor, term in target._terms:
            for index, part in enumerate(self._gradients(term, weights)):
                if part is not None and (factor != 1.0 or total[index] is not None):
                    part = factor * part if total[index] is None else total[index] + factor * part
                total[index] = total[index] if part is None else part
        self._used = True
        return total[0] if isinstance(sources, Weight) else total

    def _gradients(self, target, weights):
        handles, count = array_of([w._handle for w in weights])
        results = (c_void_p * max(1, count))()
        check(lib.xfer_tape_gradient(self._handle, target, handles, count, results))
        return [Tensor(Handle(p, "tensor"), terms=[]) if p else None for p in results[:count]]
