"""A language model from a text file to a run folder, and prompts continued on the command line."""

import contextlib
import itertools
import random
import shutil

import keras
import numpy as np
import pytest
import yaml

from keras_transformer import Sampling, TextGenerator, Tokenizer
from keras_transformer.__main__ import main as cli
from tests.checkpoints.interrupted import InterruptAt, Interrupted
from tests.conftest import python_process
from trainers import language_model
from trainers.language_model import main

OPTIONS = [
    "--train-text", "train.txt", "--validation-text", "valid.txt", "--num-layers", "1",
    "--d-model", "16", "--num-heads", "2", "--d-ff", "24", "--max-length", "29",
    "--tokens-per-batch", "257", "--dropout-rate", "0.2", "--epochs", "3", "--steps-per-epoch", "9",
    "--checkpoint-steps", "4", "--compile-with-xla", "false", "--tensorboard", "false",
    "--vocabulary-size", "275",
]  # fmt: skip
WORDS = {"one": "two", "two": "three", "three": "four", "four": "five", "five": "one"}


def counting(generator):
    """A line that counts on from a random number."""
    word, words = generator.choice(list(WORDS)), []
    for _ in range(generator.randint(3, 9)):
        words.append(word)
        word = WORDS[word]
    return " ".join(words)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the texts."""
    folder, generator = tmp_path_factory.mktemp("desk"), random.Random(3)
    for name, lines in (("train", 193), ("valid", 31)):
        text = "".join(f"{counting(generator)}\n" for _ in range(lines))
        (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.fixture(scope="module")
def run(desk):
    """The folder of a run that nobody disturbed."""
    with contextlib.chdir(desk):
        assert main([*OPTIONS, "--output", "run"]) == 0
    return desk / "run"


def weights_of(folder):
    return TextGenerator.load(folder).model.get_weights()


@pytest.mark.slow
def test_a_run_holds_the_weights_that_predict_the_validation_text_best(run, desk):
    generator = TextGenerator.load(run)
    texts = (desk / "valid.txt").read_text().splitlines()
    measures = generator.measure(texts)
    described = language_model.describe_measures(measures)
    assert generator.about["weights"].endswith(f"validation {described}")
    for path in (run / "checkpoints").glob("epoch-*.weights.h5"):
        generator.model.load_weights(path)
        assert generator.measure(texts).perplexity >= measures.perplexity * (1 - 1e-6)
    assert generator.trained_length == 29
    assert not list((run / "checkpoints").glob("state-*"))


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_weights_of_one_that_was_not(run, desk, capsys):
    command = [*OPTIONS, "--output", "again"]
    with contextlib.chdir(desk), pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_model, "_keras_callbacks", lambda *_: [InterruptAt(15)])
        with pytest.raises(Interrupted):
            main(command)
        patch.undo()
        assert main([*command[:-1], "again", "--seed", "5"]) == 1
        assert "another recipe (seed was 0, now 5)" in capsys.readouterr().err
        keras.utils.set_random_seed(99)  # nothing depends on where the process stands
        assert main(command) == 0
        assert "Resuming from step 13, epoch 2." in capsys.readouterr().out
    for resumed, undisturbed in zip(weights_of(desk / "again"), weights_of(run), strict=True):
        np.testing.assert_array_equal(resumed, undisturbed)


@pytest.mark.slow
def test_another_run_starts_from_it(run, desk, tmp_path, capsys):
    """Without a step of training worth the name, it is the same model; sizes are the run's."""
    options = ["--train-text", "train.txt", "--tensorboard", "false", "--compile-with-xla", "false"]
    options += ["--learning-rate-scale", "1e-9", "--epochs", "1", "--steps-per-epoch", "1"]
    with contextlib.chdir(desk):
        assert main([*options, "--init-from", "run", "--output", str(tmp_path / "next")]) == 0
        for more, message in (
            (["--vocabulary-size", "99"], "with vocabulary_size=275. Received: vocabulary_size=99"),
            (
                ["--architecture", "rotary"],
                "the architecture of its run, transformer. Received: ro",
            ),
            (["--tokenizer", "run"], "init_from brings the tokenizer of its run"),
        ):
            assert main([*options, "--init-from", "run", *more, "--output", "bad"]) == 1
            assert message in capsys.readouterr().err
    for trained, initial in zip(weights_of(tmp_path / "next"), weights_of(run), strict=True):
        np.testing.assert_allclose(trained, initial, atol=1e-6)
    assert TextGenerator.load(tmp_path / "next").trained_length == 128  # the default, more than 29
    values = yaml.safe_load((tmp_path / "next/recipe.yaml").read_text())
    assert (values["preset"], values["vocabulary_size"]) == ("auto", 275)


@pytest.mark.slow
def test_it_may_have_another_architecture_and_the_tokenizer_of_a_run(run, desk, tmp_path):
    architecture = ["--architecture", "relative", "--architecture-options", "max_distance=3"]
    options = dict(zip(OPTIONS[::2], OPTIONS[1::2], strict=True))
    del options["--vocabulary-size"]
    options |= {"--tokenizer": "run", "--epochs": "1", "--steps-per-epoch": "2"}
    with contextlib.chdir(desk):
        arguments = [text for option in options.items() for text in option]
        assert main([*arguments, *architecture, "--output", str(tmp_path / "run")]) == 0
    generator = TextGenerator.load(tmp_path / "run")
    assert generator.model.decoder.blocks[0].self_attention.attention.max_distance == 3
    assert generator.about["architecture_options"] == {"max_distance": 3}
    tokenizers = [(folder / "tokenizer.model").read_bytes() for folder in (tmp_path / "run", run)]
    assert tokenizers[0] == tokenizers[1]


@pytest.mark.slow
def test_a_changed_text_does_not_resume_another_run(desk, tmp_path, capsys):
    shutil.copytree(desk, tmp_path / "desk", ignore=shutil.ignore_patterns("run", "again"))
    with contextlib.chdir(tmp_path / "desk"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_model, "_keras_callbacks", lambda *_: [InterruptAt(6)])
        with pytest.raises(Interrupted):
            main([*OPTIONS, "--output", "run"])
        with open("train.txt", "a") as file:
            file.write("one two\n")
        assert main([*OPTIONS, "--output", "run"]) == 1
    assert "the training text has changed" in capsys.readouterr().err


PROMPTS = ["one two three", "four"]


def command_line(run, *options):
    return ["generate", "--run", str(run), "--max-length", "5", *options]


@pytest.mark.slow
def test_prompts_are_continued_on_the_command_line(run, without_xla, capsys):
    generator = TextGenerator.load(run)
    assert cli(command_line(run, "--beam-size", "1", *PROMPTS)) == 0
    expected = generator.generate(PROMPTS, beam_size=1, max_length=5)
    assert capsys.readouterr().out.splitlines() == [one.text for one in expected]
    assert cli(command_line(run, "--sample", "--top-beams", "2", "--seed", "3", *PROMPTS)) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    samples = generator.generate(PROMPTS, top_beams=2, max_length=5, sampling=Sampling(seed=3))
    assert [line[2] for line in lines] == [h.text for one in samples for h in one.hypotheses]
    assert [line[0] for line in lines] == ["1", "1", "2", "2"]
    assert cli(command_line(run, "--temperature", "0.5", *PROMPTS)) == 1
    assert "only apply to sampling: add --sample" in capsys.readouterr().err


@pytest.mark.slow
def test_prompts_are_continued_in_a_process_of_its_own(run):
    process = python_process("-m", "keras_transformer", *command_line(run), *PROMPTS)
    assert process.returncode == 0, process.stderr
    expected = TextGenerator.load(run).generate(PROMPTS, max_length=5)
    assert process.stdout.splitlines() == [one.text for one in expected]


@pytest.mark.parametrize("command", ["translate", "illustrate"])
def test_commands_for_translators_refuse_it_in_one_line(run, tmp_path, command, capsys):
    options = {"illustrate": ["--output", str(tmp_path / "x.html")]}
    assert cli([command, "--run", str(run), *options.get(command, []), "one"]) == 1
    error = capsys.readouterr().err
    assert "holds the run of a language model" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "There is nothing to train on: give --train-text"),
        (["--train-text", "missing.txt"], "There is no file missing.txt"),
        (["--train-text", "train.txt", "--max-length", "1"], "max_length must be at least 2"),
        (["--train-text", "train.txt", "--label-smoothing", "1"], "label_smoothing must be"),
        (["--train-text", "train.txt", "--tokens-per-batch", "9"], "`tokens_per_batch` must hold"),
        (["--train-text", "train.txt", "--corpus", "phrasebook"], "unrecognized arguments"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_leaves_nothing(desk, options, message, capsys):
    with contextlib.chdir(desk):
        assert main([*options, "--vocabulary-size", "275", "--output", "bad"]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (desk / "bad/recipe.yaml").exists()


@pytest.mark.slow
def test_it_learns_to_count(desk, tmp_path):
    """Trained as the defaults say, it counts on from prompts, and nothing predicts better."""
    options = dict(zip(OPTIONS[::2], OPTIONS[1::2], strict=True))
    for name in ("--epochs", "--steps-per-epoch", "--dropout-rate", "--checkpoint-steps"):
        del options[name]
    options |= {"--epochs": "25", "--d-model": "32", "--d-ff": "64", "--max-length": "64"}
    with contextlib.chdir(desk):
        arguments = [text for option in options.items() for text in option]
        assert main([*arguments, "--output", str(tmp_path / "run")]) == 0
    generator = TextGenerator.load(tmp_path / "run")
    assert isinstance(generator.tokenizer, Tokenizer)
    results = generator.generate(["two three", "five"], beam_size=1, min_length=12, max_length=20)
    for prompt, result in zip(["two three", "five"], results, strict=True):
        words = result.text.split()[: -1 if not result.finished else None]
        assert words[: len(prompt.split())] == prompt.split()
        assert len(words) > len(prompt.split())
        followers = itertools.pairwise(words)
        assert all(WORDS.get(word) == following for word, following in followers)
