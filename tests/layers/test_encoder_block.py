import numpy as np
import pytest
from keras import ops

from keras_transformer.layers import EncoderBlock
from tests import reference
from tests.weights import of_encoder_block, random, randomize

B, S, H, D, F = 2, 7, 3, 15, 17
INPUTS = random(B, S, D)
REAL = np.arange(S)[None] < np.array([[7], [5]])
SOME = np.random.default_rng(5).random((B, S, S)) < 0.6
SOME[..., 0] = True
norms = pytest.mark.parametrize("norm", ["post", "pre"])


def make_block(norm="post", **options):
    block = EncoderBlock(D, H, F, norm=norm, **options)
    block.build((B, S, D))
    return randomize(block)


@norms
def test_it_is_what_the_loops_make(norm):
    block = make_block(norm)
    output = block(INPUTS, SOME)
    for b in range(B):
        expected = reference.encoder_block(of_encoder_block(block), H, norm, INPUTS[b], SOME[b])
        np.testing.assert_allclose(output[b], expected, atol=1e-5)


@norms
def test_vectors_at_masked_positions_change_no_bit_at_real_ones(norm):
    block = make_block(norm)
    other = np.where(REAL[..., None], INPUTS, 1e4 * random(B, S, D, seed=9)).astype("float32")
    output, with_others = (ops.convert_to_numpy(block(x, REAL)) for x in (INPUTS, other))
    np.testing.assert_array_equal(output[REAL], with_others[REAL])
    assert (output[~REAL] != with_others[~REAL]).any()


@norms
def test_it_does_not_know_where_positions_stand(norm):
    """Without positions in its input, shuffling the positions shuffles its output."""
    block, order = make_block(norm), np.random.default_rng(3).permutation(S)
    np.testing.assert_allclose(
        block(INPUTS[:, order], REAL[:, order]),
        ops.convert_to_numpy(block(INPUTS, REAL))[:, order],
        atol=1e-5,
    )


def test_scores_come_out_when_asked_for():
    block = make_block()
    output, scores = block(INPUTS, REAL, return_attention_scores=True)
    np.testing.assert_array_equal(output, block(INPUTS, REAL))
    assert scores.shape == (B, H, S, S)
    np.testing.assert_allclose(ops.sum(scores, axis=-1), np.ones((B, H, S)), atol=1e-6)
    assert (ops.convert_to_numpy(scores)[1, :, :, 5:] == 0).all()


def test_a_row_is_the_same_in_any_company():
    block = make_block()
    together = block(INPUTS, REAL)
    for b in range(B):
        np.testing.assert_allclose(
            together[b], block(INPUTS[b : b + 1], REAL[b : b + 1])[0], atol=1e-6
        )


def test_it_has_two_sublayers_with_a_normalisation_each():
    shapes = sorted(tuple(weight.shape) for weight in make_block().weights)
    assert shapes == sorted([(D, D)] * 4 + [(D, F), (F,), (F, D), (D,)] + [(D,)] * 4)


def test_dropout_works_in_training_only():
    block = make_block(dropout_rate=0.5)
    np.testing.assert_array_equal(block(INPUTS), block(INPUTS))
    assert np.abs(block(INPUTS, training=True) - block(INPUTS, training=True)).max() > 0.1
