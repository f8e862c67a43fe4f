"""The folder of a run: what a failed one leaves, and what another one replaces."""

import pytest

from keras_transformer.io import LOCK
from trainers.recipe import Recipe
from trainers.recipe_file import write_recipe
from trainers.remote_output import SENT
from trainers.run_folder import RUN_FILES, clear_run, run_folder


def work(output, names):
    with run_folder(Recipe(output=output)):
        for name in names:
            (output / name).mkdir(parents=True)
        raise ValueError("no")


def fails_in(output, *names):
    with pytest.raises(ValueError, match="no"):
        work(output, names)


def test_a_run_that_failed_early_leaves_nothing(tmp_path):
    fails_in(tmp_path / "runs" / "mine", "tokens")
    assert not (tmp_path / "runs").exists()


def test_a_run_that_failed_leaves_its_neighbours_alone(tmp_path):
    output = tmp_path / "runs" / "mine"
    fails_in(output, "tokens", "../other")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]


def test_a_run_that_was_training_keeps_its_checkpoints(tmp_path):
    fails_in(tmp_path / "mine", "checkpoints")
    assert (tmp_path / "mine" / "checkpoints").exists()


def test_what_was_in_the_folder_stays(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    fails_in(tmp_path, "tokens")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_that_is_replaced_leaves_only_its_tokens(tmp_path):
    theirs = ("notes.txt", "my_tokenizer.model")
    for name in ("run.json", "tokenizer.model", "target_tokenizer.model", *theirs):
        (tmp_path / name).write_text("old")
    for name in ("checkpoints", "held_out", "logs", "tokens"):
        (tmp_path / name).mkdir()
    clear_run(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"tokens", *theirs}


@pytest.mark.parametrize("name", RUN_FILES)
def test_what_is_not_a_run_s_is_not_replaced_unasked(name, tmp_path):
    theirs = tmp_path / name
    theirs.write_text("corpus: theirs\n") if "." in name else theirs.mkdir()
    match = rf"^{tmp_path} is not a run folder, but it holds {name}, which"
    with pytest.raises(ValueError, match=match), run_folder(Recipe(output=tmp_path)):
        pass
    assert theirs.exists()
    with run_folder(Recipe(output=tmp_path, overwrite=True)):
        pass


def test_what_a_run_left_is_replaced(tmp_path):
    (tmp_path / "logs").mkdir()
    write_recipe(Recipe(output=tmp_path), tmp_path)
    with run_folder(Recipe(output=tmp_path)):
        pass
    (tmp_path / "recipe.yaml").unlink()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "state-00000017.npz").touch()
    with run_folder(Recipe(output=tmp_path)):
        pass


def test_a_finished_run_is_named_before_the_folder_is_locked(tmp_path):
    (tmp_path / "run.json").touch()
    with (
        pytest.raises(ValueError, match="holds a finished run"),
        run_folder(Recipe(output=tmp_path)),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_run_is_locked_and_the_lock_outlives_what_it_replaces(tmp_path):
    with run_folder(Recipe(output=tmp_path)):
        inode = (tmp_path / LOCK).stat().st_ino
        (tmp_path / "recipe.yaml").touch()
        clear_run(tmp_path)
        assert (tmp_path / LOCK).stat().st_ino == inode
        assert "training" in (tmp_path / LOCK).read_text()


def test_what_a_run_replaces_is_what_is_sent():
    assert sorted(SENT) == sorted((*RUN_FILES, "run.json"))
    assert SENT[-2:] == ("checkpoints", "run.json")
