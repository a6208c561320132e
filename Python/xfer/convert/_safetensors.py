"""Writes safetensors: the length of the header as u64, the header as JSON, the data."""

import json
import os
import tempfile

_DTYPES = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "<i2": "I16", "|i1": "I8", "|u1": "U8", "|b1": "BOOL"}


def header(tensors, metadata):
    """The header's bytes, padded with spaces so that the data begins at a multiple of 8."""
    entries, offset = {"__metadata__": metadata}, 0
    for name, value in tensors.items():
        end = offset + value.nbytes
        entries[name] = {"dtype": _DTYPES[value.dtype.str], "shape": list(value.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    return text + b" " * (-len(text) % 8)


def write_safetensors(path, tensors, metadata):
    """Writes C-ordered arrays to `path`, whole or not at all: a temporary name, synced, then renamed."""
    path = os.path.abspath(path)
    head = header(tensors, metadata)
    descriptor, temporary = tempfile.mkstemp(prefix=os.path.basename(path) + ".", suffix=".tmp", dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(len(head).to_bytes(8, "little"))
            file.write(head)
            for value in tensors.values():
                file.write(value.tobytes())
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
