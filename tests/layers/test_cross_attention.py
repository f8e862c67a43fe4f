"""Cross-attention of all blocks that have it."""

import keras
import pytest

import keras_transformer as kt
from tests.weights import random

B, T, S, H, D, F = 2, 5, 7, 2, 6, 13
INPUTS, SOURCE = random(B, T, D, seed=1), random(B, S, D, seed=2)
BLOCKS = {
    "DecoderBlock": lambda attention: kt.DecoderBlock(D, H, F, cross_attention=attention),
    "RecurrentBlock": lambda attention: kt.RecurrentBlock(
        keras.layers.GRUCell(D), attention or None
    ),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_it_can_be_assigned_to_a_block_without_it_before_that_is_built(kind):
    block, expected = BLOCKS[kind](False), BLOCKS[kind](kt.MultiHeadAttention(D, H))
    block.cross_attention = kt.MultiHeadAttention(D, H)
    assert tuple(block(INPUTS, SOURCE).shape) == (B, T, D)
    expected(INPUTS, SOURCE)
    shapes = [sorted(tuple(w.shape) for w in one.weights) for one in (block, expected)]
    assert shapes[0] == shapes[1]
    again = type(block).from_config(block.get_config())
    assert type(again.cross_attention) is kt.MultiHeadAttention
