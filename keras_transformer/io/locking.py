"""Locks: one process at a time writes to a folder, and a killed process leaves no lock behind."""

import contextlib
import dataclasses
import datetime
import errno
import hashlib
import json
import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

LOCK = ".lock"
ATTEMPTS = 1000
LOCKED_BY_OTHER = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


class FolderInUseError(OSError):
    """Error raised if another process, or another thread, is writing to a folder."""


@contextlib.contextmanager
def folder_lock(
    folder: Path, purpose: str, *, name: str | None = None, keep: bool = True
) -> Iterator[None]:
    """Locks a folder against other processes and threads that would write to it.

    The lock is that of the operating system on the file `.lock` in the folder, so it ends with the
    process, however that ends. The file itself stays, unless the folder holds nothing else, or the
    block fails and the file is new. The thread that holds the lock may lock the folder again.
    Readers need no lock.

    Args:
        folder: Path of the folder, which is created if it does not exist. If it is still empty at
            the end, the folders that were created are removed.
        purpose: What the process does, for the error message of others, such as `"training"`.
        name: Name of the folder in error messages. Defaults to its path.
        keep: Boolean. Whether a new lock file stays, as file systems of several machines like it:
            there, a deleted file may be seen for seconds. `False` is for short work.

    Raises:
        FolderInUseError: Another process or thread holds the lock; the message says which.
        OSError: The lock file could not be written.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    path = folder.resolve() / LOCK
    is_new = not path.exists()
    with _file_lock(path, name or folder, purpose) as is_outermost:
        failed = True
        try:
            yield
            failed = False
        finally:
            superfluous = (is_new and (failed or not keep)) or _holds_only(path)
            if superfluous and is_outermost and path in _held:
                with contextlib.suppress(OSError):  # Windows keeps open files; or others are there
                    path.unlink()
                    for empty in created:
                        empty.rmdir()


@contextlib.contextmanager
def replacement_lock(folder: Path, purpose: str) -> Iterator[None]:
    """Locks a folder that is to be replaced as a whole, by the file `.NAME.lock` beside it.

    The file is removed at the end. See `folder_lock`.
    """
    folder = folder.resolve()
    name = folder.name
    if len(os.fsencode(name)) > 240:  # file systems allow 255 bytes
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    path = folder.with_name(f".{name}{LOCK}")
    with _file_lock(path, folder, purpose) as is_outermost:
        try:
            yield
        finally:
            if is_outermost and path in _held:
                with contextlib.suppress(OSError):  # Windows keeps open files
                    path.unlink()


@dataclasses.dataclass
class _Held:
    """A lock of this process: its open file and the thread that owns it."""

    descriptor: int
    thread: int


_held: dict[Path, _Held] = {}


def _forget_locks() -> None:
    """Closes the locks of the parent in a forked child, which would keep them after its death."""
    for held in _held.values():
        os.close(held.descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


@contextlib.contextmanager
def _file_lock(path: Path, folder: Path | str, purpose: str) -> Iterator[bool]:
    """Holds the lock of a file; yields whether this thread did not hold it already."""
    held = _held.get(path)
    if held is not None and held.thread == threading.get_ident():
        yield False
        return
    held = _Held(_lock(path, folder, purpose), threading.get_ident())
    _held[path] = held
    try:
        yield True
    finally:
        if _held.get(path) is held:  # else this is a forked child, and the lock is its parent's
            del _held[path]
            with contextlib.suppress(OSError):
                os.ftruncate(held.descriptor, 0)
            os.close(held.descriptor)


def _lock(path: Path, folder: Path | str, purpose: str) -> int:
    """Opens and locks a file, and returns its descriptor.

    The holder of a lock may delete its file. A lock on a file that is no longer at `path` is
    worthless, so the next file is tried.
    """
    for _ in range(ATTEMPTS):
        _create(path.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except FileNotFoundError:  # the holder has just removed the folder
            continue
        except OSError as error:
            raise OSError(f"{path} could not be written: {error.strerror}.") from error
        try:
            _lock_or_refuse(descriptor, folder)
            if _is_at(descriptor, path):
                _describe(descriptor, purpose)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise OSError(f"{path} could not be locked: it is deleted again and again.")


def _create(folder: Path) -> None:
    """Creates a folder, also while others create it, and remove it between two looks at it."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            return folder.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def _lock_or_refuse(descriptor: int, folder: Path | str) -> None:
    try:
        _lock_file(descriptor)
    except OSError as error:
        if error.errno in LOCKED_BY_OTHER:
            raise FolderInUseError(
                f"{folder} is being written by {_holder(descriptor)}. Wait until it has ended, or "
                "give another folder (--output)."
            ) from None
        if error.errno not in UNSUPPORTED:
            raise OSError(f"{folder} could not be locked: {error.strerror}.") from error
        warnings.warn(
            f"The file system of {folder} has no locks ({error.strerror}): make sure that no other "
            "process writes to this folder.",
            stacklevel=2,
        )


def _lock_file(descriptor: int) -> None:
    """Locks an open file, or raises `OSError` at once."""
    if os.name == "nt":
        import msvcrt

        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # a locked byte cannot be read: not the text
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(descriptor: int, path: Path) -> bool:
    """Returns whether an open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _describe(descriptor: int, purpose: str) -> None:
    """Writes who holds the lock."""
    now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    fields = {"process": os.getpid(), "host": socket.gethostname()}
    text = json.dumps({**fields, "purpose": purpose, "since": now})
    with contextlib.suppress(OSError):  # a full disk: the lock holds without a description
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text.encode())


def _holder(descriptor: int) -> str:
    """Describes the holder of a lock, as it has described itself."""
    for _ in range(10):  # it locks first and writes then
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            holder = json.loads(os.read(descriptor, 4096))
            return "process {process} on host {host} ({purpose} since {since})".format(**holder)
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.05)
    return "another process"


def _holds_only(lock: Path) -> bool:
    """Returns whether there is no other file beside a lock."""
    try:
        return list(lock.parent.iterdir()) == [lock]
    except OSError:
        return False
