import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer.layers import (
    AttentionMask,
    DecodingStep,
    DotProductAttention,
    LocalAttention,
    LocalAttention2D,
    MultiHeadAttention,
)
from tests.weights import random, randomize

B, H, K = 2, 3, 5
LENGTHS = {  # of sentences that stand in rows of 29 places, one after the other
    "whole rows": ([29], [29]),
    "padded rows": ([29], [17]),
    "packed rows": ([4, 11, 1, 9], [2, 6, 13, 8]),
}


def heads(length):
    return [ops.convert_to_tensor(random(B, H, length, K, seed=seed)) for seed in (1, 2, 3)]


def is_seen(length, lengths, block_length, look_back, causal):
    """What each position of a row sees, `(T, T)`: sentence by sentence, block by block."""
    seen = np.zeros((length, length), bool)
    for end, own in zip(itertools.accumulate(lengths), lengths, strict=True):
        sentence = range(end - own, end)
        blocks = [sentence[i : i + block_length] for i in range(0, own, block_length)]
        for number, block in enumerate(blocks):
            for one in blocks[max(0, number - look_back) : number + 1]:
                for t, s in itertools.product(block, one):
                    seen[t, s] = s <= t or not causal
    return seen


def described(rows, length, causal):
    """The call arguments that describe such rows."""
    segments, positions = np.zeros((2, B, length), "int32")
    for b, lengths in enumerate(rows):
        for number, (end, own) in enumerate(
            zip(itertools.accumulate(lengths), lengths, strict=True), start=1
        ):
            segments[b, end - own : end] = number
            positions[b, end - own : end] = np.arange(own)
    segments, positions = map(ops.convert_to_tensor, (segments, positions))
    if all(len(lengths) == 1 for lengths in rows):
        return {"attention_mask": AttentionMask(segments > 0, causal=causal)}
    mask = AttentionMask(segments > 0, segments, segments, causal)
    return {"attention_mask": mask, "positions": positions, "key_positions": positions}


def largest_tensor(layer, arguments, shape):
    """The number of elements of the largest tensor of the computation, apart from constants."""
    specs = [tf.TensorSpec(shape)] * 3
    graph = tf.function(lambda *x: layer(*x, **arguments)).get_concrete_function(*specs).graph
    shapes = [tensor.shape for op in graph.get_operations() for tensor in op.outputs]
    return max(shape.num_elements() or 0 for shape in shapes)


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both ways"])
@pytest.mark.parametrize("rows", LENGTHS)
@pytest.mark.parametrize(("block_length", "look_back"), [(3, 0), (3, 1), (2, 3), (1, 2)])
def test_it_equals_full_attention_with_the_mask_of_its_blocks(
    rows, block_length, look_back, causal
):
    x, rows = heads(29), LENGTHS[rows]
    layer = LocalAttention(block_length, look_back)
    arguments = described(rows, 29, causal)
    in_graph = tf.function(lambda *x: layer(*x, **arguments))(*x)
    mask = np.stack([is_seen(29, lengths, block_length, look_back, causal) for lengths in rows])
    expected, scores = DotProductAttention()(*x, attention_mask=mask, return_attention_scores=True)
    real = mask.any(axis=-1)
    for some in (layer(*x, **arguments), in_graph):
        some, whole = (np.swapaxes(y, 1, 2)[real] for y in (some, expected))
        np.testing.assert_allclose(some, whole, atol=1e-5)
    _, own_scores = layer(*x, **arguments, return_attention_scores=True)
    own_scores, scores = (np.swapaxes(y, 1, 2)[real] for y in (own_scores, scores))
    np.testing.assert_allclose(own_scores, scores, atol=1e-6)


@pytest.mark.parametrize(
    "length", [1, 6, 7, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4, 5, 8, 9, 10))]
)
def test_a_row_of_any_length_is_cut_into_blocks(length):
    x, mask = heads(length), AttentionMask(causal=True)
    layer = LocalAttention(block_length=3)
    dynamic = tf.function(
        lambda *x: layer(*x, attention_mask=mask),
        input_signature=[tf.TensorSpec((None, H, None, K))] * 3,
    )
    seen = is_seen(length, [length], 3, 1, causal=True)[None]
    expected = DotProductAttention()(*x, attention_mask=seen)
    np.testing.assert_allclose(layer(*x, attention_mask=mask), expected, atol=1e-5)
    np.testing.assert_allclose(dynamic(*x), expected, atol=1e-5)


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both ways"])
@pytest.mark.parametrize("rows", LENGTHS)
def test_no_tensor_grows_with_the_square_of_the_length(rows, causal):
    """Neither in a row that is four times as long, nor for each of four times as many blocks."""
    layer, sizes = LocalAttention(block_length=3), []
    for times in (1, 4):
        lengths = [[own * times for own in row] for row in LENGTHS[rows]]
        arguments = described(lengths, 29 * times, causal)
        sizes.append(largest_tensor(layer, arguments, (B, H, 29 * times, K)))
    assert sizes[1] <= 4.2 * sizes[0]
    assert sizes[1] < B * H * 116 * 116 / 4


def test_it_is_seen_if_a_tensor_grows_with_the_square_of_the_length():
    sizes = [
        largest_tensor(DotProductAttention(), {}, (B, H, length, K)) for length in (29, 4 * 29)
    ]
    assert sizes[1] == 16 * sizes[0] == B * H * 116 * 116


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True], ids=["known", "open"])
@pytest.mark.parametrize("look_back", [0, 1])
def test_a_row_shorter_than_a_block_is_not_filled_up_to_one(dynamic, look_back):
    """Neither where its length is known as the graph is made, nor where it is not."""
    layer, x = LocalAttention(257, look_back), heads(7)
    length = None if dynamic else 7
    compiled = tf.function(
        lambda *x: layer(*x, attention_mask=AttentionMask(causal=True)),
        input_signature=[tf.TensorSpec((None, H, length, K))] * 3,
        jit_compile=True,
    )
    expected = DotProductAttention()(*x, attention_mask=AttentionMask(causal=True))
    np.testing.assert_allclose(compiled(*x), expected, atol=1e-5)
    program = compiled.experimental_get_compiler_ir(*x)(stage="hlo")
    sizes = {
        int(size) for shape in re.findall(r"\[([\d,]+)\]", program) for size in shape.split(",")
    }
    assert 7 in sizes
    assert max(sizes) < 257


def test_a_multi_head_attention_hands_it_the_parts_of_the_mask():
    layer = randomize_built(MultiHeadAttention(6, 3, attention=LocalAttention(2)))
    x = ops.convert_to_tensor(random(B, 64, 6))

    def largest(mask):
        graph = tf.function(lambda x: layer(x, attention_mask=mask)).get_concrete_function(x).graph
        shapes = [tensor.shape for op in graph.get_operations() for tensor in op.outputs]
        return max(shape.num_elements() or 0 for shape in shapes)

    assert largest(AttentionMask(causal=True)) < B * 3 * 64 * 64 / 4
    assert largest(AttentionMask(causal=True).expand(64)) == B * 3 * 64 * 64


def randomize_built(layer):
    layer.build((None, None, 6))
    return randomize(layer)


def test_gradients_are_those_of_full_attention_with_the_mask():
    x, mask = heads(11), AttentionMask(causal=True)
    layer, gradients = LocalAttention(2), []
    for one in (mask, mask.expand(11)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = ops.sum(layer(*x, attention_mask=one) ** 2)
        gradients.append(tape.gradient(loss, x))
    for some, whole in zip(*gradients, strict=True):
        np.testing.assert_allclose(some, whole, atol=1e-5)


def test_blocks_as_long_as_the_row_are_plain_attention():
    x, mask = heads(11), AttentionMask(causal=True)
    outputs = LocalAttention(11, look_back=0)(*x, attention_mask=mask)
    np.testing.assert_allclose(outputs, DotProductAttention()(*x, attention_mask=mask), atol=1e-6)


def test_attention_to_a_sequence_of_the_same_length_is_not_taken_for_self_attention():
    """Its keys may all be hidden from a query; then it sees all of them, in `call` as in `step`."""
    layer = randomize_built(MultiHeadAttention(6, 3, attention=LocalAttention(2)))
    query, value = random(B, 11, 6, seed=1), random(B, 11, 6, seed=2)
    mask = AttentionMask(np.broadcast_to(np.arange(11) < 3, (B, 11)))
    expected = layer(query, value, attention_mask=mask.expand(11))
    np.testing.assert_array_equal(layer(query, value, attention_mask=mask), expected)
    memory = layer.project_key_value(value)
    np.testing.assert_array_equal(layer(query, key_value=memory, attention_mask=mask), expected)


def test_positions_without_segments_are_those_of_one_sentence():
    """Blocks begin where they say, and what is seen is what full attention with them sees."""
    x, positions = heads(23), ops.arange(4, 27, dtype="int32")[None]
    mask, layer = AttentionMask(causal=True), LocalAttention(3)
    outputs = layer(*x, attention_mask=mask, positions=positions, key_positions=positions)
    seen = is_seen(27, [27], 3, 1, causal=True)[None, 4:, 4:]
    np.testing.assert_allclose(outputs, DotProductAttention()(*x, attention_mask=seen), atol=1e-5)


def test_lengths_that_turn_out_different_are_refused():
    layer = tf.function(LocalAttention(2), input_signature=[tf.TensorSpec((None, H, None, K))] * 3)
    query, _, _ = heads(11)
    for length in (9, 12):
        with pytest.raises(tf.errors.InvalidArgumentError, match="reshape"):
            layer(query, *heads(length)[1:])


@pytest.mark.parametrize("sizes", [(0, 1), (3, -1)])
def test_there_is_a_block(sizes):
    with pytest.raises(ValueError, match=r"`block_length` must be at least 1.*block_length=\d, "):
        LocalAttention(*sizes)


def test_a_subclass_with_relations_computes_them_in_blocks():
    class NearFirst(LocalAttention):
        def logits(self, query, key, distances):
            near = ops.cast(ops.abs(distances), query.dtype)[:, None]
            return super().logits(query, key, distances) - near

        def mix(self, scores, value, distances):
            near = ops.cast(distances, value.dtype)[:, None]
            return super().mix(scores * near, value, distances)

    x, layer = heads(29), NearFirst(3)
    for rows in LENGTHS.values():
        arguments = described(rows, 29, causal=True)
        expected, _ = layer(*x, **arguments, return_attention_scores=True)
        real = keras.ops.convert_to_numpy(arguments["attention_mask"].padding)
        some, whole = (np.swapaxes(y, 1, 2)[real] for y in (layer(*x, **arguments), expected))
        np.testing.assert_allclose(some, whole, atol=1e-5)


@pytest.mark.parametrize(
    "attention",
    [LocalAttention(2), LocalAttention(3, 0), LocalAttention2D((4, 3), (2, 3), (0, 0))],
    ids=["1 before", "none before", "2-D"],
)
def test_decoding_steps_keep_only_what_they_see(attention):
    """Scores too: those of all places, and 0 where nothing is kept."""
    T, W = 12, 2
    layer = randomize_built(MultiHeadAttention(6, 3, attention=attention))
    cache, x = layer.init_cache(B, W, T), random(B, T, 6)
    assert cache[0].shape[-1] < T * W
    outputs, scores = layer(x, attention_mask=AttentionMask(causal=True), return_attention_scores=1)
    for t in range(T):
        ancestry = np.zeros((B, W, T, W), bool)
        ancestry[:, :, : t + 1] = np.eye(W, dtype=bool)[:, None]
        at = DecodingStep(np.int32(t), np.full(B, t, "int32"), np.full(B, t == 0), ancestry)
        new = np.stack([x[:, t]] * W, axis=1)
        output, of_step, cache = layer.step(new, cache, at, return_attention_scores=True)
        np.testing.assert_allclose(output[:, 1], outputs[:, t], atol=1e-5)
        of_step = ops.reshape(of_step, (B, 3, W, T, W))
        np.testing.assert_allclose(of_step[:, :, 1, :, 1], scores[:, :, t], atol=1e-5)


def test_a_cache_that_no_divisor_fits_keeps_everything():
    layer = MultiHeadAttention(6, 3, attention=LocalAttention(2))
    assert [layer.init_cache(B, 1, n)[0].shape[-1] for n in (3, 7, 8, 10, 64)] == [3, 7, 4, 5, 4]
