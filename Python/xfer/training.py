"""compile, fit, evaluate, predict and their kin."""

import ctypes
import json
import math

import numpy as np

from . import _c, losses, metrics as metric_module, optimizers
from ._c import lib
from ._errors import NOT_COMPILED, UNSUPPORTED, check, error
from ._fit import FitLoop
from ._handle import Handle, array_of, make, optional_text, text_once
from ._run import Run
from .data import ArrayBatches, BatchSource, Dataset, class_weighted, is_batches
from .tensor import data_handle, label_handle, take, weight_handle

_BATCH = 32


class Feed:
    """What fit or evaluate reads: either arrays, or a data set; put into the C options by `fill`."""

    def __init__(self, run, x, y=None, sample_weight=None, class_weight=None, steps=None, batch_size=None):
        self.arrays = self.source = self.dataset = self.steps = None
        if isinstance(x, Dataset) and x._labels is None and class_weight is None and steps is None:
            self.dataset, self.steps = x._handle, len(x)
        elif y is None and is_batches(x):
            self.source = BatchSource(x, run, steps, class_weight)
            self.dataset = self.source.open()
        elif y is None:
            raise ValueError("targets are missing: give `y`, or an iterable of (x, y) batches as `x`")
        elif steps is not None:
            self.source = BatchSource(ArrayBatches(x, y, sample_weight, batch_size or _BATCH), run, steps, class_weight)
            self.dataset = self.source.open()
        else:
            if class_weight is not None:
                sample_weight = class_weighted(y, class_weight, sample_weight)
            self.arrays = (data_handle(x), label_handle(y), weight_handle(sample_weight))
            self.count = len(x)
        if self.dataset is not None and y is not None and self.source is None:
            raise ValueError("`y` was given beside a data set, which brings its own targets")

    def fill(self, options):
        if self.arrays is None:
            options.dataset = self.dataset.pointer
        else:
            options.x, options.y, options.sample_weight = (None if h is None else h.pointer for h in self.arrays)

    def fill_validation(self, options):
        if self.arrays is None:
            options.validation_dataset = self.dataset.pointer
        else:
            options.validation_x, options.validation_y = (h.pointer for h in self.arrays[:2])


def _verbosity(verbose):
    return 1 if verbose in ("auto", True) else int(verbose)


class Trainable:
    """The training half of a model."""

    optimizer = None
    loss = None
    history = None
    stop_training = False
    _trainer = None
    _compiled_metrics = ()

    # ---- compile

    def compile(
        self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, weighted_metrics=None, run_eagerly=False,
        steps_per_execution=1, jit_compile="auto", auto_scale_loss=True,
    ):
        """Fixes the set of trainable weights and binds optimizer, loss and metrics.

        optimizer, loss, metrics: objects of xfer.optimizers, xfer.losses, xfer.metrics, or strings. metrics=None keeps
        those of the previous compile. run_eagerly, steps_per_execution, jit_compile, auto_scale_loss change nothing.
        """
        if loss is None:
            raise ValueError("compile: `loss` is required")
        for name, value in (("loss_weights", loss_weights), ("weighted_metrics", weighted_metrics)):
            if value is not None:
                raise error(UNSUPPORTED, f"compile: `{name}` is not supported")
        optimizer, loss = optimizers.get(optimizer), losses.get(loss)
        made = None if metrics is None else [metric_module.get(m) for m in _listed(metrics)]
        self._compile(optimizer, loss, made)

    def _compile(self, optimizer, loss, made):
        # NULL keeps the metrics, an empty list drops them.
        handles, count = (None, 0) if made is None else array_of([m._handle for m in made])
        model = self._model_handle()
        if getattr(loss, "_function", None) is not None:
            ends = getattr(self, "_outputs", None)
            shape = (ends[0].shape if ends else self.output_shape)[1:]
            target = getattr(loss, "target_shape", None)
            loss._bind(shape if target is None else target, shape)
        self._trainer = make("trainer", lib.xfer_model_compile, model, optimizer._handle, loss._handle, handles, count)
        self.optimizer, self.loss = optimizer, loss
        self._compiled_metrics = self._compiled_metrics if made is None else tuple(made)

    def _restore_compiled(self, handle):
        """Takes over what a file said about compiling, if it said anything."""
        config = optional_text(lib.xfer_model_compile_config, handle, absent=NOT_COMPILED)
        if config is None:
            return
        config = json.loads(config)
        count = len(config["metrics"] or [])
        trainer, optimizer, loss = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        metrics, made = (ctypes.c_void_p * max(1, count))(), ctypes.c_size_t()
        check(lib.xfer_model_compiled(handle, trainer, optimizer, loss, metrics, count, made))
        self._trainer = Handle(trainer.value, "trainer")
        self.optimizer = optimizers.adopt(Handle(optimizer.value, "optimizer"), config["optimizer"]["class_name"])
        self.loss = losses.adopt(Handle(loss.value, "loss"), config["loss"]["class_name"])
        names = [m if isinstance(m, str) else m["class_name"] for m in config["metrics"] or []]
        self._compiled_metrics = tuple(metric_module.adopt(Handle(m, "metric"), name) for m, name in zip(metrics, names))

    @property
    def metrics(self):
        """The compiled metrics."""
        return list(self._compiled_metrics)

    @property
    def metrics_names(self):
        """The names of what evaluate returns, in order."""
        return ["loss"] + [metric.name for metric in self._compiled_metrics]

    def _compiled(self):
        if self._trainer is None:
            raise error(NOT_COMPILED, f"model '{self.name}' is not compiled: call compile() first")
        return self._trainer

    def ordered(self, logs):
        """Figures in Keras' order: loss, the metrics as compiled, then the same with val_. JSON's null is NaN."""
        logs = {name: math.nan if value is None else float(value) for name, value in logs.items()}
        names = self.metrics_names
        names += ["val_" + name for name in names]
        rest = [name for name in logs if name not in names]
        return {name: logs[name] for name in [n for n in names if n in logs] + rest}

    # ---- fit

    def fit(
        self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, validation_split=0.0,
        validation_data=None, shuffle=True, class_weight=None, sample_weight=None, initial_epoch=0, steps_per_epoch=None,
        validation_steps=None, validation_batch_size=None, validation_freq=1, *, stale_trainable="error",
    ):
        """Trains; returns a History.

        x: an array with targets y, or a Dataset, or any iterable of (x, y[, sample_weight]) batches; a generator that
        is read only once wants steps_per_epoch for more than one epoch. validation_data: (x, y[, sample_weight]) or
        batches. stale_trainable: "recompile" takes over `trainable` flags that changed since compile(); "error" raises
        XferError (XFER_E_STALE_TRAINABLE). Ctrl-C ends training after the current batch and is raised.
        """
        if stale_trainable not in ("error", "recompile"):
            raise ValueError(f"stale_trainable is \"error\" or \"recompile\", {stale_trainable!r} was given")
        if validation_freq != 1:
            raise error(UNSUPPORTED, f"fit: validation_freq={validation_freq!r}; validation runs after every epoch")
        x = self._ready_for(x, y)
        trainer = self._compiled()
        options = _c.FitOptions.new()
        options.batch_size = int(batch_size or 0)
        options.epochs, options.initial_epoch = int(epochs), int(initial_epoch)
        options.no_shuffle, options.verbose = int(not shuffle), _verbosity(verbose)
        options.recompile_stale = int(stale_trainable == "recompile")
        if epochs <= initial_epoch:
            options.epochs = options.initial_epoch
        with Run(lambda: lib.xfer_trainer_cancel(trainer)) as run:
            feed = Feed(run, x, y, sample_weight, class_weight, steps_per_epoch, batch_size)
            feed.fill(options)
            if validation_split:
                if feed.arrays is None:
                    raise ValueError("`validation_split` is for arrays, batches were given")
                options.validation_split = float(validation_split)
            held = self._validation(run, validation_data, validation_steps, validation_batch_size, options)
            if held is not None:
                held.fill_validation(options)
                options.validation_split = 0.0
            steps = feed.steps
            if feed.arrays is not None:
                kept = math.floor(feed.count * (1 - options.validation_split)) if options.validation_split else feed.count
                steps = math.ceil(kept / (options.batch_size or _BATCH))
            loop = FitLoop(self, run, callbacks, feed.source, steps, options.epochs, options.initial_epoch, options.verbose)
            revalidate = None if held is None else lambda: self._evaluate(run, held, batch_size, 0)
            return loop.run_fit(trainer, options, revalidate)

    def _validation(self, run, data, steps, batch_size, options):
        if data is None:
            return None
        if isinstance(data, (tuple, list)) and len(data) in (2, 3) and not is_batches(data):
            x, y, weights = (*data, None)[:3]
            if weights is None and steps is None and batch_size in (None, options.batch_size or _BATCH):
                return Feed(run, x, y)
            data = ArrayBatches(x, y, weights, batch_size or options.batch_size or _BATCH)
        return Feed(run, data, steps=steps)

    # ---- evaluate and predict

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, steps=None, callbacks=None,
        return_dict=False,
    ):
        """The loss, or [loss, metrics...], or with return_dict a dict of them, over arrays or batches."""
        from .callbacks import CallbackList

        x = self._ready_for(x, y)
        hooks = CallbackList(callbacks, self)
        with Run() as run:
            feed = Feed(run, x, y, sample_weight, None, steps, batch_size)
            hooks.call("on_test_begin", {})
            logs = self._evaluate(run, feed, batch_size, _verbosity(verbose))
        hooks.call("on_test_end", logs)
        return self._figures(logs, return_dict)

    def _evaluate(self, run, feed, batch_size, verbose):
        options = _c.FitOptions.new()
        options.batch_size, options.verbose = int(batch_size or 0), verbose
        feed.fill(options)
        length, buffer = ctypes.c_size_t(), ctypes.create_string_buffer(1 << 16)
        status = lib.xfer_trainer_evaluate(self._compiled(), options, buffer, len(buffer), length)
        run.finish(status)
        return self.ordered(json.loads(buffer.value))

    def _figures(self, logs, return_dict):
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """The outputs for all rows of an array, or for all batches of an iterable, as one array."""
        if is_batches(x):
            parts = []
            for index, batch in enumerate(x):
                if steps is not None and index >= steps:
                    break
                parts.append(self.predict_on_batch(batch[0] if isinstance(batch, (tuple, list)) else batch))
            if not parts:
                raise ValueError("predict: there are no batches")
            return np.concatenate(parts)
        x = self._ready_for(x, None)
        return take(make("tensor", lib.xfer_model_predict, self._model_handle(), data_handle(x), int(batch_size or 0)))

    def predict_on_batch(self, x):
        """The outputs for one batch, as an array."""
        rows = len(x)
        return take(make("tensor", lib.xfer_model_predict, self._model_handle(), data_handle(self._ready_for(x, None)), rows))

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One step on one batch; the figures are of this batch alone."""
        if class_weight is not None:
            sample_weight = class_weighted(y, class_weight, sample_weight)
        return self._on_batch(lib.xfer_trainer_train_on_batch, x, y, sample_weight, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Loss and metrics of one batch, without training."""
        return self._on_batch(lib.xfer_trainer_test_on_batch, x, y, sample_weight, return_dict)

    def _on_batch(self, function, x, y, sample_weight, return_dict):
        if y is None:
            raise ValueError("targets are missing: give `y`")
        x = self._ready_for(x, y)
        handles = data_handle(x), label_handle(y), weight_handle(sample_weight)
        logs = json.loads(text_once(function, self._compiled(), *handles, capacity=1 << 16))
        return self._figures(self.ordered(logs), return_dict)


def _listed(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]
