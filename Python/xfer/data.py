"""Where batches come from: image folders, arrays, and anything in Python that yields (x, y)."""

import ctypes
import itertools
import json
import math
from ctypes import byref, c_void_p

import numpy as np

from . import _c
from ._c import lib
from ._errors import check
from ._handle import Handle, make, text
from .tensor import Tensor, lend, view_of

_sources = {}
_tickets = itertools.count(1)
_END = object()


class Dataset:
    """Batches of images from class folders, decoded ahead by the library.

    Iterating gives (images, labels) tensors, a new shuffle each time; `fit` and `evaluate` take it as it is.
    `class_names` stand in the order of the label numbers.
    """

    def __init__(self, handle, batch_size, labels=None):
        self._handle = handle
        self.batch_size = batch_size
        # A function from label numbers to targets, None for the numbers themselves.
        self._labels = labels
        self._epoch = 0

    @property
    def info(self):
        """{"count", "class_names", "skipped": [{"path", "reason"}]} as far as known by now."""
        return json.loads(text(lib.xfer_dataset_info, self._handle))

    @property
    def class_names(self):
        return self.info["class_names"]

    def __len__(self):
        """The number of batches, broken images counted."""
        return math.ceil(self.info["count"] / self.batch_size)

    def set_epoch(self, epoch):
        """The next iteration shuffles as `fit` does in this epoch."""
        self._epoch = int(epoch)

    def __iter__(self):
        check(lib.xfer_dataset_restart(self._handle, self._epoch))
        self._epoch += 1
        while (batch := self._next()) is not None:
            yield batch

    def _next(self):
        x, y = c_void_p(), c_void_p()
        check(lib.xfer_dataset_next(self._handle, byref(x), byref(y)))
        if not x.value:
            return None
        images = Tensor(Handle(x.value, "tensor"), terms=[])
        numbers = Tensor(Handle(y.value, "tensor"), terms=[]) if y.value else None
        return images, numbers if self._labels is None else self._labels(np.asarray(numbers))


def class_weighted(y, class_weight, sample_weight=None):
    """Sample weights from class weights; classes that are missing there weigh 1."""
    labels = np.asarray(y)
    if labels.ndim > 1 and labels.shape[-1] > 1:
        labels = labels.argmax(-1)
    labels = labels.reshape(len(labels), -1)[:, 0]
    weights = np.array([float(class_weight.get(int(label), 1.0)) for label in labels], np.float32)
    return weights if sample_weight is None else weights * np.asarray(sample_weight, np.float32)


def is_batches(x):
    """Whether x yields batches, rather than being an array or a list of numbers."""
    if isinstance(x, Dataset) or hasattr(x, "__next__"):
        return True
    if hasattr(x, "__array__") or isinstance(x, (str, bytes, dict)):
        return False
    if isinstance(x, (list, tuple)):
        return bool(x) and all(_is_batch(b) for b in x)
    return hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _is_batch(value):
    """Whether this is (x, y[, sample_weight]), or (x,)."""
    if not isinstance(value, (list, tuple)) or len(value) not in ((1, 2, 3) if isinstance(value, tuple) else (2, 3)):
        return False
    x = value[0]
    several = isinstance(x, (list, tuple)) and bool(x) and all(hasattr(element, "__array__") for element in x)
    return hasattr(x, "__array__") or isinstance(x, dict) or several


class BatchSource:
    """A Python iterable as a data set of the library, within one Run.

    steps: batches an epoch, None for all. An iterator that can be read only once goes on where it stands.
    handles: makes (inputs, targets, sample weights), lists of handles, of a batch's parts (x, y, sample_weight).
    targets: whether batches are to have them; without, a batch may be the inputs alone.
    Batches found by their index (`__len__`, `__getitem__`, as keras.utils.PyDataset) may name their samples: `sample_names(index)` gives a str for each
    sample of a batch, the same in every epoch and program, of no other sample. What fit keeps of the frozen layers is found by it then, without a
    look at the inputs; where all of a batch are kept, `targets(index)`, if there is one, is asked for y or (y, sample_weight) in place of the batch.
    anew: whether each epoch begins with the first batch. Of an iterator that can be read only once, two batches are kept for
    that; then an epoch goes on where the iterator stands. (Keras keeps as many, and validates so.)
    """

    def __init__(self, batches, run, handles, steps=None, targets=True, anew=False):
        self._batches = batches
        self._run = run
        self._handles = handles
        self._steps = steps
        self._targets = targets
        self._once = hasattr(batches, "__next__")
        self._anew = anew
        self._first = None
        self._iterator = None
        self._named = callable(getattr(batches, "sample_names", None)) and hasattr(batches, "__getitem__")
        # The batch, or its index, that was taken to be asked for its samples' names; and these.
        self._ahead = None
        self._names = None
        self._given = 0
        self.exhausted = False

    def open(self):
        """The library's data set over this source, which lives as long as that."""
        ticket = next(_tickets)
        _sources[ticket] = self
        try:
            dataset = make("dataset", lib.xfer_dataset_create_all, _next_batch, _restart, ticket, _forget)
        except BaseException:
            _forget(ticket)
            raise
        if self._named:
            check(lib.xfer_dataset_identify(dataset, _next_names))
        return dataset

    @property
    def ends(self):
        """Whether another epoch would find nothing: read once, and read to the end."""
        return self._once and self.exhausted

    def _start(self):
        if self._named:
            return iter(range(len(self._batches)))
        if hasattr(self._batches, "__iter__"):
            return iter(self._batches)
        return (self._batches[i] for i in range(len(self._batches)))

    def restart(self):
        self._given = 0
        if self._anew:
            self._iterator = self._start()
            if self._once:
                if self._first is None:
                    self._first = list(itertools.islice(self._iterator, 2))
                self._iterator = itertools.chain(self._first, self._iterator)
        elif self._iterator is None or not (self._once or self._steps):
            self._iterator = self._start()

    def names(self):
        """The names of the next batch's samples; none at the end of the epoch."""
        if self._ahead is None:
            index = self._take()
            self._ahead = _END if index is None else index
        given = [] if self._ahead is _END else list(self._batches.sample_names(self._ahead))
        if wrong := [name for name in given if not isinstance(name, str)]:
            raise TypeError(f"sample_names({self._ahead}) is to give a str for each sample, {wrong[0]!r} was given")
        self._names = (ctypes.c_char_p * len(given))(*(name.encode() for name in given))
        return self._names

    def _take(self):
        """The next batch, or its index where samples have names; None at the end of the epoch."""
        if self._steps is not None and self._given >= self._steps:
            return None
        try:
            taken = next(self._iterator)
        except StopIteration:
            if self._steps and not self._once and not self._anew and self._given:
                self._iterator = self._start()
                taken = next(self._iterator)
            else:
                self.exhausted = True
                self._iterator = None if not self._once else self._iterator
                return None
        self._given += 1
        return taken

    def next(self, inputs=True):
        """The handles of the next batch, None at the end of the epoch.

        inputs: whether they are wanted.
        """
        batch, self._ahead = self._take() if self._ahead is None else self._ahead, None
        if batch is None or batch is _END:
            return None
        if self._named:
            if not inputs and hasattr(self._batches, "targets"):
                given = self._batches.targets(batch)
                y, weight = given if isinstance(given, tuple) else (given, None)
                return self._handles(None, y, weight, inputs=False)
            batch = self._batches[batch]
        if not self._targets:
            return self._handles(batch[0] if isinstance(batch, (tuple, list)) else batch, None, None)
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ValueError(f"batches are to be (x, y) or (x, y, sample_weight), {type(batch).__name__} was yielded")
        return self._handles(*(*batch, None)[:3])


@_c.NextAllFunction
def _next_batch(ticket, inputs, input_count, targets, target_count, weights, weight_count):
    source = _sources[ticket]
    failed = object()
    batch = source._run.call(lambda: source.next(input_count[0] > 0), failed=failed)
    if batch is failed:
        return -1
    if batch is None:
        return 0
    for array, count, handles in zip((inputs, targets, weights), (input_count, target_count, weight_count), batch):
        for index, handle in enumerate(handles):
            # The caller may hold the tensor too: the library gets a handle of its own on the same memory.
            array[index] = None if handle is None else lend(view_of(handle)).detach()
        count[0] = len(handles)
    return 1


@_c.NextNamesFunction
def _next_names(ticket, names, count):
    source = _sources[ticket]
    given = source._run.call(source.names, failed=None)
    if given is None:
        return -1
    names[0], count[0] = ctypes.cast(given, ctypes.POINTER(ctypes.c_char_p)), len(given)
    return 1


@_c.RestartFunction
def _restart(ticket, epoch):
    source = _sources[ticket]
    return source._run.call(lambda: source.restart() or 0, failed=-1)


@_c.DestroyFunction
def _forget(ticket):
    _sources.pop(ticket, None)
