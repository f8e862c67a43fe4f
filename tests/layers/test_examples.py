"""Two small models of blocks, as a reader would write them."""

import keras
import numpy as np
import pytest

import keras_transformer as kt


def test_a_decoder_block_without_a_source_is_a_language_model():
    """It learns to go round in circles: after `i` comes `i + 1`, after 6 comes 0."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((None,), dtype="int32")
    x = kt.PositionalEmbedding(vocabulary_size=7, d_model=32)(ids)
    x = kt.DecoderBlock(d_model=32, num_heads=2, d_ff=64, cross_attention=False)(x)
    model = keras.Model(ids, keras.layers.Dense(7)(x))
    model.compile(keras.optimizers.Adam(0.01), kt.TokenCrossEntropy(0.0, pad_id=-1))

    start = np.random.default_rng(0).integers(7, size=(512, 1))
    circles = (start + np.arange(12)) % 7
    model.fit(circles[:, :-1], circles[:, 1:], batch_size=32, epochs=4, verbose=0)

    assert model.predict(np.array([[3, 4, 5, 6]]), verbose=0).argmax(-1).tolist() == [[4, 5, 6, 0]]


@pytest.mark.slow
def test_an_encoder_block_is_a_classifier():
    """It learns whether a 1 stands anywhere in the row, which only attention can tell."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((None,), dtype="int32")
    x = kt.PositionalEmbedding(vocabulary_size=11, d_model=32)(ids)
    x = kt.EncoderBlock(d_model=32, num_heads=2, d_ff=64)(x)
    model = keras.Model(ids, keras.layers.Dense(2)(x[:, 0]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.005), loss, metrics=["accuracy"])

    rows = np.random.default_rng(0).integers(11, size=(2048, 9))
    has_one = (rows == 1).any(axis=1)
    model.fit(rows[:1536], has_one[:1536], batch_size=32, epochs=5, verbose=0)

    assert model.evaluate(rows[1536:], has_one[1536:], verbose=0)[1] > 0.97
