"""Files that grow by whole lines: killed at any moment, they hold each line once in the end."""

import gzip
import json
import random
import signal
import subprocess
import sys
import time

import pytest

from keras_transformer.io import FolderInUseError
from keras_transformer.serving import GrowingFile, growing_file
from tests.conftest import ROOT

TOTAL, BLOCK = 2003, 7
PROGRAM = """
import resource, sys, time
from keras_transformer.serving import growing_file
path, total, block, largest, pause = sys.argv[1], *map(int, sys.argv[2:6])
if largest:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
try:
    with growing_file(path, {"job": "count"}, resume=True) as file:
        while file.answers < total:
            numbers = range(file.answers, min(total, file.answers + block))
            file.write([f"line {n} of some length" for n in numbers], len(numbers))
            time.sleep(pause)
except OSError as error:
    sys.exit(str(error))
"""
WANTED = "".join(f"line {n} of some length\n" for n in range(TOTAL))


def start(path, largest=0, pause=0, block=BLOCK):
    arguments = [str(one) for one in (path, TOTAL, block, largest, pause)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def record_of(path):
    return path.with_name(f".{path.name}.progress.json")


def wait_for(condition, process):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None or condition(), process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)


def answers_in(path):
    record = record_of(path)
    return json.loads(record.read_text())["answers"] if record.exists() else 0


@pytest.mark.parametrize("name", ["out.txt", "out.txt.gz"])
def test_a_file_whose_writers_are_killed_is_whole_in_the_end(name, tmp_path):
    path, generator = tmp_path / name, random.Random(7)
    for _ in range(4):
        before, process = answers_in(path), start(path)
        wait_for(
            lambda before=before: answers_in(path) > before + generator.randrange(150), process
        )
        process.kill()
        process.communicate(timeout=60)
        assert before < answers_in(path) < TOTAL
        with path.open("ab") as file:  # what a machine may leave that loses power
            file.write(b"\x1f\x8bhalf a li")
    process = start(path, block=500)
    assert process.communicate(timeout=60)[1] == ""
    content = path.read_bytes()
    assert (gzip.decompress(content) if name.endswith(".gz") else content).decode() == WANTED
    assert {one.name for one in tmp_path.iterdir()} == {name, f".{name}.progress.json"}


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_file_whose_writer_is_stopped_has_whole_lines(name, tmp_path):
    path = tmp_path / "out.txt"
    process = start(path)
    wait_for(lambda: answers_in(path) > 50, process)
    process.send_signal(name)
    process.communicate(timeout=60)
    lines = path.read_text()
    assert WANTED.startswith(lines)
    assert lines.endswith("\n")
    assert lines.count("\n") == pytest.approx(answers_in(path), abs=BLOCK)  # SIGTERM kills at once


def test_a_full_disk_leaves_whole_lines_and_says_how_to_go_on(tmp_path):
    path = tmp_path / "out.txt"
    process = start(path, largest=9_999)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    answered = answers_in(path)
    assert 0 < answered < TOTAL
    assert error == (
        f"{path} could not be written: File too large. It holds the lines of the first {answered} "
        "inputs: make room, and go on with --resume.\n"
    )
    assert path.read_text() == "".join(WANTED.splitlines(keepends=True)[:answered])
    assert start(path).communicate(timeout=60)[1] == ""
    assert path.read_text() == WANTED


def test_two_processes_do_not_write_the_same_file(tmp_path):
    path = tmp_path / "out.txt"
    process = start(path, pause=60)
    wait_for(lambda: answers_in(path) > 0, process)
    with (
        pytest.raises(FolderInUseError, match=f"out.txt is being written by process {process.pid}"),
        growing_file(path, {"job": "count"}, resume=True),
    ):
        pass
    process.kill()
    process.communicate(timeout=60)


def begin(path, job, *blocks, overwrite=False):
    """Writes blocks, one line an answer, and leaves the file unfinished."""

    def write():
        with growing_file(path, job, resume=not overwrite, overwrite=overwrite) as file:
            for block in blocks:
                file.write(block, len(block))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()


def enter(path, job, **options):
    with growing_file(path, job, **options) as file:
        return file.answers, file.finished


def test_an_unfinished_file_is_not_replaced_by_mistake(tmp_path):
    path = tmp_path / "out.txt"
    begin(path, {}, ["one", "two"])
    with pytest.raises(ValueError, match=r"is unfinished\. Go on with --resume, or start"):
        enter(path, {})
    assert path.read_text() == "one\ntwo\n"
    assert enter(path, {}, overwrite=True) == (0, False)
    assert path.read_text() == ""


def test_a_finished_file_is_neither_replaced_nor_changed(tmp_path):
    path = tmp_path / "out.txt"
    with growing_file(path, {"run": "mine"}) as file:
        file.write(["one"], 1)
    with pytest.raises(ValueError, match=r"out\.txt already exists\. Give another --output"):
        enter(path, {"run": "mine"})
    before = path.stat().st_mtime_ns
    assert enter(path, {"run": "mine"}, resume=True) == (1, True)
    with pytest.raises(ValueError, match=r"out\.txt cannot be resumed: .* with a different run"):
        enter(path, {"run": "other"}, resume=True)
    assert (path.stat().st_mtime_ns, path.read_text()) == (before, "one\n")
    with path.open("a") as file:
        file.write("two\n")
    with pytest.raises(ValueError, match="was changed since it was written"):
        enter(path, {"run": "mine"}, resume=True)
    assert path.read_text() == "one\ntwo\n"


def test_a_file_that_nothing_is_known_of_is_not_resumed(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("one\n")
    expected = "out.txt exists, but not its record .out.txt.progress.json, so what it was made from"
    with pytest.raises(ValueError, match=expected):
        enter(path, {}, resume=True)
    assert path.read_text() == "one\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_that_was_deleted_is_begun_anew(resume, tmp_path):
    path = tmp_path / "out.txt"
    for finished in (True, False):
        with growing_file(path, {"run": "mine"}, overwrite=True) as file:
            file.write(["one"], 1)
        if not finished:
            begin(path, {"run": "mine"}, ["one"], overwrite=True)
        path.unlink()
        with growing_file(path, {"run": "other"}, resume=resume) as file:
            assert (file.answers, file.finished) == (0, False)
            file.write(["two"], 1)
        assert path.read_text() == "two\n"


def test_a_file_that_is_to_be_replaced_stays_until_something_is_written(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old\n")

    def fail():
        with growing_file(path, {}, overwrite=True):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]
    with growing_file(path, {}, overwrite=True) as file:
        file.write(["new"], 1)
    assert path.read_text() == "new\n"
    enter(path, {}, overwrite=True)  # by no answers at all
    assert path.read_text() == ""


def test_nothing_is_left_if_nothing_was_written(tmp_path):
    begin(tmp_path / "out.txt", {})
    assert list(tmp_path.iterdir()) == []


def test_half_a_first_line_is_not_left(tmp_path):
    file = GrowingFile(tmp_path / "out.txt", {})
    file.start()
    file.path.write_text("half a li")  # and killed
    begin(file.path, {})  # goes on, and fails before anything is written
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run": "other"}, r"a different run\. Give the same as then, or start anew with"),
        (
            {"options": {"beam_size": 5, "seed": 0}},
            r"a different options \(beam_size\)\. Give",
        ),
        ({"run": "other", "input": [7]}, "begun with a different input and run"),
        ({"more": 1}, "begun with a different more"),
    ],
)
def test_what_was_begun_otherwise_is_not_resumed(change, message, tmp_path):
    path = tmp_path / "out.txt"
    job = {"run": "mine", "input": [5], "options": {"beam_size": 4, "seed": 0}}
    begin(path, job, ["one"])
    before = path.read_bytes(), record_of(path).read_bytes()
    with pytest.raises(ValueError, match=message):
        enter(path, {**job, **change}, resume=True)
    assert (path.read_bytes(), record_of(path).read_bytes()) == before
    assert enter(path, job, resume=True) == (1, False)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_text("ONE\n"), "was changed since it was written. Start anew"),
        (lambda path: path.write_text("on"), "was changed since it was written"),
        (lambda path: record_of(path).write_text("{}"), r"progress.json is damaged \(KeyError"),
        (lambda path: record_of(path).write_text('{"for'), "progress.json is damaged"),
        (lambda path: record_of(path).write_text('{"format": 7}'), r"damaged .*format 7"),
    ],
)
def test_what_was_changed_meanwhile_is_not_resumed(damage, message, tmp_path):
    path = tmp_path / "out.txt"
    begin(path, {}, ["one"])
    damage(path)
    with pytest.raises(ValueError, match=message):
        enter(path, {}, resume=True)


def test_an_answer_may_have_several_lines_or_none(tmp_path):
    path = tmp_path / "out.txt"
    begin(path, {}, ["one"])
    with growing_file(path, {}, resume=True) as file:
        assert file.answers == 1
        file.write(["two", "three", "four"], 2)
        file.write([], 5)
        assert file.answers == 8
    assert path.read_text() == "one\ntwo\nthree\nfour\n"


def test_a_file_at_a_url_is_made_here_and_sent_whole(tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    url = "memory://bucket/texts/out.txt.gz"
    begin(url, {}, ["one"])
    assert MemoryFileSystem.store == {}
    with pytest.raises(ValueError, match=f"^{url} is unfinished. Go on with --resume"):
        enter(url, {})
    with growing_file(url, {}, resume=True) as file:
        file.write(["two"], 1)
    record = "/bucket/texts/.out.txt.gz.progress.json"
    assert {*MemoryFileSystem.store} == {"/bucket/texts/out.txt.gz", record}
    sent = MemoryFileSystem.store["/bucket/texts/out.txt.gz"].getvalue()
    assert gzip.decompress(sent) == b"one\ntwo\n"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    with pytest.raises(ValueError, match=f"^{url} already exists"):
        enter(url, {})
    assert enter(url, {}, resume=True) == (2, True)
    with pytest.raises(ValueError, match="with a different more"):
        enter(url, {"more": 1}, resume=True)
    with pytest.raises(ValueError, match=r"memory://out\.txt names no file\. Expected"):
        enter("memory://out.txt", {})
