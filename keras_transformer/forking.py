"""Detection of processes that were forked after TensorFlow or JAX was used.

Both run their work on threads, which a fork does not copy: the first operation of the child process
that needs one of them never returns. An error takes the place of that endless wait.
"""

import functools
import os
import sys


class _Process:
    """Facts of this process.

    Attributes:
        has_used: Whether the package has used TensorFlow or JAX.
        is_forked: Whether the process was forked from one that had used TensorFlow or JAX.
    """

    has_used = False
    is_forked = False


class ForkError(RuntimeError):
    """Error raised instead of an operation that would never return after a fork."""


def refuse_after_fork():
    """Raises an error if this process was forked after TensorFlow or JAX was used; else notes use.

    Every public class and function of the package that runs TensorFlow or JAX calls it first,
    before it takes a lock, since a thread of the parent process may have held it at the fork.

    Raises:
        ForkError: The process was forked after TensorFlow or JAX was used.
    """
    if _Process.is_forked:
        raise ForkError(
            "This process was forked after its parent process had used TensorFlow or JAX, whose "
            "threads do not survive a fork, so this call would never return. Load or create "
            "translators and models after the fork, in each process (gunicorn: without --preload), "
            'or start processes with `multiprocessing.get_context("spawn")`.'
        )
    _Process.has_used = True


def refused_after_fork(function):
    """Decorates a function to call `refuse_after_fork` first."""

    @functools.wraps(function)
    def guarded(*args, **kwargs):
        refuse_after_fork()
        return function(*args, **kwargs)

    return guarded


class RefusedAfterFork:
    """Mixin of layers, models, losses and metrics: refuses to make or call them after a fork."""

    def __init__(self, *args, **kwargs):
        refuse_after_fork()
        super().__init__(*args, **kwargs)

    def __call__(self, *args, **kwargs):
        refuse_after_fork()
        return super().__call__(*args, **kwargs)


def _tensorflow_has_started():
    """Returns whether TensorFlow has started its threads, for whatever program.

    From then on, their number cannot be changed; there is no other public sign.
    """
    threading = getattr(getattr(sys.modules.get("tensorflow"), "config", None), "threading", None)
    if threading is None:
        return False
    count = threading.get_inter_op_parallelism_threads()
    try:
        threading.set_inter_op_parallelism_threads((count or 0) + 1)
    except RuntimeError:
        return True
    threading.set_inter_op_parallelism_threads(count)
    return False


def _note_fork():
    if _Process.has_used or _tensorflow_has_started():
        _Process.is_forked = True


if hasattr(os, "register_at_fork"):  # not on Windows, where no process forks
    os.register_at_fork(after_in_child=_note_fork)
