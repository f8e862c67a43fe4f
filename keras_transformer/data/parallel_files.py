"""Corpora in text files: two parallel files, or one with tabs."""

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from keras_transformer.data.corpora import Corpus, Entry
from keras_transformer.io import existing_file, raw_lines

NOT_UTF8 = "not UTF-8"


class ParallelFiles(Corpus):
    """Two files, plain or `.gz`: line n of one is the translation of line n of the other.

    Lines that are not UTF-8 are entries with a problem, not pairs.

    Args:
        source_path: File of source sentences, one a line.
        target_path: File of their translations, one a line.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is a pipe. While reading: a file is empty, damaged or UTF-16, no line is
            UTF-8 in both, or the files have different numbers of lines.

    Example:

    ```python
    corpus = ParallelFiles("train.en.gz", "train.de.gz")
    source, target = next(iter(corpus))
    ```
    """

    def __init__(self, source_path: str | os.PathLike, target_path: str | os.PathLike):
        self.source_path = existing_file(source_path)
        self.target_path = existing_file(target_path)

    def entries(self) -> Iterator[Entry]:
        sources, targets = read_lines(self.source_path), read_lines(self.target_path)
        any_whole = False
        for line in itertools.count(1):
            source, target = next(sources, None), next(targets, None)
            if source is None or target is None:
                break
            try:
                entry = Entry(line, source.decode("utf-8"), target.decode("utf-8"))
            except UnicodeDecodeError:
                yield Entry(line, "", "", NOT_UTF8)
                continue
            any_whole = True
            yield entry
        if source is not None or target is not None:
            self._raise_unequal(line, source, target, sources, targets)
        if not any_whole:
            raise _no_pair_in(f"{self.source_path} and {self.target_path}", NOT_UTF8)

    def _raise_unequal(self, line, source, target, sources, targets):
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
    """One file, plain or `.gz`, with a source sentence, a tab and its translation on every line.

    There is no quoting: a quotation mark is part of the sentence. Lines that are not UTF-8 or have
    another number of columns are entries with a problem, not pairs.

    Args:
        path: The file.
        columns: How many columns every line has, at least 2; the first two are the pair.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is a pipe, or `columns` is less than 2. While reading: the file is
            empty, damaged or UTF-16, or no line holds a pair.
    """

    def __init__(self, path: str | os.PathLike, columns: int = 2):
        if columns < 2:
            raise ValueError(f"`columns` must be at least 2. Received: {columns}")
        self.path = existing_file(path)
        self.columns = columns

    def entries(self) -> Iterator[Entry]:
        any_whole, first_problem = False, None
        for line, raw in enumerate(read_lines(self.path), start=1):
            entry = self._entry(line, raw)
            any_whole = any_whole or entry.problem is None
            first_problem = first_problem or entry.problem
            yield entry
        if not any_whole:
            raise _no_pair_in(self.path, first_problem)

    def _entry(self, line: int, raw: bytes) -> Entry:
        try:
            columns = raw.decode("utf-8").split("\t")
        except UnicodeDecodeError:
            return Entry(line, "", "", NOT_UTF8)
        if len(columns) == 1:
            return Entry(line, "", "", "no tab")
        if len(columns) != self.columns:
            return Entry(line, "", "", f"not {self.columns} columns")
        return Entry(line, columns[0], columns[1])

    def fingerprint(self) -> str:
        return f"{_digest(self.path)} {self.columns}"


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that holds some, as `raw_lines`."""
    lines = raw_lines(path)
    first = next(lines, None)
    if first is None:
        raise ValueError(f"{path} is empty. Expected one sentence a line.")
    yield first
    yield from lines


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def _no_pair_in(place, problem: str) -> ValueError:
    return ValueError(
        f"No line of {place} holds a pair. Expected UTF-8 text, one pair a line; is it the right "
        f"file? What is wrong with the first: {problem}."
    )
