"""Folders at URLs, through `fsspec`; every error is one line that says what to do."""

import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from keras_transformer.io.atomic import WRITING
from keras_transformer.io.urls import join_url

_READ_ONLY = ("data", "git", "github", "http", "https", "tar", "zip")
# These replace a file in one step; elsewhere it is sent under another name, and renamed.
_OBJECT_STORES = ("abfs", "abfss", "adl", "az", "gcs", "gs", "hf", "oss", "s3", "s3a")
_IDENTITY = ("size", "ETag", "etag", "md5Hash", "blob_id", "mtime", "updated", "LastModified")
_IDENTITY += ("last_modified", "created", "modify")


class RemoteError(OSError):
    """Error raised if a URL cannot be read or written; the message says why and what to do."""


class RemoteFolder:
    """A folder at a URL.

    Args:
        url: The URL, as `path_or_url` returns it.

    Raises:
        RemoteError: The file system is unknown or not installed.
    """

    def __init__(self, url: str):
        self.url = url
        self.protocol = url.partition("://")[0]
        with explained(url, "opened"):
            import fsspec

            self._files, self._root = fsspec.core.url_to_fs(url)

    def files(self) -> dict[str, str]:
        """Returns the names of all files below the folder, each with a string that identifies its
        contents.
        """
        root = self._root.rstrip("/") + "/"
        with explained(self.url, "listed"):
            self._files.invalidate_cache()
            try:
                found = self._files.find(self._root, detail=True)
            except FileNotFoundError:
                if self._has_bucket():
                    return {}  # where folders exist by themselves, this one does not
                raise
        return {
            name.removeprefix(root): identity(info)
            for name, info in found.items()
            if name.startswith(root)
        }

    def _has_bucket(self) -> bool:
        """Returns whether the bucket exists, where folders are only parts of names in one."""
        if self.protocol not in _OBJECT_STORES:
            return True
        parts = self._root.lstrip("/").split("/")
        return bool(self._files.exists("/".join(parts[: 2 if self.protocol == "hf" else 1])))

    def has(self, name: str) -> bool:
        """Returns whether the folder holds a file; unlike `files`, it does not list the folder."""
        with explained(join_url(self.url, name), "looked for"):
            self._files.invalidate_cache()
            return bool(self._files.exists(self._at(name)))

    def fetch(self, name: str, path: Path) -> None:
        """Copies a file to a local path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with explained(join_url(self.url, name), "read"):
            self._files.get_file(self._at(name), str(path))

    def send(self, path: Path, name: str) -> None:
        """Copies a local file to the folder, where it appears whole or not at all."""
        if self.protocol in _READ_ONLY:
            raise RemoteError(f"{self.url} cannot be written. Give a local path, or a bucket.")
        with explained(join_url(self.url, name), "written"):
            if self.protocol in _OBJECT_STORES:
                self._files.put_file(str(path), self._at(name))
                return
            target = PurePosixPath(self._at(name))
            self._files.makedirs(str(target.parent), exist_ok=True)
            scratch = str(target.with_name(f"{WRITING}{target.name}"))
            self._files.put_file(str(path), scratch)
            self._files.mv(scratch, str(target))

    def delete(self, names: Iterable[str]) -> None:
        """Deletes files, in the given order."""
        for name in names:
            with explained(join_url(self.url, name), "deleted"), _missing_ok():
                self._files.rm_file(self._at(name))

    def check_writable(self) -> None:
        """Writes a small file and deletes it again."""
        name = f"{WRITING}check"
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).touch()
            self.send(Path(folder) / name, name)
        self.delete([name])

    def replace(self, new: Path, last: str, outdated: Iterable[str]) -> None:
        """Sends the files of a local folder.

        An existing file `last` is deleted first and sent last, so that an interruption never leaves
        a mixture that can be loaded.

        Args:
            new: The local folder.
            last: Name of the file without which nothing can be loaded.
            outdated: Names of files of an earlier version, which are deleted.
        """
        names = [path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file()]
        self.delete([last, *(set(outdated) - {last, *names})])
        for name in sorted(names, key=lambda name: (name == last, name)):
            self.send(new / name, name)

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"


def identity(info: dict) -> str:
    """Returns a string that changes with a file, as its file system describes it."""
    return json.dumps({key: str(info[key]) for key in _IDENTITY if info.get(key) is not None})


@contextlib.contextmanager
def _missing_ok() -> Iterator[None]:
    with contextlib.suppress(FileNotFoundError):
        yield


@contextlib.contextmanager
def explained(url: str, action: str) -> Iterator[None]:
    """Turns every error of a file system into one that names the URL and says what to do.

    File systems raise errors of many libraries, which are not known here.
    """
    try:
        yield
    except RemoteError:
        raise
    except ImportError as error:
        raise RemoteError(f"{url} needs a package: {_missing_package(url, error)}") from error
    except FileNotFoundError as error:
        raise RemoteError(
            f"{url} could not be {action}: {_reason(error)}. Check the name, and create the bucket "
            "if there is none."
        ) from error
    except Exception as error:
        if "Protocol not known" in str(error):
            raise RemoteError(
                f"{url} has an unknown protocol. Expected a local path, or a URL that fsspec "
                "knows, such as s3://bucket/run or gs://bucket/run."
            ) from error
        raise RemoteError(
            f"{url} could not be {action}: {_reason(error)}. Check the network, the credentials "
            "and the rights, and try again."
        ) from error


def _missing_package(url: str, error: ImportError) -> str:
    """Returns what to install for a URL."""
    from fsspec.registry import known_implementations

    protocol = url.partition("://")[0]
    package = known_implementations.get(protocol, {"class": "fsspec"})["class"].partition(".")[0]
    install = "" if package == "fsspec" else f", with `pip install {package}`"
    return f"{str(error).rstrip('.')}{install}."


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or repr(error)
    return reason.rstrip(".")
