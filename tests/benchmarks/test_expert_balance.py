"""Shares of experts over held-out text, of runs that are there already."""

import re

import numpy as np
import pytest

from benchmarks.expert_balance import main, shares_of
from keras_transformer import Tokenizer, Translator, create_model
from keras_transformer.data.phrasebook import phrasebook

SIZES = {"num_layers": 2, "d_model": 8, "num_heads": 2, "d_ff": 11}


@pytest.mark.slow
def test_shares_are_even_for_even_gates_and_none_for_the_others(tmp_path, capsys):
    """At first all gates are 0, so that the first expert has all tokens; then the second."""
    text = [side for pair in phrasebook().held_out["everyday"] for side in pair]
    tokenizer = Tokenizer.train(text[:200], 330)
    for name in ("balanced", "unbalanced"):
        options = {"num_experts": 3, "k": 3 if name == "balanced" else 1, "interval": 2}
        model = create_model("experts", options, vocabulary_size=330, **SIZES)
        Translator(model, tokenizer, max_source_length=32).save(tmp_path / name)
    main(["--output", str(tmp_path), "--sentences", "7"])
    printed = capsys.readouterr().out
    assert printed.count("is finished") == 2
    assert re.search(r"\| encoder, layer 1 \| 1.00 \| 1.00 \| 1.00 \|", printed)
    assert re.search(r"\| decoder, layer 1 \| 3.00 \| 0.00 \| 0.00 \|", printed)
    for values in shares_of(tmp_path / "unbalanced", 5).values():
        np.testing.assert_allclose(values.sum(), 3, atol=1e-5)
