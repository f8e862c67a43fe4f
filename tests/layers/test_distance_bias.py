"""Biases for distances, learned ones and linear ones, next to those of keras-hub."""

import numpy as np
import pytest

from keras_transformer.layers import DistanceBias, DotProductAttention, LinearBias
from tests.weights import array, random, randomize

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub needs Keras 3.15")

B, T, K = 2, 7, 5
DISTANCES = np.arange(-299, 300)


def added_logits(layer, heads, distances):
    """What a layer adds to the logits, `(heads, T, S)`."""
    shape = (1, heads, distances.shape[1], K)
    query, key = random(*shape), random(1, heads, distances.shape[2], K, seed=2)
    layer.build(shape)
    randomize(layer)
    plain = DotProductAttention().logits(query, key, distances)
    return np.asarray(layer.logits(query, key, distances) - plain)[0]


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("ranges", "furthest"), [(32, 128), (8, 20)])
def test_ranges_are_those_of_t5(ranges, furthest, bidirectional):
    from keras_hub.src.models.t5.t5_multi_head_attention import T5MultiHeadAttention

    theirs = T5MultiHeadAttention._relative_position_bucket(
        DISTANCES, bidirectional=bidirectional, num_buckets=ranges, max_distance=furthest
    )
    ours = DistanceBias(ranges, furthest, bidirectional).range_of(DISTANCES)
    np.testing.assert_array_equal(ours, theirs)


def test_each_head_has_a_bias_for_each_range():
    layer, distances = DistanceBias(8, 20), np.arange(T) - np.arange(T)[:, None]
    added = added_logits(layer, 3, distances[None])
    expected = array(layer.biases)[np.asarray(layer.range_of(distances))]  # (T, T, H)
    np.testing.assert_allclose(added, expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12])
def test_slopes_are_those_of_keras_hub(heads):
    """Theirs counts from the last key, ours from the query: the last query sees both alike."""
    theirs = keras_hub.layers.AlibiBias()(np.zeros((1, heads, T, T), "float32"))
    added = added_logits(LinearBias(), heads, np.arange(1 - T, 1)[None, None])
    np.testing.assert_allclose(added[:, 0], theirs[0, :, -1], atol=1e-5)


def test_linear_biases_are_the_same_on_both_sides():
    added = added_logits(LinearBias(), 4, DISTANCES[None, None])
    np.testing.assert_allclose(added, added[:, :, ::-1], atol=1e-4)


@pytest.mark.parametrize("arguments", [(6,), (0,), (32, 16)])
def test_ranges_that_do_not_fit_are_refused(arguments):
    with pytest.raises(
        ValueError, match="`num_ranges` must be a multiple of 4, and `max_distance`"
    ):
        DistanceBias(*arguments)
