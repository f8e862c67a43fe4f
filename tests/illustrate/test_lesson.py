"""A lesson: another attention in the same block, and what it changes.

Without positions, attention sees a bag of words. `BiasByDistance` adds to every logit a number
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


@keras.saving.register_keras_serializable(package="tests.lesson")
class BiasByDistance(kt.DotProductAttention):
    """Attention that knows how far apart two words are, up to 3."""

    def build(self, query_shape):
        self.bias = self.add_weight(shape=(query_shape[1], 7), initializer="zeros")

    def logits(self, query, key, distances):
        bias = ops.take(self.bias, ops.clip(distances, -3, 3) + 3, axis=1)  # (H, 1, T, S)
        return super().logits(query, key, distances) + ops.swapaxes(bias, 0, 1)


def with_distances():
    return kt.MultiHeadAttention(d_model=16, num_heads=2, attention=BiasByDistance())


def learn(make_block=kt.EncoderBlock, **options):
    """Trains one block to repeat the word before; returns its share of right words and scores."""
    keras.utils.set_random_seed(0)
    block = make_block(d_model=16, num_heads=2, d_ff=32, dropout_rate=0.0, **options)
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
    scores = keras.tree.flatten(keras.Model(ids, scores)(rows[1024:1025]))[0]
    return (guesses == before[1024:]).mean(), ops.convert_to_numpy(scores)


@pytest.fixture(scope="module")
def plain():
    return learn()


@pytest.fixture(scope="module")
def relative():
    return learn(self_attention=with_distances())


def test_a_bag_of_words_can_only_guess_what_came_before(plain):
    accuracy, _ = plain
    assert accuracy < 0.6


def test_distances_are_all_that_was_missing(relative):
    accuracy, _ = relative
    assert accuracy > 0.97


@pytest.mark.slow
def test_they_serve_a_decoder_too():
    """A decoder never looks ahead, and has no other positions here either."""
    accuracy, scores = learn(
        kt.DecoderBlock, self_attention=with_distances(), cross_attention=False
    )
    assert accuracy > 0.97
    assert (np.triu(scores, k=1) == 0).all()


def test_the_mask_is_not_passed_over():
    x, mask = np.random.default_rng(1).normal(size=(2, 5, 16)).astype("float32"), np.ones((2, 5))
    mask[:, 3:] = 0
    block = kt.EncoderBlock(16, 2, 32, self_attention=with_distances())
    _, scores = block(x, mask.astype(bool), return_attention_scores=True)
    assert (ops.convert_to_numpy(scores)[..., 3:] == 0).all()


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
