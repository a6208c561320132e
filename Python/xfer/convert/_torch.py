"""Reads the tensors of a ``.pth`` checkpoint, the legacy stream and the newer zip, as numpy arrays.

Legacy layout: five pickles (magic number, protocol, system facts, the object with its storages named by
persistent ids, the list of storage keys), then for each key the number of elements as int64 and the raw
little-endian elements. Zip layout: NAME/data.pkl and NAME/data/KEY, stored without compression.
"""

import math
import mmap
import os
import zipfile
from io import BytesIO

import numpy as np

from ._errors import ConversionError
from ._pickle import StorageRef, TensorRecord, read_pickle, show

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_LARGEST_PICKLE = 64 << 20


def _elements(raw, dtype):
    if dtype == "bfloat16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(raw, dtype)


def _item_size(dtype):
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _records(value, where):
    """The named tensors of a state dict, or of a checkpoint that holds one."""
    for key in ("state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict):
        raise ConversionError(f"{where} holds a {type(value).__name__}, not a state dict")
    records = {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, TensorRecord)}
    if not records:
        raise ConversionError(f"{where} holds no tensors")
    return records


def _array(name, record, storages, where):
    storage = record.storage
    data = storages[storage.key]
    if storage.view is not None:
        first, count = storage.view
        if first + count > len(data):
            raise ConversionError(f"{where}: tensor {name} views elements {first}...{first + count} of {len(data)}")
        data = data[first:first + count]
    size = math.prod(record.shape)
    last = record.offset + sum((n - 1) * s for n, s in zip(record.shape, record.strides)) if size else -1
    if last >= len(data) or size > len(data):
        raise ConversionError(
            f"{where}: tensor {name} of shape {record.shape} reaches element {last} of a storage of {len(data)}")
    if not size:
        if max(record.shape) > len(data) + 1:
            raise ConversionError(f"{where}: tensor {name} has the impossible shape {record.shape}")
        return np.zeros(record.shape, data.dtype)
    strides = [s * data.itemsize for s in record.strides]
    return np.lib.stride_tricks.as_strided(data[record.offset:], record.shape, strides, writeable=False)


def _wanted(records, where):
    """Each storage once; two types or counts for one key are a damaged file."""
    wanted = {}
    for name, record in records.items():
        known = wanted.setdefault(record.storage.key, record.storage)
        if (known.dtype, known.count) != (record.storage.dtype, record.storage.count):
            raise ConversionError(f"{where}: tensor {name} disagrees about the type of storage {show(known.key)}")
    return wanted


def _read_legacy(data, where):
    if read_pickle(data) != _MAGIC:
        raise ConversionError(f"{where} is not a torch checkpoint: its magic number is another one")
    if (protocol := read_pickle(data)) != _PROTOCOL:
        raise ConversionError(f"{where} has checkpoint protocol {show(protocol)}, {_PROTOCOL} is known")
    system = read_pickle(data)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ConversionError(f"{where} was written on a big-endian machine")
    records = _records(read_pickle(data), where)
    keys = read_pickle(data)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise ConversionError(f"{where} has a malformed list of storages")
    wanted = _wanted(records, where)
    storages = {}
    position = data.tell()
    for key in keys:
        reference = wanted.get(key)
        if not isinstance(reference, StorageRef):
            raise ConversionError(f"{where} lists a storage {show(key)} that no tensor uses")
        if position + 8 > len(data):
            raise ConversionError(f"{where} is truncated: storage {key} should begin at byte {position} of {len(data)}")
        count = int.from_bytes(data[position:position + 8], "little", signed=True)
        if count != reference.count:
            raise ConversionError(f"{where}: storage {key} has {count} elements, its tensors say {reference.count}")
        end = position + 8 + count * _item_size(reference.dtype)
        if end > len(data):
            raise ConversionError(
                f"{where} is truncated: storage {key} should end at byte {end}, the file has {len(data)}")
        storages[key] = _elements(data[position + 8:end], reference.dtype)
        position = end
    if missing := [key for key in wanted if key not in storages]:
        raise ConversionError(f"{where} lacks {len(missing)} storages, {show(missing[0])} first")
    return {name: _array(name, record, storages, where) for name, record in records.items()}


def _entry(archive, name, where, limit):
    """One stored member's bytes, its size checked before anything is read."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ConversionError(f"{where} lacks its member {name}") from None
    if info.compress_type != zipfile.ZIP_STORED:
        raise ConversionError(f"{where}: member {name} is compressed, checkpoints store theirs plainly")
    if info.file_size > limit:
        raise ConversionError(f"{where}: member {name} claims {info.file_size} bytes, at most {limit} are possible")
    return archive.read(info)


def _read_zip(path, size, where):
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [n for n in archive.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise ConversionError(f"{where} is a zip without the one data.pkl of a checkpoint")
            root = pickles[0][: -len("data.pkl")]
            if root + "byteorder" in archive.namelist():
                if _entry(archive, root + "byteorder", where, 16) != b"little":
                    raise ConversionError(f"{where} was written on a big-endian machine")
            pickled = _entry(archive, pickles[0], where, min(size, _LARGEST_PICKLE))
            records = _records(read_pickle(BytesIO(pickled)), where)
            storages = {}
            for key, reference in _wanted(records, where).items():
                raw = _entry(archive, f"{root}data/{key}", where, size)
                if len(raw) != reference.count * _item_size(reference.dtype):
                    raise ConversionError(
                        f"{where}: storage {key} has {len(raw)} bytes, its tensors say {reference.count} elements")
                storages[key] = _elements(raw, reference.dtype)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ConversionError(f"{where} is a damaged zip: {error}") from None
    return {name: _array(name, record, storages, where) for name, record in records.items()}


def read_checkpoint(path):
    """{name: array} of the checkpoint at `path`, in file order, as views on the file where possible.

    Raises ConversionError for a file that is truncated, damaged, hostile or not a checkpoint, and
    OSError where the file cannot be read.
    """
    where = os.path.basename(os.fspath(path))
    size = os.path.getsize(path)
    if size < 8:
        raise ConversionError(f"{where} has {size} bytes: it is empty or truncated")
    with open(path, "rb") as file:
        if file.read(4) == b"PK\x03\x04":
            return _read_zip(path, size, where)
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            return _read_legacy(data, where)
        except ConversionError as error:
            text = str(error)
            raise ConversionError(text if where in text else f"{where}: {text}") from None
