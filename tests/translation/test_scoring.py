"""Translations that are given: their log-probabilities and attention, against one at a time."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import Translator
from keras_transformer.translation.scoring import score_targets, shift_right, target_attention
from tests.translation.conftest import forced, make_model, sentences

BOS, EOS, V = 1, 2, 17
SOURCES = [[5, 9, 3, 16, 2], [2], [7, 7, 2], [11, 4, 13, 6, 8, 10, 2]]
TARGETS = [[6, 2], [14, 3, 12, 2], [2], [5, 5, 9, 15, 2]]


@pytest.fixture(scope="module")
def model():
    return make_model(V, num_layers=2)


def filled(rows, length):
    return np.array([[*row, *[0] * (length - len(row))] for row in rows], "int32")


def alone(model, source, target):
    """Cross-attention, (layers, heads, T, S), of the model run on one sentence without padding."""
    inputs = {"source": filled([source], 0), "target": filled([[BOS, *target[:-1]]], 0)}
    _, scores = model(inputs, return_attention_scores=True)
    return np.stack([np.asarray(layer)[0] for layer in scores["cross"]])


def test_a_decoder_reads_bos_and_all_but_the_end():
    target = ops.convert_to_tensor([[5, 7, 2], [9, 2, 0]])
    assert ops.convert_to_numpy(shift_right(target, 4, 0)).tolist() == [[4, 5, 7], [4, 9, 0]]


@pytest.mark.slow
def test_log_probs_are_those_of_one_sentence_and_0_at_padding(model):
    sources, targets = filled(SOURCES, 11), filled(TARGETS, 13)
    found = np.asarray(
        score_targets(
            model, ops.convert_to_tensor(sources), ops.convert_to_tensor(targets), bos_id=BOS
        )
    )
    assert found.shape == (4, 13)
    for row, source, target in zip(found, SOURCES, TARGETS, strict=True):
        assert row[: len(target)] == pytest.approx(forced(model, source, target), abs=1e-4)
        assert (row[: len(target)] < 0).all()
        assert (row[len(target) :] == 0).all()


def test_attention_is_that_of_one_sentence(model):
    sources, targets = filled(SOURCES, 11), filled(TARGETS, 13)
    found = np.asarray(
        target_attention(
            model, ops.convert_to_tensor(sources), ops.convert_to_tensor(targets), bos_id=BOS
        )
    )
    assert found.shape == (4, 2, 3, 13, 11)
    for scores, source, target in zip(found, SOURCES, TARGETS, strict=True):
        own = scores[:, :, : len(target), : len(source)]
        np.testing.assert_allclose(own, alone(model, source, target), atol=1e-5)


@pytest.mark.slow
def test_scores_are_the_log_probabilities_of_the_tokens(translator, texts):
    targets = [*sentences(17, seed=5), "", "half of it: é"]
    scores = translator.score(texts, targets)
    tokenizer = translator.tokenizer
    for text, target, score in zip(texts, targets, scores, strict=True):
        source, ids = ([*tokenizer.tokenize(one), EOS] for one in (text, target))
        wanted = forced(translator.model, source, ids)
        assert score.token_log_probs == pytest.approx(wanted, abs=1e-4)
        assert score.log_prob == pytest.approx(sum(wanted), abs=1e-3)
        assert [tokenizer.token_to_id(piece) for piece in score.tokens] == ids
        assert all(isinstance(number, float) for number in (score.log_prob, *score.token_log_probs))


def test_a_score_does_not_depend_on_company(translator, texts):
    targets = sentences(19, seed=5)
    together = translator.score(texts, targets)
    order = np.random.default_rng(3).permutation(19)
    shuffled = translator.score([texts[n] for n in order], [targets[n] for n in order])
    for n, found in zip(order, shuffled, strict=True):
        assert found.tokens == together[n].tokens
        assert found.token_log_probs == pytest.approx(together[n].token_log_probs, abs=1e-4)


@pytest.mark.slow
def test_nothing_and_very_much_have_a_score(translator):
    """A long text is read whole, far beyond the model's limit."""
    long = " ".join(sentences(41, seed=7))
    ids = [*translator.tokenizer.tokenize(long), EOS]
    assert len(ids) > 256
    nothing, empty_source, long_source = translator.score(["", "", long], ["", "one", "two"])
    assert nothing.tokens == ("</s>",)
    assert nothing.token_log_probs == pytest.approx(
        forced(translator.model, [EOS], [EOS]), abs=1e-4
    )
    for score, source, target in ((empty_source, [EOS], "one"), (long_source, ids, "two")):
        wanted = forced(translator.model, source, [*translator.tokenizer.tokenize(target), EOS])
        assert score.token_log_probs == pytest.approx(wanted, abs=1e-4)
    assert translator.score([], []) == []


@pytest.mark.slow
def test_learned_positions_end_what_can_be_scored(tokenizer):
    """67 positions, which are no length of a batch."""
    model = make_model(tokenizer.vocabulary_size(), positions="learned", max_length=67)
    translator = Translator(model, tokenizer, max_source_length=11)
    text = " ".join(["cat"] * 66)
    ids = [*tokenizer.tokenize(text), EOS]
    assert len(ids) == 67
    (score,) = translator.score(["one"], [text])
    source = [*tokenizer.tokenize("one"), EOS]
    assert score.token_log_probs == pytest.approx(forced(model, source, ids), abs=1e-4)
    for pair in ((f"{text} cat", "one"), ("one", f"{text} cat")):
        with pytest.raises(ValueError, match=r"has learned 67 positions, but 68 are needed\. Give"):
            translator.score(*[[side] for side in pair])


@pytest.mark.parametrize(
    ("sources", "targets", "error", "message"),
    [
        (["one"] * 3, ["two"] * 2, ValueError, "Received: 2 targets for 3 sources"),
        ([], ["two"], ValueError, "Received: 1 targets for 0 sources"),
        ("one", ["two"], TypeError, "`sources` must be a list of strings"),
        (["one"], "two", TypeError, "`targets` must be a list of strings"),
        ([None], ["two"], TypeError, "`sources` must be a list of strings"),
        (["one"], [b"two"], TypeError, "`targets` must be a list of strings"),
    ],
)
def test_sources_and_targets_are_strings_pair_by_pair(translator, sources, targets, error, message):
    with pytest.raises(error, match=message):
        translator.score(sources, targets)
