"""Folders and files in an object store that is a process of its own."""

import os
import signal
import subprocess
import sys
import time

import pytest

from keras_transformer.data import ParallelFiles
from keras_transformer.io import (
    FolderInUseError,
    RemoteError,
    RemoteFolder,
    fetched_folder,
    output_folder,
)
from keras_transformer.io.remote_files import fetch_file
from tests.conftest import ROOT

NAMES = ["run", "two words/Straße é", "a/b/c+d%20e", ""]


def put(url, **texts):
    """Writes files at a URL; their names end with `.txt`."""
    remote = RemoteFolder(url)
    for name, text in texts.items():
        remote._files.pipe_file(remote._at(f"{name}.txt"), text.encode())
    return remote


def text_of(remote, name):
    return remote._files.cat_file(remote._at(name)).decode()


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_replaced(name, bucket):
    url = f"s3://{bucket}/{name}".rstrip("/")
    for text in ("old", "new"):
        with output_folder(f"{url}/", lambda folder: True, last="a.txt") as new:
            (new / "a.txt").write_text(text)
            (new / "inner").mkdir()
            (new / "inner" / f"{text}.txt").write_text(text)
        remote = RemoteFolder(url)
        assert set(remote.files()) == {"a.txt", f"inner/{text}.txt"}
        assert text_of(remote, "a.txt") == text
        with fetched_folder(url, ["a.txt", f"inner/{text}.txt", "missing.txt"]) as local:
            assert (local / "inner" / f"{text}.txt").read_text() == text


def test_neighbours_with_the_same_beginning_are_others(bucket):
    put(f"s3://{bucket}/run2", a="other")
    remote = put(f"s3://{bucket}/run", a="mine")
    assert set(remote.files()) == {"a.txt"}
    remote.replace(ROOT / "tests" / "io", "conftest.py", outdated=["a.txt"])
    assert set(RemoteFolder(f"s3://{bucket}/run2").files()) == {"a.txt"}


def test_what_is_not_ours_is_not_replaced(bucket):
    remote = put(f"s3://{bucket}/theirs", notes="theirs")

    def write():
        with output_folder(remote.url, lambda folder: False, last="a.txt"):
            raise AssertionError("this is not reached")

    with pytest.raises(FileExistsError, match=rf"^{remote.url} already exists and holds something"):
        write()
    assert set(remote.files()) == {"notes.txt"}


def test_a_block_that_fails_changes_nothing(bucket):
    remote = put(f"s3://{bucket}/run", a="old")

    def fail():
        with output_folder(remote.url, lambda folder: True, last="a.txt") as new:
            (new / "a.txt").write_text("new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert text_of(remote, "a.txt") == "old"


def test_one_process_of_this_machine_writes_at_a_time(bucket):
    url = f"s3://{bucket}/run"
    program = (
        "import sys; from keras_transformer.io import output_folder\n"
        "with output_folder(sys.argv[1], lambda _: True, last='a') as new:\n"
        "    print('held', flush=True); sys.stdin.read(); (new / 'a').touch()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, url], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    expected = rf"^{url} is being written by process {process.pid} on host .* \(export since"
    with (
        pytest.raises(FolderInUseError, match=expected),
        output_folder(url, lambda _: True, "a"),
    ):
        pass
    process.communicate(timeout=60)
    assert set(RemoteFolder(url).files()) == {"a"}


@pytest.mark.slow
def test_an_upload_that_is_killed_leaves_nothing_to_load(bucket, tmp_path):
    url, new = f"s3://{bucket}/run", tmp_path / "new"
    new.mkdir()
    for number in range(100):
        (new / f"{number:03d}.txt").write_text("new")
    (new / "run.txt").write_text("new")
    remote = put(url, **{"000": "old", "099": "old", "run": "old"})
    program = (
        "import sys, pathlib; from keras_transformer.io import RemoteFolder\n"
        "RemoteFolder(sys.argv[1]).replace(pathlib.Path(sys.argv[2]), 'run.txt', [])"
    )
    process = subprocess.Popen([sys.executable, "-c", program, url, str(new)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while "001.txt" not in remote.files():
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert {text_of(remote, name) for name in ("000.txt", "099.txt")} == {"new", "old"}
    assert "run.txt" not in remote.files()
    remote.replace(new, "run.txt", [])
    assert text_of(remote, "run.txt") == text_of(remote, "099.txt") == "new"


def test_a_missing_bucket_is_named_whatever_is_wanted(bucket):
    url = f"s3://{bucket}-none/run"
    expected = rf"^{url}.* could not be \w+: The specified bucket does not exist\. Check the name"
    for use in (
        lambda: RemoteFolder(url).files(),
        lambda: RemoteFolder(url).check_writable(),
        lambda: fetch_file(f"{url}/text"),
    ):
        with pytest.raises(RemoteError, match=expected):
            use()


def test_missing_credentials_and_servers_are_named(bucket, monkeypatch):
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(RemoteError, match=r"listed: .*127\.0\.0\.1:9.* Check the network"):
        RemoteFolder("s3://other/run").files()
    s3fs.S3FileSystem.clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(RemoteError, match=r"credentials.* Check the network, the credentials"):
        RemoteFolder("s3://other/run").files()
    s3fs.S3FileSystem.clear_instance_cache()


def test_what_can_only_be_read_is_not_written():
    with pytest.raises(RemoteError, match=r"http://127\.0\.0\.1/run cannot be written\. Give"):
        RemoteFolder("http://127.0.0.1/run").check_writable()


def test_texts_are_fetched_once_and_again_when_they_change(bucket):
    url = f"s3://{bucket}/my texts"
    remote = put(url, en="one\ntwo\n", fr="un\ndeux\n")
    pair = [f"{url}/{language}.txt" for language in ("en", "fr")]
    corpus = ParallelFiles(*pair)
    assert list(corpus) == [("one", "un"), ("two", "deux")]
    first = fetch_file(pair[0])
    assert first == corpus.source_path
    assert first.name == "en.txt"
    inode = first.stat().st_ino
    assert fetch_file(pair[0]).stat().st_ino == inode
    put(url, en="six\nsept\n")
    assert fetch_file(pair[0]).read_text() == "six\nsept\n"
    assert first.read_text() == "one\ntwo\n"
    remote.delete(["en.txt"])
    with pytest.raises(RemoteError, match=r"en\.txt could not be read"):
        fetch_file(pair[0])
    with pytest.raises(OSError, match=r"There is no file s3://.*/my texts\. Expected a text file"):
        fetch_file(url)


def test_a_folder_that_changes_while_it_is_read_is_not_mixed(bucket):
    remote = put(f"s3://{bucket}/run", a="old", b="old")
    fetch = RemoteFolder.fetch

    def fetch_and_change(self, name, path):
        fetch(self, name, path)
        put(remote.url, b="new")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemoteFolder, "fetch", fetch_and_change)
        with (
            pytest.raises(RemoteError, match="was replaced while it was read"),
            fetched_folder(remote.url, ["a.txt", "b.txt"]),
        ):
            pass
