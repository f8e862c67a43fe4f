"""Files and folders that are local or at a URL.

What is read is fetched into a local folder first; what is written is written locally and then sent,
the file that makes it whole last.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from keras_transformer.io.atomic import WRITING, atomic_folder, check_free
from keras_transformer.io.locking import folder_lock
from keras_transformer.io.remote import RemoteError, RemoteFolder, explained, identity
from keras_transformer.io.urls import cache_folder, digest, path_or_url, working_folder


def fetch_file(url: str) -> Path:
    """Returns a local copy of the file at a URL, which is fetched anew whenever it has changed.

    Raises:
        FileNotFoundError: There is no such file.
        RemoteError: The file could not be read.
    """
    name = url.rpartition("/")[2]
    with explained(url, "read"):
        import fsspec

        files, path = fsspec.core.url_to_fs(url)
        files.invalidate_cache()
        info = files.info(path)
    if info["type"] != "file":
        raise FileNotFoundError(
            f"There is no file {url}. Expected a text file, plain or compressed."
        )
    folder = cache_folder() / "files" / digest(f"{url} {identity(info)}")
    copy = folder / name[-200:]
    if copy.exists() and set(json.loads(identity(info))) - {"size"}:
        return copy
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=WRITING) as scratch:
        new = Path(scratch) / "new"
        with explained(url, "read"):
            files.get_file(path, str(new))
        os.replace(new, copy)
    return copy


def local_file(path: str | os.PathLike) -> Path:
    """Returns the path of a local file, or of the local copy of the file at a URL."""
    path = path_or_url(path)
    return fetch_file(path) if isinstance(path, str) else path


@contextlib.contextmanager
def fetched_folder(folder: str | os.PathLike, names: Iterable[str]) -> Iterator[Path]:
    """Yields a local folder with files of the folder at a URL; a local folder as it is.

    Args:
        folder: Local folder, or URL of one.
        names: Names of the files that are needed, as far as they exist. Without the first, nothing
            is fetched.

    Raises:
        RemoteError: A file could not be read, or was replaced meanwhile.
    """
    folder = path_or_url(folder)
    if isinstance(folder, Path):
        yield folder
        return
    remote, names = RemoteFolder(folder), list(names)
    with tempfile.TemporaryDirectory(prefix="keras_transformer-") as local:
        found = remote.files()
        for name in names:
            if name in found and names[0] in found:
                remote.fetch(name, Path(local) / name)
        if any(found.get(name) != now for name, now in remote.files().items() if name in names):
            raise RemoteError(f"{folder} was replaced while it was read. Try again.")
        with named(local, folder):
            yield Path(local)


@contextlib.contextmanager
def locked_output(folder: Path | str, purpose: str) -> Iterator[None]:
    """Locks a folder, or for a URL its working folder on this machine, for short work."""
    local = folder if isinstance(folder, Path) else working_folder(folder)
    with folder_lock(local, purpose, name=str(folder), keep=False):
        yield


def has_file(folder: Path | str, name: str) -> bool:
    """Returns whether a folder, local or at a URL, holds a file."""
    if isinstance(folder, Path):
        return (folder / name).exists()
    return name in RemoteFolder(folder).files()


@contextlib.contextmanager
def named(local: str | Path, url: str) -> Iterator[None]:
    """Names the URL, instead of the local copy, in the messages of errors."""
    try:
        yield
    except (ValueError, OSError) as error:
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (error.args[0].replace(str(local), url),)
        raise


@contextlib.contextmanager
def output_folder(
    folder: str | os.PathLike, is_ours: Callable[[Path], bool], last: str
) -> Iterator[Path]:
    """Yields an empty folder to fill, then moves it to `folder`, or sends it to a URL.

    Args:
        folder: Local folder, or URL of one. See `atomic_folder`.
        is_ours: Function that returns whether the caller wrote everything in a folder.
        last: Name of the file that is sent last, since nothing can be loaded without it.

    Raises:
        FileExistsError: `folder` exists and is neither empty nor `is_ours`.
        RemoteError: The files could not be sent.
    """
    folder = path_or_url(folder)
    if isinstance(folder, Path):
        with atomic_folder(folder, is_ours) as new:
            yield new
        return
    remote = RemoteFolder(folder)
    with locked_output(folder, "export"):
        outdated = remote.files()
        _check_free(remote, outdated, is_ours)
        with tempfile.TemporaryDirectory(prefix="keras_transformer-") as new:
            yield Path(new)
            remote.replace(Path(new), last, outdated)


def check_output(folder: str | os.PathLike, is_ours: Callable[[Path], bool]) -> None:
    """Raises an error unless `output_folder` can write this folder."""
    folder = path_or_url(folder)
    if isinstance(folder, Path):
        return check_free(folder, is_ours)
    remote = RemoteFolder(folder)
    return _check_free(remote, remote.files(), is_ours)


def _check_free(remote: RemoteFolder, names: Iterable[str], is_ours) -> None:
    """As `check_free`, on a local folder with files of these names; descriptions have contents."""
    with tempfile.TemporaryDirectory(prefix="keras_transformer-") as scratch:
        for name in names:
            path = Path(scratch) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            remote.fetch(name, path) if path.suffix == ".json" else path.touch()
        with named(scratch, remote.url):
            check_free(Path(scratch), is_ours)
