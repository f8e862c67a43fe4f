"""Commands as filters: lines in, lines out, from standard input or from files of any length."""

import contextlib
import dataclasses
import hashlib
import io
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from keras_transformer.io import (
    RemoteFolder,
    decoded_lines,
    path_or_url,
    read_raw_lines,
    strip_line_ends,
)

STANDARD_INPUT = "standard input"


@dataclasses.dataclass(frozen=True)
class FileOptions:
    """Options of a command that reads files and writes a file that grows.

    Attributes:
        output: File to write, or its URL; empty for standard output.
        resume: Whether to go on with an unfinished output.
        overwrite: Whether to replace an existing output.
        shard: Part of the input to read, such as 2/4; empty for all.
        buffer: Number of lines to read ahead.
    """

    output: str = ""
    resume: bool = False
    overwrite: bool = False
    shard: str = ""
    buffer: int = 4096

    def check(self, has_files: bool, usage: str) -> None:
        """Raises a ValueError if options contradict each other.

        Args:
            has_files: Whether files are read, and not texts or standard input.
            usage: How the files are given, such as "--input".
        """
        if self.buffer < 1:
            raise ValueError(
                f"--buffer must be at least 1, the lines to read ahead. Received: {self.buffer}"
            )
        if self.resume and self.overwrite:
            raise ValueError("--resume and --overwrite contradict each other: leave one out.")
        given = [f"--{name}" for name in ("output", "shard") if getattr(self, name)]
        if given and not has_files:
            raise ValueError(f"{' and '.join(given)} can only be given with files: add {usage}.")
        given = [f"--{name}" for name in ("resume", "overwrite") if getattr(self, name)]
        if given and not self.output:
            raise ValueError(f"{given[0]} can only be given with a file to write: add --output.")


@dataclasses.dataclass
class Stream:
    """The input and the output of a command.

    Attributes:
        items: Iterator of lines, or of pairs of lines.
        write: Function that writes lines, which answer a number of items.
        start: Number of items before the first one.
        total: Number of items, if it is known.
        buffer: Number of items to read ahead.
        finished: Whether there is nothing to do.
    """

    items: Iterator
    write: Callable[[list[str], int], None]
    start: int = 0
    total: int | None = None
    buffer: int = 4096
    finished: bool = False

    def answer(self, answer: Callable[[list, int], list], to_lines: Callable) -> None:
        """Writes the answers to the items as they come.

        Args:
            answer: Function of a list of items and the number of items before it.
            to_lines: Function of a result and the number of its item, from 1. It returns lines.
        """
        from keras_transformer.translation.streaming import stream_groups

        number = self.start
        with _progress(self.total, self.write is write_to_standard_output) as advance:
            for results in stream_groups(self.items, answer, self.buffer, self.start):
                numbered = enumerate(results, start=number + 1)
                self.write([line for n, one in numbered for line in to_lines(one, n)], len(results))
                number += len(results)
                advance(len(results))


def from_standard_input(options: FileOptions, read: Callable[[], Iterator] | None = None) -> Stream:
    """Returns the stream of standard input, or of what `read` yields, to standard output."""
    return Stream((read or read_standard_input)(), write_to_standard_output, buffer=options.buffer)


@contextlib.contextmanager
def from_files(options: FileOptions, sides: list[list], run, job: dict) -> Iterator[Stream]:
    """Yields the stream of files to a file that grows, or to standard output.

    Args:
        options: Options of the command.
        sides: Lists of files; see `TextSource`.
        run: The run folder or its URL, whose contents must be the same if an output is resumed.
        job: Dict of what else must be the same.
    """
    from keras_transformer.serving import Shard, TextSource, growing_file

    shard = Shard.parse(options.shard) if options.shard else None
    _check_not_an_input(options.output, sides)
    source = TextSource(*sides, shard=shard)
    first, total = source.lines.start, len(source.lines)
    if not options.output:
        yield Stream(source.items(), write_to_standard_output, first, total, options.buffer)
        source.check_unchanged()
        return
    job = {
        "run": fingerprint_of_run(run),
        "input": source.fingerprint,
        "shard": options.shard,
        "options": job,
    }
    with growing_file(options.output, job, options.resume, options.overwrite) as file:
        if file.finished:
            print(f"{options.output} is finished: there is nothing to do.", file=sys.stderr)

        def write(lines: list[str], answers: int) -> None:
            source.check_unchanged()
            file.write(lines, answers)

        items, done = source.items(file.answers), file.answers
        yield Stream(items, write, first + done, total - done, options.buffer, file.finished)
        source.check_unchanged()


def _check_not_an_input(output, sides: list[list]) -> None:
    written = path_or_url(output) if output else None
    for path in map(path_or_url, itertools.chain.from_iterable(sides)):
        both_exist = all(isinstance(one, Path) and one.exists() for one in (path, written))
        if path == written or (both_exist and os.path.samefile(path, written)):
            raise ValueError(f"--output {output} is a file that is read. Give another --output.")


def fingerprint_of_run(run: Path | str) -> dict[str, str]:
    """Returns what identifies each file of a run: its hash, or what a file system says of it."""
    from keras_transformer.translation.run_folder import FILES

    if isinstance(run, str):
        found = RemoteFolder(run).files()
        return {name: found[name] for name in FILES if name in found}
    files = [run / name for name in FILES if (run / name).is_file()]
    return {path.name: _hash(path) for path in files}


def fingerprint_of_shortlist(run: Path | str) -> str:
    """Returns what identifies the shortlist of a run; "" if it has none."""
    from keras_transformer.translation.run_folder import SHORTLIST

    if isinstance(run, str):
        return RemoteFolder(run).files().get(SHORTLIST, "")
    return _hash(run / SHORTLIST) if (run / SHORTLIST).is_file() else ""


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_standard_input() -> Iterator[str]:
    """Yields the lines of standard input as they come."""
    if sys.stdin is None:
        raise ValueError("Standard input is closed. Give texts, or files.")
    try:
        # A file of its own: a thread that waits for it does not stop the program from ending.
        stream = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115
    except io.UnsupportedOperation:  # not a file of the operating system
        stream = sys.stdin.buffer
    return decoded_lines(strip_line_ends(stream, STANDARD_INPUT), STANDARD_INPUT)


def read_pairs_from_standard_input() -> Iterator[tuple[str, str]]:
    """Yields the pairs of standard input as they come, a text and its translation in each line."""
    for number, line in enumerate(read_standard_input(), start=1):
        columns = line.split("\t")
        if len(columns) != 2:
            raise ValueError(
                f"Line {number} of {STANDARD_INPUT} has {len(columns)} columns. Expected a text "
                "and its translation, separated by a tab."
            )
        yield columns[0], columns[1]


def read_pipes(*paths: Path) -> Iterator[str] | Iterator[tuple[str, ...]]:
    """Yields the lines of a file that can be read only once, or of two parallel ones."""
    sides = [decoded_lines(read_raw_lines(path), path) for path in paths]
    if len(sides) == 1:
        yield from sides[0]
        return
    for number, pair in enumerate(itertools.zip_longest(*sides), start=1):
        if None in pair:
            raise ValueError(
                f"{paths[pair.index(None)]} ends before line {number}, which the other file has: "
                "line n of one must be the translation of line n of the other."
            )
        yield pair


def write_to_standard_output(lines: Iterable[str], answers: int = 0) -> None:
    """Writes whole lines at once: an interruption does not tear one."""
    sys.stdout.flush()
    for line in lines:
        sys.stdout.buffer.write(f"{line}\n".encode())
    sys.stdout.buffer.flush()


@contextlib.contextmanager
def _progress(total: int | None, prints: bool) -> Iterator[Callable[[int], None]]:
    """Yields a function that advances a bar, if somebody watches and sees nothing else.

    Args:
        total: Number of items; `None` for those of standard input.
        prints: Whether the answers are printed.
    """
    typed = total is None and (sys.stdin is None or sys.stdin.isatty())
    if not sys.stderr.isatty() or typed or (prints and sys.stdout.isatty()):
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="line", file=sys.stderr) as bar:
        yield bar.update
