"""Files and folders that appear whole or not at all."""

import pytest

from keras_transformer.io.atomic import atomic_folder, atomic_write
from tests.conftest import run_python

TOO_LARGE = """
import pathlib, resource, signal, sys
from keras_transformer.io.atomic import atomic_write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with atomic_write(pathlib.Path(sys.argv[1])) as scratch:
        scratch.write_bytes(b"n" * 1009)
except OSError as error:
    print(error)
"""


def write(path, content):
    with atomic_write(path) as scratch:
        scratch.write_bytes(content)


def test_a_file_is_replaced(tmp_path):
    for content in (b"old", b"new"):
        write(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    assert "File too large" in run_python("-c", TOO_LARGE, str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_written_over(tmp_path):
    (tmp_path / ".writing-file").write_bytes(b"half")
    write(tmp_path / "file", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"new"}


def test_a_missing_folder_is_made(tmp_path):
    write(tmp_path / "none" / "file", b"new")
    assert (tmp_path / "none" / "file").read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("No space left")])
def test_a_file_is_whole_or_as_it_was(tmp_path, error):
    path = tmp_path / "folder" / "file"
    with atomic_write(path) as writing:
        writing.write_text("first")
        assert not path.exists()

    def fail():
        with atomic_write(path) as writing:
            writing.write_text("sec")
            raise error

    with pytest.raises(OSError, match=r"file could not be written: No space left\.$"):
        fail()
    assert [one.read_text() for one in path.parent.iterdir()] == ["first"]


def test_a_mistake_of_ours_is_not_taken_for_a_full_disk(tmp_path):
    def fail():
        with atomic_write(tmp_path / "file") as scratch:
            scratch.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())


def fill(folder):
    with atomic_folder(folder, lambda folder: False) as new:
        (new / "file").write_text("new")


def test_the_current_folder_has_a_name(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    fill(here.relative_to(here))
    assert (here / "file").read_text() == "new"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_one(there, tmp_path):
    if there:
        (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    fill(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target" / "file").read_text() == "new"
