"""A long call into C during which Python code runs: its exceptions, and Ctrl-C."""

import signal
import threading

from ._errors import check


class Run:
    """Guards one call.

    C calls back into Python; an exception there cannot travel through C. It is kept, the callback answers
    "stop", and the exception is raised once C has returned. So is the KeyboardInterrupt of a Ctrl-C that falls
    between callbacks: ctypes would print it and go on.
    """

    def __init__(self, cancel=None):
        self.error = None
        self._cancel = cancel
        self._inside = False
        self._previous = None

    def __enter__(self):
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *exception):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _interrupted(self, number, frame):
        if self._inside:
            # In the user's code: there, and caught by `call`.
            raise KeyboardInterrupt
        self.error = KeyboardInterrupt()
        if self._cancel is not None:
            self._cancel()

    def call(self, function, *arguments, failed):
        """function(*arguments), or `failed` when it, or anything before it in this run, raised."""
        if self.error is not None:
            return failed
        try:
            self._inside = True
            result = function(*arguments)
            self._inside = False
        except BaseException as error:  # noqa: B036 - KeyboardInterrupt and SystemExit travel the same way
            self._inside = False
            self.error = error
            return failed
        return failed if self.error is not None else result

    def finish(self, status):
        """Raises what Python code raised, else what the status stands for."""
        if self.error is not None:
            # Kept here it would hold, by its traceback, all that this run holds, the data included.
            error, self.error = self.error, None
            raise error
        check(status)
