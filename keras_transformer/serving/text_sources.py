"""Lines of text files, read one after the other, as a whole or in shards."""

import dataclasses
import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from keras_transformer.io import decoded_lines, read_raw_lines, require_file


class Shard(NamedTuple):
    """One of several parts of a corpus, of consecutive lines.

    Attributes:
        number: Which part, from 1.
        count: Number of parts.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Returns the shard that a text such as "2/4" names.

        Raises:
            ValueError: The text names no shard.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise ValueError(
                "--shard takes the number of a part and the number of all parts, from 1/4 to 4/4 "
                f"for four. Received: {text}"
            )
        return shard

    def lines(self, total: int) -> range:
        """Returns the numbers, from 0, of the lines of this shard.

        Example:

        >>> [Shard(number, 3).lines(10) for number in (1, 2, 3)]
        [range(0, 3), range(3, 6), range(6, 10)]
        """
        return range(
            total * (self.number - 1) // self.count,
            total * self.number // self.count,
        )


@dataclasses.dataclass(frozen=True)
class _File:
    """A file as it was when its lines were counted.

    Attributes:
        name: Path or URL that was given.
        path: Path of the file or of its local copy.
        state: What changes if the file is written or replaced.
        lines: Number of lines.
        digest: Hash of the lines.
    """

    name: str
    path: Path
    state: tuple
    lines: int
    digest: str

    @classmethod
    def read(cls, name: str | os.PathLike) -> "_File":
        path, digest, lines = require_file(name), hashlib.sha256(), 0
        state = _state_of(path)
        for line in decoded_lines(read_raw_lines(path), name):
            digest.update(f"{line}\n".encode())
            lines += 1
        return cls(str(name), path, state, lines, digest.hexdigest())

    def texts(self) -> Iterator[str]:
        return decoded_lines(read_raw_lines(self.path), self.name)

    def check_unchanged(self) -> None:
        if not self.path.exists() or _state_of(self.path) != self.state:
            raise ValueError(
                f"{self.name} was changed while it was read. What is written so far belongs to the "
                "old file: start anew with a file that nobody writes to."
            )


def _state_of(path: Path) -> tuple:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


class TextSource:
    """The lines of text files, or of parallel files, which are counted and checked first.

    Args:
        *sides: Lists of paths or URLs, plain or compressed. The files of a list are read one after
            the other. With several lists, an item is a tuple of the lines that stand side by side.
        shard: The part to read. `None` means all lines.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file cannot be read twice, as a pipe, or a line is not text; or parallel
            files have different numbers of lines.
    """

    def __init__(self, *sides: Sequence[str | os.PathLike], shard: Shard | None = None):
        self._sides = [[_File.read(path) for path in paths] for paths in sides]
        totals = [sum(file.lines for file in files) for files in self._sides]
        if len(set(totals)) > 1:
            names = [" and ".join(file.name for file in files) for files in self._sides]
            raise ValueError(
                f"{names[0]} has {totals[0]} lines, {names[1]} has {totals[1]}: line n of one must "
                "be the translation of line n of the other."
            )
        self.lines = (shard or Shard(1, 1)).lines(totals[0])

    @property
    def fingerprint(self) -> list:
        """Number of lines and hash of each file; a list that JSON can hold."""
        return [[[file.lines, file.digest] for file in files] for files in self._sides]

    def items(self, done: int = 0) -> Iterator[str] | Iterator[tuple[str, ...]]:
        """Yields the lines of the shard, but for the first `done` ones."""
        sides = [
            itertools.chain.from_iterable(file.texts() for file in files) for files in self._sides
        ]
        items = zip(*sides, strict=True) if len(sides) > 1 else sides[0]
        return itertools.islice(items, self.lines.start + done, self.lines.stop)

    def check_unchanged(self) -> None:
        """Raises a ValueError if a file is no longer as it was when its lines were counted."""
        for file in itertools.chain.from_iterable(self._sides):
            file.check_unchanged()
