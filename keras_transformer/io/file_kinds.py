"""Kinds of files, told by their first bytes, whatever their names say."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from typing import BinaryIO

_COMPRESSED = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_UNPACK = "Unpack it and give the text files in it."
_NOT_TEXT = {  # first bytes: what it is, what to do
    b"PK\x03\x04": ("a zip archive", _UNPACK),
    b"7z\xbc\xaf'\x1c": ("a 7z archive", _UNPACK),
    b"Rar!": ("a rar archive", _UNPACK),
    b"(\xb5/\xfd": ("compressed with zstd", "Decompress it with unzstd."),
    b"\x04\x22\x4d\x18": ("compressed with lz4", "Decompress it with unlz4."),
    b"\x1f\x9d": ("compressed with compress", "Decompress it with uncompress."),
    b"PAR1": ("a Parquet file", "Write its two columns to text files."),
    b"ARROW1": ("an Arrow file", "Write its two columns to text files."),
    b"\x89HDF": ("an HDF5 file, such as weights", "Give the text."),
    b"SQLite format 3": ("an SQLite database", "Write its two columns to text files."),
    b"\x93NUMPY": ("a NumPy array", "Give the text."),
    b"%PDF-": ("a PDF document", "Extract its text."),
}
_TAR = ("a tar archive", _UNPACK)
_HTML = ("an HTML page", "If it was downloaded, the address was not that of the file.")
_SENTENCEPIECE = ("a SentencePiece model", "Give the text.")
_UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)  # the first begins like UTF-16's
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
DAMAGED = (EOFError, OSError, lzma.LZMAError, zlib.error)


def open_text(stream: BinaryIO, name) -> BinaryIO:
    """Returns the stream of the text in a stream, which may be compressed.

    Args:
        stream: A binary stream. What it holds counts, not the suffix of its name.
        name: Name of the stream in error messages.

    Raises:
        ValueError: The stream is not UTF-8 text; the message says what it is, and what to do.
        EOFError, OSError, zlib.error, lzma.LZMAError: The compressed data is damaged.
    """
    stream = stream if hasattr(stream, "peek") else io.BufferedReader(stream)
    while found := [open_ for mark, open_ in _COMPRESSED.items() if _head(stream).startswith(mark)]:
        stream = found[0](stream)
    _check_text(_head(stream), name)
    return stream


def _head(stream) -> bytes:
    return stream.peek(512)[:4096]


def _check_text(head: bytes, name) -> None:
    kind, advice = _binary_kind(head) or (None, None)
    if kind:
        raise ValueError(f"{name} is {kind}. Expected UTF-8 text. {advice}")
    encoding = _wide_encoding(head)
    if encoding:
        raise ValueError(
            f"{name} is {encoding}. Expected UTF-8. Convert it, for instance with iconv."
        )


def _binary_kind(head: bytes) -> tuple[str, str] | None:
    """Returns what is no text, and what to do about it."""
    if head[257:262] == b"ustar":
        return _TAR
    if re.match(rb"\s*<(!doctype html|html)[\s>]", head, re.IGNORECASE):
        return _HTML
    if re.match(rb"\n[\x00-\x7f]\n[\x00-\x7f][^\n]{1,64}\x15", head):
        return _SENTENCEPIECE
    return next((kind for mark, kind in _NOT_TEXT.items() if head.startswith(mark)), None)


def _wide_encoding(head: bytes) -> str | None:
    """Returns the name of an encoding of several bytes per character, by its mark or its NULs."""
    if head.startswith(_UTF32_MARKS):
        return "UTF-32"
    if head.startswith(_UTF16_MARKS):
        return "UTF-16"
    nuls = head.count(0) / max(1, len(head))
    if nuls < 0.1:
        return None  # single NULs are a matter of their line
    return f"UTF-{32 if nuls > 0.55 else 16} without a byte order mark, or no text"
