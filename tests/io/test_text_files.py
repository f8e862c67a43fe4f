"""Lines of files and streams: where they end, and what is no text."""

import gzip
import io
import os
import threading

import pytest

from keras_transformer.io.text_files import (
    decode_lines,
    read_raw_lines,
    require_file,
    strip_line_ends,
)

TEXT = "\ufeffone\r\n\n t\x85w\u2028o \nthr\ree\n\ufefffour".encode()
LINES = ["one", "", " t\x85w\u2028o ", "thr\ree", "\ufefffour"]


@pytest.mark.parametrize("name", ["a.txt", "a.gz"])
def test_only_a_line_feed_ends_a_line_and_only_the_first_mark_is_none(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT) if path.suffix == ".gz" else TEXT)
    assert decode_lines(read_raw_lines(require_file(path)), path) == LINES


def test_a_stream_is_read_alike():
    assert decode_lines(strip_line_ends(io.BytesIO(TEXT), "it"), "it") == LINES
    assert decode_lines(strip_line_ends(io.BytesIO(b""), "it"), "it") == []
    assert decode_lines(strip_line_ends(io.BytesIO(b"\n"), "it"), "it") == [""]


def test_the_line_that_is_not_utf8_is_told():
    with pytest.raises(ValueError, match=r"^Line 2 of it is not UTF-8 \(invalid .* at byte 3\)"):
        decode_lines([b"one", b"two\xff"], "it")


def test_utf16_is_told():
    with pytest.raises(ValueError, match=r"^it is UTF-16"):
        list(strip_line_ends(io.BytesIO("one\n".encode("utf-16")), "it"))


def test_what_is_no_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^There is no file "):
        require_file(tmp_path)


def test_a_pipe_is_read_once_or_refused(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"/pipe is a pipe or a device"):
        require_file(path)
    threading.Thread(target=path.write_text, args=["one\ntwo\n"]).start()
    assert decode_lines(read_raw_lines(require_file(path, read_again=False)), path) == [
        "one",
        "two",
    ]
