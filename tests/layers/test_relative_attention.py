"""Attention with a vector for each distance."""

import itertools

import keras
import numpy as np
import pytest

from keras_transformer.layers import (
    DotProductAttention,
    EncoderBlock,
    MultiHeadAttention,
    PositionalEmbedding,
    RelativeAttention,
    RotaryEmbedding,
)
from tests.weights import array, random, randomize

B, H, S, K = 2, 3, 7, 5


def make(max_distance=2, values=True, **options):
    layer = RelativeAttention(max_distance, values, **options)
    layer.build((B, H, S, K))
    return randomize(layer)


def vectors(length):
    return [random(B, H, length, K, seed=seed) for seed in (1, 2, 3)]


def by_the_paper(layer, query, key, value, distances):
    """Equations 3 and 4, with a vector for each pair of positions; distances are `(B, T, S)`."""
    k = layer.max_distance
    rows = np.clip(distances, -k, k) + k
    keys = array(layer.key_table)[rows]  # (B, T, S, K)
    values = array(layer.value_table)[rows] if layer.values else np.zeros_like(keys)
    logits = np.einsum("bhtk,bhtsk->bhts", query, key[:, :, None] + keys[:, None])
    powers = np.exp(logits / np.sqrt(query.shape[-1]))
    scores = powers / powers.sum(-1, keepdims=True)
    return np.einsum("bhts,bhtsk->bhtk", scores, value[:, :, None] + values[:, None])


@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize("max_distance", [0, 1, 3, 16])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_it_is_what_the_paper_says(max_distance, values, length):
    layer, (query, key, value) = make(max_distance, values), vectors(length)
    distances = np.arange(length) - np.arange(length)[:, None]
    expected = by_the_paper(layer, query, key, value, np.stack([distances] * B))
    np.testing.assert_allclose(layer(query, key, value), expected, atol=1e-5)


def test_every_sentence_may_have_positions_of_its_own():
    """As in packed rows and in steps, where distances have a first axis of B."""
    layer, (query, key, value) = make(), vectors(S)
    positions = np.random.default_rng(1).integers(0, 9, (B, S))
    key_positions = np.random.default_rng(2).integers(0, 9, (B, S))
    expected = by_the_paper(
        layer, query, key, value, key_positions[:, None] - positions[:, :, None]
    )
    outputs = layer(query, key, value, positions=positions, key_positions=key_positions)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def skewed(products):
    """The products `(T, 2T - 1)` of queries and all distances in order, by pairs `(T, T)`: the
    trick of Huang et al., 2018, which never looks a row up."""
    T = len(products)
    flat = np.pad(products, ((0, 0), (0, 1))).reshape(-1)
    return np.pad(flat, (0, T - 1)).reshape(T + 1, 2 * T - 1)[:T, T - 1 :]


@pytest.mark.parametrize("length", [1, 2, 7])
def test_looking_rows_up_equals_skewing(length):
    layer, (query, key, _) = make(length - 1), vectors(length)
    distances = np.arange(length) - np.arange(length)[:, None]
    plain = DotProductAttention().logits(query, key, distances[None])
    relative = layer.logits(query, key, distances[None]) - plain
    products = query @ array(layer.key_table).T
    for b, h in itertools.product(range(B), range(H)):
        np.testing.assert_allclose(relative[b, h], skewed(products[b, h]), atol=1e-5)


def test_tables_of_zeros_are_plain_attention():
    layer, tensors = make(), vectors(S)
    for table in (layer.key_table, layer.value_table):
        table.assign(np.zeros(table.shape))
    np.testing.assert_allclose(layer(*tensors), DotProductAttention()(*tensors), atol=1e-6)


def test_all_that_is_further_away_is_alike():
    layer, (query, _, _) = make(2), vectors(S)
    same = np.ones((B, H, S, K), "float32")
    _, scores = layer(query, same, same, return_attention_scores=True)
    scores = np.asarray(scores)[0, 0, 3]  # of the query in the middle: 2, 1 and 4, 5 are nearer
    assert scores[0] == scores[1]
    assert scores[5] == scores[6]
    assert len({*scores[1:6].tolist()}) == 5  # the others differ: five rows, one for each distance


def test_what_stands_before_the_sentence_moves_nothing():
    layer = MultiHeadAttention(13, H, key_dim=K, attention=RelativeAttention(2))
    layer.build((B, S, 13))
    randomize(layer)
    x = random(B, S, 13)
    padded = np.concatenate([random(B, 4, 13, seed=2), x], axis=1)
    mask = np.broadcast_to(np.arange(S + 4) >= 4, (B, 1, S + 4))
    np.testing.assert_allclose(layer(padded, attention_mask=mask)[:, 4:], layer(x), atol=1e-5)


def test_heads_share_the_tables():
    assert [tuple(weight.shape) for weight in make(3).weights] == [(7, K), (7, K)]
    assert [weight.name for weight in make(3, values=False).weights] == ["key_table"]


def test_a_negative_distance_is_refused():
    with pytest.raises(ValueError, match=r"`max_distance` must be at least 0\. Received: -1"):
        RelativeAttention(-1)


def two_to_the_left(length, rows, seed):
    """Rows of random words, and for each word the one two places before it, or else itself."""
    words = np.random.default_rng(seed).integers(12, size=(rows, length)).astype("int32")
    return words, np.concatenate([words[:, :2], words[:, :-2]], axis=1)


def shares_learnt(steps=800, **parts):
    """Trains a block without absolute positions; returns its shares of right words, at the length
    of the training and at 40."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((None,), dtype="int32")
    attention = MultiHeadAttention(32, 4, **parts)
    x = PositionalEmbedding(12, 32, positions=None, dropout_rate=0.0)(ids)
    x = EncoderBlock(32, 4, 64, dropout_rate=0.0, self_attention=attention)(x)
    model = keras.Model(ids, keras.layers.Dense(12)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss, jit_compile=True)
    model.fit(*two_to_the_left(12, 64 * steps, seed=0), batch_size=64, shuffle=False, verbose=0)
    shares = []
    for length in (12, 40):
        words, wanted = two_to_the_left(length, 256, seed=1)
        guesses = keras.ops.convert_to_numpy(model(words)).argmax(axis=-1)
        shares.append((guesses == wanted)[:, 2:].mean())
    return shares


@pytest.mark.slow
def test_two_to_the_left_needs_a_vector_of_its_own():
    """With `max_distance=2` that distance shares its vector with all that is further left."""
    assert shares_learnt(attention=RelativeAttention(2))[0] < 0.6
    assert min(shares_learnt(attention=RelativeAttention(3))) > 0.95
    assert shares_learnt(position_encoder=RotaryEmbedding())[0] > 0.95
