"""Text files that grow by whole lines, and that a killed process can go on with.

Beside a file `NAME` stands its record, `.NAME.progress.json`: what it is made from, how many inputs
are answered, the length and the hash of the file up to there, and whether it is finished. What a
killed process wrote after the last record is cut off. The record stays, so that a finished file is
not taken for that of another input.
"""

import bz2
import contextlib
import dataclasses
import gzip
import hashlib
import json
import lzma
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_transformer.io import (
    RemoteFolder,
    atomic_write,
    path_or_url,
    replacement_lock,
    working_folder,
)
from keras_transformer.io.remote_files import named

COMPRESS = {  # by suffix; each block is compressed by itself, and readers join them
    ".gz": lambda block: gzip.compress(block, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
RECORD = ".progress.json"
FORMAT = 1


@dataclasses.dataclass
class GrowingFile:
    """A file that is written in blocks of whole lines; see `growing_file`.

    Attributes:
        path: Path of the file.
        job: Dict that identifies what is written, for the record.
        answers: Number of inputs whose answers the file holds.
        size: Length of the file up to there, in bytes.
        finished: Whether the file was whole already, so that there is nothing to do.
    """

    path: Path
    job: dict
    answers: int = 0
    size: int = 0
    finished: bool = False

    def __post_init__(self):
        self._digest = hashlib.sha256()

    @property
    def record(self) -> Path:
        return self.path.with_name(f".{self.path.name}{RECORD}")

    def write(self, lines: Sequence[str], answers: int) -> None:
        """Appends lines, which are on the disk then.

        Args:
            lines: Lines without line ends.
            answers: Number of inputs that they answer.

        Raises:
            OSError: The file could not be written; it holds what was written before.
        """
        block = "".join(f"{line}\n" for line in lines).encode()
        if block:
            block = COMPRESS.get(self.path.suffix, bytes)(block)
        try:
            with open(self.path, "r+b") as file:
                file.truncate(self.size)
                file.seek(self.size)
                file.write(block)
                file.flush()
                os.fsync(file.fileno())
            self._digest.update(block)
            self._write_record(self.answers + answers, self.size + len(block))
        except OSError as error:
            self._cut_off()
            raise OSError(
                f"{self.path} could not be written: {_reason(error)}. It holds the lines of the "
                f"first {self.answers} inputs: make room, and go on with --resume."
            ) from error
        except BaseException:
            self._cut_off()
            raise
        self.answers, self.size = self.answers + answers, self.size + len(block)

    def _cut_off(self) -> None:
        """Cuts off what was written after the last record, which a signal may just have made."""
        with contextlib.suppress(OSError):
            os.truncate(self.path, self._recorded()["bytes"])

    def read_record(self) -> None:
        """Goes on where the record ends.

        Raises:
            ValueError: The record is of another job or damaged, or the file was changed.
        """
        try:
            found = self._recorded()
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']}")
            job, self.answers, self.size = dict(found["job"]), found["answers"], found["bytes"]
            expected, self.finished = found["sha256"], found["finished"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.record} is damaged ({error!r}). Start anew with --overwrite."
            ) from error
        if changed := _differences(job, self.job):
            raise ValueError(
                f"{self.path} cannot be resumed: it was begun with a different "
                f"{' and '.join(changed)}. Give the same as then, or start anew with --overwrite."
            )
        if self.finished and not self.path.exists():  # sent to a URL, as a whole
            return
        if self.size:
            self._read_digest()
        longer = self.finished and self.path.stat().st_size != self.size
        if longer or self._digest.hexdigest() != expected:
            raise ValueError(
                f"{self.path} was changed since it was written. Start anew with --overwrite."
            )
        if not self.finished:
            self._cut_off()

    def _recorded(self) -> dict:
        return json.loads(self.record.read_text(encoding="utf-8"))

    def _read_digest(self) -> None:
        left = self.size
        with contextlib.suppress(FileNotFoundError), open(self.path, "rb") as file:
            while block := file.read(min(left, 1 << 20)):
                self._digest.update(block)
                left -= len(block)

    def start(self) -> None:
        """Creates the record and, if there is none, the file, to see that both can be written."""
        try:
            self.path.open("ab").close()
            self._write_record(self.answers, self.size)
        except OSError as error:
            self.abandon()
            raise OSError(
                f"{self.path} could not be written: {_reason(error)}. Give another --output."
            ) from error

    def abandon(self) -> None:
        """Leaves the file to be resumed; or nothing, if nothing was written."""
        with contextlib.suppress(OSError):
            if self._recorded()["answers"]:
                return
            self.record.unlink(missing_ok=True)
            if self.path.stat().st_size == 0:
                self.path.unlink()

    def finish(self) -> None:
        """Records that the file is whole, and cuts off an old file that is replaced by less."""
        os.truncate(self.path, self.size)
        self._write_record(self.answers, self.size, finished=True)

    def _write_record(self, answers: int, size: int, finished: bool = False) -> None:
        record = {"format": FORMAT, "job": self.job, "answers": answers, "bytes": size}
        record |= {"sha256": self._digest.hexdigest(), "finished": finished}
        with atomic_write(self.record) as scratch:
            scratch.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _reason(error: OSError) -> str:
    """Returns why a file could not be written; errors of `atomic_write` have one as their cause."""
    return error.strerror or getattr(error.__cause__, "strerror", None) or str(error)


def _differences(old: dict, new: dict) -> list[str]:
    """Returns the keys whose values differ; of values that are dicts, with their keys."""
    found = []
    for key in sorted({*old, *new}):
        values = old.get(key), new.get(key)
        if values[0] == values[1]:
            continue
        inner = _differences(*values) if all(isinstance(one, dict) for one in values) else []
        found.append(f"{key} ({', '.join(inner)})" if inner else key)
    return found


@contextlib.contextmanager
def growing_file(
    output: str | os.PathLike, job: dict, resume: bool = False, overwrite: bool = False
) -> Iterator[GrowingFile]:
    """Yields a `GrowingFile`. It is finished if the block ends without an error.

    Args:
        output: Path of the file, or its URL. A file at a URL is made in the user's cache folder and
            sent when it is whole. With the suffix .gz, .bz2 or .xz it is compressed.
        job: Dict that identifies what is written: a file is only resumed with an equal one.
        resume: Boolean. Whether to go on with an unfinished file. A finished one stays as it is.
        overwrite: Boolean. Whether to replace an existing file.

    Raises:
        ValueError: The file exists and neither option is given; or it cannot be resumed.
        FolderInUseError: Another process is writing it.
        OSError: The file cannot be written.
    """
    output = path_or_url(output)
    remote, path = _working_file(output)
    with named(path, str(output)), replacement_lock(path, "writing"):
        file = GrowingFile(path, job)
        _check_existing(file, output, remote, resume, overwrite)
        if file.finished:
            yield file
            return
        file.start()
        try:
            yield file
        except BaseException:
            file.abandon()
            raise
        file.finish()
        if remote:
            for sent in (path, file.record):
                remote.send(sent, sent.name)
            for sent in (path, file.record):
                sent.unlink()


def _working_file(output: Path | str) -> tuple[RemoteFolder | None, Path]:
    """Returns the folder at a URL that the file is sent to, and the path where it is made."""
    if isinstance(output, Path):
        _check_local(output)
        return None, output
    folder, _, name = output.rpartition("/")
    if folder.endswith(":/"):
        raise ValueError(f"{output} names no file. Expected a URL such as {output}/text.txt.")
    remote, path = RemoteFolder(folder), working_folder(output) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return remote, path


def _check_local(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"--output must name a file. Received the folder {path}")
    if path.exists() and not path.is_file():
        raise ValueError(
            f"--output must name a file, which can grow. Received: {path}. Without --output, the "
            "lines go to standard output."
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(f"The folder {path.parent} of --output does not exist: create it first.")


def _check_existing(file, output, remote, resume: bool, overwrite: bool) -> None:
    """Decides whether a file is begun, resumed or finished, or raises an error."""
    begun = file.path.exists()
    if remote and not begun:
        _fetch_record(file, remote)
        if overwrite or not file.record.exists():
            remote.check_writable()
    exists = begun or (remote is not None and remote.has(file.path.name))
    if overwrite or not exists:
        if _is_unfinished(file):
            file.path.unlink(missing_ok=True)
        return
    if not resume and _is_unfinished(file):
        raise ValueError(
            f"{output} is unfinished. Go on with --resume, or start anew with --overwrite."
        )
    if not resume:
        raise ValueError(f"{output} already exists. Give another --output, or --overwrite.")
    if not file.record.exists():
        raise ValueError(
            f"{output} exists, but not its record {file.record.name}, so what it was made from is "
            "not known. Give another --output, or --overwrite."
        )
    file.read_record()


def _fetch_record(file: GrowingFile, remote: RemoteFolder) -> None:
    """Copies the record of a file that was finished at a URL."""
    file.record.unlink(missing_ok=True)
    if remote.has(file.record.name):
        remote.fetch(file.record.name, file.record)


def _is_unfinished(file: GrowingFile) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return not json.loads(file.record.read_text(encoding="utf-8"))["finished"]
    return False
