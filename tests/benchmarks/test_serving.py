"""The benchmark of serving, on a model that knows nothing."""

import pytest

from keras_transformer import Tokenizer, Transformer, Translator
from tests.conftest import QUICK_TO_COMPILE, run_python

LINES = ["ein Hund", "a small dog", "ein kleiner Hund", "the dog sees a cat"]
TYPES = ("float32", "int8")


def prepare(folder):
    """Saves a run, and returns the options that name it and its text."""
    tokenizer = Tokenizer.train(LINES, vocabulary_size=283, model_type="bpe", seed=0)
    model = Transformer(tokenizer.vocabulary_size(), 1, d_model=8, num_heads=2, d_ff=11)
    Translator(model, tokenizer).save(folder / "run")
    (folder / "lines.txt").write_text("\n".join(LINES) + "\n")
    files = [f"--{side}={folder / 'lines.txt'}" for side in ("source", "reference")]
    return [f"--run={folder / 'run'}", *files, "--requests", "1", "--repeats", "1"]


@pytest.mark.slow
def test_ctranslate2_is_timed_against_a_plain_loop(tmp_path):
    pytest.importorskip("ctranslate2")
    names = [f"{kind} {one}" for kind in ("ctranslate2", "translate_iterable") for one in TYPES]
    options = [*prepare(tmp_path), "--batches", "4", "--engines", *names]
    printed = run_python("-m", "benchmarks.serving", *options, XLA_FLAGS=QUICK_TO_COMPILE)
    rows = [line.split(" | ") for line in printed.splitlines()[-5:]]
    assert [row[0] for row in rows] == [f"| {name}" for name in ("live", *names)]


@pytest.mark.slow
def test_a_run_is_served_in_three_ways_and_live(tmp_path):
    options = [*prepare(tmp_path), "--batches", "1"]
    printed = run_python("-m", "benchmarks.serving", *options, XLA_FLAGS=QUICK_TO_COMPILE)
    rows = [line.split(" | ") for line in printed.splitlines()[-4:]]
    names = ["| live", "| saved_model xla", "| saved_model xla int8", "| saved_model"]
    assert [row[0] for row in rows] == names
    assert rows[0][-1] == rows[1][-1] == rows[3][-1] == "4 |"  # of 4 are as live
