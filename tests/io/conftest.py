"""A local object store, and an empty cache folder for what is fetched from it."""

import os

import pytest

from tests.object_store import object_store


@pytest.fixture(scope="session")
def server():
    with object_store() as environment:
        yield environment


@pytest.fixture
def bucket(server, tmp_path, monkeypatch):
    """An empty bucket, as its name in s3fs, which finds it by environment variables."""
    import s3fs

    for name, value in {**server, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    files = s3fs.S3FileSystem()
    name = f"bucket-{os.urandom(8).hex()}"
    files.mkdir(name)
    yield name
    files.rm(name, recursive=True)
