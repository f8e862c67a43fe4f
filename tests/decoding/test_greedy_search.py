import itertools

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer import greedy_search
from keras_transformer.decoding.generate import generate
from tests.decoding.conftest import make_model

BOS, EOS, V = 1, 2, 7


def table_step(table):
    """A step whose logits after a token are a row of a table."""
    table = np.asarray(table, "float32")

    def step(tokens, index, state):
        return ops.take(table, tokens, axis=0), state + 1

    return step


def chain(*tokens):
    """Logits that make each of the tokens follow the one before."""
    table = np.zeros((V, V), "float32")
    for one, other in itertools.pairwise(tokens):
        table[one, other] = 5.0
    return table


def search(step, limits, length=11, state=0):
    limits = ops.convert_to_tensor(np.array(limits, "int32"))
    results = greedy_search(step, ops.convert_to_tensor(state), limits, length, BOS, EOS)
    return [ops.convert_to_numpy(result) for result in results]


def test_it_writes_the_most_probable_tokens_and_stops_at_eos():
    ids, _, finished = search(table_step(chain(BOS, 4, 6, 3, EOS)), [11])
    assert ids.tolist() == [[4, 6, 3, EOS] + [0] * 7]
    assert finished.tolist() == [True]


def test_the_score_is_the_sum_of_log_probabilities_with_that_of_eos():
    table = np.random.default_rng(2).normal(0, 1, (V, V)) + chain(BOS, 5, 3, EOS)
    ids, scores, _ = search(table_step(table), [11])
    log_probs = table - np.log(np.exp(table).sum(-1, keepdims=True))
    assert ids[0, :4].tolist() == [5, 3, EOS, 0]
    wanted = log_probs[BOS, 5] + log_probs[5, 3] + log_probs[3, EOS]
    assert scores[0] == pytest.approx(wanted, rel=1e-5)


def test_every_sentence_has_its_own_limit():
    ids, scores, finished = search(table_step(chain(BOS, 4, 6, 3, EOS)), [2, 0, 4, 3, 11])
    rows = [[4, 6], [], [4, 6, 3, EOS], [4, 6, 3], [4, 6, 3, EOS]]
    assert ids.tolist() == [row + [0] * (11 - len(row)) for row in rows]
    assert finished.tolist() == [False, False, True, False, True]
    assert scores[1] == 0
    assert scores[2] == scores[4]
    assert scores[0] > scores[3] > scores[2]


def test_what_never_ends_fills_the_room():
    ids, _, finished = search(table_step(chain(BOS, 4, 6, 4)), [5], length=5)
    assert ids.tolist() == [[4, 6, 4, 6, 4]]
    assert finished.tolist() == [False]


def test_it_takes_no_more_steps_than_the_longest_sentence_needs():
    steps = []

    def step(tokens, index, state):
        steps.append(int(index))
        return table_step(chain(BOS, 4, EOS))(tokens, index, state)

    search(step, [11, 11, 3])
    assert steps == [0, 1]


def test_the_state_goes_from_step_to_step():
    def step(tokens, index, state):
        assert int(state) == 41 + int(index)
        return table_step(chain(BOS, 4, 6, 3, EOS))(tokens, index, state)

    search(step, [11], state=41)


def test_the_step_is_told_token_and_place():
    told = []

    def step(tokens, index, state):
        told.append((int(index), tokens.numpy().tolist()))
        return table_step(chain(BOS, 4, 6, EOS))(tokens, index, state)

    search(step, [11, 2])
    assert told == [(0, [BOS, BOS]), (1, [4, 4]), (2, [6, 6])]


def test_a_graph_and_xla_write_the_same():
    table = np.random.default_rng(4).normal(0, 2, (V, V))
    eager = search(table_step(table), [11, 3, 7])
    limits = tf.constant([11, 3, 7])
    for options in ({}, {"jit_compile": True}):
        run = tf.function(
            lambda limits: greedy_search(table_step(table), tf.constant(0), limits, 11, BOS, EOS),
            autograph=False,
            **options,
        )
        for one, other in zip(eager, run(limits), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)


def greedy_without_cache(model, source, limit):
    """Greedy search in plain Python: the whole target through the decoder at each step."""
    encoder_output, mask = model.encode(source[None])
    ids, score = [BOS], 0.0
    while len(ids) <= limit and ids[-1] != EOS:
        target = np.array([ids + [0] * (20 - len(ids))], "int32")
        logits = model.decode(target, encoder_output, mask)[0, len(ids) - 1]
        log_probs = np.asarray(ops.log_softmax(logits), "float64")
        ids.append(int(log_probs.argmax()))
        score += log_probs.max()
    return ids[1:], score


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_cache_changes_nothing(norm):
    model = make_model(13, norm=norm, num_layers=2)
    generator = np.random.default_rng(8)
    source = np.zeros((5, 9), "int32")
    for row, length in enumerate([9, 2, 5, 7, 1]):
        source[row, :length] = [*generator.integers(3, 13, length - 1), EOS]
    limits = np.array([17, 3, 11, 19, 7], "int32")
    ids, scores, finished = generate(
        model, ops.convert_to_tensor(source), ops.convert_to_tensor(limits), length=19,
        bos_id=BOS, eos_id=EOS,
    )  # fmt: skip
    lengths = set()
    for row in range(5):
        wanted, score = greedy_without_cache(model, source[row], limits[row])
        assert ids[row].numpy().tolist() == wanted + [0] * (19 - len(wanted))
        assert float(scores[row]) == pytest.approx(score, abs=1e-4)
        assert bool(finished[row]) == (wanted[-1] == EOS)
        lengths.add(len(wanted))
    assert len(lengths) > 1
