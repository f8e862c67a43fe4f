"""Lines of text from files, plain or `.gz`, and from byte streams.

A line ends at "\\n" or "\\r\\n" only: other characters that Unicode defines as line breaks are part
of the sentence. A byte order mark at the start is skipped.
"""

import codecs
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from keras_transformer.io.remote_files import local_file

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def require_file(path: str | os.PathLike, read_again: bool = True) -> Path:
    """Checks that a text file exists and returns its path, or that of a local copy.

    Args:
        path: A text file, or the URL of one, which is fetched into the user's cache folder.
        read_again: Boolean. Whether the file is read more than once, which a pipe does not allow.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: `path` is a pipe or a device and `read_again` is set.
    """
    path = local_file(path)
    if not path.exists() or path.is_dir():
        raise FileNotFoundError(f"There is no file {path}. Expected a text file, plain or .gz.")
    if read_again and not path.is_file():
        raise ValueError(
            f"{path} is a pipe or a device, but this text is read more than once. Write it to a "
            "file first."
        )
    return path


def read_raw_lines(path: Path) -> Iterator[bytes]:
    """Yields the undecoded lines of a file, plain or `.gz`, without line ends.

    Raises:
        ValueError: The file is UTF-16 or a damaged gzip file.
    """
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        try:
            yield from strip_line_ends(file, path)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(
                f"{path} is damaged or not a gzip file ({error}). Expected gzip data, as its "
                "suffix says. Download or compress the file again."
            ) from None


def strip_line_ends(stream: Iterable[bytes], name) -> Iterator[bytes]:
    """Yields the lines of a byte stream without line ends and byte order mark.

    Args:
        stream: Lines of bytes, such as an open binary file.
        name: Name of the stream in error messages.

    Raises:
        ValueError: The stream is UTF-16.
    """
    for number, line in enumerate(stream):
        if number == 0 and line.startswith(_UTF16_MARKS):
            raise ValueError(
                f"{name} is UTF-16. Expected UTF-8. Convert it, for instance with iconv."
            )
        yield (line if number else line.removeprefix(codecs.BOM_UTF8)).rstrip(b"\r\n")


def decode_lines(lines: Iterable[bytes], name) -> list[str]:
    """Decodes lines of UTF-8.

    Args:
        lines: Lines of bytes, without line ends.
        name: Name of the file or stream in error messages.

    Raises:
        ValueError: A line is not UTF-8; the message gives its number.
    """
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
