"""Reading, naming and writing, put together."""

import os

from . import _lite0
from ._errors import ConversionError
from ._safetensors import write_safetensors
from ._torch import read_checkpoint

ARCHITECTURES = {_lite0.ARCHITECTURE: _lite0}


def convert(source, destination, architecture=None):
    """Converts the checkpoint `source` (.pth) to `destination` (.safetensors).

    architecture: "EfficientNetLite0", or None to tell it from the tensor names.
    Returns {"architecture": name, "tensors": count, "bytes": size of the new file}.
    Raises ConversionError for files that cannot be converted, OSError for those that cannot be read or written.
    """
    if not os.fspath(destination).endswith(".safetensors"):
        raise ConversionError(f"the output {os.fspath(destination)} should end in .safetensors")
    if architecture is not None and architecture not in ARCHITECTURES:
        raise ConversionError(f"unknown architecture {architecture!r}: {', '.join(ARCHITECTURES)} can be converted")
    tensors = read_checkpoint(source)
    if architecture is None:
        architecture = next((name for name, module in ARCHITECTURES.items() if module.recognises(tensors)), None)
        if architecture is None:
            raise ConversionError(
                f"{os.path.basename(source)} holds {len(tensors)} tensors ({next(iter(tensors))} first) "
                f"of no architecture known here: {', '.join(ARCHITECTURES)}")
    renamed = ARCHITECTURES[architecture].rename(tensors)
    write_safetensors(destination, renamed, {"format": "xfer", "architecture": architecture})
    return {"architecture": architecture, "tensors": len(renamed), "bytes": os.path.getsize(destination)}
