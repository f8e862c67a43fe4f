"""The benchmark of serving, on a model that knows nothing."""

import pytest

from keras_transformer import Tokenizer, Transformer, Translator
from tests.conftest import QUICK_TO_COMPILE, run_python

LINES = ["ein Hund", "a small dog", "ein kleiner Hund", "the dog sees a cat"]


@pytest.mark.slow
def test_a_run_is_served_in_three_ways_and_live(tmp_path):
    tokenizer = Tokenizer.train(LINES, vocabulary_size=283, model_type="bpe", seed=0)
    model = Transformer(tokenizer.vocabulary_size(), 1, d_model=8, num_heads=2, d_ff=11)
    Translator(model, tokenizer).save(tmp_path / "run")
    (tmp_path / "lines.txt").write_text("\n".join(LINES) + "\n")
    files = [f"--{side}={tmp_path / 'lines.txt'}" for side in ("source", "reference")]
    printed = run_python(
        *("-m", "benchmarks.serving", f"--run={tmp_path / 'run'}", *files),
        *("--batches", "1", "--requests", "1", "--repeats", "1"),
        XLA_FLAGS=QUICK_TO_COMPILE,
    )
    rows = [line.split(" | ") for line in printed.splitlines()[-4:]]
    names = ["| live", "| saved_model xla", "| saved_model xla int8", "| saved_model"]
    assert [row[0] for row in rows] == names
    assert rows[0][-1] == rows[1][-1] == rows[3][-1] == "4 |"  # of 4 are as live
