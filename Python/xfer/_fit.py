"""Callbacks written in Python as callbacks of the library."""

import ctypes
import itertools
import json
import numbers

from . import _c
from ._c import lib
from ._handle import array_of, make
from .callbacks import CallbackList, LibraryCallback

# The hook of each event, and whether it gets a number.
_HOOKS = {
    _c.TRAIN_BEGIN: ("on_train_begin", None), _c.TRAIN_END: ("on_train_end", None), _c.EPOCH_BEGIN: ("on_epoch_begin", "epoch"),
    _c.EPOCH_END: ("on_epoch_end", "epoch"), _c.BATCH_BEGIN: ("on_train_batch_begin", "batch"),
    _c.BATCH_END: ("on_train_batch_end", "batch"), _c.TEST_BEGIN: ("on_test_begin", None), _c.TEST_END: ("on_test_end", None),
    _c.TEST_BATCH_BEGIN: ("on_test_batch_begin", "batch"), _c.TEST_BATCH_END: ("on_test_batch_end", "batch"),
    _c.PREDICT_BEGIN: ("on_predict_begin", None), _c.PREDICT_END: ("on_predict_end", None),
    _c.PREDICT_BATCH_BEGIN: ("on_predict_batch_begin", "batch"), _c.PREDICT_BATCH_END: ("on_predict_batch_end", "batch"),
}

_listeners = {}
_tickets = itertools.count(1)


def _is_number(value):
    return isinstance(value, numbers.Real) or getattr(value, "ndim", 1) == 0


def listed(callbacks):
    """Callbacks as fit, evaluate and predict take them: several, one or none."""
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks is not None else []


class _Listener:
    """Some callbacks that follow one another, as one of the library's."""

    def __init__(self, run, model, callbacks, params, owners, figures):
        self.run, self.model, self.figures = run, model, figures
        self.hooks = CallbackList(callbacks, model=model, **params)
        self.ticket = next(_tickets)
        _listeners[self.ticket] = self
        try:
            # The owner of the handle is the run: kept here, the listener would keep itself by way of the library.
            owner = make("callback", lib.xfer_callback_create_function, _receive, self.ticket, _forget)
        except BaseException:
            _forget(self.ticket)
            raise
        self.pointer = owner.pointer
        owners.append(owner)

    def receive(self, event, epoch, batch, logs):
        hook, number = _HOOKS[event]
        logs = self.figures.complete(event, self.model.ordered(json.loads(logs)) if logs else {})
        before = dict(logs)
        self.hooks.call(hook, *([] if number is None else [epoch if number == "epoch" else batch]), logs)
        for name, value in logs.items():
            if not _is_number(value) or (name in before and _is_number(before[name]) and (value is before[name] or value == before[name])):
                continue
            lib.xfer_callback_set_log(self.pointer, str(name).encode(), float(value))
        return 0


@_c.EventFunction
def _receive(ticket, event, epoch, batch, logs):
    listener = _listeners[ticket]
    return listener.run.call(listener.receive, event, epoch, batch, logs, failed=1)


@_c.DestroyFunction
def _forget(ticket):
    _listeners.pop(ticket, None)


class _Figures:
    """Puts the arrays of metrics with several figures into the logs, in which the library has their means."""

    def __init__(self, model):
        self.model = model
        self.training = self.test = {}

    def complete(self, event, logs):
        if event == _c.BATCH_END:
            self.training = self.model._arrays()
            logs.update(self.training)
        elif event == _c.TEST_BATCH_END:
            self.test = self.model._arrays()
            logs.update(self.test)
        elif event == _c.TEST_END:
            logs.update(self.test)
        elif event in (_c.EPOCH_END, _c.TRAIN_END):
            # The metrics themselves are at the validation by now.
            arrays = {**self.training, **{f"val_{name}": array for name, array in self.test.items()}}
            logs.update((name, array) for name, array in arrays.items() if name in logs)
        return logs


class Callbacks:
    """Given callbacks as the library's, in their order; `last` come behind them."""

    def __init__(self, run, model, given, last=(), **params):
        self.owners, group = [], []
        figures = _Figures(model)

        def close():
            if group:
                _Listener(run, model, list(group), params, self.owners, figures)
                group.clear()

        for callback in [*listed(given), *last]:
            if isinstance(callback, LibraryCallback):
                callback.set_model(model)
                callback.set_params(params)
                # Before the library's work, so that it sees what these put into the logs.
                hooks = callback.hooks()
                if hooks is not None:
                    group.append(hooks)
                close()
                self.owners.append(callback._handle)
            else:
                group.append(callback)
        close()

    def fill(self, options):
        if self.owners:
            pointers, options.callback_count = array_of(self.owners)
            options.callbacks = ctypes.cast(pointers, ctypes.POINTER(ctypes.c_void_p))
            self._kept = pointers


