import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer.layers import (
    AttentionMask,
    DecodingStep,
    MemoryCompressedAttention,
    MultiHeadAttention,
    causal_mask,
)
from tests import reference
from tests.weights import of_attention, of_dense, random, randomize

B, H, D = 2, 2, 6


def make_layer(**options):
    layer = MemoryCompressedAttention(D, H, **options)
    layer.build((None, None, D))
    return randomize(layer)


def scores_of(layer, length, **arguments):
    return layer(random(B, length, D), **arguments, return_attention_scores=True)[1]


def memory_of(layer, x):
    """The first token, and a vector for each of the groups of a row: a loop."""
    (kernel, bias), c = of_dense(layer.convolution), layer.compression
    groups = [x[start : start + c].reshape(-1) for start in range(0, len(x) - c + 1, c)]
    return np.stack([x[0], *(group @ kernel + bias for group in groups)])


def test_nine_positions_see_these_places_of_the_memory():
    seen = np.array(scores_of(make_layer(), 9)[0, 0]) > 0
    assert [np.flatnonzero(row).tolist() for row in seen] == [
        *[[0]] * 3,
        *[[0, 1]] * 3,
        *[[0, 1, 2]] * 3,
    ]
    assert seen.shape == (9, 4)  # the last group is nobody's past


@pytest.mark.parametrize("compression", [2, 3, 5])
@pytest.mark.parametrize("length", range(1, 12))
def test_a_position_sees_the_groups_before_its_own_and_the_first_token(length, compression):
    scores = np.array(scores_of(make_layer(compression=compression), length))
    assert scores.shape == (B, H, length, length // compression + 1)
    for t, j in np.ndindex(scores.shape[2:]):
        is_past = j == 0 or all(
            token < t for token in range((j - 1) * compression, j * compression)
        )
        assert ((scores[:, :, t, j] > 0) == is_past).all()
    np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9])
def test_it_is_what_the_loops_make(length):
    layer, x = make_layer(use_bias=True), random(B, length, D)
    outputs, scores = layer(x, return_attention_scores=True)
    for b in range(B):
        memory = memory_of(layer, x[b])
        mask = 3 * np.arange(len(memory)) <= np.arange(length)[:, None]
        expected = reference.multi_head_attention(
            of_attention(layer), H, x[b], memory, memory, mask
        )
        np.testing.assert_allclose(outputs[b], expected[0], atol=1e-5)
        np.testing.assert_allclose(scores[b], expected[1], atol=1e-5)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("length", [1, 2, 7, 8, 9])
def test_the_jacobian_is_zero_above_the_diagonal(length, packed):
    layer, x = make_layer(), tf.constant(random(1, length, D))
    positions = ops.arange(length)[None] if packed else None
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, positions=positions)[0]
    jacobian = np.abs(tape.jacobian(outputs, x)[:, :, 0]).max(axis=(1, 3))
    assert np.isfinite(jacobian).all()
    assert (jacobian[~np.tri(length, dtype=bool)] == 0).all()
    t, s = np.indices((length, length))
    is_query = (s == t) & (t > 2)  # with a single place that is seen, the query does not count
    assert ((jacobian > 0) == ((s == 0) | is_query | (s // 3 < t // 3))).all()


def test_a_map_that_takes_the_last_token_of_a_group_leaves_plain_attention_to_these():
    layer, x = make_layer(use_bias=True), random(B, 11, D)
    kernel = np.concatenate([np.zeros((2 * D, D)), np.eye(D)])
    layer.convolution.set_weights([kernel, np.zeros(D)])
    plain = MultiHeadAttention(D, H, use_bias=True)
    plain.build((None, None, D))
    plain.set_weights(layer.get_weights()[: len(plain.weights)])
    tokens = np.arange(11)
    mask = (tokens == 0) | (tokens % 3 == 2) & (tokens < tokens[:, None])
    expected = plain(x, attention_mask=mask[None])
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


@pytest.mark.parametrize("length", [1, 7, 8, 9])
def test_positions_that_are_given_change_nothing_but_the_number_of_keys(length):
    layer, x = make_layer(use_bias=True), random(B, length, D)
    positions = ops.arange(length)[None]
    outputs, scores = layer(x, positions=positions, return_attention_scores=True)
    np.testing.assert_allclose(outputs, layer(x), atol=1e-5)
    assert scores.shape == (B, H, length, length)


def test_padding_counts_as_zeros():
    layer, x = make_layer(), random(B, 8, D)
    real = np.arange(8) != 4
    expected = layer(np.where(real[:, None], x, 0))
    for mask in (np.tile(real, (B, 1)), AttentionMask(np.tile(real, (B, 1)), causal=True)):
        outputs = np.array(layer(x, attention_mask=mask))
        np.testing.assert_allclose(outputs[:, real], np.array(expected)[:, real], atol=1e-5)
    assert np.abs(layer(x) - expected)[:, 6:].max() > 1e-3


def test_lengths_that_are_not_known_when_traced():
    layer = make_layer()
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, D))])
    for length in (1, 2, 3, 10):
        x = random(B, length, D)
        np.testing.assert_allclose(traced(x), layer(x), atol=1e-5)


def test_a_mask_with_a_row_per_position_is_refused():
    message = (
        r"MemoryCompressedAttention cannot observe an `attention_mask` with a row per position"
    )
    with pytest.raises(ValueError, match=message):
        make_layer()(random(B, 5, D), attention_mask=causal_mask(5))


def test_packed_rows_without_positions_are_refused():
    segments = np.ones((B, 5), "int32")
    with pytest.raises(ValueError, match="finds the sentences of packed rows by their positions"):
        make_layer()(random(B, 5, D), attention_mask=AttentionMask(None, segments, segments))


@pytest.mark.parametrize("compression", [1, 0])
def test_several_tokens_become_one_vector(compression):
    with pytest.raises(ValueError, match=r"must be at least 2\. Received: compression="):
        MemoryCompressedAttention(D, H, compression)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9])
def test_of_a_prompt_the_first_token_and_the_complete_groups_are_kept(length):
    layer, x = make_layer(use_bias=True), random(1, length, D)
    outputs, (prompt, _) = layer.prefill(x)
    np.testing.assert_allclose(outputs, layer(x), atol=1e-6)
    memory = memory_of(layer, x[0])
    assert np.array(prompt.mask).tolist() == [[True] * len(memory)]
    assert np.array(prompt.positions).tolist() == [[0, 2, 5, 8][: len(memory)]]
    keys, values = layer.project_key_value(memory[None].astype("float32"))
    np.testing.assert_allclose(np.swapaxes(prompt.keys, -1, -2), keys, atol=1e-5)
    np.testing.assert_allclose(prompt.values, values, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("with_positions", [False, True])
@pytest.mark.parametrize("compression", [2, 3, 5])
def test_prompts_of_all_lengths_go_on_in_steps(compression, with_positions):
    count, steps = 9, 7  # prompts of 0 to 8 tokens
    layer, lengths = make_layer(compression=compression), np.arange(count)
    prompts, inputs = random(count, count - 1, D), random(count, steps, D, seed=1)
    real = np.arange(count - 1) < lengths[:, None]
    positions = np.arange(count - 1)[None] if with_positions else None
    read, prompt = layer.prefill(prompts, real, positions)
    cache = layer.init_cache(count, 1, steps)
    for t in range(steps):
        seen = np.broadcast_to(np.arange(steps) <= t, (count, 1, steps))[..., None]
        at = DecodingStep(t, lengths + t, np.full(count, t == 0), seen)
        outputs, scores, cache = layer.step(inputs[:, t : t + 1], cache, at, True, prompt)
        np.testing.assert_allclose(np.sum(scores, -1), 1, atol=1e-6)
        for n in lengths:
            whole = layer(np.concatenate([prompts[n, :n], inputs[n, : t + 1]])[None])[0]
            np.testing.assert_allclose(outputs[n, 0], whole[-1], atol=1e-5)
            np.testing.assert_allclose(read[n, :n], whole[:n], atol=1e-5)
