"""The benchmark of decoding, in its smallest setting."""

import itertools
import json
import subprocess
import sys

import pytest

from benchmarks import decoding, turns, worker
from keras_transformer import Tokenizer
from tests.conftest import QUICK_TO_COMPILE, ROOT, run_python

TOY = ("--sizes", "toy", "--repeats", "1", "--threads", "1")


@pytest.fixture
def without_transformers(tmp_path):
    """The environment of an interpreter where Hugging Face's package is not installed."""
    (tmp_path / "transformers.py").write_text("raise ImportError('there is no transformers')")
    (tmp_path / "torch.py").write_text("")
    return {"PYTHONPATH": str(tmp_path), "XLA_FLAGS": QUICK_TO_COMPILE}


@pytest.mark.slow
def test_ours_is_timed_and_a_missing_engine_is_skipped_by_name(tmp_path, without_transformers):
    file = tmp_path / "rows.json"
    options = ("--shapes", "--batches", "3", "--peers", "hf-generate", "--json", str(file))
    printed = run_python("-m", "benchmarks.decoding", *TOY, *options, **without_transformers)
    assert "hf-generate is skipped: there is no transformers" in printed
    (row,) = json.loads(file.read_text())
    assert row.pop("output_tokens_per_second") > 0
    assert row == {"engine": "keras_transformer", "size": "toy", "batch": 3}
    assert "| toy | 3 | 1 | keras_transformer |" in printed


@pytest.mark.slow
def test_ctranslate2_has_our_weights(tmp_path):
    pytest.importorskip("ctranslate2")
    file = tmp_path / "rows.json"
    options = ("--shapes", "--batches", "2", "--peers", "ctranslate2-int8", "--json", str(file))
    run_python("-m", "benchmarks.decoding", *TOY, *options, XLA_FLAGS=QUICK_TO_COMPILE)
    engines = [row["engine"] for row in json.loads(file.read_text())]
    assert sorted(engines) == ["ctranslate2-int8", "keras_transformer"]


class Clock:
    """An engine that answers at once and says that it took the next of some times."""

    def __init__(self, name, log, seconds):
        self.name, self.log, self.seconds = name, log, iter(seconds)

    def ask(self, request):
        self.log.append((self.name, request["span"]))
        return {"seconds": next(self.seconds), "output": 7}


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(turns, "PAUSE", 0)
    log = []
    found = {
        "keras_transformer": Clock("ours", log, [90, 2, 1, 7]),
        "hf-generate": Clock("theirs", log, [80, 5, 30, 4]),
    }
    answers = turns.take_turns(found, {}, repeats=3, span=0.5)
    assert log == [("ours", 0), ("theirs", 0)] + [("ours", 0.5), ("theirs", 0.5)] * 3
    return decoding.make_rows(answers, ("toy", 3, 1), lambda output: 2 * output)


def test_engines_take_turns_and_calls_that_compile_do_not_count(rows):
    ours, theirs = rows
    assert (ours["first_call"], ours["seconds"], ours["times_ours"]) == (90, 2, 1)
    assert (theirs["first_call"], theirs["seconds"], theirs["times_ours"]) == (80, 5, 2.5)
    assert theirs["output_tokens_per_second"] == 14 / 5


@pytest.mark.slow
def test_short_calls_are_repeated_for_a_while():
    calls = itertools.count(1)
    times, output = worker.repeat(lambda: next(calls), span=0)
    assert (len(times), output) == (1, 1)
    times, output = worker.repeat(lambda: next(calls), span=0.01)
    assert len(times) == output - 1 > 1
    assert sum(times[:-1]) < 0.01 <= sum(times)


def test_the_file_has_the_faster_of_an_engines_rows(rows):
    slower = [{**row, "output_tokens_per_second": 0.1, "threads": 2} for row in rows]
    for order in (rows + slower, slower + rows):
        figures = {row["engine"]: row["output_tokens_per_second"] for row in decoding.best(order)}
        assert figures == {"keras_transformer": 7, "hf-generate": 2.8}


def test_another_number_of_tokens_than_asked_for_is_an_error():
    assert decoding.check_token_count(24, 24) == 24
    with pytest.raises(SystemExit, match=r"23 tokens were written\. Expected: 24"):
        decoding.check_token_count(24, 23)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to time: give --shapes"),
        (("--lengths", "--run", "x"), "--run, --source and --reference go together"),
        (("--reference", "x"), "--run, --source and --reference go together"),
        (("--shapes", "--peers-python", "no/python"), "there is no interpreter no/python"),
    ],
)
def test_what_makes_no_sense_is_said(options, message, capsys):
    with pytest.raises(SystemExit):
        decoding.parse(options)
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_an_engine_that_fails_says_why(tmp_path):
    text = tmp_path / "text"
    text.write_text("one two three\n")
    Tokenizer.train(["one two three"] * 7, 270).save(tmp_path / "tokenizer.model")  # and no more
    run = ("--run", str(tmp_path), "--source", str(text), "--reference", str(text))
    command = [sys.executable, "-m", "benchmarks.decoding", "--threads", "1", *run]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "keras_transformer failed:" in result.stderr
