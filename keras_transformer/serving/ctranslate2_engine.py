"""CTranslate2 itself: its types and threads, and batches that run while others wait."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

WAITING = 2  # batches that wait for each worker: enough, and an interruption need not wait for more


def require_ctranslate2():
    """Returns the module `ctranslate2`.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import ctranslate2
    except ImportError as error:
        raise ImportError(
            "The engine ctranslate2 needs its package: `pip install ctranslate2`, or install "
            "keras-transformer with the extra `ctranslate2`."
        ) from error
    return ctranslate2


def check_compute_type(compute_type: str) -> None:
    """Raises a ValueError if this processor does not compute in a type."""
    known = sorted(require_ctranslate2().get_supported_compute_types("cpu"))
    if compute_type not in known:
        raise ValueError(
            f"`compute_type` must be one that CTranslate2 has on this processor: "
            f"{', '.join(known)}. Received: {compute_type!r}"
        )


def workers_for(batches: int, compute_type: str) -> int:
    """Returns the number of batches to run at once: one a processor, or one on all of them.

    Several threads make small batches of 8-bit integers much slower.
    """
    processors = _usable_processors()
    return processors if batches >= processors or compute_type.startswith("int8") else 1


def load_engine(folder: Path, compute_type: str, workers: int):
    """Loads a folder on the processor, with all threads shared by the workers.

    Raises:
        OSError: CTranslate2 cannot load the folder.
    """
    try:
        return require_ctranslate2().Translator(
            str(folder),
            compute_type=compute_type,
            inter_threads=workers,
            intra_threads=max(1, _usable_processors() // workers),
        )
    except RuntimeError as error:
        raise OSError(
            f"CTranslate2 cannot load {folder} ({error}). Delete this folder, and the run is "
            "converted again."
        ) from error


def run_ahead(submit: Callable, batches: Iterable, workers: int) -> Iterator[tuple]:
    """Submits batches, a few more than the workers can run, and collects their results in order.

    Args:
        submit: Function that submits a batch and returns the future result of each row.
        batches: The batches.
        workers: Number of batches that run at once.

    Yields:
        A batch and the list of its results.

    Raises:
        ValueError: CTranslate2 cannot compute a batch, such as of texts that are too long for it.
    """
    running: deque = deque()
    for batch in batches:
        running.append((batch, submit(batch)))
        if len(running) > workers * (1 + WAITING):
            yield _collect(*running.popleft())
    while running:
        yield _collect(*running.popleft())


def _collect(batch, futures) -> tuple:
    try:
        return batch, [future.result() for future in futures]
    except RuntimeError as error:
        raise ValueError(f"CTranslate2 cannot compute this: {error}") from error


def _usable_processors() -> int:
    """Returns the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
