"""The embedding of intensities: channels, places, order, and the output layer."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from tests.weights import randomize

SHAPE, D, LEVELS = (3, 5, 2), 12, 7
LENGTH = 3 * 5 * 2


@pytest.fixture
def embedding():
    layer = kt.PixelEmbedding(SHAPE, D, LEVELS)
    layer.build()
    return randomize(layer)


def images(count, seed=1, levels=LEVELS, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, levels, (count, *shape))


def waves(positions, width):
    """Tensor2Tensor's sinusoids: sines, then cosines."""
    half = width // 2
    angles = np.array(positions)[:, None] * 10000.0 ** (-np.arange(half) / (half - 1))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def test_it_is_the_table_of_the_channel_before_and_the_place_to_come(embedding):
    ids, _ = embedding.to_ids(images(3))
    table, found = np.array(embedding.tokens.embeddings), np.array(embedding(ids))
    rows, columns = np.divmod(np.arange(LENGTH), 10)
    places = np.concatenate([waves(rows, 6), waves(columns, 6)], axis=-1)
    for row in range(3):
        for t in range(LENGTH):
            index = 1 if t == 0 else ids[row, t] + LEVELS * ((t - 1) % 2)
            np.testing.assert_allclose(found[row, t], table[index] * D**0.5 + places[t], atol=1e-4)


def test_steps_equal_the_whole(embedding):
    ids, _ = embedding.to_ids(images(2))
    whole = np.array(embedding(ids))
    for t in (0, 1, 17):
        step = embedding(ids[:, t : t + 1], ops.full((2, 1), t, dtype="int32"))
        np.testing.assert_allclose(step[:, 0], whole[:, t], atol=1e-6)


@pytest.mark.parametrize("larger", [(12, 10, 2), (6, 5, 2), (7, 11, 2)])
def test_a_read_image_has_the_places_of_the_pixels_that_it_stands_for(larger):
    """Each intensity is read at its own place, in the middle of those of the larger image."""
    embedding = kt.PixelEmbedding(SHAPE, D, LEVELS, enlarged_shape=larger)
    embedding.build()
    randomize(embedding)
    ids = embedding.read(images(2))
    table, found = np.array(embedding.tokens.embeddings), np.array(embedding(ids))
    assert ids.shape == (2, LENGTH)
    for t in range(LENGTH):
        row, (column, channel) = t // 10, divmod(t % 10, 2)
        below, above = (n * larger[0] / 3 for n in (row, row + 1))  # its edges
        left, right = (n * larger[1] / 5 for n in (column, column + 1))
        middle = (below + above - 1) / 2, (left + right - 1) / 2 * 2 + channel
        place = np.concatenate([waves([middle[0]], 6), waves([middle[1]], 6)], axis=-1)[0]
        index = ids[0, t] + LEVELS * channel
        np.testing.assert_allclose(found[0, t], table[index] * D**0.5 + place, atol=1e-4)


def test_at_first_every_intensity_costs_eight_bits():
    """Exactly, and no other id has any probability."""
    embedding = kt.PixelEmbedding((4, 4, 3), D)
    ids, labels = embedding.to_ids(images(5, levels=256, shape=(4, 4, 3)))
    logits = embedding.logits(randomized(embedding(ids)))
    log_probs = np.array(ops.log_softmax(logits))
    bits = -np.take_along_axis(log_probs, labels[..., None], axis=-1) / np.log(2)
    np.testing.assert_allclose(bits, 8.0, atol=1e-5)
    assert (np.exp(log_probs[..., : embedding.first_cell]) == 0).all()
    assert logits.shape[-1] == embedding.vocabulary_size == 258


def randomized(x):
    return x + np.random.default_rng(0).normal(0, 3, x.shape).astype("float32")


@pytest.mark.parametrize("query_shape", [None, (2, 4), (1, 3)])
@pytest.mark.parametrize("num_classes", [0, 4])
def test_images_become_ids_and_come_back(query_shape, num_classes):
    embedding = kt.PixelEmbedding(SHAPE, D, LEVELS, num_classes, query_shape)
    given = images(6)
    classes = np.array([0, 3, 1, 2, 3, 0]) if num_classes else None
    ids, labels = embedding.to_ids(given, classes)
    np.testing.assert_array_equal(embedding.to_images(labels), given)
    np.testing.assert_array_equal(ids[:, 1:], labels[:, :-1])
    np.testing.assert_array_equal(ids[:, 0], 1 + (0 if classes is None else classes))
    assert labels.min() >= embedding.first_cell == 1 + max(num_classes, 1)


def test_an_encoder_reads_all_cells(embedding):
    """The start and all cells, of which a model reads all but the last."""
    given = images(3)
    ids, labels = embedding.to_ids(given)
    read = embedding.read(given)
    np.testing.assert_array_equal(read, np.concatenate([ids, labels[:, -1:]], axis=1))
    np.testing.assert_allclose(embedding(read)[:, :-1], embedding(ids), atol=1e-6)


def test_bytes_do_not_overflow():
    embedding = kt.PixelEmbedding(SHAPE, D, num_classes=4)
    given = images(2, levels=256).astype("uint8")
    given[0, 0, 0, 0] = 255
    _, labels = embedding.to_ids(given, np.array([3, 0], "uint8"))
    assert labels[0, 0] == 255 + embedding.first_cell
    np.testing.assert_array_equal(embedding.to_images(labels), given)


def test_blocks_are_generated_one_after_the_other():
    """In the order of `LocalAttention2D`, whose grid has the channels as columns."""
    embedding = kt.PixelEmbedding((4, 4, 1), D, 16, query_shape=(2, 2))
    order = kt.LocalAttention2D((4, 4), (2, 2), (1, 1)).generation_order()
    grid = np.arange(16).reshape(1, 4, 4, 1)
    _, labels = embedding.to_ids(grid)
    np.testing.assert_array_equal(
        labels[0] - embedding.first_cell, grid[0, :, :, 0][tuple(order.T)]
    )
    assert (labels[0, :4] - embedding.first_cell).tolist() == [0, 1, 4, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (3, 5)}, r"three integers of at least 1.*image_shape=\(3, 5\)"),
        ({"image_shape": (3, 0, 1)}, "three integers of at least 1"),
        ({"d_model": 7}, "must be even, and at least 4. Received: d_model=7"),
        ({"num_levels": 1}, "Received: num_levels=1, num_classes=0"),
        ({"num_classes": -1}, "Received: num_levels=7, num_classes=-1"),
        ({"query_shape": (2,)}, "must be two integers"),
        ({"enlarged_shape": 4}, "`enlarged_shape` must be three integers.*enlarged_shape=4"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kt.PixelEmbedding(**{"image_shape": SHAPE, "d_model": D, "num_levels": LEVELS, **options})


@pytest.mark.parametrize(
    ("given", "classes", "message"),
    [
        (images(2, shape=(5, 3, 2)), None, r"must have the shape \(B, 3, 5, 2\)"),
        (images(2) + 1, None, "intensities from 0 to 6. Received: 1 to 7"),
        (images(2), [0, 1], "Received: classes, num_classes=0"),
    ],
)
def test_wrong_images_are_refused(embedding, given, classes, message):
    with pytest.raises(ValueError, match=message):
        embedding.to_ids(given, classes)


def test_wrong_classes_are_refused():
    embedding = kt.PixelEmbedding(SHAPE, D, LEVELS, num_classes=3)
    with pytest.raises(ValueError, match="must be from 0 to 2"):
        embedding.to_ids(images(2), [0, 3])
    with pytest.raises(ValueError, match="Received: none, num_classes=3"):
        embedding.to_ids(images(2))


def test_more_positions_than_cells_are_refused(embedding):
    with pytest.raises(ValueError, match=r"\(3, 5, 2\) has 30 cells, and a start"):
        embedding(keras.ops.ones((1, 32), "int32"))
