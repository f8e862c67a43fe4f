"""Atomic writes: files and folders that appear whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_transformer.io.locking import replacement_lock

WRITING = ".writing-"  # prefix of unfinished files and folders


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a scratch path to write to, then moves the file to `path` in one step.

    If the block fails, the scratch file is deleted and an existing file at `path` is kept. A
    scratch file left behind by a killed process is overwritten by the next write to `path`.

    Args:
        path: The file to write. Missing parent folders are created.

    Raises:
        OSError: The file could not be written; the message names it.

    Example:

    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "name.txt") as scratch:
    ...     _ = scratch.write_text("whole")
    >>> [path.name for path in folder.iterdir()]
    ['name.txt']
    """
    scratch = path.with_name(f"{WRITING}{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        _flush_to_disk(scratch)
        os.replace(scratch, path)
        _flush_to_disk(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        if not isinstance(error, (OSError, RuntimeError)):  # h5py raises either
            raise
        reason = getattr(error, "strerror", None) or str(error).strip() or repr(error)
        raise OSError(f"{path} could not be written: {reason}.") from error


def _flush_to_disk(path: Path) -> None:
    """Flushes the buffers of a file or folder to the disk (`fsync`)."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_folder(
    folder: Path, is_ours: Callable[[Path], bool], purpose: str = "export"
) -> Iterator[Path]:
    """Yields an empty scratch folder to fill, then moves it to `folder`.

    If the block fails, the scratch folder is deleted and `folder` is left as it was. Meanwhile,
    other processes that would write this folder are refused.

    Args:
        folder: The folder to write. It may already exist if it is empty or `is_ours`.
        is_ours: Function that returns whether the caller wrote everything in a folder.
        purpose: What the process does, for the error message of others.

    Raises:
        FileExistsError: `folder` exists and is neither empty nor `is_ours`.
        FolderInUseError: Another process writes this folder.
    """
    folder = folder.resolve()  # follows links, and "." cannot be renamed
    check_free(folder, is_ours)
    with contextlib.ExitStack() as stack:
        stack.enter_context(replacement_lock(folder, purpose))
        check_free(folder, is_ours)  # another process may have finished meanwhile
        scratch = stack.enter_context(
            tempfile.TemporaryDirectory(dir=folder.parent, prefix=WRITING)
        )
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        yield new
        check_free(folder, is_ours)  # what appeared there in the meantime is not replaced
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except BaseException:
            if old.exists():
                os.replace(old, folder)
            raise


def check_free(folder: Path, is_ours: Callable[[Path], bool]) -> None:
    """Raises `FileExistsError` unless `folder` is missing, empty or `is_ours`."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder.is_dir() and is_ours(folder)):
        raise FileExistsError(
            f"{folder} already exists and holds something else. Choose another folder, or delete "
            "it first."
        )
