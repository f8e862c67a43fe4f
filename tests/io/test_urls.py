"""URLs and local paths are told apart."""

from pathlib import Path

import pytest

from keras_transformer import Tokenizer, Translator
from keras_transformer.checkpoints import StateFolder
from keras_transformer.data import TokenCache
from keras_transformer.io import is_url, local_path, path_or_url

LOCAL = ["runs/mine", "/runs", "C:\\runs", "C:/runs", "c://runs", "a:b", "notes: mine/x", ".", "~"]


@pytest.mark.parametrize("path", LOCAL)
def test_a_path_is_local(path):
    assert not is_url(path)
    assert path_or_url(path) == Path(path)


@pytest.mark.parametrize("url", ["s3://bucket/run", "GS://bucket/run/", "hf://me/repo", "x+y://z"])
def test_a_url_arrives_whole(url):
    assert is_url(url)
    protocol, _, rest = url.partition("://")
    assert path_or_url(url) == f"{protocol.lower()}://{rest.removesuffix('/')}"


@pytest.mark.parametrize("url", ["file:///runs/mine", "FILE:///runs/mine", "local:///runs/mine"])
def test_files_of_this_machine_are_local(url):
    assert path_or_url(url) == Path("/runs/mine")


@pytest.mark.parametrize("path", [Path("gs://b/x"), "s3:/b/x", Path("s3://b").absolute()])
def test_a_url_that_has_lost_a_slash_is_no_folder(path):
    with pytest.raises(ValueError, match=r'lost a slash, as in a `Path`\. Give a string such as "'):
        path_or_url(path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://", r"s3:// names no folder\. Expected a URL such as s3://bucket/run"),
        ("simplecache::s3://b/x", "Chained URLs are not supported"),
    ],
)
def test_a_url_that_names_nothing_is_refused(url, message):
    with pytest.raises(ValueError, match=message):
        path_or_url(url)


@pytest.mark.parametrize(
    "use",
    [
        local_path,
        Tokenizer.load,
        lambda url: Tokenizer.train(["one two three"] * 9, 270).save(url),
        TokenCache,
        StateFolder,
    ],
)
def test_what_is_local_only_refuses_urls(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"must be on a local disk\. Received: gs://bucket/x"):
        use("gs://bucket/x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gs://bucket/run", r"gs://bucket/run needs a package: .*gcsfs.*`pip install gcsfs`\.$"),
        ("abfs://bucket/run", r"abfs://bucket/run needs a package: .*`pip install adlfs`\.$"),
        ("sftp://host/run", r"needs a package: SFTPFileSystem requires \"paramiko\""),
        ("nothing://bucket/run", "nothing://bucket/run has an unknown protocol. Expected a local"),
    ],
)
def test_a_file_system_that_is_not_there_is_named(url, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=message):
        Translator.load(url)
    assert list(tmp_path.iterdir()) == []
