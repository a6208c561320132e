"""compile, fit, evaluate, predict and their kin."""

import ctypes
import json
import math
import numbers
import operator
import os
import re
import types
import warnings

import numpy as np

from . import _c, losses, metrics as metric_module, optimizers, phases as phase_module
from ._c import lib
from ._errors import DATA, NOT_COMPILED, check, error
from ._fit import Callbacks, listed
from ._handle import Handle, array_of, encode, make, optional_text, text, text_once
from ._rates import LearningRateRange
from ._run import Run
from ._structure import by_name, is_nest, leaves, named
from .callbacks import Callback, CallbackList, History, LibraryCallback, hears
from .data import BatchSource, Dataset, is_batches
from .tensor import data_handle, label_handle, lend, take, view_of, weight_handle

_BATCH = 32
_CACHES = {"memory": 0, None: 1, "off": 1, "disk": 2}
_CACHE_DTYPES = {"float32": 1, "bfloat16": 3}


def _caching(cache, cache_folder, cache_bytes, cache_dtype, cache_variants):
    """The C options of how features are kept."""
    if cache not in _CACHES:
        raise ValueError(f"cache is \"memory\", \"disk\" or None, {cache!r} was given")
    if cache_dtype not in _CACHE_DTYPES:
        raise ValueError(f"cache_dtype is \"float32\" or \"bfloat16\", {cache_dtype!r} was given")
    variants = 0 if cache_variants is None else _whole(cache_variants, "cache_variants")
    if cache_variants is not None and variants < 1:
        raise ValueError(f"cache_variants is None or above 0, {cache_variants!r} was given")
    return {
        "cache": _CACHES[cache], "cache_folder": None if cache_folder is None else os.fsencode(cache_folder),
        "cache_bytes": 0 if cache_bytes is None else _bytes(cache_bytes, "cache_bytes"),
        "cache_dtype": _CACHE_DTYPES[cache_dtype], "cache_variants": variants}


def _flat(items):
    """The elements of lists within lists."""
    return [leaf for item in items for leaf in (_flat(item) if isinstance(item, list) else [item])]


class Feed:
    """What fit, evaluate or predict reads: either arrays, or a data set; put into the C options by `fill`.

    anew: whether each pass over batches begins with the first one, also where `steps` ended the one before.
    """

    def __init__(self, run, model, x, y=None, sample_weight=None, steps=None, targets=True, anew=False):
        self.arrays = self.source = self.dataset = None
        self.steps = steps
        self._kept = []
        if isinstance(x, Dataset) and x._labels is None and not (anew and steps):
            self.dataset = x._handle
        elif y is None and is_batches(x):
            self.source = BatchSource(x, run, model._handles_of, steps, targets, anew)
            self.dataset, self.steps = self.source.open(), None
        elif y is None and targets:
            raise ValueError("targets are missing: give `y`, or an iterable of (x, y) batches as `x`")
        else:
            self.arrays = model._handles_of(x, y, sample_weight)
        if self.dataset is not None and (y is not None or sample_weight is not None):
            raise ValueError("`y` and `sample_weight` were given beside a data set, which brings its own")

    def cut(self, start, stop):
        """Leaves these rows of the arrays."""
        self.arrays = self._rows(start, stop)

    def split(self, share, rows):
        """Takes the last share of the arrays' rows away; gives the first `rows` of them."""
        kept = math.floor(len(view_of(self.arrays[0][0])) * (1 - share))
        held = Feed.__new__(Feed)
        held.source = held.dataset = held.steps = None
        held._kept, held.arrays = [], self._rows(kept, kept + rows)
        self.cut(0, kept)
        return held

    def _rows(self, start, stop):
        return [[None if handle is None else lend(view_of(handle)[start:stop]) for handle in handles] for handles in self.arrays]

    def inputs(self, size):
        """The inputs batch by batch, as lists of handles."""
        if self.arrays is None:
            self.source.restart()
            while (batch := self.source.next()) is not None:
                yield batch[0]
            return
        count = len(view_of(self.arrays[0][0]))
        for start in range(0, count if self.steps is None else min(count, self.steps * size), size):
            yield self._rows(start, start + size)[0]

    def fill(self, options, prefix=""):
        if self.arrays is None:
            setattr(options, prefix + "dataset", self.dataset.pointer)
        else:
            for name, handles in zip(("input", "target", "sample_weight"), self.arrays):
                pointers, count = array_of(handles)
                self._kept.append(pointers)
                setattr(options, f"{prefix}{name}s", ctypes.cast(pointers, ctypes.POINTER(ctypes.c_void_p)))
                setattr(options, f"{prefix}{name}_count", count)
        if self.steps is not None:
            setattr(options, "validation_steps" if prefix else "steps_per_epoch", int(self.steps))


def _verbosity(verbose):
    if verbose == "auto" or verbose is True:
        return 1
    if isinstance(verbose, str) or verbose not in (0, 1, 2):
        raise ValueError(f"`verbose` is to be 0, 1, 2 or \"auto\", {verbose!r} was given")
    return int(verbose)


def _steps(value, name):
    if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1):
        raise ValueError(f"`{name}` is to be a whole number above 0, {value!r} was given")
    return value


def _whole(value, name, bits=32):
    """Keras takes no float for a number of things, were it a whole one. C's numbers have so many bits, beyond which ctypes would cut them off."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` is to be a whole number, {value!r} was given") from None
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise ValueError(f"`{name}` is to be below 2**{bits - 1}, {value!r} was given")
    return number


_UNITS = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def _bytes(value, name):
    """A number of bytes, or text with a unit: "1.5GB" is 1.5e9, "1.5GiB" is 1.5 * 2**30."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*)\s*", str(value).lower())
    try:
        count = int(float(match[1]) * _UNITS[match[2]])
    except (TypeError, KeyError, ValueError, OverflowError):
        count = 0
    if not 1 <= count < 2**63:
        raise ValueError(f"`{name}` is to be a number of bytes above 0 and below 2**63, or text such as \"1.5GB\"; {value!r} was given")
    return count


def _mapped(value, get):
    """A nest of losses or metrics with objects for its strings and configs; None stays."""
    if value is None or isinstance(value, str) or (isinstance(value, dict) and "class_name" in value):
        return None if value is None else get(value)
    if isinstance(value, dict):
        return {name: _mapped(element, get) for name, element in value.items()}
    return [_mapped(element, get) for element in value] if isinstance(value, (list, tuple)) else get(value)


class Trainable:
    """The training half of a model."""

    _optimizer = None
    loss = None
    history = None
    _trainer = None
    _compiled_metrics = ()
    # The metrics by the names that logs have them under.
    _named_metrics = ()
    _stop = False

    # ---- Inputs and outputs

    @property
    def optimizer(self):
        """What compile() was given, None before."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, value):
        raise AttributeError("model.optimizer is what compile() binds: call compile(optimizer=...) with the new one")

    def _end_names(self, kind):
        """The names of the inputs or outputs: of the dict they were given as, if they were, and of their layers."""
        known = self.__dict__.setdefault("_known_ends", {})
        if kind not in known:
            config = self.get_config()
            if f"{kind}_layers" in config:
                ends = config[f"{kind}_layers"]
                names = [end[0] for end in (ends if isinstance(ends[0], list) else [ends])]
            else:
                members = config["layers"]
                names = [members[0 if kind == "input" else -1]["config"]["name"]]
            known[kind] = names
        keys = getattr(self, f"_{kind}_keys", None)
        return ([keys] if keys else []) + [known[kind]]

    @property
    def input_names(self):
        return list(self._end_names("input")[0])

    @property
    def output_names(self):
        return list(self._end_names("output")[0])

    def _handles_of(self, x, y, sample_weight, inputs=True):
        """Lists of handles on inputs (where they are wanted), targets and sample weights."""
        inputs = [data_handle(a) for a in named(x, self._end_names("input"), "x")] if inputs else []
        targets = [] if y is None else [None if a is None else label_handle(a) for a in named(y, self._end_names("output"), "y", True)]
        weights = [] if sample_weight is None else named(sample_weight, self._end_names("output"), "sample_weight", True)
        return inputs, targets, [weight_handle(w) for w in weights]

    # ---- compile

    def compile(
        self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, weighted_metrics=None, run_eagerly=False,
        steps_per_execution=1, jit_compile="auto", auto_scale_loss=True,
    ):
        """Fixes the set of trainable weights and binds optimizer, losses and metrics.

        optimizer, loss, metrics: objects of xfer.optimizers, xfer.losses, xfer.metrics, or strings; losses and metrics of several
        outputs as a list or as a dict by output name. metrics=None keeps those of the previous compile. run_eagerly,
        steps_per_execution, jit_compile, auto_scale_loss change nothing.
        """
        if loss is None:
            return self._compile_without_loss(optimizers.get(optimizer))
        for name, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if value is not None and not isinstance(value, (list, tuple, dict)):
                raise ValueError(f"Expected `{name}` argument to be a list, tuple, or dict. Received instead: {name}={value!r}")
        self._compile(
            optimizers.get(optimizer), _mapped(loss, losses.get), loss_weights, _mapped(metrics, metric_module.for_compile),
            _mapped(weighted_metrics, metric_module.for_compile))

    def _compile(self, optimizer, loss, loss_weights, metrics, weighted_metrics):
        names = self.output_names
        per_output = self._per_output(loss, "loss")
        if len(per_output) == 1 != len(names):
            per_output = per_output * len(names)
        if len(per_output) != len(names):
            raise ValueError(f"compile: {len(per_output)} losses were given, the model has the outputs {names}")
        self._bind_functions(per_output)
        optimizer._bind(self)
        options = _c.CompileOptions.new()
        options.optimizer = optimizer._handle.pointer
        kept = [array_of([None if a is None else a._handle for a in per_output])]
        options.losses, options.loss_count = ctypes.cast(kept[0][0], ctypes.POINTER(ctypes.c_void_p)), len(names)
        if loss_weights is not None:
            factors = self._per_output(loss_weights, "loss_weights")
            if len(factors) != len(names):
                raise ValueError(f"`loss_weights` must match the number of losses, got {len(names)} losses and {len(factors)} weights.")
            kept.append((ctypes.c_double * len(factors))(*(1.0 if f is None else float(f) for f in factors)))
            options.loss_weights, options.loss_weight_count = ctypes.cast(kept[-1], ctypes.POINTER(ctypes.c_double)), len(factors)
        made = []
        for what, given in (("metric", metrics), ("weighted_metric", weighted_metrics)):
            pairs = [(m, i) for i, group in enumerate(self._metrics_per_output(given, what + "s")) for m in group]
            made.append(pairs)
            pointers, count = array_of([m._handle for m, _ in pairs])
            places = (ctypes.c_int32 * max(1, count))(*(i for _, i in pairs))
            kept.append((pointers, places))
            setattr(options, what + "s", ctypes.cast(pointers, ctypes.POINTER(ctypes.c_void_p)))
            setattr(options, what + "_outputs", ctypes.cast(places, ctypes.POINTER(ctypes.c_int32)))
            setattr(options, what + "_count", count)
        titles = (ctypes.c_char_p * len(names))(*(name.encode() for name in names))
        options.output_names, options.output_name_count = ctypes.cast(titles, ctypes.POINTER(ctypes.c_char_p)), len(names)
        keep = metrics is None and weighted_metrics is None
        options.keep_metrics = int(keep)
        self._trainer = make("trainer", lib.xfer_model_compile_all, self._model_handle(), options)
        self._log_names = json.loads(text(lib.xfer_trainer_log_names, self._trainer))
        self._optimizer, self.loss = optimizer, loss
        if not keep:
            self._take_metrics(*made)

    def _take_metrics(self, plain, weighted):
        """The metrics, (metric, output) pairs, and what the logs call them: the output's name in front where there are several,
        "weighted_" or a number where a name was met before."""
        names, seen, named = self.output_names, {}, []

        def numbered(name):
            count = seen[name] = seen.get(name, -1) + 1
            return f"{name}_{count}" if count else name

        prefixes = [name + "_" if len(names) > 1 else "" for name in names]
        for metric, output in plain:
            named.append((numbered(prefixes[output] + metric.name), metric))
        for metric, output in weighted:
            met = prefixes[output] + metric.name in seen
            named.append((numbered(prefixes[output] + ("weighted_" if met else "") + metric.name), metric))
        self._compiled_metrics = tuple(metric for metric, _ in plain + weighted)
        self._named_metrics = named

    def _arrays(self):
        """The figures of metrics that have several, by the names of the logs."""
        found = ((name, metric._vector()) for name, metric in self._named_metrics)
        return {name: array for name, array in found if array is not None}

    @property
    def _directions(self):
        """Which way a figure of the logs gets better, "up" or "down", where that is known."""
        known = {name: metric._direction for name, metric in self._named_metrics}
        return {**{name: "down" for name in self.metrics_names if name not in known}, **known}

    def _bind_functions(self, per_output):
        """Tells losses that are functions in Python the shapes they will see."""
        ends = getattr(self, "_outputs", None)
        for index, loss in enumerate(per_output):
            if getattr(loss, "_function", None) is not None:
                shape = (ends[index].shape if ends else self.output_shape)[1:]
                target = getattr(loss, "target_shape", None)
                try:
                    loss._bind(shape if target is None else target, shape)
                except ValueError:
                    if target is not None:
                        raise
                    # Not targets of the predictions' shape: class numbers, then.
                    loss._bind((), shape)

    def _per_output(self, value, what):
        """One element an output, of one for all, a list, or a dict by name."""
        if isinstance(value, dict):
            for names in self._end_names("output"):
                if set(value) == set(names):
                    return by_name(value, names, what)
            raise ValueError(f"Expected keys {self.output_names} in {what} dict, but found {what}.keys()={list(value)}")
        return leaves(value) if isinstance(value, (list, tuple)) else [value]

    def _metrics_per_output(self, value, what):
        count = len(self.output_names)
        if not value:
            return [[] for _ in range(count)]
        if count == 1:
            return [[m for m in leaves(list(value.values()) if isinstance(value, dict) else value) if m is not None]]
        groups = None
        if isinstance(value, dict):
            for names in self._end_names("output"):
                if set(value) <= set(names):
                    groups = by_name(value, names, what, partial=True)
                    break
        elif len(value) == count:
            groups = value
        if groups is None:
            raise ValueError(
                f"Invalid `{what}`. `{what}` should contain metrics objects and either be a dict or a list matching the output names "
                f"of the functional model {self.output_names}. Received: {what}={value}")
        return [[] if group is None else [m for m in leaves(group) if m is not None] for group in groups]

    def _restore_compiled(self, handle):
        """Takes over what a file said about compiling, if it said anything."""
        config = optional_text(lib.xfer_model_compile_config, handle, absent=NOT_COMPILED)
        if config is None:
            return
        config = json.loads(config)
        count = sum(len(_flat(config[key] or [])) for key in ("metrics", "weighted_metrics"))
        trainer, optimizer, loss = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        metrics, made = (ctypes.c_void_p * max(1, count))(), ctypes.c_size_t()
        check(lib.xfer_model_compiled(handle, trainer, optimizer, loss, metrics, count, made))
        self._trainer = Handle(trainer.value, "trainer")
        self._optimizer = optimizers.adopt(Handle(optimizer.value, "optimizer"), config["optimizer"]["class_name"])
        self._log_names = json.loads(text(lib.xfer_trainer_log_names, self._trainer))
        made_loss = Handle(loss.value, "loss")
        self.loss = losses.adopt(made_loss, config["loss"]["class_name"]) if isinstance(config["loss"], dict) else config["loss"]
        handles = iter(metrics)
        groups = []
        for key in ("metrics", "weighted_metrics"):
            listed = config[key] or []
            per_output = listed if len(self.output_names) > 1 else [listed]
            groups.append([
                (metric_module.adopt(Handle(next(handles), "metric"), m if isinstance(m, str) else m["class_name"]), output)
                for output, group in enumerate(per_output) for m in _flat(group if isinstance(group, list) else [group] if group else [])])
        self._take_metrics(*groups)

    @property
    def metrics(self):
        """The compiled metrics."""
        return list(self._compiled_metrics)

    @property
    def metrics_names(self):
        """The names of what evaluate returns, in order."""
        if self._trainer is None:
            return ["loss"] + [metric.name for metric in self._compiled_metrics]
        return list(self._log_names)

    def _compiled(self):
        if self._trainer is None:
            raise error(NOT_COMPILED, f"model '{self.name}' is not compiled: call compile() first")
        return self._trainer

    @property
    def stop_training(self):
        """Set it from a callback to end `fit` after the current batch; each `fit` begins with False."""
        if self._trainer is None:
            return self._stop
        value = ctypes.c_int32()
        check(lib.xfer_trainer_get_stop_training(self._trainer, value))
        return bool(value.value)

    @stop_training.setter
    def stop_training(self, value):
        self._stop = bool(value)
        if self._trainer is not None:
            check(lib.xfer_trainer_set_stop_training(self._trainer, int(bool(value))))

    def ordered(self, logs):
        """Figures in Keras' order: losses, the metrics, the same with val_, the rest. JSON's null is NaN."""
        if not logs:
            return {}
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
        cache="memory", cache_folder=None, cache_bytes=None, cache_dtype="float32", cache_variants=None, memory_budget=None,
    ):
        """Trains; returns a History.

        x: an array with targets y (several inputs and outputs as lists, or as dicts by name), or a Dataset, or any iterable of
        (x, y[, sample_weight]) batches; a generator that is read only once wants steps_per_epoch for more than one epoch.
        validation_data: (x, y[, sample_weight]) or batches, of which each epoch sees the same first validation_steps.
        x: a data set found by index (`__len__`, `__getitem__`) that has `sample_names(index)`, a str for each sample of a batch, lets features be found by
        these names, without a look at the inputs; with `targets(index)` (y, or (y, sample_weight)) known inputs are not even loaded.
        stale_trainable: "recompile" takes over `trainable` flags that changed since compile(); "error" raises XferError (XFER_E_STALE_TRAINABLE). Ctrl-C ends training after the current batch and is raised.
        cache: where the outputs of the frozen layers below the first trained one are kept, so that each sample is run through them once:
        "memory", "disk" (a file in cache_folder, else in $XFER_CACHE/features, else in ~/.cache/xfer/features) or None. The numbers are the same.
        cache_bytes: the most they may take: bytes, or text such as "2GB"; None is a quarter of the memory, 8 GiB of the disk. What has no room is
        computed in every epoch.
        cache_dtype: "bfloat16" keeps them in half the room; they are rounded to it then, in the first epoch as in all others.
        cache_variants: with random augmentation ahead of the frozen layers, K gives each sample K fixed augmentations of which epoch e (from 0) trains
        on number e mod K, so that their outputs can be kept. They are drawn from the layers' seeds, the sample and that number alone. None
        draws anew in every epoch and keeps nothing. Validation is not augmented. RandomCrop, which draws once for a batch, is drawn anew
        all the same. Both are refused without a cache.

            augmented = xfer.layers.RandomFlip("horizontal", seed=1)(inputs)
            ...
            model.fit(x, y, epochs=20, cache_dtype="bfloat16", cache_variants=4)
        memory_budget: the most a training step may take with weights and what is packed of them, optimizer state and intermediate values, but without the
        batches themselves and what `cache` keeps: bytes, or text such as "1.5GB". What does not fit is computed twice in place of being kept; the numbers are the same.
        """
        if stale_trainable not in ("error", "recompile"):
            raise ValueError(f"stale_trainable is \"error\" or \"recompile\", {stale_trainable!r} was given")
        given = listed(callbacks)
        own = [callback for callback in given if isinstance(callback, History)]
        history = self.history = own[-1] if own else History()
        self._fit(
            lib.xfer_trainer_fit, x, y, batch_size, epochs, verbose, given, validation_split, validation_data, shuffle, class_weight, sample_weight,
            steps_per_epoch, validation_steps, validation_batch_size, validation_freq,
            _caching(cache, cache_folder, cache_bytes, cache_dtype, cache_variants), last=[] if own else [history], initial_epoch=_whole(initial_epoch, "initial_epoch"),
            recompile_stale=int(stale_trainable == "recompile"), memory_budget=memory_budget)
        return history

    def fit_phases(
        self, x=None, y=None, phases="head-then-all", *, checkpoint=None, save_freq="epoch", resume=False, delete_checkpoint=True, identity=None,
        batch_size=None, verbose="auto", callbacks=None, validation_split=0.0, validation_data=None, shuffle=True, class_weight=None,
        sample_weight=None, steps_per_epoch=None, validation_steps=None, validation_batch_size=None, validation_freq=1,
        cache="memory", cache_folder=None, cache_bytes=None, cache_dtype="float32", cache_variants=None, memory_budget=None,
    ):
        """Trains by phases, with the losses and metrics of compile(); returns a PhaseHistory.

        phases: an xfer.phases.PhasePlan, a list of xfer.phases.Phase, the name of a preset ("linear-probe", "head-then-all",
        "gradual-unfreeze", "layer-decay"), or what a plan's JSON file has. In each phase the base is frozen or unfrozen and the model compiled with the
        phase's optimizer; frozen weights are checked to be bit-equal at its end. Afterwards the model is compiled as in the last one.

        checkpoint: a file that is replaced after each epoch, and with save_freq=N after every N batches; with resume=True training goes
        on from it, where it is there, to the numbers it would have had, in a process that made the same model and data again. It is
        refused for another plan, another base, or another identity (what else the numbers depend on: any JSON). It goes when all is done,
        unless delete_checkpoint=False. What callbacks remember is not in it. The other arguments are those of fit.
        """
        plan = phase_module.encoded(phases)
        settings = {
            "checkpoint": None if checkpoint is None else os.fspath(checkpoint), "save_freq": save_freq, "resume": bool(resume),
            "delete_checkpoint": bool(delete_checkpoint), "identity": {"batch_size": batch_size, "given": identity}}
        config = encode(settings)
        longest = max((phase["epochs"] for phase in json.loads(text(lib.xfer_phases_json, plan))["phases"]), default=1)

        def start(trainer, options, result):
            return lib.xfer_trainer_fit_phases(trainer, plan, config, options, result)

        try:
            found = self._fit(
                start, x, y, batch_size, longest, verbose, listed(callbacks), validation_split, validation_data, shuffle, class_weight,
                sample_weight, steps_per_epoch, validation_steps, validation_batch_size, validation_freq,
                _caching(cache, cache_folder, cache_bytes, cache_dtype, cache_variants), memory_budget=memory_budget)
        finally:
            self._take_trainer()
        history = self.history = phase_module.PhaseHistory(self, json.loads(text(lib.xfer_history_json, found))["phases"])
        return history

    def lr_find(
        self, x=None, y=None, *, min_rate=1e-7, max_rate=1.0, steps=100, smoothing=0.9, divergence=4.0, batch_size=None, shuffle=True,
        class_weight=None, sample_weight=None, cache="memory", cache_folder=None, cache_bytes=None, cache_dtype="float32", cache_variants=None,
    ):
        """Smith's range test: trains on batch after batch with a rate that grows from min_rate to max_rate, and returns a LearningRateRange with
        .rates, .losses, .suggestion and .plot(path). Weights, statistics and optimizer are afterwards what they were, bit for bit.

        smoothing: what counts of the past in the average of the losses. divergence: the test ends when that is so many times its lowest.
        The other arguments are those of fit.
        """
        settings = {"min_rate": min_rate, "max_rate": max_rate, "steps": steps, "smoothing": smoothing, "divergence": divergence}
        config = encode(settings)
        found = self._fit(
            lambda trainer, options, result: lib.xfer_trainer_lr_find(trainer, config, options, result), x, y, batch_size, 1, 0, [], 0.0, None, shuffle,
            class_weight, sample_weight, None, None, None, 1,
            _caching(cache, cache_folder, cache_bytes, cache_dtype, cache_variants))
        return LearningRateRange(json.loads(text(lib.xfer_history_json, found)))

    def _take_trainer(self):
        """Takes over the trainer and optimizer that the library bound to the model last."""
        trainer, optimizer = ctypes.c_void_p(), ctypes.c_void_p()
        count = ctypes.c_size_t()
        check(lib.xfer_model_compiled(self._model_handle(), trainer, optimizer, None, None, 0, count))
        self._trainer = Handle(trainer.value, "trainer")
        made = Handle(optimizer.value, "optimizer")
        self._optimizer = optimizers.adopt(made, json.loads(text(lib.xfer_optimizer_config, made))["class_name"])

    def _fit(
        self, start, x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, class_weight, sample_weight,
        steps_per_epoch, validation_steps, validation_batch_size, validation_freq, caching, last=(), initial_epoch=0,
        recompile_stale=0, memory_budget=None,
    ):
        """What fit and its kin share: start(trainer, options, result) trains; the handle of the history."""
        x = self._ready_for(x, y)
        trainer = self._compiled()
        options = _c.FitOptions.new()
        epochs = _whole(epochs, "epochs")
        options.batch_size = _whole(batch_size or 0, "batch_size")
        options.validation_batch_size = _whole(validation_batch_size or 0, "validation_batch_size")
        options.epochs, options.initial_epoch = max(0, epochs) or _c.NO_EPOCHS, initial_epoch
        if class_weight is not None and isinstance(x, types.GeneratorType):
            raise ValueError(f"Argument `class_weight` is not supported for Python generator inputs. Received: class_weight={class_weight}")
        options.no_shuffle, options.verbose = int(not shuffle), _verbosity(verbose)
        options.recompile_stale = recompile_stale
        for name, value in caching.items():
            setattr(options, name, value)
        options.memory_budget = 0 if memory_budget is None else _bytes(memory_budget, "memory_budget")
        kept = [_fill_frequency(options, validation_freq), _fill_classes(options, class_weight)]
        with Run(lambda: lib.xfer_trainer_cancel(trainer)) as run:
            feed = Feed(run, self, x, y, sample_weight, _steps(steps_per_epoch, "steps_per_epoch"))
            feed.fill(options)
            if validation_split:
                if feed.arrays is None:
                    raise ValueError("`validation_split` is for arrays, batches were given")
                options.validation_split = float(validation_split)
            steps = _steps(validation_steps, "validation_steps")
            rows = None if steps is None else steps * (options.validation_batch_size or options.batch_size or _BATCH)
            held = self._validation(run, validation_data, steps, rows)
            if held is None and rows is not None and 0 < options.validation_split < 1:
                held = feed.split(options.validation_split, rows)
                feed.fill(options)
            if held is not None:
                held.fill(options, "validation_")
                options.validation_split = 0.0
            steps = steps_per_epoch or _batches(x, feed, options.batch_size or _BATCH, options.validation_split)
            hooks = Callbacks(run, self, callbacks, [*last, _Ends(feed.source, epochs)], epochs=epochs, steps=steps, verbose=options.verbose)
            hooks.fill(options)
            result = ctypes.c_void_p()
            status = start(trainer, options, result)
            made = Handle(result.value, "history") if result.value else None
            run.finish(status)
            del kept
            return made

    def _validation(self, run, data, steps, rows):
        """The same first steps of the data, `rows` of arrays, in every epoch."""
        if data is None:
            return None
        if isinstance(data, tuple) or (isinstance(data, list) and len(data) in (2, 3) and not is_batches(data)):
            if len(data) not in (2, 3):
                raise ValueError(f"`validation_data` is to be (x, y) or (x, y, sample_weight), {len(data)} elements were given")
            parts = (*data, None)[:3]
        else:
            parts = data, None, None
        held = Feed(run, self, *parts, steps=steps, anew=True)
        if held.arrays is not None and rows is not None:
            held.cut(0, rows)
            held.steps = None
        return held

    # ---- evaluate and predict

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, steps=None, callbacks=None,
        return_dict=False,
    ):
        """The loss, or [loss, metrics...], or with return_dict a dict of them, over arrays or batches."""
        x = self._ready_for(x, y)
        trainer = self._compiled()
        options = _c.FitOptions.new()
        options.batch_size, options.verbose = _whole(batch_size or 0, "batch_size"), _verbosity(verbose)
        with Run(lambda: lib.xfer_trainer_cancel(trainer)) as run:
            feed = Feed(run, self, x, y, sample_weight, _steps(steps, "steps"))
            feed.fill(options)
            total = steps or _batches(x, feed, options.batch_size or _BATCH)
            hooks = Callbacks(run, self, callbacks, epochs=1, steps=total, verbose=options.verbose)
            hooks.fill(options)
            length, buffer = ctypes.c_size_t(), ctypes.create_string_buffer(1 << 16)
            status = lib.xfer_trainer_evaluate(trainer, options, buffer, len(buffer), length)
            run.finish(status)
        return self._figures(json.loads(buffer.value), return_dict)

    def _figures(self, logs, return_dict):
        logs = {**self.ordered(logs), **self._arrays()}
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """The outputs for all rows of arrays, or for all batches of an iterable: an array, or a list or dict as the model's outputs.

        For callbacks that hear on_predict_batch_end, whose logs have the batch's "outputs", batches run one by one and without a
        progress bar.
        """
        x = self._ready_for(x, None)
        given = listed(callbacks)
        if any(hears(callback, "on_predict_batch_end") for callback in given):
            return self._predict_one_by_one(x, _whole(batch_size or _BATCH, "batch_size"), _steps(steps, "steps"), given)
        options = _c.FitOptions.new()
        options.batch_size, options.verbose = _whole(batch_size or 0, "batch_size"), _verbosity(verbose)
        with Run() as run:
            feed = Feed(run, self, x, steps=_steps(steps, "steps"), targets=False)
            feed.fill(options)
            total = steps or _batches(x, feed, options.batch_size or _BATCH)
            hooks = Callbacks(run, self, given, epochs=1, steps=total, verbose=options.verbose)
            hooks.fill(options)
            return self._nested(self._outputs_of(options, run.finish))

    def _outputs_of(self, options, finish):
        """The outputs for the data of the options, a list of arrays."""
        names = self.output_names
        pointers, count = (ctypes.c_void_p * len(names))(), ctypes.c_size_t()
        finish(lib.xfer_model_predict_all(self._model_handle(), options, pointers, len(names), count))
        return [take(Handle(pointer, "tensor")) for pointer in pointers]

    def _predict_one_by_one(self, x, size, steps, callbacks):
        feed = Feed(None, self, iter(x) if isinstance(x, Dataset) else x, steps=steps, targets=False)
        own = (callback.hooks() if isinstance(callback, LibraryCallback) else callback for callback in callbacks)
        total = steps or _batches(x, feed, size)
        hooks = CallbackList([callback for callback in own if callback is not None], model=self, epochs=1, steps=total, verbose=0)
        hooks.on_predict_begin()
        parts = []
        for index, inputs in enumerate(feed.inputs(size)):
            hooks.on_predict_batch_begin(index)
            options = _c.FitOptions.new()
            pointers, options.input_count = array_of(inputs)
            options.inputs = ctypes.cast(pointers, ctypes.POINTER(ctypes.c_void_p))
            options.batch_size = max(1, len(view_of(inputs[0])))
            parts.append(self._outputs_of(options, check))
            hooks.on_predict_batch_end(index, logs={"outputs": self._nested(parts[-1])})
        hooks.on_predict_end()
        if not parts:
            raise error(DATA, "predict: the data set gave no batch")
        return self._nested([np.concatenate(output) for output in zip(*parts)])

    def _nested(self, arrays):
        """Arrays, one an output, as the model's outputs were given."""
        if getattr(self, "_output_keys", None):
            return dict(zip(self._output_keys, arrays))
        return arrays[0] if len(arrays) == 1 else arrays

    def predict_on_batch(self, x):
        """The outputs for one batch."""
        inputs = x if is_nest(x) else [x]
        return self.predict(x, batch_size=max(1, len(leaves(inputs)[0])), verbose=0)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One step on one batch; the figures are of this batch alone."""
        return self._on_batch(1, x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Loss and metrics of one batch, without training."""
        return self._on_batch(0, x, y, sample_weight, None, return_dict)

    def _on_batch(self, training, x, y, sample_weight, class_weight, return_dict):
        if y is None:
            raise ValueError("targets are missing: give `y`")
        x = self._ready_for(x, y)
        trainer = self._compiled()
        options = _c.FitOptions.new()
        kept = _fill_classes(options, class_weight)
        feed = Feed(None, self, x, y, sample_weight)
        feed.fill(options)
        logs = json.loads(text_once(lib.xfer_trainer_run_batch, trainer, options, training, capacity=1 << 16))
        del kept
        return self._figures(logs, return_dict)


class _Ends(Callback):
    """Ends training when a source that is read only once has nothing left."""

    def __init__(self, source, epochs):
        super().__init__()
        self.source, self.epochs = source, epochs

    def on_epoch_end(self, epoch, logs=None):
        if self.source is not None and self.source.ends and epoch + 1 < self.epochs:
            warnings.warn(
                f"the input ran out of data after epoch {epoch + 1} of {self.epochs}: an iterator that is read only once "
                "wants steps_per_epoch, or give something that can be iterated again", stacklevel=2)
            self.model.stop_training = True


def _batches(x, feed, batch_size, split=0.0):
    """Batches of an epoch, None where nobody knows."""
    if feed.arrays is None:
        return len(x) if hasattr(x, "__len__") else None
    count = len(view_of(feed.arrays[0][0]))
    kept = math.floor(count * (1 - split)) if split else count
    return math.ceil(kept / batch_size) if batch_size > 0 else None


def _fill_frequency(options, frequency):
    if isinstance(frequency, (list, tuple, set)):
        epochs = (ctypes.c_int64 * len(frequency))(*map(int, frequency))
        if not frequency:
            # No epoch at all: one that never comes.
            epochs = (ctypes.c_int64 * 1)(0)
        options.validation_epochs = ctypes.cast(epochs, ctypes.POINTER(ctypes.c_int64))
        options.validation_epoch_count = len(epochs)
        return epochs
    if isinstance(frequency, bool) or not isinstance(frequency, numbers.Integral) or frequency < 1:
        raise ValueError(f"Expected `validation_freq` to be a list or int. Received: validation_freq={frequency!r} of the type {type(frequency)}.")
    options.validation_freq = int(frequency)
    return None


def _fill_classes(options, weights):
    if not weights:
        return None
    classes = (ctypes.c_int64 * len(weights))(*map(int, weights))
    factors = (ctypes.c_double * len(weights))(*map(float, weights.values()))
    options.classes = ctypes.cast(classes, ctypes.POINTER(ctypes.c_int64))
    options.class_weights = ctypes.cast(factors, ctypes.POINTER(ctypes.c_double))
    options.class_weight_count = len(weights)
    return classes, factors
