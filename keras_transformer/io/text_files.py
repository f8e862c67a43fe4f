"""Lines of text, in files, plain or `.gz`, or in streams.

A line ends at "\\n" (or "\\r\\n") and nowhere else: other characters that Unicode calls line breaks
are part of the sentence. A byte order mark at the start is no part of it.
"""

import codecs
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def existing_file(path: str | os.PathLike, read_again: bool = True) -> Path:
    """The path, if there is such a file.

    Args:
        path: A text file.
        read_again: Boolean. Whether it will be read more than once, which a pipe cannot be.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is a pipe, which `read_again` forbids.
    """
    path = Path(path)
    if not path.exists() or path.is_dir():
        raise FileNotFoundError(f"There is no file {path}. Expected a text file, plain or .gz.")
    if read_again and not path.is_file():
        raise ValueError(
            f"{path} is a pipe or a device, and this text is read more than once. Write it to a "
            "file first."
        )
    return path


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, plain or `.gz`, without their ends.

    Raises:
        ValueError: The file is UTF-16 or a damaged gzip file.
    """
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        try:
            yield from without_ends(file, path)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(
                f"{path} is damaged or no gzip file ({error}). Expected gzip, as its name says; "
                "fetch or compress it again."
            ) from None


def without_ends(stream: Iterable[bytes], name) -> Iterator[bytes]:
    """The lines of a stream, `name`, without their ends and without a byte order mark."""
    for number, line in enumerate(stream):
        if number == 0 and line.startswith(_UTF16_MARKS):
            raise ValueError(
                f"{name} is UTF-16. Expected UTF-8: convert it, with iconv for instance."
            )
        yield (line if number else line.removeprefix(codecs.BOM_UTF8)).rstrip(b"\r\n")


def decoded(lines: Iterable[bytes], name) -> list[str]:
    """Lines of UTF-8 as text; the first that is something else raises `ValueError`."""
    texts = []
    for number, line in enumerate(lines, start=1):
        try:
            texts.append(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"Line {number} of {name} is not UTF-8 ({error.reason} at byte {error.start}). "
                "Convert it, for instance with iconv."
            ) from error
    return texts
