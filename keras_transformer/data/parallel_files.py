"""Corpora in text files: two parallel files, or one tab-separated file."""

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from keras_transformer.data.corpora import Corpus, Entry
from keras_transformer.io import read_raw_lines, require_file

NOT_UTF8 = "not UTF-8"
NUL = "NUL character"


class ParallelFiles(Corpus):
    """A corpus in two parallel files, plain or compressed, whose lines correspond.

    Lines that are not UTF-8 or have a NUL character are reported as entries with a problem.

    Args:
        source_path: File of source sentences, one per line.
        target_path: File of their translations, one per line.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is a pipe. On reading: a file is empty, damaged or UTF-16, no line is
            UTF-8 in both files, or the files have different numbers of lines.

    Example:

    ```python
    corpus = ParallelFiles("train.en.gz", "train.de.gz")
    source, target = next(iter(corpus))
    ```
    """

    def __init__(self, source_path: str | os.PathLike, target_path: str | os.PathLike):
        self.source_path = require_file(source_path)
        self.target_path = require_file(target_path)
        self.name = f"{source_path} and {target_path}"

    def entries(self) -> Iterator[Entry]:
        sources, targets = read_lines(self.source_path), read_lines(self.target_path)
        any_pair = False
        for line in itertools.count(1):
            source, target = next(sources, None), next(targets, None)
            if source is None or target is None:
                break
            try:
                entry = Entry(line, source.decode("utf-8"), target.decode("utf-8"))
            except UnicodeDecodeError:
                yield Entry(line, "", "", NOT_UTF8)
                continue
            if "\0" in entry.source or "\0" in entry.target:
                entry = Entry(line, "", "", NUL)
            any_pair = any_pair or entry.problem is None
            yield entry
        if source is not None or target is not None:
            self._raise_unequal(line, source, target, sources, targets)
        if not any_pair:
            raise _no_pair_error(self.name, NOT_UTF8)

    def _raise_unequal(self, line, source, target, sources, targets):
        """Raises the error for files of different lengths, after counting the remaining lines."""
        counts = [
            line - 1 + (0 if extra is None else 1 + sum(1 for _ in rest))
            for extra, rest in ((source, sources), (target, targets))
        ]
        raise ValueError(
            f"Parallel files must have the same number of lines: {self.source_path} has "
            f"{counts[0]}, {self.target_path} has {counts[1]}. Find the line that one "
            "of them lacks."
        )

    def fingerprint(self) -> str:
        return f"{_digest(self.source_path)} {_digest(self.target_path)}"


class TsvFile(Corpus):
    """A corpus in one tab-separated file, plain or compressed: source sentence, tab, translation.

    Quotation marks have no special meaning. Lines that are not UTF-8, have a NUL character or too
    few columns are reported as entries with a problem.

    Args:
        path: The file.
        columns: The columns of source and target, counted from 1, such as `(2, 1)`. `None` takes
            the first two; lines with more are noted in the report. An integer takes the first two
            of lines with exactly this number of columns, and reports all others.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is a pipe, or `columns` is neither two different numbers from 1 nor a
            number from 2. On reading: the file is
            empty, damaged or UTF-16, or no line is a pair.
    """

    def __init__(self, path: str | os.PathLike, columns: int | tuple[int, int] | None = None):
        if isinstance(columns, int) and columns < 2:
            raise ValueError(f"`columns` must be at least 2. Received: {columns}")
        if isinstance(columns, list | tuple):
            _check_columns(columns)
        self.path = require_file(path)
        self.name = str(path)
        self.columns = tuple(columns) if isinstance(columns, list) else columns

    def entries(self) -> Iterator[Entry]:
        any_pair, first_problem = False, None
        for line, raw in enumerate(read_lines(self.path), start=1):
            entry = self._entry(line, raw)
            any_pair = any_pair or entry.problem is None
            first_problem = first_problem or entry.problem
            yield entry
        if not any_pair:
            raise _no_pair_error(self.path, first_problem)

    def _entry(self, line: int, raw: bytes) -> Entry:
        try:
            columns = raw.decode("utf-8").split("\t")
        except UnicodeDecodeError:
            return Entry(line, "", "", NOT_UTF8)
        if b"\0" in raw:
            return Entry(line, "", "", NUL)
        if len(columns) == 1:
            return Entry(line, "", "", "no tab")
        if isinstance(self.columns, int) and len(columns) != self.columns:
            return Entry(line, "", "", f"not {self.columns} columns")
        source, target = self.columns if isinstance(self.columns, tuple) else (1, 2)
        if len(columns) < max(source, target):
            return Entry(line, "", "", f"fewer than {max(source, target)} columns")
        note = "extra columns ignored" if self.columns is None and len(columns) > 2 else None
        return Entry(line, columns[source - 1], columns[target - 1], note=note)

    def fingerprint(self) -> str:
        columns = {None: "2", 2: "exactly 2"}.get(self.columns, self.columns)  # "2" as ever
        return f"{_digest(self.path)} {columns}"


def _check_columns(columns) -> None:
    numbers = [column for column in columns if isinstance(column, int) and column > 0]
    if len(columns) != 2 or len(set(numbers)) != 2:
        raise ValueError(
            "`columns` must be the different columns of source and target, counted from 1, such as "
            f"(1, 2). Received: {columns!r}"
        )


def read_lines(path: Path) -> Iterator[bytes]:
    """Yields the lines of a file, as `read_raw_lines`.

    Raises:
        ValueError: The file is empty, UTF-16 or damaged.
    """
    lines = read_raw_lines(path)
    first = next(lines, None)
    if first is None:
        raise ValueError(f"{path} is empty. Expected one sentence per line.")
    yield first
    yield from lines


def _digest(path: Path) -> str:
    """Returns the BLAKE2b hash of a file, shortened to 128 bits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def _no_pair_error(files, problem: str) -> ValueError:
    return ValueError(
        f"No line of {files} holds a pair. Expected UTF-8 text, one pair per line. The problem of "
        f"the first line: {problem}. Check that this is the right file."
    )
