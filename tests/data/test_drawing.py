"""The built-in images: the same anywhere, within their edges, and told apart by a simple rule."""

import hashlib

import numpy as np
import pytest

from keras_transformer.data import drawings
from keras_transformer.data.drawing import CLASSES, COLOURS


def test_the_same_seed_draws_the_same_images():
    one, other = drawings(50, seed=3), drawings(50, seed=3)
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.classes, other.classes)
    assert (drawings(50, seed=4).images != one.images).any()
    first = drawings(20, seed=3).classes
    assert first.tolist() == one.classes[:20].tolist()


def test_all_classes_occur_as_often():
    counts = np.bincount(drawings(2000).classes, minlength=len(CLASSES))
    assert len(counts) == 10
    assert counts.min() > 140


@pytest.mark.parametrize("size", [8, 16, 28])
def test_an_image_has_two_colours_and_a_little_noise(size):
    images, _ = drawings(60, size)
    distances = np.abs(images[:, :, :, None].astype(int) - COLOURS).max(axis=-1)
    nearest, colour = distances.min(axis=-1), distances.argmin(axis=-1)
    assert nearest.max() < 6 * 3
    assert {len(np.unique(one)) for one in colour} == {2}


def test_what_is_drawn_is_not_only_the_ground():
    """The ground is what the corners have; a shape fills a part of its square."""
    images, classes = drawings(300, 20)
    distances = np.abs(images[:, :, :, None].astype(int) - COLOURS).max(axis=-1)
    colours = distances.argmin(axis=-1)
    filled = (colours != colours[:, :1, :1]).mean(axis=(1, 2))
    assert filled.min() > 0.03
    assert filled.max() < 0.9
    mean = {name: filled[classes == n].mean() for n, name in enumerate(CLASSES)}
    assert mean["square"] > mean["disc"] > mean["ring"]
    assert mean["square"] > mean["triangle"] > mean["T"]


def test_grey_images_have_one_channel():
    images, classes = drawings(30, channels=1)
    colours = drawings(30)
    np.testing.assert_array_equal(classes, colours.classes)
    assert images.shape == (30, 16, 16, 1)
    grey = colours.images.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(images[..., 0] - grey).max() < 20


def test_they_are_what_they_were():
    """By the digest of some: another generation would change what a recipe trains on."""
    images = drawings(40, seed=1).images
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == "3c70ad1bc62060a6"


@pytest.mark.parametrize(
    "options", [{"count": -1}, {"count": 3, "size": 7}, {"count": 3, "channels": 2}]
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="`count` must be at least 0, `size` at least 8"):
        drawings(**options)
