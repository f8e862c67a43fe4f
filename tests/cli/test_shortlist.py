"""The command `shortlist`, and the option of the same name."""

import pytest

from keras_transformer import Translator
from keras_transformer.__main__ import main
from tests.conftest import searches_without_xla
from tests.translation.conftest import save_run, sentences


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths of parallel files."""
    folder = tmp_path_factory.mktemp("texts")
    paths = [folder / "train.en", folder / "train.de"]
    for seed, path in enumerate(paths):
        path.write_text("".join(f"{line}\n" for line in sentences(31, seed)), encoding="utf-8")
    return [str(path) for path in paths]


def make(run, files, *options):
    command = ["shortlist", "--run", str(run), "--source", files[0], "--target", files[1]]
    return main([*command, *options])


def refused(capsys, arguments, message):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_run_without_one_is_told(run, capsys):
    refused(capsys, ["translate", "--run", str(run), "--shortlist", "one"], "has no shortlist. Add")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "5"], "`size` more than `num_frequent` + 3"),
        (["--candidates", "0"], "candidates=0"),
        (["--max-pairs", "0"], "max_pairs=0"),
        (["--source", "missing.en"], "missing.en"),
        (["--run", "s3://bucket/run"], "--run"),
    ],
)
def test_the_command_refuses(run, files, options, message, capsys):
    given = {"--run": str(run), "--source": files[0], "--target": files[1]}
    given |= {options[0]: options[1]}
    arguments = [word for pair in given.items() for word in pair]
    refused(capsys, ["shortlist", *arguments], message)
    assert not (run / "shortlist.npz").exists()


def test_samples_and_other_formats_have_none(run, capsys, tmp_path):
    command = ["translate", "--run", str(run), "--shortlist", "--sample", "one"]
    refused(capsys, command, "--shortlist only applies to beam search")
    command = ["export", "--run", str(run), "--shortlist", "--format", "keras"]
    command += ["--output", str(tmp_path / "new")]
    refused(capsys, command, "--shortlist only applies to saved_model")


@pytest.mark.slow
def test_it_is_added_and_used(run, files, capsys):
    sizes = ["--num-frequent", "3", "--size", "17", "--candidates", "2"]
    assert make(run, files, *sizes) == 0
    assert capsys.readouterr().out.endswith("shortlist.npz: 17 tokens for each sentence\n")
    with searches_without_xla():
        assert main(["translate", "--run", str(run), "--shortlist", "one two", "cat"]) == 0
        lines = capsys.readouterr().out.splitlines()
        expected = Translator.load(run, shortlist=True).translate(["one two", "cat"])
        without = Translator.load(run).translate(["one two", "cat"])
    assert lines == [" ".join(one.text.splitlines()) for one in expected]
    assert [one.text for one in expected] != [one.text for one in without]
