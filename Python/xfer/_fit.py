"""One call of fit: the library's events become Keras' callback hooks."""

import ctypes
import json
import warnings

from . import _c
from ._c import lib
from ._errors import CANCELLED
from ._handle import Handle
from .callbacks import CallbackList, History


class FitLoop:
    """Listens while the library trains, and finishes an epoch that a callback cut short."""

    def __init__(self, model, run, callbacks, source, steps, epochs, first, verbose):
        self.model, self.run, self.source, self.steps = model, run, source, steps
        self.epochs = epochs
        self.history = History()
        given = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks is not None else []
        self.hooks = CallbackList([self.history] + given, model, epochs=epochs, steps=steps, verbose=verbose)
        self.epoch = first
        self.batch_logs = {}
        # Between a batch's end that asked for a stop and the epoch's end, which has not happened.
        self.cut_short = False
        self.ended = False
        if source is not None:
            source.before_batch = lambda batch: self.hooks.call("on_train_batch_begin", batch, {})

    def run_fit(self, trainer, options, revalidate):
        """Runs the training; revalidate() gives validation figures for an epoch that was cut short, None: none."""
        self.model.history, self.model.stop_training = self.history, False
        listener = _c.EventFunction(self._event)
        options.on_event = listener
        history = ctypes.c_void_p()
        status = lib.xfer_trainer_fit(trainer, options, history)
        if history.value:
            Handle(history.value, "history")
        if self.run.error is None and status == CANCELLED and self.model.stop_training:
            # stop_training is no failure: Keras still ends the epoch, with validation, and the training.
            if self.cut_short:
                logs = dict(self.batch_logs)
                if revalidate is not None:
                    logs.update({"val_" + name: value for name, value in revalidate().items()})
                self.hooks.call("on_epoch_end", self.epoch, logs)
            status = 0
        elif status == CANCELLED and self.source is not None and self.source.ends:
            status = 0
        self.run.finish(status)
        if not self.ended:
            self.hooks.call("on_train_end", self.batch_logs)
        return self.history

    def _event(self, _, event, epoch, batch, logs):
        return self.run.call(self._handle, event, epoch, batch, logs, failed=1)

    def _handle(self, event, epoch, batch, text):
        logs = self.model.ordered(json.loads(text)) if text else {}
        if event == _c.TRAIN_BEGIN:
            self.hooks.call("on_train_begin", {})
        elif event == _c.EPOCH_BEGIN:
            self.epoch, self.batch_logs = epoch, {}
            self.hooks.call("on_epoch_begin", epoch, {})
            self._before(0)
        elif event == _c.BATCH_END:
            self.batch_logs = logs
            self.hooks.call("on_train_batch_end", batch, logs)
            self.cut_short = self.model.stop_training
            if not self.cut_short:
                self._before(batch + 1)
        elif event == _c.EPOCH_END:
            self.hooks.call("on_epoch_end", epoch, logs)
            self.batch_logs = logs
            if self.source is not None and self.source.ends and epoch + 1 < self.epochs:
                warnings.warn(
                    f"the input ran out of data after epoch {epoch + 1} of {self.epochs}: an iterator that is read only once "
                    "wants steps_per_epoch, or give something that can be iterated again", stacklevel=2)
                return 1
        elif event == _c.TRAIN_END:
            self.ended = True
            self.hooks.call("on_train_end", self.batch_logs)
        return int(bool(self.model.stop_training))

    def _before(self, batch):
        """The hook before a batch where the number of batches is known; sources call it by themselves."""
        if self.source is None and self.steps is not None and batch < self.steps:
            self.hooks.call("on_train_batch_begin", batch, {})
