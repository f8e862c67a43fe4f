"""Several processes that answer at one address, each with a model, replaced when they die."""

import contextlib
import multiprocessing
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait

FIRST_PAUSE = 1.0  # seconds before a worker that has died is replaced
LONGEST_PAUSE = 60.0  # seconds; each that dies before it was ready doubles the pause
SPARE = 5.0  # seconds beyond the time that workers have to end, before they are killed


class WorkerProcess:
    """A process and whether it has become ready.

    Args:
        target: Function of a listening socket and a pipe, on which it sends a word once it is
            ready. It ends the process with an exit code.
        listener: The socket.
    """

    def __init__(self, target: Callable, listener: socket.socket):
        context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
        self.pipe, child = context.Pipe(duplex=False)
        self.process = context.Process(target=target, args=(listener, child))
        self.process.start()
        child.close()
        self.is_ready = False

    def look(self) -> None:
        """Notes whether the process has become ready."""
        if not self.is_ready and self.pipe.poll():
            try:
                self.is_ready = bool(self.pipe.recv())
            except EOFError:
                self.is_ready = False


class Supervisor:
    """Starts workers, replaces those that die, and ends all on a signal.

    Args:
        target: As of `WorkerProcess`.
        listener: A bound socket. It is closed here when the service ends.
        count: Number of workers.
        end_seconds: Seconds that workers have to end.
        ready: Function that is called once all workers are ready for the first time.
        died: Function that is called with the process id of each that died.
    """

    def __init__(
        self,
        target: Callable,
        listener: socket.socket,
        count: int,
        end_seconds: float,
        ready: Callable[[], None] = lambda: None,
        died: Callable[[int], None] = lambda pid: None,
    ):
        self._target, self._listener, self._count = target, listener, count
        self._end_seconds, self._ready, self._died = end_seconds, ready, died
        self._pause, self._start_at = FIRST_PAUSE, 0.0
        self._was_ready = False
        self._signals: list[int] = []

    def run(self) -> int:
        """Runs the workers until a signal comes; returns the exit code."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._note) for number in numbers}
        self.workers = [WorkerProcess(self._target, self._listener) for _ in range(self._count)]
        try:
            while not self._signals:
                self._wait(0.1)
                code = self._replace_dead()
                if code is not None:
                    return code
            return self._end()
        finally:
            for worker in self.workers:
                worker.process.kill()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame) -> None:
        self._signals.append(number)

    def _wait(self, seconds: float) -> None:
        wait([worker.process.sentinel for worker in self.workers], seconds)
        if not self.workers:
            time.sleep(seconds)

    def _replace_dead(self) -> int | None:
        """Replaces dead workers; returns an exit code if one failed before any was ready."""
        for worker in list(self.workers):
            worker.look()
            if worker.process.is_alive():
                continue
            self.workers.remove(worker)
            self._died(worker.process.pid)
            code = worker.process.exitcode
            if not worker.is_ready and not self._was_ready:
                return code if code > 0 else 1  # as it would fail again; it has said why
            self._pause = FIRST_PAUSE if worker.is_ready else min(2 * self._pause, LONGEST_PAUSE)
            self._start_at = time.monotonic() + self._pause
            with contextlib.suppress(OSError):  # the reader of the log is gone
                sys.stderr.write(
                    f"Worker {worker.process.pid} died with exit code {code}. Another one starts "
                    f"in {self._pause:.0f} s\n"
                )
        if len(self.workers) < self._count and time.monotonic() >= self._start_at:
            self.workers.append(WorkerProcess(self._target, self._listener))
        if not self._was_ready and all(worker.is_ready for worker in self.workers):
            self._was_ready = True
            self._ready()
        return None

    def _end(self) -> int:
        """Ends all workers; kills those that do not end, and all at a second signal."""
        self._listener.close()  # else connections would still be accepted, by nobody
        for worker in self.workers:
            worker.process.terminate()
        deadline = time.monotonic() + self._end_seconds + SPARE
        while any(worker.process.is_alive() for worker in self.workers):
            if len(self._signals) > 1:
                return 128 + self._signals[-1]
            if time.monotonic() > deadline:
                return 1
            time.sleep(0.05)
        codes = [worker.process.exitcode for worker in self.workers if worker.is_ready]
        return 1 if any(codes) else 0


def end_with_parent() -> None:
    """Ends this process gracefully if the process that started it dies."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
