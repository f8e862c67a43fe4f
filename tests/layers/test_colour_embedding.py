"""The embedding of colours: numbers in, parameters of mixtures out."""

import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from tests.weights import randomize

SHAPE, D, LEVELS = (3, 5, 3), 12, 7


def images(count, seed=1, shape=SHAPE, levels=LEVELS):
    return np.random.default_rng(seed).integers(0, levels, (count, *shape))


@pytest.fixture
def embedding():
    layer = kt.ColourEmbedding(SHAPE, D, LEVELS)
    layer.build()
    return randomize(layer)


def test_it_is_a_product_of_the_scaled_colour_before(embedding):
    """But for the start, and with the place of the pixel to come."""
    ids, labels = embedding.to_ids(images(2))
    found = np.array(embedding(ids))
    no_colour = np.array(embedding.cell_vectors(ops.ones((1, 15), "int32"), None))
    places = np.array(embedding(np.ones((1, 15), "int32"))) - no_colour
    colours = np.array(embedding.colours)
    for row in range(2):
        np.testing.assert_allclose(
            found[row, 0], np.array(embedding.starts.embeddings)[1] + places[0, 0], atol=1e-5
        )
        for t in range(1, 15):
            scaled = 2 * labels[row, t - 1] / (LEVELS - 1) - 1
            wanted = scaled @ colours * D**0.5 + places[0, t]
            np.testing.assert_allclose(found[row, t], wanted, atol=1e-4)


def test_a_read_image_has_the_places_of_the_pixels_that_it_stands_for():
    """Of three times as many rows and columns: those that a drawn one has in the middle."""
    larger = (3 * SHAPE[0], 3 * SHAPE[1], 3)
    small = kt.ColourEmbedding(SHAPE, D, LEVELS, enlarged_shape=larger)
    large = kt.ColourEmbedding(larger, D, LEVELS)
    no_colour = ops.ones((1, 15), "int32"), ops.ones((1, 135), "int32")
    few, many = (np.array(one(ids)) for one, ids in zip((small, large), no_colour, strict=True))
    few -= np.array(small.cell_vectors(no_colour[0], None))
    many -= np.array(large.cell_vectors(no_colour[1], None))
    middle = many.reshape(9, 15, D)[1::3, 1::3].reshape(15, D)
    np.testing.assert_allclose(few[0], middle, atol=1e-5)


@pytest.mark.parametrize("query_shape", [None, (2, 2)])
@pytest.mark.parametrize(("channels", "levels"), [(1, 256), (3, 256), (3, 5)])
def test_images_become_ids_and_come_back(query_shape, channels, levels):
    shape = (3, 5, channels)
    embedding = kt.ColourEmbedding(shape, D, levels, 4, query_shape)
    given = images(6, shape=shape, levels=levels)
    ids, labels = embedding.to_ids(given, [0, 3, 1, 2, 3, 0])
    assert labels.shape == (6, 15, channels)
    np.testing.assert_array_equal(ids[:, 0], [1, 4, 2, 3, 4, 1])
    np.testing.assert_array_equal(embedding.intensities(ids[:, 1:]), labels[:, :-1])
    codes = np.array(embedding.codes(labels))
    np.testing.assert_array_equal(codes[:, :-1], ids[:, 1:])
    np.testing.assert_array_equal(embedding.to_images(codes), given)
    assert codes.max() < embedding.vocabulary_size


def test_at_first_all_intensities_are_about_as_probable():
    """No intensity costs a bit more than 8, the mean of all."""
    embedding = kt.ColourEmbedding((2, 2, 3), D)
    embedding.build()
    mixture = kt.DiscretizedLogisticMixture()
    parameters = embedding.logits(np.zeros((256, 1, D), "float32"))
    grey = np.repeat(np.arange(256), 3).reshape(256, 1, 3)
    bits = -np.array(mixture.log_probs(grey, parameters)) / 3 / np.log(2)
    assert bits.max() < 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (3, 5, 2)}, "Images must have 1 or 3 channels"),
        ({"num_mixtures": 0}, "num_mixtures=0"),
        ({"num_levels": 2000}, "numbers of 31 bits. Received: num_levels=2000"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kt.ColourEmbedding(**{"image_shape": SHAPE, "d_model": D, **options})
