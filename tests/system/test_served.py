"""A SavedModel in the hands of somebody who has TensorFlow and its text ops, and nothing of ours.

`KERAS_TRANSFORMER_PHRASEBOOK_RUN` names a finished run of the phrasebook;
`KERAS_TRANSFORMER_MULTI30K_RUN` one of Multi30k, and `KERAS_TRANSFORMER_MULTI30K` its texts.
"""

import gzip
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import keras_transformer as kt

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BEAMS = 4
TIE = 1e-5  # hypotheses whose scores differ by less may change places
NEWEST = ("tensorflow==2.21.*", "tensorflow-text")
OLDER = ("tensorflow==2.20.*", "tensorflow-text==2.20.1")
ODD = [
    "",
    " \t\u3000",
    "😀👩‍👩‍👧 e\u0301",
    "שלום עולם",
    "nul\0nul",
    "\udcff\udcfea",
    "</s> <pad>",
    "I am a student. " * 31,
    "You are tired! Are you? " * 7,
]
CLIENT = """
import importlib.util, json, sys
import tensorflow as tf
import tensorflow_text

assert importlib.util.find_spec("keras_transformer") is None
folder, file = sys.argv[1:]
served = tf.saved_model.load(folder)
translate = served.signatures["serving_default"]
asked = json.load(open(file, encoding="utf-8"))
raw = [text.encode("utf-8", "surrogateescape") for text in asked["texts"]]
answers = {"tensorflow": tf.__version__}
for batch, count in asked["batches"].items():
    texts, scores = [], []
    for start in range(0, count, int(batch)):
        found = translate(text=tf.constant(raw[start : min(count, start + int(batch))]))
        texts += [[one.decode() for one in some] for some in found["translation"].numpy()]
        scores += found["score"].numpy().tolist()
    answers[batch] = [texts, scores]
print(json.dumps(answers))
"""


def run(*command, **environment):
    result = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        cwd=ROOT if "keras_transformer" in command else Path(command[0]).parent,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()[-3000:]
    return result.stdout.decode("utf-8")


def make_client(folder, packages):
    """The Python of a new virtual environment that has these packages."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    return python


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return make_client(tmp_path_factory.mktemp("newest") / "venv", NEWEST)


@pytest.fixture(scope="module")
def older_client(tmp_path_factory):
    return make_client(tmp_path_factory.mktemp("older") / "venv", OLDER)


def finished_run(variable):
    folder = Path(os.environ.get(variable, "missing"))
    if not (folder / "run.json").is_file():
        pytest.skip(f"{variable} names no finished run")
    return folder


def export(of, folder, *options):
    """On the command line, whatever backend is asked for."""
    command = (sys.executable, "-m", "keras_transformer", "export", "--run", of, "--output", folder)
    run(*command, "--top-beams", BEAMS, *options, KERAS_BACKEND="jax")
    return folder


@pytest.fixture(scope="module")
def phrasebook():
    return finished_run("KERAS_TRANSFORMER_PHRASEBOOK_RUN")


@pytest.fixture(scope="module")
def texts(phrasebook):
    text = (phrasebook / "held_out" / "everyday.en").read_text(encoding="utf-8")
    return [*text.split("\n")[:500], *ODD]


@pytest.fixture(scope="module")
def translations(phrasebook, texts):
    return kt.Translator.load(phrasebook).translate(texts, BEAMS, top_beams=BEAMS)


@pytest.fixture(scope="module")
def folder(phrasebook, tmp_path_factory):
    return export(phrasebook, tmp_path_factory.mktemp("served") / "1")


def ask(client, folder, texts, batches):
    """What the client is answered, in batches of some sizes: of so many texts each."""
    file = folder.parent / "texts.json"
    file.write_text(json.dumps({"texts": texts, "batches": batches}), encoding="utf-8")
    return json.loads(run(client, "-c", CLIENT, folder, file, PYTHONPATH=""))


def compare(answers, translations, capsys):
    """All strings and scores; other strings only where two hypotheses are as good as equal."""
    version, ties, far = answers.pop("tensorflow"), 0, 0.0
    for texts, scores in answers.values():
        for some, of_some, wanted in zip(texts, scores, translations, strict=False):
            for n, one in enumerate(wanted.hypotheses):
                far = max(far, abs(of_some[n] - one.score))
                assert of_some[n] == pytest.approx(one.score, abs=1e-4)
                if some[n] != one.text:
                    ties += 1
                    assert abs(of_some[n] - one.score) < TIE, (some[n], one.text)
                    rivals = [other.score for other in wanted.hypotheses if other is not one]
                    assert n == BEAMS - 1 or min(abs(s - one.score) for s in rivals) < TIE
            for n in range(len(wanted.hypotheses), BEAMS):
                assert (some[n], of_some[n]) == ("", -float("inf"))
    count = {batch: len(texts) for batch, (texts, _) in answers.items()}
    with capsys.disabled():
        print(f"\nTensorFlow {version}: {BEAMS} best of {count} texts by batch size: {ties} other "
              f"strings (ties below {TIE}), scores at most {far:.1e} apart")  # fmt: skip


def test_a_client_without_the_package_is_served_what_the_translator_writes(
    client, folder, texts, translations, capsys
):
    count = len(texts)
    answers = ask(client, folder, texts, {1: 150, 7: count, 64: count})
    assert answers["tensorflow"].startswith("2.21.")
    compare(answers, translations, capsys)


def test_an_older_tensorflow_serves_the_same_folder(
    older_client, folder, texts, translations, capsys
):
    answers = ask(older_client, folder, texts, {1: 20, 64: len(texts)})
    assert answers["tensorflow"].startswith("2.20.")
    compare(answers, translations, capsys)


def test_compiled_by_xla_the_captions_are_the_same(client, tmp_path, capsys):
    source = Path(os.environ.get("KERAS_TRANSFORMER_MULTI30K", "missing"))
    source /= "test_2016_flickr.en.gz"
    of = finished_run("KERAS_TRANSFORMER_MULTI30K_RUN")
    if not source.is_file():
        pytest.skip("KERAS_TRANSFORMER_MULTI30K names no folder with the texts")
    texts = gzip.decompress(source.read_bytes()).decode("utf-8").removesuffix("\n").split("\n")
    translations = kt.Translator.load(of).translate(texts, BEAMS, top_beams=BEAMS)
    folder = export(of, tmp_path / "1", "--xla")
    compare(ask(client, folder, texts, {1: 100, 7: 300, 64: len(texts)}), translations, capsys)
