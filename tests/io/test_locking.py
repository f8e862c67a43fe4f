"""Locks on folders, between real processes that are killed, forked and refused."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest

from keras_transformer.io import LOCK, FolderInUseError, atomic_folder, folder_lock
from tests.conftest import ROOT

HOLD = """
import pathlib, sys, time
from keras_transformer.io import atomic_folder, folder_lock
folder = pathlib.Path(sys.argv[1])
with {lock} as new:
    {block}
    print("held", flush=True)
    sys.stdin.read()
"""
LOCK_IT = 'folder_lock(folder, "training")'
EXPORT_IT = "atomic_folder(folder, lambda _: True)"


@contextlib.contextmanager
def holder(folder, lock=LOCK_IT, block="pass"):
    """A process that holds a lock until its standard input is closed, or it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(lock=lock, block=block), str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
        if process.poll() is None:
            process.communicate(timeout=30)
            assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def lock(folder, purpose="saving"):
    with folder_lock(folder, purpose):
        return sorted(path.name for path in folder.iterdir())


def test_another_process_is_refused_and_told_who_writes(tmp_path):
    folder = tmp_path / "run"
    with holder(folder) as process:
        expected = (
            rf"^{folder} is being written by process {process.pid} on host "
            rf"{re.escape(socket.gethostname())} \(training since \d{{4}}-\d\d-\d\d [\d:+-]+\)\. "
            r"Wait until it has ended, or give another folder \(--output\)\.$"
        )
        with pytest.raises(FolderInUseError, match=expected):
            lock(folder)
        (tmp_path / "link").symlink_to(folder)
        with pytest.raises(FolderInUseError, match="link is being written by"):
            lock(tmp_path / "link")
    assert lock(folder) == [LOCK]


def test_a_killed_process_leaves_no_lock(tmp_path):
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
        assert (tmp_path / LOCK).exists()
        assert lock(tmp_path) == [LOCK]


@pytest.mark.parametrize("start", ["os.fork() or time.sleep(30)", 'SUBPROCESS(["sleep", "30"])'])
def test_children_of_a_killed_process_hold_no_lock(start, tmp_path):
    start = start.replace("SUBPROCESS", "__import__('subprocess').Popen")
    block = f"import os; {start}"  # the child keeps the parent's pipes open, too
    with holder(tmp_path, block=block) as process:
        children = subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()
        process.kill()
        process.wait()
        try:
            assert len(children) == 1
            assert lock(tmp_path) == [LOCK]
        finally:
            for child in children:
                os.kill(int(child), signal.SIGKILL)


def test_a_forked_child_leaves_the_lock_to_its_parent(tmp_path):
    """Though it ends the block, it does not unlock, nor delete the file."""
    with folder_lock(tmp_path, "training"):
        child = "import os, sys; os.fork() == 0 and sys.exit(0); os.wait()"
        with holder(tmp_path / "inner", block=child):
            with pytest.raises(FolderInUseError):
                lock(tmp_path / "inner")
            assert (tmp_path / "inner" / LOCK).exists()


def test_a_thread_may_lock_again_and_another_thread_may_not(tmp_path):
    refused = []

    def other():
        try:
            lock(tmp_path)
        except FolderInUseError as error:
            refused.append(str(error))

    with folder_lock(tmp_path, "training"):
        assert lock(tmp_path) == [LOCK]
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert f"process {os.getpid()} on host" in refused[0]
    assert lock(tmp_path) == [LOCK]


def test_the_file_stays_beside_others_and_an_empty_folder_goes(tmp_path):
    assert lock(tmp_path / "runs" / "mine") == [LOCK]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    assert lock(tmp_path / "there") == [LOCK]
    assert list((tmp_path / "there").iterdir()) == []
    (tmp_path / "there" / "notes.txt").touch()
    with folder_lock(tmp_path / "there", "saving"):
        inode = (tmp_path / "there" / LOCK).stat().st_ino
    assert (tmp_path / "there" / LOCK).read_bytes() == b""
    lock(tmp_path / "there")
    assert (tmp_path / "there" / LOCK).stat().st_ino == inode


def test_a_new_file_goes_after_short_work(tmp_path):
    (tmp_path / "notes.txt").touch()
    with folder_lock(tmp_path, "saving", keep=False):
        assert (tmp_path / LOCK).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with folder_lock(tmp_path, "training"), folder_lock(tmp_path, "saving", keep=False):
        pass
    assert (tmp_path / LOCK).exists()


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match=r"\.lock could not be written: "):
        lock(tmp_path / "run")
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_a_folder_removed_while_it_is_created(tmp_path, monkeypatch):
    """`Path.mkdir` finds a folder there, and raises if it is gone when it looks what it is."""
    make = os.mkdir
    others = iter([FileExistsError, FileNotFoundError])

    def make_after_others(path, *mode):
        error = next(others, None)
        if error:
            raise error(path)
        make(path, *mode)

    monkeypatch.setattr(os, "mkdir", make_after_others)
    with folder_lock(tmp_path / "run", "training"):
        assert (tmp_path / "run" / LOCK).is_file()


TAKE_TURNS = """
import pathlib, sys, time
from keras_transformer.io import FolderInUseError, folder_lock
folder, count = map(pathlib.Path, sys.argv[1:])
turns, end = 0, time.monotonic() + 1.5
while time.monotonic() < end:
    try:
        with folder_lock(folder, "counting"):
            number = int(count.read_text())
            count.write_text(str(number + 1))
            turns += 1
    except FolderInUseError:
        pass
print(turns)
"""


@pytest.mark.slow
def test_a_lock_on_a_deleted_file_is_none(tmp_path):
    """Each holder deletes the file, and others open it before and lock it after that."""
    count = tmp_path / "count"
    count.write_text("0")
    command = [sys.executable, "-c", TAKE_TURNS, str(tmp_path / "folder"), str(count)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    turns = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert sum(turns) == int(count.read_text())
    assert sum(turns) > 100


def export(folder, text="new"):
    with atomic_folder(folder, lambda folder: True) as new:
        (new / "file").write_text(text)


def test_one_process_at_a_time_replaces_a_folder(tmp_path):
    folder = tmp_path / "served" / "1"
    export(folder, "old")
    with holder(folder, EXPORT_IT) as process:
        with pytest.raises(FolderInUseError, match=rf"1 is being written by process {process.pid}"):
            export(folder)
        assert (folder / "file").read_text() == "old"
        process.kill()
        process.wait()
        export(folder)
    assert (folder / "file").read_text() == "new"
    names = [path.name for path in folder.parent.iterdir()]
    assert [name for name in names if not name.startswith(".writing-")] == ["1"]


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127])
def test_a_long_name_has_a_lock_too(name, tmp_path):
    export(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_appeared_meanwhile_is_not_replaced(tmp_path):
    def fill():
        with atomic_folder(tmp_path / "there", lambda folder: False):
            (tmp_path / "there").mkdir()
            (tmp_path / "there" / "theirs").touch()

    with pytest.raises(FileExistsError, match="there already exists and holds something else"):
        fill()
    assert [path.name for path in tmp_path.rglob("*")] == ["there", "theirs"]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace lets the system call fail")
@pytest.mark.parametrize("code", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_named(code, tmp_path):
    program = HOLD.format(lock=LOCK_IT, block="pass")
    inject = ["strace", "-f", "-o", str(tmp_path / "log"), "-e", f"inject=flock:error={code}"]
    result = subprocess.run(
        [*inject, sys.executable, "-c", program, str(tmp_path / "run")],
        cwd=ROOT,
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "held\n"
    assert "run has no locks" in result.stderr
    assert result.stderr.count("UserWarning") == 1
