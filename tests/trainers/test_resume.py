"""Runs that are interrupted: the same command goes on, another one is told what differs."""

import contextlib
import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_transformer import DecoderOnly, StateFolder, Tokenizer, Translator
from tests.checkpoints.interrupted import InterruptAt, Interrupted
from tests.conftest import ROOT
from tests.trainers.conftest import TINY, once, toy_pairs
from trainers import translation
from trainers.corpora import open_corpora
from trainers.language_recipe import LanguageRecipe
from trainers.recipe import Recipe
from trainers.recipe_file import read_recipe
from trainers.resume import FREE_OPTIONS, TEXT_OPTIONS, find_interrupted_state, resume_hint
from trainers.translation import main

OPTIONS = once(
    "--train-tsv", "train.tsv", *TINY, "--dropout-rate", "0.3", "--epochs", "2",
    "--steps-per-epoch", "7", "--checkpoint-steps", "2", "--compile-with-xla", "false",
    "--tensorboard", "false",
)  # fmt: skip
COMMAND = [*OPTIONS, "--output", "run"]


@contextlib.contextmanager
def more_callbacks(*callbacks):
    """`fit` is given these too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translation, "_keras_callbacks", lambda *arguments: list(callbacks))
        yield


@pytest.fixture(scope="module")
def undisturbed(texts, tmp_path_factory):
    """A run that nobody disturbed, which starts where `at` is."""
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    with contextlib.chdir(texts):
        assert main([*OPTIONS, "--output", str(output)]) == 0
    return output


@pytest.fixture(scope="module")
def half(texts, tmp_path_factory):
    """A folder with the texts and a run that was interrupted in its second epoch."""
    folder = tmp_path_factory.mktemp("half") / "desk"
    shutil.copytree(texts, folder)
    with contextlib.chdir(folder), more_callbacks(InterruptAt(12)), pytest.raises(Interrupted):
        main(COMMAND)
    return folder  # states after batches 9 and 11; the first epoch ended with batch 7


@pytest.fixture
def desk(half, tmp_path):
    """A copy of it, where the test is run."""
    shutil.copytree(half, tmp_path / "desk")
    with contextlib.chdir(tmp_path / "desk"):
        yield tmp_path / "desk"


def is_as_undisturbed(run, undisturbed):
    one, other = (Translator.load(folder).model.get_weights() for folder in (run, undisturbed))
    for weights, others in zip(one, other, strict=True):
        np.testing.assert_array_equal(weights, others)
    files = [{str(path.relative_to(top)) for path in top.rglob("*")} for top in (run, undisturbed)]
    assert files[0] == files[1]
    metadata = [json.loads((top / "run.json").read_text()) for top in (run, undisturbed)]
    assert metadata[0] == metadata[1]


def no_training(*arguments, **options):
    raise AssertionError("the tokenizers are there")


@pytest.mark.slow
def test_the_same_command_goes_on(desk, undisturbed, capsys, monkeypatch):
    """With the tokenizers and tokens that are there; what was being written is removed."""
    monkeypatch.setattr(Tokenizer, "train", no_training)
    tokens = desk / "run" / "tokens" / "train" / "source.ids"
    before = tokens.stat().st_mtime_ns
    for name in ("checkpoints/.writing-state-00000099.npz", ".writing-1234", "tokens/.writing-x"):
        (desk / "run" / name).write_text("cut o")
    assert main(COMMAND) == 0
    out = capsys.readouterr().out
    assert "Resuming from step 11, epoch 2.\n" in out
    assert "Epoch 1/2" not in out
    assert tokens.stat().st_mtime_ns == before
    is_as_undisturbed(desk / "run", undisturbed)
    assert main(COMMAND) == 1
    assert "run holds a finished run." in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.stood_for("the run of a decoder-only translator")
def test_a_recurrent_run_goes_on_too(at, tmp_path):
    """Bit for bit, with dropout."""
    command = [*once(*OPTIONS, "--architecture", "recurrent"), "--output"]
    assert main([*command, str(tmp_path / "undisturbed")]) == 0
    with more_callbacks(InterruptAt(12)), pytest.raises(Interrupted):
        main([*command, str(tmp_path / "run")])
    assert main([*command, str(tmp_path / "run")]) == 0
    is_as_undisturbed(tmp_path / "run", tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_latent_run_goes_on_too(at, tmp_path):
    """Bit for bit, with the averages that codebooks are, and the words chosen at the beginning."""
    options = ("bits=4", "halvings=1", "startup_steps=12")
    options = ["--architecture-options", *options]
    command = [*once(*OPTIONS, "--architecture", "latent"), *options, "--output"]
    assert main([*command, str(tmp_path / "undisturbed")]) == 0
    with more_callbacks(InterruptAt(12)), pytest.raises(Interrupted):
        main([*command, str(tmp_path / "run")])
    assert main([*command, str(tmp_path / "run")]) == 0
    is_as_undisturbed(tmp_path / "run", tmp_path / "undisturbed")
    bottleneck = Translator.load(tmp_path / "run").model.bottleneck
    assert np.abs(np.array(bottleneck.counts) - 1).max() > 1e-4


@pytest.mark.slow
def test_sigterm_is_exit_code_75_and_one_line(at, undisturbed, tmp_path, capsys):
    output = tmp_path / "run"
    command = [*OPTIONS, "--output", str(output)]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainers.translation", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert "Epoch 1/2\n" in iter(process.stdout.readline, "")  # now the first step is compiled
        process.send_signal(signal.SIGTERM)
        *_, error = process.communicate()[1].splitlines()
    assert process.returncode == 75, error
    (path,) = StateFolder(output / "checkpoints").paths()
    step = int(path.stem[6:])
    assert error == (
        f"python -m trainers.translation: stopped by SIGTERM after step {step}; "
        f"the state is saved in {path.parent}. The same command resumes the run."
    )
    assert 1 <= step < 7
    assert main(once(*command, "--tensorboard", "true")) == 0
    assert f"Resuming from step {step}, epoch 1." in capsys.readouterr().out
    shutil.rmtree(output / "logs")
    is_as_undisturbed(output, undisturbed)


@pytest.mark.slow
def test_a_run_that_was_trained_only_saves(desk, undisturbed, monkeypatch):
    monkeypatch.setattr(Translator, "save", no_training)
    with pytest.raises(AssertionError, match="are there"):
        main(COMMAND)
    monkeypatch.undo()
    with more_callbacks(InterruptAt(1)):
        assert main(COMMAND) == 0
    is_as_undisturbed(desk / "run", undisturbed)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(desk, undisturbed, capsys):
    class Fill(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with more_callbacks(Fill()):
            assert main(COMMAND) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert capsys.readouterr().err.splitlines()[-1] == (
        "python -m trainers.translation: error: run/checkpoints/state-00000013.npz could not be "
        "written: File too large. Free disk space, or fix the cause. "
        "run/checkpoints/state-00000011.npz is intact. The same command resumes the run."
    )
    assert main(COMMAND) == 0
    is_as_undisturbed(desk / "run", undisturbed)


@pytest.mark.slow
def test_a_run_from_another_goes_on_without_it(desk, undisturbed, tmp_path):
    """Not even the sizes come from there: the start may be the folder that is replaced."""
    shutil.copytree(undisturbed, desk / "start")
    command = once(
        *COMMAND, "--output", "new", "--d-model", "0", "--init-from", "start", "--epochs", "1"
    )
    assert main(once(*command, "--output", "once")) == 0
    with more_callbacks(InterruptAt(6)), pytest.raises(Interrupted):
        main(command)
    shutil.rmtree(desk / "start")
    assert main(command) == 0
    is_as_undisturbed(desk / "new", desk / "once")


@pytest.mark.slow
def test_a_decoder_only_translator_goes_on_bit_for_bit(at, tmp_path):
    """Of local and memory-compressed attention, in packed rows, whose loss is of the source too."""
    options = ["--architecture", "memory_compressed", "--packed", "always", "--packed-length", "32"]
    options += ["--architecture-options", "block_length=7"]
    runs = tmp_path / "run", tmp_path / "undisturbed"
    commands = [
        [*once(*OPTIONS, "--num-layers", "3"), *options, "--output", str(run)] for run in runs
    ]
    keras.utils.clear_session()  # layers are numbered from the start, as in a new process
    with more_callbacks(InterruptAt(12)), pytest.raises(Interrupted):
        main(commands[0])
    assert main(commands[0]) == 0
    keras.utils.clear_session()
    assert main(commands[1]) == 0
    is_as_undisturbed(*runs)
    assert type(Translator.load(runs[0]).model) is DecoderOnly


def state_of(arguments):
    recipe = read_recipe("trainer", once(*arguments))
    return find_interrupted_state(recipe, open_corpora(recipe), recipe.output)


def test_what_cannot_change_the_result_may_change(desk):
    (desk / "moved").mkdir()
    (desk / "train.tsv").rename(desk / "moved" / "training.tsv")
    shutil.copytree("run", "copied")
    changes = ["--checkpoint-steps", "7", "--tensorboard", "true", "--output", "copied"]
    assert state_of([*COMMAND, *changes, "--train-tsv", "moved/training.tsv"]) is not None


def test_what_was_left_open_may_be_what_was_chosen(desk):
    config = ["--config", "run/recipe.yaml"]
    assert state_of(config) is not None
    assert state_of([*COMMAND, "--vocabulary-size", "0"]) is not None


@pytest.mark.parametrize("packed", ["auto", "never"])
def test_an_older_package_did_not_say_whether_pairs_shared_rows(packed, desk):
    rewrite(lambda state: state["run"]["chosen"].update(packed="auto"))
    assert state_of([*COMMAND, "--packed", packed]) is not None
    rewrite(lambda state: state["run"]["chosen"].update(packed="always"))
    if packed == "never":
        with pytest.raises(ValueError, match="packed was always, now never"):
            state_of([*COMMAND, "--packed", packed])


@pytest.mark.slow
def test_a_run_of_an_older_package_goes_on_with_its_batches(tmp_path):
    """In rows they would be other ones: here, `auto` takes rows for a new run."""
    text = "".join(f"{source}\t{target}\n" for source, target in toy_pairs(307))
    (tmp_path / "train.tsv").write_text(text)
    command = once(*OPTIONS, "--tokens-per-batch", "128", "--d-model", "64", "--max-shapes", "1")
    with contextlib.chdir(tmp_path):
        assert main([*once(*command, "--packed", "never"), "--output", "undisturbed"]) == 0
        with more_callbacks(InterruptAt(12)), pytest.raises(Interrupted):
            main([*once(*command, "--packed", "never"), "--output", "run"])
        rewrite(lambda state: [
            state["run"][name].update(packed="auto") for name in ("given", "chosen")
        ])  # fmt: skip
        assert main([*command, "--output", "run"]) == 0
        weights = [Translator.load(run).model.get_weights() for run in ("run", "undisturbed")]
        for one, other in zip(*weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_architecture_is_the_same_with_the_same_options(desk):
    was_narrow()
    narrow = ["--import", "tests.trainers.narrow", "--architecture", "narrow"]
    assert state_of([*COMMAND, *narrow, "--architecture-options", "factor=3"]) is not None


def test_to_overwrite_is_to_start_afresh(desk):
    assert state_of([*COMMAND, "--overwrite", "true", "--seed", "3"]) is None


def test_without_a_state_there_is_nothing_to_go_on_with(desk):
    shutil.rmtree("run/checkpoints")
    assert state_of([*COMMAND, "--seed", "3"]) is None


def rewrite(change):
    """Changes the metadata of the newest state, and removes the other."""
    states = StateFolder("run/checkpoints")
    state = states.newest()
    arrays = state.arrays("model", "optimizer", "metrics")
    metadata = json.loads(json.dumps(state.metadata))
    change(metadata)
    states.clear()
    states.write(metadata["progress"]["step"], metadata, arrays)


def damage(*sizes):
    """Truncates the states, newest first."""
    for path, size in zip(reversed(StateFolder("run/checkpoints").paths()), sizes, strict=False):
        path.write_bytes(path.read_bytes()[:size])


def checkpoints_is_a_file():
    shutil.rmtree("run/checkpoints")
    Path("run/checkpoints").write_text("")


def another_text():
    lines = Path("train.tsv").read_text().splitlines(keepends=True)
    Path("train.tsv").write_text("".join(lines[1:]))


def nothing():
    pass


def was_narrow():
    """The interrupted run is one of the architecture of `tests.trainers.narrow`."""
    options = {"factor": 3, "rate": 0.5, "kind": "a", "deep": False}
    architecture = {"architecture": "narrow", "architecture_options": options}
    rewrite(lambda state: [state["run"][name].update(architecture) for name in ("given", "chosen")])


BAD = {
    "another option": (
        nothing, "--seed 3",
        "run holds an interrupted run of another recipe (seed was 0, now 3). Give its options",
    ),
    "other options": (
        nothing, "--d-model 32 --epochs 5 --norm pre",
        "another recipe (d_model was 16, now 32; norm was post, now pre; epochs was 2, now 5).",
    ),
    "another architecture": (
        nothing, "--import tests.trainers.narrow --architecture narrow",
        "another recipe (architecture was transformer, now narrow; architecture_options was {}, ",
    ),
    "no architecture": (was_narrow, "", "another recipe (architecture was narrow, now transformer"),
    "another option of an architecture": (
        was_narrow, "--import tests.trainers.narrow --architecture narrow --architecture-options "
        "factor=5", "another recipe (architecture_options was {'factor': 3, 'rate': 0.5, ",
    ),
    "an option left open": (nothing, "--epochs 0", "(epochs was 2, now 0)"),
    "another training text": (another_text, "", "another recipe (the training text has changed)"),
    "another validation text": (
        nothing, "--validation-tsv valid.tsv", "(the validation text has changed)",
    ),
    "other tokens": (
        lambda: rewrite(lambda state: state["run"]["about"].update(data_fingerprint="other")), "",
        "run holds an interrupted run whose text is now tokenized differently. Resume it with",
    ),
    "a state of another size": (
        lambda: rewrite(lambda state: state["run"]["model"]["config"].update(d_ff=29)), "",
        "state-00000011.npz belongs to another model or backend: ",
    ),
    "a state of more blocks": (
        lambda: rewrite(lambda state: state["run"]["model"]["config"].update(num_layers=2)), "",
        "state-00000011.npz belongs to another model: model has ",
    ),
    "no tokenizer": (
        lambda: Path("run/tokenizer.model").unlink(), "", "There is no tokenizer at run/tokenizer",
    ),
    "no whole state": (
        lambda: damage(0, 97), "",
        "All states in run/checkpoints are damaged. Copy the folder again, or start afresh. "
        "(--overwrite true starts afresh.)",
    ),
    "a file for checkpoints": (
        checkpoints_is_a_file, "", "run/checkpoints is a file. Expected a folder: move the file",
    ),
    "a negative interval": (nothing, "--checkpoint-steps -2", "checkpoint_steps must be at least"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_one_line_says_why_a_run_cannot_go_on(name, desk, capfd):
    spoil, more, expected = BAD[name]
    spoil()
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    assert main(once(*COMMAND, *more.split())) == 1
    after = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    assert after == before
    *warnings, error = capfd.readouterr().err.splitlines()
    assert expected in error
    assert error.startswith("python -m trainers.translation: error: ")
    assert len(error) < 500
    assert all("is damaged (it is not a complete archive: " in warning for warning in warnings)


def test_a_damaged_state_is_named_and_the_one_before_it_used(desk, capsys):
    damage(-1)
    state = state_of(COMMAND)
    assert state.metadata["progress"]["step"] == 9
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(
        "run/checkpoints/state-00000011.npz is damaged (it is not a complete archive: "
    )
    assert warning.endswith(") and is skipped.")


def test_options_that_newer_versions_have_are_at_their_defaults(desk):
    rewrite(
        lambda metadata: [metadata["run"][name].pop("max_ratio") for name in ("given", "chosen")]
    )
    assert state_of(COMMAND) is not None
    with pytest.raises(ValueError, match=r"max_ratio was 0\.0, now 3\.0"):
        state_of([*COMMAND, "--max-ratio", "3"])


def test_whoever_overwrote_must_not_do_so_again():
    recipe = Recipe(output=Path("run"), overwrite=True)
    assert resume_hint(recipe) == "The same command without --overwrite resumes the run."


def test_no_option_is_forgotten():
    """What is neither free nor judged by its text is compared."""
    recipes = (Recipe, LanguageRecipe)
    names = {field.name for recipe in recipes for field in dataclasses.fields(recipe)}
    assert {*FREE_OPTIONS, *TEXT_OPTIONS} <= names
    assert {"seed", "init_from", "precision", "compile_with_xla"} <= names - {
        *FREE_OPTIONS,
        *TEXT_OPTIONS,
    }


@pytest.mark.slow
@pytest.mark.stood_for("the run of a decoder-only translator")
def test_a_run_of_convolutions_goes_on_too(at, tmp_path):
    """Bit for bit, with dropout."""
    options = once(*OPTIONS, "--architecture", "slicenet", "--d-model", "24")
    command = [*options, "--architecture-options", "kernels=3-5", "dilations=2-1", "--output"]
    assert main([*command, str(tmp_path / "undisturbed")]) == 0
    with more_callbacks(InterruptAt(12)), pytest.raises(Interrupted):
        main([*command, str(tmp_path / "run")])
    assert main([*command, str(tmp_path / "run")]) == 0
    is_as_undisturbed(tmp_path / "run", tmp_path / "undisturbed")
