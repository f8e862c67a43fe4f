"""The blocks are keras-hub's, number for number, once the weights are copied."""

import numpy as np
import pytest

from keras_transformer.layers import DecoderBlock, EncoderBlock
from tests.weights import copy_attention, random, randomize

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub needs Keras 3.15")

B, T, S, H, D, F = 2, 5, 7, 3, 15, 17
TARGET, SOURCE = random(B, T, D, seed=1), random(B, S, D, seed=2)
REAL = np.arange(S)[None] < np.array([[7], [5]])
SOME = np.random.default_rng(5).random((B, S, S)) < 0.6
SOME[..., 0] = True

either_norm = pytest.mark.parametrize("norm", ["post", "pre"])
either_bias = pytest.mark.parametrize("use_bias", [False, True])


def copied(theirs, attentions, others):
    """Keras-hub's block with our weights; the pairs are named as keras-hub names its parts."""
    for name, ours in attentions.items():
        copy_attention(ours, getattr(theirs, f"_{name}"))
    for name, ours in others.items():
        getattr(theirs, f"_{name}").set_weights(ours.get_weights())
    return theirs


def their_settings(norm):
    return {"dropout": 0.0, "layer_norm_epsilon": 1e-6, "normalize_first": norm == "pre"}


@either_norm
@either_bias
@pytest.mark.parametrize("mask", [None, REAL, SOME], ids=["all seen", "padding", "who sees whom"])
def test_the_encoder_block_equals_theirs(norm, use_bias, mask):
    block = EncoderBlock(D, H, F, norm=norm, use_bias=use_bias)
    block.build((B, S, D))
    randomize(block)
    theirs = keras_hub.layers.TransformerEncoder(F, H, **their_settings(norm))
    theirs.build((B, S, D))
    copied(
        theirs,
        {"self_attention_layer": block.self_attention},
        {
            "self_attention_layer_norm": block.self_attention_residual.normalization,
            "feedforward_intermediate_dense": block.feed_forward.hidden,
            "feedforward_output_dense": block.feed_forward.output_projection,
            "feedforward_layer_norm": block.feed_forward_residual.normalization,
        },
    )
    which = "padding_mask" if mask is REAL else "attention_mask"
    np.testing.assert_allclose(block(SOURCE, mask), theirs(SOURCE, **{which: mask}), atol=1e-5)


@either_norm
@either_bias
@pytest.mark.parametrize("cross_attention", [True, False])
def test_the_decoder_block_equals_theirs(norm, use_bias, cross_attention):
    block = DecoderBlock(D, H, F, norm=norm, use_bias=use_bias, cross_attention=cross_attention)
    block.build((B, T, D), (B, S, D))
    randomize(block)
    theirs = keras_hub.layers.TransformerDecoder(F, H, **their_settings(norm))
    theirs.build((B, T, D), (B, S, D) if cross_attention else None)
    attentions = {"self_attention_layer": block.self_attention}
    others = {
        "self_attention_layer_norm": block.self_attention_residual.normalization,
        "feedforward_intermediate_dense": block.feed_forward.hidden,
        "feedforward_output_dense": block.feed_forward.output_projection,
        "feedforward_layer_norm": block.feed_forward_residual.normalization,
    }
    if cross_attention:
        attentions["cross_attention_layer"] = block.cross_attention
        others["cross_attention_layer_norm"] = block.cross_attention_residual.normalization
    copied(theirs, attentions, others)
    if cross_attention:
        output = block(TARGET, SOURCE, memory_mask=REAL)
        expected = theirs(TARGET, SOURCE, encoder_padding_mask=REAL)
    else:
        output, expected = block(TARGET), theirs(TARGET)
    np.testing.assert_allclose(output, expected, atol=1e-5)
