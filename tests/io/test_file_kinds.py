"""What a file is by its first bytes, whatever its name says."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from keras_transformer import Tokenizer
from keras_transformer.io.text_files import decode_lines, read_raw_lines, strip_line_ends

LINES = ["één", "", "two words", *map(str, range(997))]
TEXT = "".join(f"{line}\n" for line in LINES).encode()
COMPRESS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


def lines_of(raw, name="it"):
    return decode_lines(strip_line_ends(io.BytesIO(raw), name), name)


@pytest.mark.parametrize("suffix", [".txt", ".gz", ".bz2", ""])
@pytest.mark.parametrize("kind", COMPRESS)
def test_compressed_text_is_read_whatever_its_name(kind, suffix, tmp_path):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(COMPRESS[kind](TEXT))
    assert decode_lines(read_raw_lines(path), path) == LINES
    assert lines_of(path.read_bytes()) == LINES


@pytest.mark.parametrize("text", ["", "\n", "B", "\n\n", "BZ is no mark\n", "PK\n", "<b>\n"])
def test_plain_text_of_any_name_is_plain(text, tmp_path):
    (tmp_path / "text.gz").write_text(text)
    lines = [line.decode() for line in read_raw_lines(tmp_path / "text.gz")]
    assert lines == text.splitlines()


def test_what_is_compressed_twice_or_in_parts_is_read():
    assert lines_of(gzip.compress(bz2.compress(TEXT))) == LINES
    assert lines_of(gzip.compress(TEXT) + gzip.compress(TEXT)) == [*LINES, *LINES]
    assert lines_of(gzip.compress(b"")) == []


@pytest.mark.parametrize("kind", COMPRESS)
def test_what_was_cut_is_an_error(kind):
    whole = COMPRESS[kind](TEXT)
    for raw in (whole[:-7], whole[: len(whole) // 2], whole[:9]):
        with pytest.raises(ValueError, match=r"^it is damaged: its compressed data cannot be rea"):
            lines_of(raw)


def archive(kind):
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("a.txt", TEXT)
    else:
        with tarfile.open(fileobj=buffer, mode=kind) as file:
            member = tarfile.TarInfo("a.txt")
            member.size = len(TEXT)
            file.addfile(member, io.BytesIO(TEXT))
    return buffer.getvalue()


NOT_TEXT = {
    "a tar archive": archive("w"),
    "a tar archive (gz)": archive("w:gz"),
    "a tar archive (bz2)": archive("w:bz2"),
    "a zip archive": archive("zip"),
    "compressed with zstd": b"(\xb5/\xfd\x04X\x11",
    "a Parquet file": b"PAR1\x15\x04\x15\x10",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n\0\0\0\0",
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3",
    "an HTML page": b"\n<!DOCTYPE html>\n<html>",
    "UTF-16": "a\n".encode("utf-16"),
    "UTF-16 without": "one\ttwo\n".encode("utf-16-be"),
    "UTF-16 without (2)": "日本 語\n日本\n".encode("utf-16-le"),
    "UTF-32": "one\n".encode("utf-32"),
    "UTF-32 without": "one\ttwo\n".encode("utf-32-le"),
}


@pytest.mark.parametrize("kind", NOT_TEXT)
def test_what_is_no_text_is_named(kind):
    with pytest.raises(ValueError, match=rf"^it is {kind.partition(' (')[0]}\b") as error:
        lines_of(NOT_TEXT[kind])
    assert "Expected UTF-8" in str(error.value)


def test_a_tokenizer_is_no_text(tmp_path):
    Tokenizer.train(map(str, range(300)), 280, model_type="bpe").save(tmp_path / "a.model")
    with pytest.raises(ValueError, match=r"a\.model is a SentencePiece model\. .* Give the text\."):
        list(read_raw_lines(tmp_path / "a.model"))


def test_a_single_nul_is_told_with_its_line():
    with pytest.raises(ValueError, match=r"^Line 3 of it has a NUL character"):
        lines_of(b"one\ntwo and more words\nth\0ree\n")
