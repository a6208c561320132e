"""What both comparisons share: Keras made quiet and repeatable, what Xfer has, the table at the end."""

import contextlib
import json
import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # plain float32 sums
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("XFER_THREADS", "1")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Python"))


@contextlib.contextmanager
def _quiet():
    """TensorFlow's start-up lines go past every logging setting straight to the file descriptor."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


with _quiet():
    import keras
    import tensorflow as tf

    tf.zeros(1)
    tf.get_logger().setLevel("ERROR")
import numpy as np  # noqa: E402

import xfer  # noqa: E402
from xfer import _c  # noqa: E402
from xfer._errors import UNSUPPORTED  # noqa: E402
from xfer._handle import make, text  # noqa: E402

BACKENDS = ("simd", "blas", "naive")
XferError = xfer.XferError


def _rows(self, inputs):
    return keras.ops.matmul(keras.ops.one_hot(inputs, self.input_dim, dtype=self.compute_dtype), self.embeddings)


# A gathered row's gradient reaches TensorFlow's optimizers once for every use: squared there one by one, and not summed first as on Keras' other
# backends and here. As a product of matrices it is one gradient.
keras.layers.Embedding.call = _rows


def create(kind, class_name, config):
    """An object of the library from Keras' config, past all Python classes."""
    return make(kind, getattr(_c.lib, f"xfer_{kind}_create"), class_name.encode(), json.dumps(config).encode())


_seen = {}


def refusal(kind, class_name, config):
    """None if Xfer takes this config, else its words."""
    key = kind, class_name, json.dumps(config, sort_keys=True, default=str)
    if key not in _seen:
        try:
            create(kind, class_name, config)
            _seen[key] = None
        except XferError as error:
            _seen[key] = str(error)
    return _seen[key]


def exists(kind, class_name):
    """Whether Xfer knows the class at all."""
    words = refusal(kind, class_name, {})
    return words is None or f"unknown {kind}" not in words


def unsupported(error):
    """Whether it is a refusal by name of something Xfer says it lacks, rather than a failure."""
    return isinstance(error, XferError) and error.status == UNSUPPORTED


def several_ends():
    """Whether models of several inputs and outputs, weighted metrics and loss weights can be compiled."""
    if "ends" not in _seen:
        model = xfer.Sequential([xfer.Input((2,)), xfer.layers.Dense(1)])
        try:
            model.compile("sgd", "binary_crossentropy", loss_weights=[2.0], weighted_metrics=["accuracy"])
            _seen["ends"] = True
        except (XferError, ValueError):
            _seen["ends"] = False
    return _seen["ends"]


def listed(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def plain(value):
    """JSON's view of a config: tuples are lists, arrays are lists."""
    return json.loads(json.dumps(value, default=lambda v: v.tolist() if hasattr(v, "tolist") else str(v)))


def serialized(thing):
    """(class name, config) of a Keras layer, optimizer, loss or metric, as JSON has it."""
    document = plain(keras.saving.serialize_keras_object(thing))
    return document["class_name"], document["config"]


class Difference(Exception):
    """A comparison that failed."""


def worst(expected, got, scale=None, floor=1.0):
    """(largest |difference| / scale, its index). The scale is that of the whole tensor, and at least `floor`."""
    expected, got = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    if expected.shape != got.shape:
        raise Difference(f"shape {expected.shape} in Keras, {got.shape} in Xfer")
    if expected.size == 0:
        return 0.0, ()
    off = np.abs(expected - got)
    same = (expected == got) | (np.isnan(expected) & np.isnan(got))
    off = np.where(same, 0.0, np.where(np.isfinite(off), off, np.inf))
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(finite.max() if scale is None and finite.size else scale or 0.0, floor)
    index = np.unravel_index(np.argmax(off), off.shape)
    return float(off[index] / scale), tuple(int(i) for i in index)


def compare(what, expected, got, tolerance, floor=1.0):
    """The relative difference; raises Difference, with both numbers, if it is above the tolerance."""
    try:
        difference, index = worst(expected, got, floor=floor)
    except Difference as error:
        raise Difference(f"{what}: {error}") from None
    if not difference <= tolerance:
        e, g = np.asarray(expected)[index], np.asarray(got)[index]
        place = f"[{', '.join(map(str, index))}]" if index else ""
        raise Difference(f"{what}{place}: Keras {e:.8g}, Xfer {g:.8g}; {difference:.2e} of the scale, allowed {tolerance:.0e}")
    return difference


class Table:
    """Cases and worst differences by class, and what was passed over."""

    def __init__(self):
        self.rows = defaultdict(lambda: [0, 0.0, 0])  # (kind, class): cases, worst, failures
        self.missing = Counter()  # (kind, class): how often it would have been used
        self.refused = Counter()  # (kind, class, words)
        self.loose = 0  # weights held to what Keras itself reproduces

    def add(self, kind, name, difference, failed=False):
        row = self.rows[kind, name]
        row[0] += 1
        row[1] = max(row[1], difference)
        row[2] += bool(failed)

    def merge(self, other):
        for key, (cases, difference, failures) in other["rows"]:
            row = self.rows[tuple(key)]
            row[0] += cases
            row[1] = max(row[1], difference)
            row[2] += failures
        self.loose += other["loose"]
        for name in ("missing", "refused"):
            for key, count in other[name]:
                getattr(self, name)[tuple(key)] += count

    def to_json(self):
        return {"rows": list(self.rows.items()), "missing": list(self.missing.items()), "refused": list(self.refused.items()),
                "loose": self.loose}

    def print(self):
        width = max([len(name) for _, name in self.rows] + [20])
        print(f"\n{'kind':<10} {'class':<{width}} {'cases':>6}  {'worst':>8}  failed")
        for (kind, name), (cases, difference, failures) in sorted(self.rows.items()):
            print(f"{kind:<10} {name:<{width}} {cases:>6}  {difference:>8.1e}  {failures or ''}")
        if self.missing:
            print("\nnot in Xfer (times passed over): " + ", ".join(
                f"{name} ({count})" for (_, name), count in sorted(self.missing.items())))
        if self.refused:
            print("\nrefused by Xfer:")
            for (kind, name, words), count in sorted(self.refused.items()):
                print(f"  {kind} {name} ({count}): {words[:160]}")


def library_or_exit():
    if not _c.available():
        sys.exit("libxfer.so.1 is not built: set XFER_LIBRARY or make build")
    names = {plugin["name"] for plugin in xfer.plugins()["plugins"] if plugin["kind"] == "backend"}
    return names


__all__ = [
    "BACKENDS", "Difference", "Table", "XferError", "compare", "create", "exists", "keras", "library_or_exit", "listed", "np", "plain", "refusal",
    "serialized", "several_ends", "text", "tf", "unsupported", "worst", "xfer",
]
