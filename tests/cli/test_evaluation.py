"""`evaluate` with several systems, and with a file of results."""

import json
from pathlib import Path

import pytest

from keras_transformer import Translator
from keras_transformer.__main__ import main
from keras_transformer.training.comparison import compare
from tests.translation.conftest import BYTES, make_model, sentences, tokenizer

__all__ = ["tokenizer"]
pytest.importorskip("ctranslate2")
SOURCES = sentences(5, seed=2, longest=9)
REFERENCES = sentences(5, seed=5, longest=9)
OTHERS = [line.replace("red", "blue") for line in REFERENCES]
EVALUATE = "evaluate --run a --source s --reference r"


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    """Two runs, a, b, and the files s, r, of translations and shorter."""
    folder = tmp_path_factory.mktemp("systems")
    for name, seed in (("a", 20), ("b", 23)):
        model = make_model(tokenizer.vocabulary_size(), seed=seed, like_eos=285, seldom=BYTES)
        Translator(model, tokenizer, max_source_length=13).save(folder / name)
    files = {"s": SOURCES, "r": REFERENCES, "of": OTHERS, "shorter": OTHERS[:-1]}
    for name, lines in files.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder


@pytest.fixture(autouse=True)
def in_the_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


def translated(run):
    return [one.text for one in Translator.load(run, engine="ctranslate2").translate(SOURCES)]


@pytest.mark.slow
def test_systems_are_compared_and_everything_is_in_the_file(capsys):
    command = f"{EVALUATE} --against of b --against of --words red --json found.json"
    assert main([*command.split(), "--engine", "ctranslate2"]) == 0
    out = capsys.readouterr().out
    systems = [translated("a"), OTHERS, translated("b"), OTHERS]
    expected = compare(systems, REFERENCES)
    with open("found.json", encoding="utf-8") as file:
        found = json.load(file)
    assert [(one["name"], one["kind"]) for one in found["systems"]] == [
        ("a", "run"), ("of", "file"), ("b", "run"), ("of", "file")
    ]  # fmt: skip
    for system, measures in zip(found["systems"], expected, strict=True):
        assert system["metrics"] == {name: vars(one) for name, one in measures.items()}
        assert system["words"]["words"] == ["red"]
    assert (found["sentences"], found["beam_size"], found["engine"]) == (5, 4, "ctranslate2")
    assert found["significance"]["paired_bootstrap"]["seed"] == 12345
    bleu = expected[1]["BLEU"]
    cell = f"{bleu.score:.2f} ± {bleu.interval:.2f}"
    cell += f" (p {bleu.bootstrap_p:.4f}, {bleu.randomization_p:.4f})"
    rows = [line for line in out.splitlines() if line.startswith("of")]
    assert len(rows) == 2
    assert all(cell in row for row in rows)
    assert f"BLEU: {bleu.signature}" in out
    assert "10,000 trials) against the first system. Seed 12345." in out


@pytest.mark.slow
def test_a_file_of_results_of_one_system(capsys):
    assert main([*f"{EVALUATE} --json one.json".split(), "--engine", "ctranslate2"]) == 0
    assert "±" not in capsys.readouterr().out
    with open("one.json", encoding="utf-8") as file:
        (system,) = json.load(file)["systems"]
    (expected,) = compare([translated("a")], REFERENCES)
    assert system["metrics"] == {name: vars(one) for name, one in expected.items()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--against shorter", "shorter of --against has 4 lines, s has 5: line n of one must"),
        ("--against missing", "There is no file missing. Expected a text file"),
        ("--against .", "holds no run.json, so it is not a finished run"),
        ("--against of b missing", "There is no file missing."),
        ("--against r", "r of --against is the --reference itself"),
        ("--against s3::bad://x", "Chained URLs are not supported"),
        ("--json .", "--json must name a file. Received the folder ."),
        ("--json no/where.json", "The folder no of --json does not exist: create it first."),
        ("--json r", "--json would overwrite r, which is read. Give another file."),
        ("--against of --json of", "--json would overwrite of, which is read."),
        ("--json gs://bucket/x.json", "--json must be on a local disk. Received: gs://bucket"),
        ("--json a/run.json", "--json would overwrite a file of the run a. Give another file."),
    ],
)
def test_what_makes_no_sense_is_one_line_before_the_work(options, message, capsys, monkeypatch):
    monkeypatch.setattr(Translator, "load", None)
    assert main([*EVALUATE.split(), *options.split()]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(Path().glob("*.json.*"))


def test_without_systems_the_option_is_incomplete(capsys):
    assert main([*EVALUATE.split(), "--against"]) == 2
    assert "against" in capsys.readouterr().err
