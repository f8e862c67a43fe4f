"""Lines of text from files and byte streams, plain or compressed with gzip, bzip2 or xz.

A line ends at "\\n" or "\\r\\n" only: other characters that Unicode defines as line breaks are part
of the sentence. A byte order mark at the start is skipped.
"""

import codecs
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from keras_transformer.io.file_kinds import DAMAGED, open_text
from keras_transformer.io.remote_files import local_file


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
        raise FileNotFoundError(
            f"There is no file {path}. Expected a text file, plain or compressed."
        )
    if read_again and not path.is_file():
        raise ValueError(
            f"{path} is a pipe or a device, but this text is read more than once. Write it to a "
            "file first."
        )
    return path


def read_raw_lines(path: Path) -> Iterator[bytes]:
    """Yields the undecoded lines of a file without line ends, as `strip_line_ends`.

    Raises:
        ValueError: The file is not UTF-8 text, or its compressed data is damaged.
    """
    with open(path, "rb") as file:
        yield from strip_line_ends(file, path)


def strip_line_ends(stream: BinaryIO, name) -> Iterator[bytes]:
    """Yields the lines of a byte stream without line ends and byte order mark.

    Text that is compressed with gzip, bzip2 or xz is decompressed.

    Args:
        stream: A binary stream, such as an open binary file.
        name: Name of the stream in error messages.

    Raises:
        ValueError: The stream is not UTF-8 text, or its compressed data is damaged.
    """
    try:
        stream = open_text(stream, name)
        for number, line in enumerate(stream):
            yield (line if number else line.removeprefix(codecs.BOM_UTF8)).rstrip(b"\r\n")
    except DAMAGED as error:
        if getattr(error, "errno", None) is not None:  # of the disk
            raise
        raise ValueError(
            f"{name} is damaged: its compressed data cannot be read ({error}). Download or "
            "compress it again."
        ) from None


def decode_lines(lines: Iterable[bytes], name) -> list[str]:
    """Decodes lines of UTF-8 to a list; see `decoded_lines`."""
    return list(decoded_lines(lines, name))


def decoded_lines(lines: Iterable[bytes], name) -> Iterator[str]:
    """Yields decoded lines of UTF-8.

    Args:
        lines: Lines of bytes, without line ends.
        name: Name of the file or stream in error messages.

    Raises:
        ValueError: A line is not UTF-8 or has a NUL character; the message gives its number.
    """
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"Line {number} of {name} is not UTF-8 ({error.reason} at byte {error.start}). "
                "Convert it, for instance with iconv."
            ) from error
        if "\0" in text:
            raise ValueError(
                f"Line {number} of {name} has a NUL character, which is not text. Remove it, or "
                "check that this is the right file."
            )
        yield text
