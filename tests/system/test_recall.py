"""What the last position of a long row knows of the first block: the task for which Liu et al.
(2018) put layers with memory-compressed attention between those with local attention.

A row has 96 tokens. One of 8 keys stands somewhere in its first block of 16, among other tokens,
and must be named at the end. Three layers of local attention, L, do not reach back so far; with a
layer of memory-compressed attention, M, in the middle, they do.

    python -m pytest -m "" tests/system/test_recall.py
"""

import keras
import numpy as np
import pytest

import keras_transformer as kt

LENGTH, BLOCK, KEYS, FILLERS = 96, 16, 8, 10
ASK = KEYS + FILLERS  # the last token of every row
D_MODEL, HEADS = 32, 4
ROWS, BATCH = 600 * 32, 32
PARTS = {
    "L": lambda: with_local_attention(look_back=0),
    "P": lambda: with_local_attention(look_back=1),
    "M": lambda: kt.MemoryCompressedAttention(D_MODEL, HEADS),
}


def with_local_attention(look_back):
    return kt.MultiHeadAttention(D_MODEL, HEADS, attention=kt.LocalAttention(BLOCK, look_back))


def make_rows(count, seed):
    generator = np.random.default_rng(seed)
    rows = generator.integers(KEYS, ASK, (count, LENGTH), dtype="int32")
    keys = generator.integers(KEYS, size=count)
    rows[np.arange(count), generator.integers(BLOCK, size=count)] = keys
    rows[:, -1] = ASK
    return rows, keys


def recalled(layers, seed=0):
    """Trains a stack of such layers; returns the share of keys that it names."""
    keras.utils.set_random_seed(seed)
    blocks = [
        kt.DecoderBlock(
            D_MODEL,
            HEADS,
            2 * D_MODEL,
            dropout_rate=0.0,
            cross_attention=False,
            self_attention=PARTS[layer](),
        )
        for layer in layers
    ]
    ids = keras.Input((LENGTH,), dtype="int32")
    x = kt.PositionalEmbedding(ASK + 1, D_MODEL, dropout_rate=0.0)(ids)
    model = keras.Model(ids, keras.layers.Dense(KEYS)(kt.DecoderStack(blocks)(x)[:, -1]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"], jit_compile=True)
    model.fit(*make_rows(ROWS, seed), batch_size=BATCH, shuffle=False, verbose=0)
    return model.evaluate(*make_rows(512, seed + 100), batch_size=128, verbose=0)[1]


@pytest.mark.slow
def test_a_compressed_memory_reaches_what_was_long_before():
    assert recalled("LML") >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    "layers", ["LLL", pytest.param("PPP", marks=pytest.mark.stood_for("the one with LLL"))]
)
def test_local_attention_reaches_its_blocks_alone(layers):
    """Three layers that look back one block each reach 48 tokens back; the key stands 80 back."""
    assert recalled(layers) <= 0.3
