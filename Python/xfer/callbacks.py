"""Callbacks: a say in training. Those of the library run there; those written in Python run beside them, in the given order."""

import json
import os

from ._c import lib
from ._handle import encode, make, text

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback", "LearningRateScheduler",
    "ModelCheckpoint", "ReduceLROnPlateau", "TensorBoard", "TerminateOnNaN",
]


class Callback:
    """Override what you need. `self.model` is the model being trained, `self.params` {"epochs", "steps", "verbose"}.

    `self.model.stop_training = True` ends training cleanly after the batch. An exception ends it too and comes out of
    `fit`. `logs` holds the figures so far; what a callback puts into them, the later ones and the history see.
    """

    def __init__(self):
        self.params = None
        self._model = None

    def set_params(self, params):
        self.params = params

    def set_model(self, model):
        self._model = model

    @property
    def model(self):
        """The model being trained."""
        return getattr(self, "_model", None)

    def on_train_begin(self, logs=None):
        """Before the first epoch."""

    def on_train_end(self, logs=None):
        """After the last epoch, however training ended, errors excepted."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before an epoch; the first is 0."""

    def on_epoch_end(self, epoch, logs=None):
        """After an epoch and its validation: logs has loss, metrics and val_ figures."""

    def on_batch_begin(self, batch, logs=None):
        """An older name of on_train_batch_begin."""

    def on_batch_end(self, batch, logs=None):
        """An older name of on_train_batch_end."""

    def on_train_batch_begin(self, batch, logs=None):
        """Before a batch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        """After a batch: logs has the epoch's figures so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs=None):
        """Before `evaluate`, and before the validation of an epoch."""

    def on_test_end(self, logs=None):
        """After it, with its figures."""

    def on_test_batch_begin(self, batch, logs=None):
        """Before a batch of it."""

    def on_test_batch_end(self, batch, logs=None):
        """After a batch of it."""

    def on_predict_begin(self, logs=None):
        """Before `predict`."""

    def on_predict_end(self, logs=None):
        """After `predict`."""

    def on_predict_batch_begin(self, batch, logs=None):
        """Before a batch of it."""

    def on_predict_batch_end(self, batch, logs=None):
        """After a batch of it."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class LambdaCallback(Callback):
    """A callback from functions: LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))."""

    def __init__(
        self, on_epoch_begin=None, on_epoch_end=None, on_train_begin=None, on_train_end=None, on_train_batch_begin=None,
        on_train_batch_end=None, **kwargs,
    ):
        super().__init__()
        given = {**kwargs, "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_train_begin": on_train_begin,
                 "on_train_end": on_train_end, "on_train_batch_begin": on_train_batch_begin, "on_train_batch_end": on_train_batch_end}
        for name, function in given.items():
            if name not in HOOKS:
                raise ValueError(f"LambdaCallback: unknown hook {name!r}; known are {', '.join(HOOKS)}")
            if function is not None:
                setattr(self, name, function)


class History(Callback):
    """What `fit` returns: `history` {"loss": [...], "val_loss": [...]}, `epoch` the epochs' numbers."""

    def __init__(self):
        super().__init__()
        self.history = {}
        self.epoch = []

    def on_train_begin(self, logs=None):
        self.epoch = []

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class LearningRateScheduler(Callback):
    """Sets the rate before each epoch to schedule(epoch, rate), or schedule(epoch), which is to be a float."""

    def __init__(self, schedule, verbose=0):
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch, logs=None):
        try:
            rate = self.schedule(epoch, float(self.model.optimizer.learning_rate))
        except TypeError:
            rate = self.schedule(epoch)
        if hasattr(rate, "__array__") and getattr(rate, "ndim", 1) == 0:
            rate = float(rate)
        if not isinstance(rate, float):
            raise ValueError(f"The output of the `schedule` function should be a float. Got: {rate}")
        self.model.optimizer.learning_rate = rate
        if self.verbose > 0:
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class LibraryCallback(Callback):
    """A callback of the library: it runs there. Hooks that a subclass overrides run right after the library's.

    What it knows can be read as attributes: EarlyStopping's `wait`, `best`, `best_epoch`, `stopped_epoch`.
    """

    def _create(self, class_name, config):
        Callback.__init__(self)
        self._config = config
        self._handle = make("callback", lib.xfer_callback_create, class_name.encode(), encode(config))

    def __getattr__(self, name):
        handle = self.__dict__.get("_handle")
        if handle is not None and not name.startswith("_"):
            facts = json.loads(text(lib.xfer_callback_facts, handle))
            if name in facts:
                return facts[name]
            if name in self._config:
                return self._config[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @property
    def _overrides(self):
        """Whether a subclass, or an instance, has hooks of its own."""
        return any(getattr(type(self), hook) is not getattr(Callback, hook) or hook in self.__dict__ for hook in HOOKS)


class EarlyStopping(LibraryCallback):
    """Ends training when the monitored figure has not improved for `patience` epochs."""

    def __init__(
        self, monitor="val_loss", min_delta=0, patience=0, verbose=0, mode="auto", baseline=None, restore_best_weights=False,
        start_from_epoch=0,
    ):
        self._create("EarlyStopping", {
            "monitor": monitor, "min_delta": min_delta, "patience": patience, "verbose": verbose, "mode": mode, "baseline": baseline,
            "restore_best_weights": bool(restore_best_weights), "start_from_epoch": start_from_epoch})


class ReduceLROnPlateau(LibraryCallback):
    """Multiplies the rate by `factor` when the monitored figure has not improved for `patience` epochs."""

    def __init__(
        self, monitor="val_loss", factor=0.1, patience=10, verbose=0, mode="auto", min_delta=1e-4, cooldown=0, min_lr=0.0, **kwargs,
    ):
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}")
        self._create("ReduceLROnPlateau", {
            "monitor": monitor, "factor": factor, "patience": patience, "verbose": verbose, "mode": mode, "min_delta": min_delta,
            "cooldown": cooldown, "min_lr": min_lr, **kwargs})


class ModelCheckpoint(LibraryCallback):
    """Saves the model, or its weights, after epochs or so many batches: ModelCheckpoint("{epoch:02d}-{val_loss:.2f}.keras")."""

    def __init__(
        self, filepath, monitor="val_loss", verbose=0, save_best_only=False, save_weights_only=False, mode="auto", save_freq="epoch",
        initial_value_threshold=None,
    ):
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int)):
            raise ValueError(f"Unrecognized save_freq: {save_freq}. Expected save_freq are 'epoch' or integer values")
        self._create("ModelCheckpoint", {
            "filepath": os.fspath(filepath), "monitor": monitor, "verbose": verbose, "save_best_only": bool(save_best_only),
            "save_weights_only": bool(save_weights_only), "mode": mode, "save_freq": save_freq,
            "initial_value_threshold": initial_value_threshold})


class CSVLogger(LibraryCallback):
    """Writes a line an epoch to a file of comma-separated values."""

    def __init__(self, filename, separator=",", append=False):
        self._create("CSVLogger", {"filename": os.fspath(filename), "separator": separator, "append": bool(append)})


class TerminateOnNaN(LibraryCallback):
    """Ends training when the loss is no number; raise_error: by an error."""

    def __init__(self, raise_error=False):
        self._create("TerminateOnNaN", {"raise_error": bool(raise_error)})


class BackupAndRestore(LibraryCallback):
    """Saves the state of training, and goes on from it when `fit` was interrupted: the same numbers come out."""

    def __init__(self, backup_dir, save_freq="epoch", double_checkpoint=False, delete_checkpoint=True):
        if not backup_dir:
            raise ValueError("Empty `backup_dir` argument passed")
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int)):
            raise ValueError(f"Invalid value for argument `save_freq`. Received: save_freq={save_freq}. Expected either 'epoch' or an integer value.")
        self._create("BackupAndRestore", {
            "backup_dir": os.fspath(backup_dir), "save_freq": save_freq, "double_checkpoint": bool(double_checkpoint),
            "delete_checkpoint": bool(delete_checkpoint)})


class TensorBoard(LibraryCallback):
    """Writes event files that TensorBoard shows: log_dir/train and log_dir/validation."""

    def __init__(
        self, log_dir="logs", histogram_freq=0, write_graph=True, write_images=False, write_steps_per_second=False, update_freq="epoch",
        profile_batch=0, embeddings_freq=0, embeddings_metadata=None,
    ):
        self._create("TensorBoard", {
            "log_dir": os.fspath(log_dir), "histogram_freq": histogram_freq, "write_graph": bool(write_graph),
            "write_images": bool(write_images), "write_steps_per_second": bool(write_steps_per_second), "update_freq": update_freq,
            "profile_batch": profile_batch, "embeddings_freq": embeddings_freq, "embeddings_metadata": embeddings_metadata})


class CallbackList:
    """Passes each event on to several callbacks written in Python, in order."""

    def __init__(self, callbacks=None, add_history=False, add_progbar=False, model=None, **params):
        self.callbacks = list(callbacks or [])
        if add_history and not any(isinstance(callback, History) for callback in self.callbacks):
            self.callbacks.append(History())
        self.set_model(model)
        self.set_params(params)

    def append(self, callback):
        self.callbacks.append(callback)

    def set_params(self, params):
        self.params = params
        for callback in self.callbacks:
            # Objects need not be Callback subclasses.
            getattr(callback, "set_params", lambda params: None)(params)

    def set_model(self, model):
        self.model = model
        for callback in self.callbacks:
            getattr(callback, "set_model", lambda model: None)(model)

    def call(self, hook, *arguments):
        """Runs a hook by name where a callback has it."""
        for callback in self.callbacks:
            function = getattr(callback, hook, None)
            if function is not None:
                function(*arguments)

    def __getattr__(self, name):
        if name not in HOOKS:
            raise AttributeError(name)
        wanted = 2 if "batch" in name or "epoch" in name else 1
        return lambda *arguments, logs=None: self.call(name, *(*arguments, {} if logs is None else logs)[:wanted])
