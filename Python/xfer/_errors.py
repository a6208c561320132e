"""XferError, and the way from a status to it."""

import os
import sys
import threading
import warnings

from ._c import lib, pending_warnings

INVALID_ARGUMENT, INVALID_HANDLE, SHAPE, DTYPE, NOT_FOUND, IO, FORMAT, UNSUPPORTED, PLUGIN, OUT_OF_MEMORY = range(1, 11)
CANCELLED, STALE_TRAINABLE, NOT_COMPILED, NON_FINITE, DATA, STATE, INTERNAL = range(11, 18)


class XferError(Exception):
    """A refusal by the library. `status` is the XFER_E_ number, `status_name` its name.

    Each error is also of the built-in kind that Keras code expects: bad values, shapes, names and files are
    ValueErrors, refused reads and writes OSErrors, calls out of order RuntimeErrors.
    """

    status = INTERNAL

    def __init__(self, message, status=None):
        super().__init__(message)
        if status is not None:
            self.status = status

    @property
    def status_name(self):
        return lib.xfer_status_name(self.status).decode()


class XferValueError(XferError, ValueError):
    """A bad value, shape, name, file content or data set."""


class XferTypeError(XferError, TypeError, ValueError):
    """An element type that cannot serve."""


class XferNotFoundError(XferError, ValueError, FileNotFoundError):
    """No such file, class, layer, weight or option."""


class XferIOError(XferError, OSError):
    """The system refused a read or a write."""


class XferMemoryError(XferError, MemoryError):
    """Out of memory."""


class XferStateError(XferError, RuntimeError):
    """Called in an order that makes no sense: not compiled, stale trainable flags, released handles."""


_KINDS = {
    INVALID_ARGUMENT: XferValueError, SHAPE: XferValueError, NOT_FOUND: XferNotFoundError, FORMAT: XferValueError,
    NON_FINITE: XferValueError, DATA: XferValueError, UNSUPPORTED: XferValueError, DTYPE: XferTypeError,
    IO: XferIOError, OUT_OF_MEMORY: XferMemoryError, INVALID_HANDLE: XferStateError, STALE_TRAINABLE: XferStateError,
    NOT_COMPILED: XferStateError, STATE: XferStateError,
}


def error(status, message):
    """The exception for a status."""
    return _KINDS.get(status, XferError)(message, status)


_callback = threading.local()


def callback_failed(exception):
    """Keeps an exception of Python code that C called, until C has returned: `check` raises it."""
    _callback.exception = exception


_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def _warn():
    """Hands the library's warnings on, as those of the line outside this package that called it."""
    frame, level = sys._getframe(1), 2
    while frame is not None and os.path.dirname(os.path.abspath(frame.f_code.co_filename)).startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    while pending_warnings:
        warnings.warn(pending_warnings.popleft(), UserWarning, stacklevel=level)


def check(status):
    """Raises what a status other than XFER_OK stands for."""
    if pending_warnings:
        _warn()
    exception, _callback.exception = getattr(_callback, "exception", None), None
    if exception is not None:
        raise exception
    if status:
        text = lib.xfer_last_error() or b""
        raise error(status, text.decode(errors="replace") or lib.xfer_status_name(status).decode())
