"""Callbacks: a say in training."""

__all__ = ["Callback", "CallbackList", "History", "LambdaCallback"]


class Callback:
    """Override what you need. `self.model` is the model being trained, `self.params` {"epochs", "steps", "verbose"}.

    `self.model.stop_training = True` ends training cleanly after the event it is set in. An exception ends it
    too and comes out of `fit`. `logs` holds the figures so far; the hooks of validation batches do not run.
    """

    def __init__(self):
        self.model = None
        self.params = {}

    def set_params(self, params):
        self.params = params

    def set_model(self, model):
        self.model = model

    def on_train_begin(self, logs=None):
        """Before the first epoch."""

    def on_train_end(self, logs=None):
        """After the last epoch, however training ended, errors excepted."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before an epoch; the first is 0."""

    def on_epoch_end(self, epoch, logs=None):
        """After an epoch and its validation: logs has loss, metrics and val_ figures."""

    def on_train_batch_begin(self, batch, logs=None):
        """Before a batch."""

    def on_train_batch_end(self, batch, logs=None):
        """After a batch: logs has the epoch's figures so far."""

    def on_test_begin(self, logs=None):
        """Before `evaluate`."""

    def on_test_end(self, logs=None):
        """After `evaluate`, with its figures."""


class LambdaCallback(Callback):
    """A callback from functions: LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))."""

    _HOOKS = (
        "on_epoch_begin", "on_epoch_end", "on_train_begin", "on_train_end", "on_train_batch_begin", "on_train_batch_end",
        "on_test_begin", "on_test_end",
    )

    def __init__(
        self, on_epoch_begin=None, on_epoch_end=None, on_train_begin=None, on_train_end=None, on_train_batch_begin=None,
        on_train_batch_end=None, **kwargs,
    ):
        super().__init__()
        given = {**kwargs, "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_train_begin": on_train_begin,
                 "on_train_end": on_train_end, "on_train_batch_begin": on_train_batch_begin, "on_train_batch_end": on_train_batch_end}
        for name, function in given.items():
            if name not in self._HOOKS:
                raise ValueError(f"LambdaCallback: unknown hook {name!r}; known are {', '.join(self._HOOKS)}")
            if function is not None:
                setattr(self, name, function)


class History(Callback):
    """What `fit` returns: `history` {"loss": [...], "val_loss": [...]}, `epoch` the epochs' numbers."""

    def __init__(self):
        super().__init__()
        self.history = {}
        self.epoch = []

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class CallbackList:
    """Passes each event on to several callbacks, in order."""

    def __init__(self, callbacks=None, model=None, **params):
        self.callbacks = list(callbacks or [])
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)

    def call(self, hook, *arguments):
        """Runs a hook by name where a callback has it; objects need not be Callback subclasses."""
        for callback in self.callbacks:
            function = getattr(callback, hook, None)
            if function is not None:
                function(*arguments)
