"""The demo, end to end on the command line: it translates, and knows what *it* stands for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARTICLE = {
    "I am a student.": "Je suis étudiant.",
    "The animal didn't cross the street because it was too tired.": (
        "L'animal n'a pas traversé la rue parce qu'il était trop fatigué."
    ),
    "The animal didn't cross the street because it was too wide.": (
        "L'animal n'a pas traversé la rue parce qu'elle était trop large."
    ),
}


def python(*arguments):
    result = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()[-3000:]
    return result.stdout.decode("utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The finished run that the environment names, or one that is trained now."""
    there = os.environ.get("KERAS_TRANSFORMER_PHRASEBOOK_RUN")
    if there and (Path(there) / "run.json").is_file():
        return Path(there)
    output = tmp_path_factory.mktemp("runs") / "phrasebook"
    recipe = ROOT / "trainers" / "recipes" / "phrasebook.yaml"
    python("-m", "trainers.translation", "--config", recipe, "--output", output)
    return output


def evaluate(run, name):
    """What the command line reports on a held-out text: name to number."""
    files = ("--source", run / "held_out" / f"{name}.en", "--reference")
    files += (run / "held_out" / f"{name}.fr", "--words", "il,elle")
    report = python("-m", "keras_transformer", "evaluate", "--run", run, *files)
    return {
        label.strip(): float(number)
        for label, number in re.findall(r"^(.{12}) ([\d.]+)", report, re.MULTILINE)
    }


@pytest.mark.slow
def test_everyday_sentences_are_translated(run):
    found = evaluate(run, "everyday")
    assert found["sentences"] >= 300
    assert found["exact match"] >= 98


@pytest.mark.slow
def test_it_is_what_it_stands_for(run):
    found = evaluate(run, "coreference")
    assert found["sentences"] >= 500
    assert found["exact match"] >= 99
    assert found["il, elle"] >= 99.5


@pytest.mark.slow
def test_always_il_is_right_half_the_time(run):
    """So the pronouns of the test cannot be guessed."""
    from keras_transformer.training.evaluation import word_agreement

    references = (run / "held_out" / "coreference.fr").read_text(encoding="utf-8").splitlines()
    always = [re.sub(r"\belle\b", "il", reference) for reference in references]
    share, count = word_agreement(always, references, ["il", "elle"])
    assert count == len(references)
    assert 45 <= share <= 55


@pytest.mark.slow
def test_held_out_sentences_were_never_trained_on(run):
    from keras_transformer.data.phrasebook import phrasebook

    train = {source for source, _ in phrasebook(seed=0).train}
    for name in ("everyday", "coreference"):
        sources = (run / "held_out" / f"{name}.en").read_text(encoding="utf-8").splitlines()
        assert not train.intersection(sources)


@pytest.mark.slow
def test_the_sentences_of_the_article(run):
    out = python("-m", "keras_transformer", "translate", "--run", run, *ARTICLE)
    assert out.splitlines() == list(ARTICLE.values())
