"""Local working copy of a folder at a URL: fetched at the start, sent file by file."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from keras_transformer.io.atomic import WRITING, atomic_write
from keras_transformer.io.remote import RemoteFolder
from keras_transformer.io.urls import working_folder

RECORD = ".sent.json"


class WorkingCopy:
    """A local folder whose files are sent to a URL.

    What was sent last is recorded beside the files. If the files at the URL are still those, the
    local ones are as new or newer and nothing is fetched; else they are fetched anew.

    Args:
        url: URL of the folder.
        names: Names of the files and folders that are sent, in this order. Others stay where they
            are. The last is a file without which nothing can be loaded: whenever another file
            changes, it is deleted first and sent last.

    Attributes:
        folder: Path of the local folder.
        remote: The `RemoteFolder`.
    """

    def __init__(self, url: str, names: Sequence[str]):
        self.folder = working_folder(url)
        self.remote = RemoteFolder(url)
        self.names = list(names)

    def files(self) -> dict[str, str]:
        """Returns the files at the URL that belong to the copy, and what identifies each."""
        return {
            name: found
            for name, found in self.remote.files().items()
            if name.partition("/")[0] in self.names
        }

    def fetch(self) -> None:
        """Makes the local files those at the URL, unless they are as new or newer."""
        there = self.files()
        if there == self._recorded()["remote"]:
            return
        self._write_record({"incomplete": ""}, {})
        for name in self.names:
            _remove(self.folder / name)
        for name in there:
            self.remote.fetch(name, self.folder / name)
        self._write_record(there, self._local_files())

    def send(self) -> None:
        """Sends new and changed files, then deletes at the URL those that are gone."""
        local, recorded = self._local_files(), self._recorded()
        changed = {name for name in local if recorded["local"].get(name) != local[name]}
        gone = recorded["remote"].keys() - local.keys()
        last = self.names[-1]
        if (changed or gone) and last in recorded["remote"]:
            self.remote.delete([last])
            changed |= {last} & local.keys()
        for name in sorted(changed, key=self._order):
            self.remote.send(self.folder / name, name)
        self.remote.delete(sorted(gone - {last}))
        self._write_record(self.files(), local)

    def clear(self) -> None:
        """Deletes the files at the URL that belong to the copy."""
        self.remote.delete(sorted(self.files(), key=self._order, reverse=True))
        self._write_record({}, {})

    def _order(self, name: str) -> tuple[int, str]:
        return self.names.index(name.partition("/")[0]), name

    def _local_files(self) -> dict[str, list[int]]:
        """Returns size and time of every local file that is to be sent."""
        paths = [path for name in self.names for path in _files_of(self.folder / name)]
        return {
            path.relative_to(self.folder).as_posix(): [path.stat().st_size, path.stat().st_mtime_ns]
            for path in paths
            if not path.name.startswith(WRITING)
        }

    def _recorded(self) -> dict[str, dict]:
        try:
            return json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {"remote": {}, "local": {}}

    def _write_record(self, remote: dict, local: dict) -> None:
        if not remote:
            (self.folder / RECORD).unlink(missing_ok=True)
            return
        with atomic_write(self.folder / RECORD) as scratch:
            scratch.write_text(json.dumps({"remote": remote, "local": local}), encoding="utf-8")


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return [file for file in path.rglob("*") if file.is_file()]
    return [path] if path.is_file() else []


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
