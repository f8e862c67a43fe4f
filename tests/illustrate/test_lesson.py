"""A lesson: another attention in the same block, and what it changes.

Without positions, attention sees a bag of words. `RelativeAttention` adds to every logit a number
that is learnt for the distance between the two words (Raffel et al., 2020, after Shaw et al.,
2018), and nothing else of the model has to change. The task is to repeat the word before: plain
attention can only guess, and the figure of the other one shows a line from each word to the one
before it.
"""

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.illustrate import Attention, attention_figure

WORDS, LENGTH = 7, 6


class RelativeAttention(kt.MultiHeadAttention):
    """Attention that knows how far apart two words are, up to `reach`."""

    reach = 3

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        shape = (self.num_heads, 2 * self.reach + 1)
        self.distance_logits = self.add_weight(shape=shape, initializer="zeros", name="distances")

    def call(self, query, value, attention_mask=None, return_attention_scores=False):
        T, S = query.shape[1], value.shape[1]
        key, value = self.project_key_value(value)  # (B, H, S, K)
        query = self._split_heads(self.query_projection(query))
        distances = np.arange(S)[None] - np.arange(T)[:, None]
        places = np.clip(distances, -self.reach, self.reach) + self.reach
        logits = ops.matmul(query, ops.swapaxes(key, -1, -2)) / self.key_dim**0.5
        logits = logits + ops.take(self.distance_logits, places, axis=1)  # (H, T, S)
        scores = ops.softmax(logits)
        output = self.output_projection(self._join_heads(ops.matmul(scores, value)))
        return (output, scores) if return_attention_scores else output


def learn(attention=None):
    """Trains one block to repeat the word before; returns its share of right words and scores."""
    keras.utils.set_random_seed(0)
    block = kt.EncoderBlock(d_model=16, num_heads=2, d_ff=32, dropout_rate=0.0)
    if attention is not None:
        block.self_attention = attention
    ids = keras.Input((LENGTH,), dtype="int32")
    x = kt.PositionalEmbedding(vocabulary_size=WORDS, d_model=16, positions=None)(ids)
    x, scores = block(x, return_attention_scores=True)
    model = keras.Model(ids, keras.layers.Dense(WORDS)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, jit_compile=False)

    rows = np.random.default_rng(0).integers(WORDS, size=(1280, LENGTH))
    before = np.roll(rows, 1, axis=1)
    before[:, 0] = rows[:, 0]  # the first has none before it: itself
    model.fit(rows[:1024], before[:1024], batch_size=64, epochs=8, verbose=0)
    guesses = ops.convert_to_numpy(model(rows[1024:])).argmax(axis=-1)
    scores = ops.convert_to_numpy(keras.Model(ids, scores)(rows[1024:1025]))
    return (guesses == before[1024:]).mean(), scores


@pytest.fixture(scope="module")
def plain():
    return learn()


@pytest.fixture(scope="module")
def relative():
    return learn(RelativeAttention(d_model=16, num_heads=2))


def test_a_bag_of_words_can_only_guess_what_came_before(plain):
    accuracy, _ = plain
    assert accuracy < 0.6


def test_distances_are_all_that_was_missing(relative):
    accuracy, _ = relative
    assert accuracy > 0.97


def test_one_head_looks_most_at_the_word_before(plain, relative):
    def some_head_does(scores):
        return (scores[0].argmax(axis=-1)[:, 1:] == np.arange(LENGTH - 1)).all(axis=-1).any()

    assert not some_head_does(plain[1])
    assert some_head_does(relative[1])


def test_the_figure_shows_it(relative):
    words = [f"word {i}" for i in range(LENGTH)]
    figure = attention_figure(Attention(words, relative[1]))
    np.testing.assert_array_equal(figure.data["encoder"], relative[1])
    assert "Input - Output" not in figure.body  # an encoder alone
