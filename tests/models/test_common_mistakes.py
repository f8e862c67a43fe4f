"""What reimplementations of the Transformer get wrong: one test for each mistake."""

import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from tests.models.conftest import SIZES, SOURCE, TARGET, V, make_model
from tests.weights import array, of_attention, random, randomize

B, T, S, H, D = 2, 5, 7, 3, 15


@pytest.mark.slow
def test_a_pre_norm_stack_ends_with_a_normalisation_and_a_post_norm_stack_does_not():
    for stack in ("encoder", "decoder"):
        assert getattr(make_model(norm="pre"), stack).final_normalization is not None
        assert getattr(make_model(norm="post"), stack).final_normalization is None


def test_dropout_comes_before_the_residual_sum():
    """A dropped place keeps the input; dropping the sum would leave 0 there."""
    box = kt.AddAndNorm(0.5, norm="pre")
    x = ops.convert_to_numpy(box(np.full((B, T, D), 3.0), np.full((B, T, D), 5.0), training=True))
    assert set(x.ravel().tolist()) == {3.0, 13.0}


@pytest.mark.parametrize("positions", ["paper", "t2t"])
def test_the_way_in_is_scaled_and_the_way_out_is_not(positions):
    model = make_model(positions=positions)
    table = array(model.source_embedding.tokens.embeddings)
    embedded = array(model.source_embedding(SOURCE))
    places = array(kt.sinusoids(np.arange(S), 14, positions))
    np.testing.assert_allclose(embedded, table[SOURCE] * np.sqrt(14) + places, atol=1e-5)
    hidden = random(B, T, 14)
    np.testing.assert_allclose(model.target_embedding.logits(hidden), hidden @ table.T, atol=1e-5)


def test_scaling_does_not_touch_the_shared_table():
    model = make_model()
    before = array(model.source_embedding.tokens.embeddings)
    model({"source": SOURCE, "target": TARGET})
    np.testing.assert_array_equal(array(model.source_embedding.tokens.embeddings), before)


def test_positions_are_not_scaled():
    embedding = kt.PositionalEmbedding(V, D + 1)
    embedding.build((B, T))
    embedding.tokens.embeddings.assign(ops.zeros((V, D + 1)))
    output = array(embedding(np.zeros((1, T), "int32")))[0]
    np.testing.assert_array_equal(output[0], [0, 1] * 8)
    assert np.abs(output).max() == 1


@pytest.mark.slow
def test_the_causal_mask_is_not_off_by_one():
    """A position sees itself and not the next one: its logits depend on its own token and on no
    later one."""
    model = make_model()
    output = array(model({"source": SOURCE, "target": TARGET}))
    for t in range(TARGET.shape[1]):
        other = TARGET.copy()
        other[:, t] = (other[:, t] + 5) % V
        moved = (array(model({"source": SOURCE, "target": other})) != output).any(axis=-1)
        np.testing.assert_array_equal(moved, np.broadcast_to(np.arange(5) >= t, moved.shape))


def test_padding_is_hidden_in_every_cross_attention():
    """Not only in the first block's."""
    model = make_model(num_layers=3)
    _, scores = model({"source": SOURCE, "target": TARGET}, return_attention_scores=True)
    hidden = np.broadcast_to((SOURCE == 0)[:, None, None], scores["cross"][0].shape)
    assert hidden.any()
    for block_scores in scores["cross"]:
        assert (array(block_scores)[hidden] == 0).all()


def test_heads_are_mixed_by_an_output_projection():
    """Undoing it gives the heads' results side by side."""
    attention = kt.MultiHeadAttention(D, H)
    attention.build((B, T, D))
    randomize(attention)
    query, value = random(B, T, D, seed=1), random(B, S, D, seed=2)
    output, scores = attention(query, value, return_attention_scores=True)
    _, values = attention.project_key_value(value)
    heads = array(scores) @ array(values)  # (B, H, T, K)
    side_by_side = heads.transpose(0, 2, 1, 3).reshape(B, T, D)
    kernel, _ = of_attention(attention)["output"]
    np.testing.assert_allclose(output, side_by_side @ kernel, atol=1e-5)
    assert np.abs(output - side_by_side).max() > 0.1


def test_softmax_runs_over_what_is_attended_to():
    """Shares add up over the keys and not over the queries, nor over the heads."""
    attention = kt.MultiHeadAttention(D, H)
    query, value = random(B, T, D, seed=1), random(B, S, D, seed=2)
    scores = array(attention(query, value, return_attention_scores=True)[1])
    np.testing.assert_allclose(scores.sum(axis=3), 1, atol=1e-6)
    for axis in (1, 2):
        assert np.abs(scores.sum(axis=axis) - 1).max() > 0.01


def test_the_published_models_have_no_biases_on_attention():
    model = make_model()
    names = [weight.path for weight in model.weights if "attention" in weight.path]
    assert names
    assert not any(name.endswith("bias") for name in names if "normalization" not in name)


def test_every_decoder_block_attends_to_the_top_of_the_encoder():
    model = make_model(num_layers=3)
    memory = model.encode(SOURCE)
    blocks = model.decoder.blocks
    assert len(memory.blocks) == len(blocks) == 3
    for block, (key, _) in zip(blocks, memory.blocks, strict=True):
        kernel, _ = of_attention(block.cross_attention)["key"]
        joined = array(key).transpose(0, 2, 1, 3).reshape(3, S, 14)
        np.testing.assert_allclose(joined, array(memory.encoder_output) @ kernel, atol=1e-5)


def test_logits_start_at_the_order_of_one():
    """The table's deviation is `d_model ** -0.5`: at 1 untrained logits would be `sqrt(d_model)`
    times larger."""
    model = kt.Transformer(1009, **{**SIZES, "d_model": 126})
    logits = array(model({"source": SOURCE, "target": TARGET}))
    assert 0.5 < logits.std() < 2
