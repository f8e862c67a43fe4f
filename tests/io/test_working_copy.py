"""A local folder whose files are sent to an object store, and fetched on another machine."""

from pathlib import Path

import pytest

from keras_transformer.io import RemoteFolder, WorkingCopy

NAMES = ["recipe", "checkpoints", "run"]


@pytest.fixture
def machine(bucket, tmp_path, monkeypatch):
    """Function that returns the working copy of a machine with a cache folder of its own."""

    def on(name):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return WorkingCopy(f"s3://{bucket}/run", NAMES)

    return on


def write(copy, **files):
    for name, text in files.items():
        path = copy.folder / (f"checkpoints/{name}" if name not in NAMES else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def contents(copy):
    return {
        path.relative_to(copy.folder).as_posix(): path.read_text()
        for path in copy.folder.rglob("*")
        if path.is_file() and path.name != ".sent.json"
    }


def test_another_machine_goes_on(machine):
    one = machine("one")
    write(one, recipe="r", state1="first")
    (one.folder / "tokens").write_text("local")
    one.send()
    write(one, state2="second")
    (one.folder / "checkpoints" / "state1").unlink()
    one.send()
    assert set(one.files()) == {"recipe", "checkpoints/state2"}
    two = machine("two")
    two.fetch()
    assert contents(two) == {"recipe": "r", "checkpoints/state2": "second"}
    write(two, state2="changed", run="whole")
    two.send()
    one.fetch()
    assert contents(one) == {
        "recipe": "r", "checkpoints/state2": "changed", "run": "whole", "tokens": "local"
    }  # fmt: skip


def test_what_could_not_be_sent_is_kept_while_nobody_else_writes(machine):
    copy = machine("one")
    write(copy, state1="first")
    copy.fetch()
    assert contents(copy) == {"checkpoints/state1": "first"}
    copy.send()
    write(copy, state2="second")
    copy.fetch()
    assert contents(copy) == {"checkpoints/state1": "first", "checkpoints/state2": "second"}


def test_what_was_deleted_at_the_url_is_deleted_here(machine):
    copy = machine("one")
    write(copy, recipe="r", state1="first")
    copy.send()
    machine("two").clear()
    copy.fetch()
    assert contents(copy) == {}


def test_a_fetch_that_is_cut_is_made_again(machine, monkeypatch):
    one = machine("one")
    write(one, recipe="r", state1="first")
    one.send()
    two = machine("two")
    fetch = RemoteFolder.fetch

    def cut(self, name, path):
        fetch(self, name, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(RemoteFolder, "fetch", cut)
    with pytest.raises(KeyboardInterrupt):
        two.fetch()
    monkeypatch.setattr(RemoteFolder, "fetch", fetch)
    one.clear()
    two.fetch()
    assert contents(two) == {}


def test_only_what_has_changed_is_sent_and_the_last_file_goes_first(machine, monkeypatch):
    copy, calls = machine("one"), []
    for name in ("send", "delete"):
        method = getattr(RemoteFolder, name)

        def record(self, *arguments, name=name, method=method):
            calls.append((name, arguments[-1]))
            method(self, *arguments)

        monkeypatch.setattr(RemoteFolder, name, record)
    write(copy, run="whole", b="b", recipe="r", a="a")
    copy.send()
    sent = ["recipe", "checkpoints/a", "checkpoints/b", "run"]
    assert calls == [*(("send", name) for name in sent), ("delete", [])]
    calls.clear()
    copy.send()
    assert calls == [("delete", [])]
    calls.clear()
    write(copy, b="changed")
    (copy.folder / "checkpoints" / "a").unlink()
    copy.send()
    changed = [("send", "checkpoints/b"), ("send", "run")]
    assert calls == [("delete", ["run"]), *changed, ("delete", ["checkpoints/a"])]


def test_files_of_others_stay(machine, bucket):
    copy = machine("one")
    copy.remote.send(Path(__file__), "notes.txt")
    write(copy, recipe="r")
    copy.send()
    copy.clear()
    assert set(RemoteFolder(f"s3://{bucket}/run").files()) == {"notes.txt"}
