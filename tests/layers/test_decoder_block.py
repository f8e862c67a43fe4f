import numpy as np
import pytest
from keras import ops

from keras_transformer.layers import DecoderBlock, DecodingStep
from tests import reference
from tests.weights import of_decoder_block, random, randomize

B, T, S, H, D, F = 2, 5, 7, 3, 15, 17
INPUTS, SOURCE = random(B, T, D, seed=1), random(B, S, D, seed=2)
REAL = np.arange(S)[None] < np.array([[7], [3]])
every_kind = pytest.mark.parametrize("norm", ["post", "pre"])
with_or_without = pytest.mark.parametrize("cross_attention", [True, False])


def make_block(norm="post", **options):
    block = DecoderBlock(D, H, F, norm=norm, **options)
    block.build((B, T, D), (B, S, D))
    return randomize(block)


def arguments(cross_attention):
    return {"encoder_output": SOURCE, "memory_mask": REAL} if cross_attention else {}


@every_kind
@with_or_without
def test_it_is_what_the_loops_make(norm, cross_attention):
    block = make_block(norm, cross_attention=cross_attention)
    output = block(INPUTS, **arguments(cross_attention))
    for b in range(B):
        source = (SOURCE[b], REAL[b]) if cross_attention else ()
        expected = reference.decoder_block(of_decoder_block(block), H, norm, INPUTS[b], *source)
        np.testing.assert_allclose(output[b], expected, atol=1e-5)


@every_kind
@with_or_without
def test_a_later_position_changes_no_bit_of_an_earlier_one(norm, cross_attention):
    block = make_block(norm, cross_attention=cross_attention)
    output = ops.convert_to_numpy(block(INPUTS, **arguments(cross_attention)))
    for t in range(T):
        other = INPUTS.copy()
        other[:, t] += 100
        changed = ops.convert_to_numpy(block(other, **arguments(cross_attention)))
        np.testing.assert_array_equal(changed[:, :t], output[:, :t])
        assert (changed[:, t] != output[:, t]).any()


@every_kind
def test_source_vectors_at_padding_change_no_bit(norm):
    block = make_block(norm)
    other = np.where(REAL[..., None], SOURCE, 1e4 * random(B, S, D, seed=9)).astype("float32")
    np.testing.assert_array_equal(
        block(INPUTS, SOURCE, memory_mask=REAL), block(INPUTS, other, memory_mask=REAL)
    )


def at_step(t, num_beams, length):
    """A step of B sentences whose beams stay in their slots."""
    own = np.eye(num_beams, dtype=bool)[:, None] & (np.arange(length) <= t)[:, None]
    ancestry = np.broadcast_to(own, (B, num_beams, length, num_beams))
    return DecodingStep(t, np.full(B, t, "int32"), np.full(B, t == 0), ancestry)


@every_kind
@with_or_without
def test_one_position_at_a_time_gives_the_same_as_all_at_once(norm, cross_attention):
    """With room in the cache for more positions than there will be."""
    block = make_block(norm, cross_attention=cross_attention)
    output, scores = block(INPUTS, **arguments(cross_attention), return_attention_scores=True)
    source = block.project_memory(SOURCE if cross_attention else None)
    cache = block.init_cache(B, 1, T + 6)
    K = D // H
    assert [tuple(part.shape) for part in cache[0]] == [(B, H, K, T + 6), (B, H, T + 6, K)]
    for t in range(T):
        x, step_scores, cache = block.step(
            INPUTS[:, t : t + 1], cache, at_step(t, 1, T + 6), source, REAL,
            return_attention_scores=True,
        )  # fmt: skip
        np.testing.assert_allclose(x[:, 0], output[:, t], atol=1e-5)
        np.testing.assert_allclose(
            step_scores["self"][:, :, 0, :T], scores["self"][:, :, t], atol=1e-6
        )
        if cross_attention:
            np.testing.assert_allclose(
                step_scores["cross"][:, :, 0], scores["cross"][:, :, t], atol=1e-6
            )


@every_kind
def test_beams_side_by_side_see_their_own_places_only(norm):
    W = 3
    block = make_block(norm)
    beams = random(B, W, T, D, seed=5)
    source, cache = block.project_memory(SOURCE), block.init_cache(B, W, T)
    for t in range(T):
        x, scores, cache = block.step(
            beams[:, :, t], cache, at_step(t, W, T), source, REAL, return_attention_scores=True
        )
        assert tuple(scores["self"].shape) == (B, H, W, T * W)
        for w in range(W):
            expected = block(beams[:, w], SOURCE, memory_mask=REAL)[:, t]
            np.testing.assert_allclose(x[:, w], expected, atol=1e-5)


def test_scores_come_out_of_both_attentions():
    _, scores = make_block()(INPUTS, SOURCE, memory_mask=REAL, return_attention_scores=True)
    own, cross = ops.convert_to_numpy(scores["self"]), ops.convert_to_numpy(scores["cross"])
    assert own.shape == (B, H, T, T)
    assert cross.shape == (B, H, T, S)
    np.testing.assert_allclose(own.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(cross.sum(axis=-1), 1, atol=1e-6)
    assert (np.triu(own, k=1) == 0).all()
    assert (cross[1, :, :, 3:] == 0).all()


def test_a_language_models_block_has_no_scores_of_a_source():
    block = make_block(cross_attention=False)
    _, scores = block(INPUTS, return_attention_scores=True)
    assert list(scores) == ["self"]
    assert block.project_memory() == ()


def test_a_source_that_no_attention_reads_is_refused():
    block = make_block(cross_attention=False)
    with pytest.raises(ValueError, match=r"has no cross-attention: call it without `encoder_out"):
        block(INPUTS, SOURCE)


def test_who_sees_whom_can_be_said_for_the_target():
    block = make_block()
    only_itself = np.eye(T, dtype=bool)[None]
    _, scores = block(INPUTS, SOURCE, attention_mask=only_itself, return_attention_scores=True)
    np.testing.assert_array_equal(scores["self"], np.broadcast_to(np.eye(T), (B, H, T, T)))


def test_real_tokens_alone_would_let_the_future_be_seen():
    block = DecoderBlock(8, 2, 11, cross_attention=False)
    with pytest.raises(ValueError, match=r"`logical_and\(causal_mask\(T\), padding_mask\["):
        block(ops.ones((3, 5, 8)), attention_mask=ops.ones((3, 5), "bool"))


def test_who_sees_whom_can_be_said_for_the_source():
    block = make_block()
    mask = np.zeros((B, T, S), bool)
    mask[:, np.arange(T), np.arange(T)] = True
    _, scores = block(INPUTS, SOURCE, memory_mask=mask, return_attention_scores=True)
    np.testing.assert_array_equal(scores["cross"], np.broadcast_to(np.eye(T, S), (B, H, T, S)))


def test_it_has_three_sublayers_with_a_normalisation_each():
    shapes = sorted(tuple(weight.shape) for weight in make_block().weights)
    assert shapes == sorted([(D, D)] * 8 + [(D, F), (F,), (F, D), (D,)] + [(D,)] * 6)


def test_the_cache_is_bfloat16_where_the_block_is():
    block = DecoderBlock(D, H, F, dtype="mixed_bfloat16")
    tensors = block.init_cache(B, 1, T)[0]
    assert {tensor.dtype.name for tensor in tensors} == {"bfloat16"}


def test_a_missing_source_is_named():
    message = "attends to an encoder: call it with `encoder_output`.*`cross_attention=False`"
    with pytest.raises(ValueError, match=message):
        make_block()(INPUTS)
