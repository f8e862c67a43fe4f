"""Batches of images as sequences of ids, in a reproducible order with random access."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from keras_transformer.data.mixing import ShuffledMembers
from keras_transformer.data.tf_dataset import prefetched

if TYPE_CHECKING:
    import tensorflow as tf


class ImageSequences:
    """Batches of images as ids, which an image model trains on.

    Batch `step` depends on the images, the seed and this number alone. The images form an endless
    stream, one permutation after another, that is cut into batches of the same size.

    Args:
        ids: Integer array of shape `(N, T)`: what the model reads, as `to_ids` of its embedding
            returns it.
        labels: Integer array of shape `(N, T)` or `(N, T, channels)`: what it predicts.
        batch_size: Integer. Number of images of a batch.
        seed: Seed of the order.
        sources: Integer array of shape `(N, S)`: what an encoder reads; `None` for a model without
            one.

    Raises:
        ValueError: There are no images, or not as many ids as labels and sources, or `batch_size`
            is less than 1.

    Example:

    >>> batches = ImageSequences(np.ones((5, 9), "int32"), np.zeros((5, 9), "int32"), batch_size=2)
    >>> inputs, labels = batches.batch(7)
    >>> inputs["target"].shape, labels.shape, batches.steps_per_epoch
    ((2, 9), (2, 9), 3)
    """

    def __init__(
        self,
        ids: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        seed: int = 0,
        sources: np.ndarray | None = None,
    ):
        if sources is not None and (sources.ndim != 2 or len(sources) != len(ids)):
            raise ValueError(
                f"Sources must have shape (N, S), with N {len(ids)}. Received: {sources.shape}"
            )
        if ids.ndim != 2 or not len(ids) or labels.shape[:2] != ids.shape:
            raise ValueError(
                "Ids must have shape (N, T), with N at least 1, and labels (N, T) or (N, T, "
                f"channels). Received: ids {ids.shape}, labels {labels.shape}"
            )
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
        self.ids = ids.astype("int32")
        self.sources = None if sources is None else sources.astype("int32")
        self.labels = labels.astype("int32")
        self.batch_size = batch_size
        self._stream = ShuffledMembers(np.arange(len(ids)), 0, seed)

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in which all images occur, rounded up."""
        return -(-len(self.ids) // self.batch_size)

    def fingerprint(self) -> str:
        """Returns a hash of the images."""
        parts = [self.ids, self.labels] + ([] if self.sources is None else [self.sources])
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def batch(self, step: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Returns the inputs and the labels of a step, which counts from 0."""
        members = self._stream.members(step * self.batch_size, (step + 1) * self.batch_size)
        return self._batch(members)

    def _batch(self, members):
        inputs = {"target": self.ids[members]}
        if self.sources is not None:
            inputs["source"] = self.sources[members]
        return inputs, self.labels[members]

    def dataset(self, start_step: int = 0) -> "tf.data.Dataset":
        """Returns an endless dataset of batches.

        Args:
            start_step: Number of batches that were taken before.
        """

        def endless() -> Iterator:
            step = start_step
            while True:
                yield self.batch(step)
                step += 1

        return self._dataset(endless)

    def each_once(self) -> "tf.data.Dataset":
        """Returns a dataset in which each image counts once, and some fill the last batch."""

        def once() -> Iterator:
            for first in range(0, len(self.ids), self.batch_size):
                members = np.arange(first, first + self.batch_size)
                weight = (members < len(self.ids)).astype("float32")
                yield *self._batch(np.minimum(members, len(self.ids) - 1)), weight

        return self._dataset(once, weighted=True)

    def _dataset(self, batches, weighted: bool = False) -> "tf.data.Dataset":
        import tensorflow as tf

        size = self.batch_size
        parts = {"target": self.ids, "source": self.sources}
        inputs = {
            name: tf.TensorSpec((size, part.shape[1]), tf.int32)
            for name, part in parts.items()
            if part is not None
        }
        signature = inputs, tf.TensorSpec((size, *self.labels.shape[1:]), tf.int32)
        if weighted:
            signature += (tf.TensorSpec((size,), tf.float32),)
        return prefetched(batches, signature)
