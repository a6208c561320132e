"""Callbacks: a say in training, in the given order."""

import csv
import functools
import os
import sys
import warnings

import numpy as np

from ._c import lib
from ._errors import UNSUPPORTED, error
from ._handle import encode, make

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback", "LearningRateScheduler",
    "ModelCheckpoint", "MonitorCallback", "ReduceLROnPlateau", "SwapEMAWeights", "TensorBoard", "TerminateOnNaN",
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


def hears(callback, hook):
    """Whether a callback does something in a hook."""
    if isinstance(callback, CallbackList):
        return any(hears(member, hook) for member in callback.callbacks)
    function = getattr(callback, hook, None)
    return function is not None and getattr(function, "__func__", function) is not getattr(Callback, hook)


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
            _say(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _say(message):
    """What callbacks tell goes where the progress bar goes, as everything the library prints."""
    print(message, file=sys.stderr)


class MonitorCallback(Callback):
    """What the callbacks share that follow one figure of the logs.

    mode: "min" or "max" is better; "auto" goes by the metric, and is an error where that does not say.
    """

    def __init__(self, monitor="val_loss", mode="auto", baseline=None, min_delta=0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode.", stacklevel=2)
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op = None

    def _set_monitor_op(self):
        """Settles the direction: with the first figures, when the model's metrics are known."""
        if self.monitor_op is not None:
            return
        direction = {"min": "down", "max": "up"}.get(self.mode)
        if direction is None:
            name = self.monitor.removeprefix("val_")
            direction = "down" if name == "loss" else getattr(self.model, "_directions", {}).get(name)
        if direction is None:
            raise ValueError(
                f"{type(self).__name__} callback received monitor={self.monitor}, and whether that is to be maximized or minimized is not known. "
                "Pass `mode='max'` for the highest value or `mode='min'` for the lowest.")
        self.monitor_op = np.greater if direction == "up" else np.less
        if direction == "down":
            self.min_delta = -self.min_delta

    def _is_improvement(self, value, reference):
        return reference is None or self.monitor_op(value - self.min_delta, reference)


class EarlyStopping(MonitorCallback):
    """Ends training when the monitored figure has not improved for `patience` epochs."""

    def __init__(
        self, monitor="val_loss", min_delta=0, patience=0, verbose=0, mode="auto", baseline=None, restore_best_weights=False,
        start_from_epoch=0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self):
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_train_begin(self, logs=None):
        self._reset()

    def on_epoch_end(self, epoch, logs=None):
        self._set_monitor_op()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            # Where no epoch beats the baseline, the best of those that ran is restored.
            self.best_weights = self.model.get_weights()
            self.best_epoch = epoch
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.stopped_epoch > 0 and self.verbose > 0:
            _say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                _say(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs):
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"Early stopping conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs or {})}", stacklevel=2)
        return value


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the rate by `factor` when the monitored figure has not improved for `patience` epochs."""

    def __init__(
        self, monitor="val_loss", factor=0.1, patience=10, verbose=0, mode="auto", min_delta=1e-4, cooldown=0, min_lr=0.0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}")
        self.factor = factor
        self.min_lr = min_lr
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self._reset()

    def _reset(self):
        self.best = None
        self.cooldown_counter = self.wait = 0

    def in_cooldown(self):
        return self.cooldown_counter > 0

    def on_train_begin(self, logs=None):
        self._reset()

    def on_epoch_end(self, epoch, logs=None):
        self._set_monitor_op()
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(
                f"Learning rate reduction is conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join(logs)}.", stacklevel=2)
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce(self, epoch):
        """Lowers the rate; false where it is as low as it may get."""
        rate = float(self.model.optimizer.learning_rate)
        if rate <= np.float32(self.min_lr):
            return False
        lower = max(rate * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = lower
        if self.verbose > 0:
            _say(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {lower}.")
        return True


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, after epochs or so many batches: ModelCheckpoint("{epoch:02d}-{val_loss:.2f}.keras")."""

    def __init__(
        self, filepath, monitor="val_loss", verbose=0, save_best_only=False, save_weights_only=False, mode="auto", save_freq="epoch",
        initial_value_threshold=None,
    ):
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = _frequency(save_freq, "Unrecognized save_freq: {}. Expected save_freq are 'epoch' or integer values")
        endings = (".weights.h5", ".safetensors") if save_weights_only else (".keras",)
        if not self.filepath.endswith(endings):
            raise ValueError(
                f"ModelCheckpoint saves {'weights' if save_weights_only else 'whole models'} to files that end in {' or '.join(endings)}. "
                f"Received: filepath={self.filepath}")
        self._current_epoch = 0
        self._batches_since = 0
        self._last_batch = None

    def on_epoch_begin(self, epoch, logs=None):
        self._current_epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.save_freq == "epoch":
            return
        # A number that does not grow belongs to a new epoch.
        grown = self._last_batch is not None and batch > self._last_batch
        self._batches_since += batch - self._last_batch if grown else batch + 1
        self._last_batch = batch
        if self._batches_since >= self.save_freq:
            self._batches_since = 0
            self._save_model(self._current_epoch, batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._set_monitor_op()
        if self.save_freq == "epoch":
            self._save_model(epoch, None, logs)

    def _save_model(self, epoch, batch, logs):
        logs = logs or {}
        values = {**logs, "epoch": epoch + 1}
        if batch is not None:
            values.setdefault("batch", batch + 1)
        try:
            path = self.filepath.format(**values)
        except KeyError as missing:
            raise KeyError(f'Failed to format this callback filepath: "{self.filepath}". Reason: {missing} is no figure of the logs') from None
        if not self._is_wanted(epoch, logs, path):
            return
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose > 0:
            _say(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _is_wanted(self, epoch, logs, path):
        begin = f"\nEpoch {epoch + 1}: "
        if not self.save_best_only:
            if self.verbose > 0:
                _say(f"{begin}saving model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(f"Can save best model only with {self.monitor} available.", stacklevel=2)
            return True
        if np.ndim(current) > 0:
            warnings.warn(
                f"Can save best model only when `monitor` is a scalar value. Received: {current}. Falling back to `save_best_only=False`.",
                stacklevel=2)
            return True
        self._set_monitor_op()
        before = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(current, self.best):
            if self.verbose > 0:
                _say(f"{begin}{self.monitor} did not improve from {before}")
            return False
        if self.verbose > 0:
            _say(f"{begin}{self.monitor} improved from {before} to {current:.5f}, saving model to {path}")
        self.best = current
        return True


def _frequency(save_freq, refusal):
    if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int)):
        raise ValueError(refusal.format(save_freq))
    return save_freq


class CSVLogger(Callback):
    """Writes a line an epoch to a file of comma-separated values."""

    def __init__(self, filename, separator=",", append=False):
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.append_header = True
        self.csv_file = self.writer = self.keys = None

    def on_train_begin(self, logs=None):
        if self.append and os.path.exists(self.filename):
            with open(self.filename, encoding="utf-8") as file:
                self.append_header = not file.readline()
        self._close()
        self.csv_file = open(self.filename, "a" if self.append else "w", encoding="utf-8", newline="")  # noqa: SIM115 - until training ends
        self.keys = None

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                # Room for validation figures that later epochs may bring.
                self.keys += [f"val_{key}" for key in self.keys]
            self.writer = csv.writer(self.csv_file, delimiter=self.sep)
            if self.append_header:
                self.writer.writerow(["epoch", *self.keys])
        self.writer.writerow([epoch, *(self._field(logs.get(key, "NA")) for key in self.keys)])
        self.csv_file.flush()

    @staticmethod
    def _field(value):
        return f'"[{", ".join(map(str, value))}]"' if np.ndim(value) > 0 else value

    def _close(self):
        if self.csv_file is not None:
            self.csv_file.close()
        self.csv_file = self.writer = None

    def on_train_end(self, logs=None):
        self._close()


class TerminateOnNaN(Callback):
    """Ends training when the loss is no number; raise_error: by an error."""

    def __init__(self, raise_error=False):
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None or np.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. Terminating training immediately.")
        _say(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True


class SwapEMAWeights(Callback):
    """Evaluates, and with swap_on_epoch also ends epochs, with the moving averages of an optimizer with use_ema in the place of the weights."""

    def __init__(self, swap_on_epoch=False):
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _pairs(self):
        """Each trained weight with its average; none before the first step."""
        optimizer = self.model.optimizer
        if not optimizer.use_ema:
            raise ValueError(f"SwapEMAWeights must be used when `use_ema=True` is set on the optimizer. Received: use_ema={optimizer.use_ema}")
        averages = [variable for variable in optimizer.variables if variable.name.endswith("_average")]
        return zip(self.model.trainable_weights, averages)

    def _swap(self, to_averages):
        if self._swapped == to_averages:
            return
        for weight, average in self._pairs():
            values = weight.numpy()
            weight.assign(average.numpy())
            average.assign(values)
        self._swapped = to_averages

    def on_epoch_begin(self, epoch, logs=None):
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch, logs=None):
        if not self.swap_on_epoch:
            return
        self._swap(True)
        if epoch + 1 == self.params["epochs"]:
            # The end of `fit` writes the averages over the weights: they are to be the same then.
            for weight, average in self._pairs():
                average.assign(weight.numpy())

    def on_test_begin(self, logs=None):
        self._swap(True)

    def on_test_end(self, logs=None):
        self._swap(False)

    def on_predict_begin(self, logs=None):
        self._swap(True)

    def on_predict_end(self, logs=None):
        self._swap(False)


class LibraryCallback(Callback):
    """A callback that runs in the library, around whose work a subclass may have hooks.

    The library's work in a hook follows a subclass' own, which has to call super()'s: it cannot be left out. What is given to
    the constructor is fixed there.
    """

    # The hooks in which the library does something.
    _works_in = ()
    _handle = None
    # Within a run, the hooks whose work was asked for by calling them.
    _asked = None

    def _create(self, config):
        Callback.__init__(self)
        self._config = config
        self._handle = make("callback", lib.xfer_callback_create, self._class_name.encode(), encode(config))

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "_works_in" in vars(cls):
            cls._class_name = cls.__name__
            for hook in cls._works_in:
                setattr(cls, hook, _asking(hook))

    def __getattr__(self, name):
        if name in self.__dict__.get("_config", {}):
            return self._config[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name, value):
        if name in self.__dict__.get("_config", {}):
            raise AttributeError(f"{self._class_name}: '{name}' is fixed when the object is made; make another one")
        super().__setattr__(name, value)

    def _overrides(self, hook):
        """Whether a subclass, or the instance, has this hook of its own."""
        method = getattr(type(self), hook)
        return hook in self.__dict__ or method is not getattr(Callback, hook) and not hasattr(method, "_asks")

    def hooks(self):
        """The subclass' own hooks as an object to call; None where it has none."""
        own = {hook for hook in HOOKS if self._overrides(hook)}
        # The older names are called by the newer ones, where these are not the library's.
        own |= {hook for hook in ("on_train_batch_begin", "on_train_batch_end") if hook not in self._works_in and hook.replace("train_", "") in own}
        return _Checked(self, own) if own else None


def _asking(hook):
    def ask(self, *arguments, logs=None):
        if self._asked is None:
            raise error(UNSUPPORTED, f"{self._class_name}.{hook} works within fit, evaluate and predict: it cannot be called by hand")
        self._asked.add(hook)

    ask.__name__, ask.__doc__, ask._asks = hook, getattr(Callback, hook).__doc__, True
    return ask


class _Checked:
    """The hooks of a LibraryCallback's subclass; one that leaves the library's out is an error."""

    def __init__(self, callback, hooks):
        for hook in hooks:
            setattr(self, hook, functools.partial(self._run, callback, hook))

    @staticmethod
    def _run(callback, hook, *arguments):
        callback._asked = set()
        try:
            getattr(callback, hook)(*arguments)
            if hook in callback._works_in and hook not in callback._asked:
                raise error(
                    UNSUPPORTED, f"{type(callback).__name__}.{hook} did not call super().{hook}: what {callback._class_name} does there "
                    "cannot be left out")
        finally:
            callback._asked = None


class BackupAndRestore(LibraryCallback):
    """Saves the state of training, and goes on from it when `fit` was interrupted: the same numbers come out."""

    _works_in = ("on_train_begin", "on_train_batch_end", "on_epoch_end", "on_train_end")

    def __init__(self, backup_dir, save_freq="epoch", double_checkpoint=False, delete_checkpoint=True):
        if not backup_dir:
            raise ValueError("Empty `backup_dir` argument passed")
        _frequency(save_freq, "Invalid value for argument `save_freq`. Received: save_freq={}. Expected either 'epoch' or an integer value.")
        self._create({
            "backup_dir": os.fspath(backup_dir), "save_freq": save_freq, "double_checkpoint": bool(double_checkpoint),
            "delete_checkpoint": bool(delete_checkpoint)})


class TensorBoard(LibraryCallback):
    """Writes event files that TensorBoard shows: log_dir/train and log_dir/validation."""

    _works_in = (
        "on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_test_end", "on_epoch_end", "on_train_end")

    def __init__(
        self, log_dir="logs", histogram_freq=0, write_graph=True, write_images=False, write_steps_per_second=False, update_freq="epoch",
        profile_batch=0, embeddings_freq=0, embeddings_metadata=None,
    ):
        self._create({
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
