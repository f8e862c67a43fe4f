"""The most probable next tokens, beside the softmax and the rules of plain NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_transformer.decoding.logits_processor import LogitsRules, mask_logits
from keras_transformer.decoding.next_tokens import most_probable_tokens

B, W, L = 3, 2, 7
PAD, EOS = 0, 2


def assert_most_probable(logits, index, ids, rules, count):
    """The tokens are the best allowed ones, with the probabilities of the whole softmax."""
    index = ops.convert_to_tensor(index, "int32")
    ids = ops.convert_to_tensor(ids, "int32")
    arrays = most_probable_tokens(ops.convert_to_tensor(logits), index, ids, rules, count)
    log_probs, tokens = map(ops.convert_to_numpy, arrays)
    assert log_probs.shape == tokens.shape == (B, W, count)
    allowed = ops.convert_to_numpy(mask_logits(ops.convert_to_tensor(logits), index, ids, rules))
    exact = logits.astype("float64")
    largest = exact.max(-1, keepdims=True)
    total = largest + np.log(np.exp(exact - largest).sum(-1, keepdims=True))
    expected = -np.sort(-(allowed - total), axis=-1)[..., :count]
    np.testing.assert_allclose(log_probs, expected, rtol=1e-5, atol=1e-5)
    possible = expected > -np.inf
    found = np.take_along_axis(allowed - total, tokens, axis=-1)
    np.testing.assert_allclose(found[possible], expected[possible], rtol=1e-5, atol=1e-5)
    for row in tokens.reshape(-1, count):
        assert len(set(row.tolist())) == count


def make_logits(vocabulary, favoured=()):
    """Random logits, large, so that only their differences can be exponentiated."""
    logits = np.random.default_rng(1).normal(500, 3, (B, W, vocabulary)).astype("float32")
    logits[..., list(favoured)] += 30
    return logits


RULES = {
    "nothing else": {},
    "no padding": {"pad_id": -1},
    "minimum lengths": {"min_lengths": np.array([0, 5, 9], "int32")},
    "repetition": {"no_repeat_ngram_size": 2},
    "prefix": {"prefix": np.array([[3, 4, 1], [0, 0, 0], [EOS, 0, 0]], "int32")},
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("vocabulary", [5, 11, 331, 1009])
def test_the_best_allowed_tokens_are_found(name, vocabulary):
    """In one stage and in two; though padding and EOS, forbidden or not, be the most probable."""
    rules = LogitsRules(EOS, **RULES[name])
    ids = np.random.default_rng(2).integers(3, 5, (B, W, L))
    for favoured in ((), (PAD, EOS), (EOS,)):
        logits = make_logits(vocabulary, favoured)
        assert_most_probable(logits, np.array([1, 3, 5]), ids, rules, min(8, vocabulary))
