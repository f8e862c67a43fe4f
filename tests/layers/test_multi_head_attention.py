import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer.layers import (
    DistanceBias,
    LinearBias,
    LocalAttention,
    LocalAttention2D,
    MultiHeadAttention,
    RelativeAttention,
    dot_product_attention,
)
from tests import reference
from tests.weights import copy_attention, of_attention, random, randomize

B, H, T, S, K, D = 2, 3, 5, 7, 11, 13
QUERY, VALUE, KEY = random(B, T, D, seed=1), random(B, S, D, seed=2), random(B, S, D, seed=3)
MASK = np.random.default_rng(5).random((B, T, S)) < 0.6
MASK[..., 0] = True


def make_attention(use_bias=False, **options):
    layer = MultiHeadAttention(D, H, key_dim=K, use_bias=use_bias, **options)
    layer.build((B, T, D), (B, S, D))
    return randomize(layer)


def test_attention_is_the_sum_that_the_loops_make():
    query, key, value = random(B, H, T, K), random(B, H, S, K, seed=2), random(B, H, S, K, seed=3)
    output, scores = dot_product_attention(query, key, value, MASK[:, None])
    for b, h in itertools.product(range(B), range(H)):
        expected = reference.attention(query[b, h], key[b, h], value[b, h], MASK[b])
        np.testing.assert_allclose(output[b, h], expected[0], atol=1e-5)
        np.testing.assert_allclose(scores[b, h], expected[1], atol=1e-6)


def test_scores_are_shares_of_what_may_be_seen():
    output, scores = make_attention()(
        QUERY, VALUE, attention_mask=MASK, return_attention_scores=True
    )
    scores = ops.convert_to_numpy(scores)
    assert output.shape == (B, T, D)
    assert scores.shape == (B, H, T, S)
    np.testing.assert_allclose(scores.sum(axis=-1), 1, atol=1e-6)
    hidden = np.broadcast_to(~MASK[:, None], scores.shape)
    assert (scores[hidden] == 0).all()
    assert (scores[~hidden] > 0).all()


@pytest.mark.parametrize("use_bias", [False, True])
def test_heads_side_by_side_are_what_the_loops_make(use_bias):
    layer = make_attention(use_bias)
    output, scores = layer(QUERY, VALUE, KEY, attention_mask=MASK, return_attention_scores=True)
    for b in range(B):
        expected = reference.multi_head_attention(
            of_attention(layer), H, QUERY[b], VALUE[b], KEY[b], MASK[b]
        )
        np.testing.assert_allclose(output[b], expected[0], atol=1e-5)
        np.testing.assert_allclose(scores[b], expected[1], atol=1e-5)


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("mask", [None, MASK], ids=["everything seen", "masked"])
def test_it_equals_keras_own_layer_with_the_same_weights(use_bias, mask):
    layer = make_attention(use_bias)
    theirs = keras.layers.MultiHeadAttention(H, K, use_bias=use_bias)
    theirs.build((B, T, D), (B, S, D))
    copy_attention(layer, theirs)
    arguments = {"attention_mask": mask, "return_attention_scores": True}
    output, scores = layer(QUERY, VALUE, KEY, **arguments)
    expected_output, expected_scores = theirs(QUERY, VALUE, KEY, **arguments)
    np.testing.assert_allclose(output, expected_output, atol=1e-5)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


def test_a_head_is_an_equal_share_of_the_width_unless_told_otherwise():
    assert MultiHeadAttention(d_model=21, num_heads=3).key_dim == 7
    assert MultiHeadAttention(d_model=21, num_heads=3, key_dim=5).key_dim == 5


def test_projected_keys_and_values_serve_as_well_as_what_they_come_from():
    layer = make_attention(use_bias=True)
    key_value = layer.project_key_value(VALUE, KEY)
    assert [tuple(tensor.shape) for tensor in key_value] == [(B, H, S, K)] * 2
    cached = layer(QUERY, key_value=key_value, attention_mask=MASK)
    np.testing.assert_array_equal(cached, layer(QUERY, VALUE, KEY, attention_mask=MASK))


def test_keys_are_values_unless_given():
    layer = make_attention()
    np.testing.assert_array_equal(layer(QUERY, VALUE), layer(QUERY, VALUE, VALUE))
    assert np.abs(layer(QUERY, VALUE) - layer(QUERY, VALUE, KEY)).max() > 1e-3


def test_what_is_masked_changes_no_bit():
    layer = make_attention()
    mask = np.broadcast_to(np.arange(S) < 3, (B, T, S))
    other = VALUE.copy()
    other[:, 3:] = 1e4 * random(B, S - 3, D, seed=9)
    np.testing.assert_array_equal(
        layer(QUERY, VALUE, attention_mask=mask), layer(QUERY, other, attention_mask=mask)
    )


def test_a_position_that_may_see_nothing_gives_numbers():
    output = make_attention()(QUERY, VALUE, attention_mask=np.zeros((B, T, S), bool))
    assert np.isfinite(output).all()


def test_scores_are_float32_and_add_up_under_bfloat16():
    layer = make_attention(dtype="mixed_bfloat16")
    output, scores = layer(QUERY, VALUE, return_attention_scores=True)
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    np.testing.assert_allclose(ops.convert_to_numpy(scores).sum(axis=-1), 1, atol=1e-6)


def test_softmax_is_computed_in_float32_under_bfloat16():
    """1,021 equal scores: bfloat16 would round each to a share that does not add up to 1."""
    query = ops.zeros((1, 1, 1, K), "bfloat16")
    key = ops.ones((1, 1, 1021, K), "bfloat16")
    _, scores = dot_product_attention(query, key, key)
    np.testing.assert_allclose(scores, 1 / 1021, rtol=1e-6)


@pytest.mark.parametrize("mask", [None, True, False])
def test_a_single_position_has_the_whole_share(mask):
    """Without a warning, and with gradients, which are 0 for queries and keys."""
    layer = make_attention()
    mask = None if mask is None else np.full((B, T, 1), mask)
    with tf.GradientTape() as tape:
        output, scores = layer(
            QUERY, VALUE[:, :1], attention_mask=mask, return_attention_scores=True
        )
    np.testing.assert_array_equal(scores, np.ones((B, H, T, 1)))
    query, key, value, projection = tape.gradient(output, layer.trainable_weights)
    assert (np.abs(query) == 0).all()
    assert (np.abs(key) == 0).all()
    assert np.abs(value).max() > 0
    assert np.abs(projection).max() > 0


def test_projections_have_no_bias_unless_asked_for():
    assert [w.name for w in make_attention().weights] == ["kernel"] * 4
    assert [w.name for w in make_attention(True).weights] == ["kernel", "bias"] * 4


def test_a_width_that_heads_cannot_share_is_refused():
    message = r"`d_model` must be a multiple of `num_heads`.*Received: d_model=13, num_heads=3"
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(d_model=13, num_heads=3)


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 5, 5)])
def test_a_mask_says_for_every_position_what_it_sees(shape):
    x = np.ones((2, 5, 6), "float32")
    with pytest.raises(ValueError, match=r"`attention_mask` must have three axes.*Received: shape"):
        MultiHeadAttention(6, 3)(query=x, value=x, attention_mask=np.ones(shape, bool))


def test_without_a_value_the_query_attends_to_itself():
    layer, x = MultiHeadAttention(6, 3), random(2, 5, 6)
    np.testing.assert_array_equal(layer(x), layer(query=x, value=x))


def test_a_mask_that_is_added_elsewhere_is_refused():
    """Its 0 means that a position may be seen: read as a boolean it would say the contrary."""
    x = np.ones((2, 5, 6), "float32")
    with pytest.raises(ValueError, match=r"mask .* by `mask == 0`\. Received: dtype float32"):
        MultiHeadAttention(6, 3)(query=x, value=x, attention_mask=np.zeros((2, 1, 5), "float32"))


def test_there_is_at_least_one_head():
    with pytest.raises(ValueError, match=r"must be at least 1. Received: d_model=6, num_heads=0"):
        MultiHeadAttention(6, 0)


# Shared heads of keys and values


def make_grouped(groups, heads=6, **options):
    layer = MultiHeadAttention(D, heads, key_dim=K, num_key_value_heads=groups, **options)
    layer.build((B, T, D), (B, S, D))
    return randomize(layer)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("use_bias", [False, True])
def test_shared_heads_equal_keras_own_layer_with_the_same_weights(groups, use_bias):
    layer = make_grouped(groups, use_bias=use_bias)
    theirs = keras.layers.GroupQueryAttention(K, 6, groups, use_bias=use_bias)
    theirs.build((B, T, D), (B, S, D))
    copy_attention(layer, theirs)
    arguments = {"attention_mask": MASK, "return_attention_scores": True}
    output, scores = layer(QUERY, VALUE, KEY, **arguments)
    expected_output, expected_scores = theirs(QUERY, VALUE, KEY, **arguments)
    np.testing.assert_allclose(output, expected_output, atol=1e-5)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_shared_heads_are_heads_with_equal_kernels(groups):
    layer, usual = make_grouped(groups, use_bias=True), make_grouped(None, use_bias=True)
    usual.query_projection.set_weights(layer.query_projection.get_weights())
    usual.output_projection.set_weights(layer.output_projection.get_weights())
    for name in ("key_projection", "value_projection"):
        kernel, bias = getattr(layer, name).get_weights()
        by_head = kernel.reshape(D, groups, K), bias.reshape(groups, K)
        kernel, bias = (np.repeat(weights, 6 // groups, axis=-2) for weights in by_head)
        getattr(usual, name).set_weights([kernel.reshape(D, -1), bias.reshape(-1)])
    np.testing.assert_allclose(layer(QUERY, VALUE), usual(QUERY, VALUE), atol=1e-5)


@pytest.mark.slow
def test_as_many_heads_of_keys_as_of_queries_are_the_usual_ones():
    weights = []
    for groups in (None, 6):
        keras.utils.set_random_seed(7)
        layer = MultiHeadAttention(D, 6, key_dim=K, num_key_value_heads=groups)
        assert layer.get_config()["num_key_value_heads"] is None
        layer.build((B, T, D))
        weights.append(layer.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_caches_and_projections_hold_no_more_than_the_shared_heads():
    layer = make_grouped(2)
    assert [tuple(part.shape) for part in layer.init_cache(B, 4, 10)] == [
        (B, 2, K, 40),
        (B, 2, 40, K),
    ]
    assert [tuple(part.shape) for part in layer.project_key_value(VALUE)] == [(B, 2, S, K)] * 2
    assert layer.count_params() == D * K * (6 + 2 + 2 + 6)


def test_the_function_takes_shared_heads_too():
    query, key, value = random(B, 6, T, K), random(B, 2, S, K, seed=2), random(B, 2, S, K, seed=3)
    output, scores = dot_product_attention(query, key, value, MASK[:, None])
    key, value = np.repeat(key, 3, axis=1), np.repeat(value, 3, axis=1)
    expected, expected_scores = dot_product_attention(query, key, value, MASK[:, None])
    np.testing.assert_allclose(output, expected, atol=1e-5)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)


@pytest.mark.parametrize("groups", [4, 0, -2, 12])
def test_groups_of_unequal_sizes_are_refused(groups):
    message = rf"`num_heads` must be a multiple .* num_heads=6, num_key_value_heads={groups}$"
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(12, 6, num_key_value_heads=groups)


# Dropout


def test_scores_are_dropped_in_training_only():
    """Values of ones: what is left of the shares, scaled, is on average what was there."""
    layer = MultiHeadAttention(8, 2, dropout_rate=0.25)
    layer.build((B, 64, 8))
    layer.value_projection.kernel.assign(np.eye(8))
    layer.output_projection.kernel.assign(np.eye(8))
    ones = np.ones((B, 64, 8), "float32")
    np.testing.assert_allclose(layer(ones), 1, atol=1e-5)
    output, scores = layer(ones, training=True, return_attention_scores=True)
    np.testing.assert_allclose(scores, 1 / 64, rtol=1e-5)  # as they are before dropout
    output = ops.convert_to_numpy(output)
    assert abs(output.mean() - 1) < 0.05
    kept = output * 64 * 0.75  # how many of the 64 scores each row has kept
    np.testing.assert_allclose(kept, kept.round(), atol=1e-3)
    assert len({*kept[0, :, 0].round().tolist()}) > 3


@pytest.mark.parametrize(
    "attention",
    [
        LocalAttention(3),
        LocalAttention2D((4, 4), (2, 2), (1, 1)),
        RelativeAttention(2),
        DistanceBias(),
        LinearBias(),
    ],
    ids=lambda part: type(part).__name__,
)
def test_all_attentions_drop_scores(attention):
    layer, x = MultiHeadAttention(8, 2, attention=attention, dropout_rate=0.5), random(B, 13, 8)
    outputs, scores = layer(x, return_attention_scores=True)
    dropped, kept_scores = layer(x, training=True, return_attention_scores=True)
    np.testing.assert_allclose(scores, kept_scores, atol=1e-6)
    for trained in (dropped, layer(x, training=True)):
        assert (np.abs(trained - outputs).max(axis=-1) > 1e-3).mean() > 0.8
    np.testing.assert_allclose(layer(x), outputs, atol=1e-5)


def test_without_dropout_there_is_no_seed():
    assert MultiHeadAttention(8, 2).dropout is None
    layer = make_attention()
    assert not layer.non_trainable_variables
    np.testing.assert_array_equal(layer(QUERY, VALUE, training=True), layer(QUERY, VALUE))
