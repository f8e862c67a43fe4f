"""Batches of images as ids: every image equally often, any batch without those before it."""

import numpy as np
import pytest

from keras_transformer.data import ImageSequences

IDS = np.arange(7 * 3).reshape(7, 3)


def make(labels=None, sources=None, size=3):
    return ImageSequences(IDS, IDS + 100 if labels is None else labels, size, 5, sources)


def test_every_image_occurs_once_in_a_permutation():
    batches = make()
    rows = np.concatenate([batches.batch(step)[0]["target"] for step in range(7)])
    for first in range(0, 21, 7):
        assert sorted(rows[first : first + 7, 0].tolist()) == IDS[:, 0].tolist()
    assert batches.steps_per_epoch == 3


@pytest.mark.parametrize("channels", [None, 2])
def test_what_belongs_together_stays_together(channels):
    labels = IDS + 100 if channels is None else np.stack([IDS + 100] * channels, axis=-1)
    batches = make(labels, IDS[:, :2] + 50)
    datasets = batches.dataset(start_step=4), batches.each_once()
    taken = [*datasets[0].take(3), *datasets[1]]
    for inputs, found, *_ in taken:
        ids = inputs["target"].numpy()
        np.testing.assert_array_equal(inputs["source"], ids[:, :2] + 50)
        wanted = ids + 100 if channels is None else (ids + 100)[..., None].repeat(2, axis=-1)
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(taken[0][0]["target"], batches.batch(4)[0]["target"])


def test_each_image_counts_once():
    seen = []
    for inputs, _, weight in make().each_once():
        seen += inputs["target"].numpy()[weight.numpy() > 0, 0].tolist()
    assert seen == IDS[:, 0].tolist()


def test_the_fingerprint_is_that_of_all():
    prints = {
        make().fingerprint(),
        make(IDS + 101).fingerprint(),
        make(sources=IDS).fingerprint(),
        make(sources=IDS + 1).fingerprint(),
    }
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": IDS[:6]}, r"labels \(6, 3\)"),
        ({"sources": IDS[:6]}, r"with N 7. Received: \(6, 3\)"),
        ({"size": 0}, "at least 1. Received: 0"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
