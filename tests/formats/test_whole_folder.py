"""Folders that appear whole, whatever their name stands for."""

import pytest

from keras_transformer.formats.whole_folder import whole_folder


def fill(folder):
    with whole_folder(folder, lambda folder: False) as new:
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
