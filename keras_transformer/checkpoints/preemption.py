"""SIGTERM as a request to save and end, such as machines send that are taken back."""

import contextlib
import signal
import threading


class Stopped(Exception):  # noqa: N818
    """Training was asked to end, and its state is saved; the message says where."""


class StopSignal:
    """Notes that SIGTERM came, while it is entered as a context; then the former handler is back.

    Signals reach the main thread only: entered in another one it never notes any.

    Attributes:
        received: Whether it came.
    """

    def __init__(self):
        self.received = False
        self._listens = False

    def __enter__(self):
        self._listens = threading.current_thread() is threading.main_thread()
        if self._listens:
            self._former = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_):
        if self._listens:
            signal.signal(signal.SIGTERM, self._former or signal.SIG_DFL)

    def _note(self, *_):
        self.received = True


class NoStopSignal(contextlib.nullcontext):
    """Instead of `StopSignal` where SIGTERM ends the process at once.

    With several workers one cannot save alone: the others lose it, and all go on from the last
    state.
    """

    received = False
