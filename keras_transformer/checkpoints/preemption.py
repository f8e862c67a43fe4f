"""Preemption: SIGTERM as a notice to save the training state and exit."""

import contextlib
import signal
import threading


class Stopped(Exception):  # noqa: N818
    """Exception raised after SIGTERM, once the training state is saved; the message says where."""


class StopSignal:
    """Context manager that records SIGTERM, the preemption notice, instead of ending the process.

    The previous signal handler is restored on exit. Python allows signal handlers in the main
    thread only; entered in another thread, the context manager does nothing.

    Attributes:
        received: Boolean. Whether SIGTERM was received.
    """

    def __init__(self):
        self.received = False
        self._is_installed = False

    def __enter__(self):
        self._is_installed = threading.current_thread() is threading.main_thread()
        if self._is_installed:
            self._previous = signal.signal(signal.SIGTERM, self._record)
        return self

    def __exit__(self, *_):
        if self._is_installed:
            signal.signal(signal.SIGTERM, self._previous or signal.SIG_DFL)

    def _record(self, *_):
        self.received = True


class NoStopSignal(contextlib.nullcontext):
    """Stand-in for `StopSignal` under which SIGTERM ends the process at once.

    It is used with several workers, where no worker can save a state without the others. When one
    worker ends, the others stop too, and a restart continues from the last saved state.
    """

    received = False
