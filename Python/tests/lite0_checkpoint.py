"""Makes checkpoints in the legacy stream and the zip layout, good and bad, without torch."""

import collections
import io
import pickle
import sys
import types
import zipfile

import numpy as np

from xfer.convert import _lite0

MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {"<f4": "FloatStorage", "<i8": "LongStorage"}


def fake_torch(monkeypatch):
    """A module tree with torch's names, so that pickle can write them; reading never imports them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in _TYPES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))

    def _rebuild_tensor_v2(*arguments):
        raise AssertionError("the converter called a function of the file")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    torch._utils = utils
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch


class Tensor:
    """A numpy array that pickles as torch writes a tensor."""

    def __init__(self, torch, key, array, shape=None, strides=None):
        self.torch, self.key, self.array = torch, key, array
        self.shape = array.shape if shape is None else shape
        self.strides = tuple(s // array.itemsize for s in array.strides) if strides is None else strides

    def __reduce__(self):
        storage = _Storage(getattr(self.torch, _TYPES[self.array.dtype.str]), self.key, self.array.size)
        return self.torch._utils._rebuild_tensor_v2, (storage, 0, self.shape, self.strides, False, collections.OrderedDict())


class _Storage:
    def __init__(self, kind, key, count):
        self.kind, self.key, self.count = kind, key, count


class _Pickler(pickle.Pickler):
    legacy = True

    def persistent_id(self, value):
        if isinstance(value, _Storage):
            return ("storage", value.kind, value.key, "cpu", value.count) + ((None,) if self.legacy else ())
        return None


def _pickled(value, legacy):
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, protocol=2)
    pickler.legacy = legacy
    pickler.dump(value)
    return buffer.getvalue()


def legacy_bytes(state, tensors, magic=MAGIC):
    """The legacy stream: `state` pickled, then the storages of `tensors`."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [pickle.dumps(v, 2) for v in (magic, 1001, system)]
    parts += [_pickled(state, True), pickle.dumps([t.key for t in tensors], 2)]
    for tensor in tensors:
        parts += [tensor.array.size.to_bytes(8, "little"), tensor.array.tobytes()]
    return b"".join(parts)


def zip_bytes(state, tensors, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", _pickled(state, False))
        for tensor in tensors:
            archive.writestr(f"archive/data/{tensor.key}", tensor.array.tobytes())
    return buffer.getvalue()


def random_state(torch, seed=0):
    """A state dict of the whole architecture with random values, and its tensors."""
    generator = np.random.default_rng(seed)
    state, tensors = collections.OrderedDict(), []
    for index, (source, _, shape, axes) in enumerate(_lite0.plan()):
        old = [0] * len(axes)
        for position, axis in enumerate(axes):
            old[axis] = shape[position]
        array = generator.standard_normal(old, dtype=np.float32)
        tensors.append(Tensor(torch, str(index), array))
        state[source] = tensors[-1]
    tensors.append(Tensor(torch, "counter", np.array(7, "<i8")))
    state["_bn0.num_batches_tracked"] = tensors[-1]
    return state, tensors
