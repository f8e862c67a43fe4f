import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer.layers import PositionalEmbedding, sinusoids
from tests import reference
from tests.weights import array, randomize

B, T, V, D, L = 2, 5, 23, 8, 29
IDS = np.array([[3, 7, 19, 2, 11], [22, 0, 5, 5, 1]], "int32")


def make_embedding(positions="paper", **options):
    layer = PositionalEmbedding(V, D, positions, max_length=L, **options)
    layer.build((B, T))
    return randomize(layer)


@pytest.mark.parametrize("form", ["paper", "t2t"])
@pytest.mark.parametrize("d_model", [4, 7, 512])
def test_positions_follow_the_formula(form, d_model):
    encodings = ops.convert_to_numpy(sinusoids(np.arange(31), d_model, form))
    assert encodings.shape == (31, d_model)
    for p in (0, 1, 2, 17, 30):
        np.testing.assert_allclose(encodings[p], reference.position(p, d_model, form), atol=5e-6)


def test_the_two_forms_are_not_permutations_of_each_other():
    paper, t2t = (np.sort(sinusoids(np.arange(7), 8, form), axis=1) for form in ("paper", "t2t"))
    assert np.abs(paper - t2t).max() > 0.01


def test_the_longest_wavelength_of_t2t_is_ten_thousand_turns():
    """After `10000 pi` positions its last sine has gone half way round."""
    last = [float(sinusoids(np.array([p]), 8, "t2t")[0, 3]) for p in (0, 15708, 31416)]
    np.testing.assert_allclose(last, [0, 1, 0], atol=1e-3)


@pytest.mark.parametrize("form", ["paper", "t2t"])
def test_a_shift_is_one_rotation_for_each_frequency(form):
    """`PE[p + k]` is a linear function of `PE[p]` that is the same for every `p`."""
    d_model, k = 14, 5
    half = d_model // 2
    encodings = array(sinusoids(np.arange(37), d_model, form))
    if form == "paper":
        sines, cosines = encodings[:, 0::2], encodings[:, 1::2]
    else:
        sines, cosines = encodings[:, :half], encodings[:, half:]
    sine_k, cosine_k = sines[k], cosines[k]  # of the angle that all positions are turned by
    np.testing.assert_allclose(sines[k:], sines[:-k] * cosine_k + cosines[:-k] * sine_k, atol=1e-5)
    np.testing.assert_allclose(
        cosines[k:], cosines[:-k] * cosine_k - sines[:-k] * sine_k, atol=1e-5
    )


def test_positions_may_have_any_shape():
    positions = np.array([[0, 1, 0], [2, 3, 4]])
    encodings = sinusoids(positions, 6)
    assert encodings.shape == (2, 3, 6)
    np.testing.assert_array_equal(encodings[0, 0], encodings[0, 2])
    np.testing.assert_array_equal(encodings[1, 2], sinusoids(np.arange(5), 6)[4])


@pytest.mark.parametrize("form", ["paper", "t2t"])
def test_an_id_becomes_its_scaled_vector_plus_its_place(form):
    layer = make_embedding(form)
    output = layer(IDS)
    for b in range(B):
        expected = reference.embed(array(layer.tokens.embeddings), IDS[b], form)
        np.testing.assert_allclose(output[b], expected, atol=1e-5)


def test_without_positions_only_the_id_counts():
    layer = make_embedding(None)
    output = ops.convert_to_numpy(layer(IDS))
    table = array(layer.tokens.embeddings)
    np.testing.assert_allclose(output, table[IDS] * np.sqrt(D), atol=1e-6)


def test_learned_positions_are_a_second_table():
    layer = make_embedding("learned")
    shapes = {weight.path.split("/")[-2]: tuple(weight.shape) for weight in layer.weights}
    assert shapes == {"tokens": (V, D), "positions": (L, D)}
    table, places = array(layer.tokens.embeddings), array(layer.learned_positions.embeddings)
    expected = table[IDS] * np.sqrt(D) + places[:T]
    np.testing.assert_allclose(layer(IDS), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["paper", "t2t", "learned"])
def test_positions_can_start_again_within_a_row(kind):
    layer = make_embedding(kind)
    output = ops.convert_to_numpy(layer(np.array([[3, 7, 3, 7, 9]]), np.array([[0, 1, 0, 1, 2]])))
    np.testing.assert_array_equal(output[0, :2], output[0, 2:4])
    np.testing.assert_allclose(output[0, 2:], layer(np.array([[3, 7, 9]]))[0], atol=1e-6)


def test_sinusoids_have_no_end():
    long = make_embedding()(np.full((1, 3 * L), 5))
    assert np.isfinite(long).all()


def test_rows_longer_than_the_table_may_have_positions_that_restart():
    layer, ids = make_embedding("learned"), np.full((1, 2 * L), 3)
    halves = layer(ids, np.tile(np.arange(L), 2)[None])
    np.testing.assert_array_equal(halves[:, :L], layer(ids[:, :L]))
    np.testing.assert_array_equal(halves[:, L:], halves[:, :L])


def test_positions_at_600_are_as_exact_under_bfloat16_as_its_numbers():
    """Were the angles in bfloat16, 600 and 601 would be one place."""
    layer = PositionalEmbedding(V, 64, dtype="mixed_bfloat16")
    layer.build((1, 601))
    layer.tokens.embeddings.assign(ops.zeros((V, 64)))
    output = array(ops.cast(layer(np.zeros((1, 601), "int32")), "float32"))[0]
    exact = np.array([reference.position(p, 64, "paper") for p in range(601)])
    np.testing.assert_allclose(output, exact, atol=2**-8)
    assert len({row.tobytes() for row in output}) == 601


def test_logits_are_products_with_the_unscaled_vectors():
    layer = make_embedding()
    hidden = np.random.default_rng(3).normal(size=(B, T, D)).astype("float32")
    expected = hidden @ array(layer.tokens.embeddings).T
    np.testing.assert_allclose(layer.logits(hidden), expected, atol=1e-5)


def test_logits_are_float32_under_bfloat16():
    layer = make_embedding(dtype="mixed_bfloat16")
    hidden = layer(IDS)
    assert keras.backend.standardize_dtype(hidden.dtype) == "bfloat16"
    logits = layer.logits(hidden)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    table = array(layer.tokens.embeddings)
    expected = array(ops.cast(hidden, "float32")) @ table.T
    np.testing.assert_allclose(logits, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_output_weights_made_beforehand_give_the_same_logits(dtype):
    layer = PositionalEmbedding(V, D, dtype=dtype)
    hidden = layer(IDS)
    once = layer.logits(hidden, layer.output_weights())
    assert keras.backend.standardize_dtype(once.dtype) == "float32"
    np.testing.assert_allclose(once, layer.logits(hidden), rtol=1e-5, atol=1e-5)


def test_scaled_vectors_have_unit_variance_at_first():
    layer = PositionalEmbedding(1009, 128, positions=None)
    output = ops.convert_to_numpy(layer(np.arange(1009)[None]))
    assert abs(output.std() - 1) < 0.02


def test_the_sum_is_dropped_out_in_training():
    layer = make_embedding(dropout_rate=0.5)
    dropped = ops.convert_to_numpy(layer(IDS, training=True))
    assert 0.2 < (dropped == 0).mean() < 0.8
    np.testing.assert_allclose(
        dropped[dropped != 0], 2 * ops.convert_to_numpy(layer(IDS))[dropped != 0], atol=1e-6
    )


def test_an_unknown_kind_of_positions_is_refused():
    message = r"`positions` must be one of paper, t2t, learned, or None. Received: 'rotary'"
    with pytest.raises(ValueError, match=message):
        PositionalEmbedding(V, D, positions="rotary")


def test_there_are_no_more_learned_positions_than_were_made():
    layer = PositionalEmbedding(11, 6, positions="learned", max_length=5)
    assert layer(np.ones((2, 5), "int32")).shape == (2, 5, 6)
    with pytest.raises(ValueError, match=r"There are 5 learned positions.*Received: ids of shape"):
        layer(np.ones((2, 7), "int32"))


def test_learned_positions_that_there_are_not_are_no_numbers_under_xla():
    """In a graph for ids of any length, where it is too late for an error."""
    layer = make_embedding("learned")
    ids = np.arange(2 * (L + 2)).reshape(2, -1).astype("int32") % V
    signature = [tf.TensorSpec((None, None), tf.int32)]
    found = tf.function(layer, input_signature=signature, jit_compile=True)(ids)
    np.testing.assert_allclose(found[:, :L], layer(ids[:, :L]), rtol=1e-5, atol=1e-6)
    assert np.isnan(found[:, L:]).all()


def test_sinusoids_have_two_forms():
    with pytest.raises(ValueError, match=r"must be 'paper' or 't2t'. Received: 'leanred'"):
        sinusoids(np.arange(3), 6, form="leanred")
