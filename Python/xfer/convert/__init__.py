"""Turns published weight files into ``.safetensors`` files that Xfer loads by memory map.

Needs numpy alone: neither the C library nor the framework that wrote the file.
"""

from ._errors import ConversionError
from ._run import convert

__all__ = ["ConversionError", "convert"]
