"""Batches of images that belong to classes, to stand beside batches of texts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from keras_transformer.data.mixing import ShuffledMembers

if TYPE_CHECKING:
    import tensorflow as tf


class ImageBatches:
    """Batches of images with their classes, in a reproducible order with random access.

    The images form an endless stream, one permutation after another, that is cut into batches of
    the same size.

    Args:
        images: Array of shape `(N, height, width, channels)`, with values from 0 to 1.
        classes: Integer array of shape `(N,)`: the class of each image, from 0.
        batch_size: Integer. Number of images of a batch.
        seed: Seed of the order.

    Raises:
        ValueError: There are no images, or not as many as classes, or `batch_size` is less than 1.

    Example:

    >>> batches = ImageBatches(np.zeros((5, 8, 8, 1)), np.arange(5), batch_size=2)
    >>> {name: part.shape for name, part in batches.batch(3).items()}
    {'image': (2, 8, 8, 1), 'image_class': (2,)}
    """

    def __init__(self, images: np.ndarray, classes: np.ndarray, batch_size: int, seed: int = 0):
        if images.ndim != 4 or not len(images) or classes.shape != images.shape[:1]:
            raise ValueError(
                "Images must have shape (N, height, width, channels), and classes (N,), with N at "
                f"least 1. Received: images {images.shape}, classes {classes.shape}"
            )
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
        self.images = images.astype("float32")
        self.classes = classes.astype("int32")
        self.batch_size = batch_size
        self._stream = ShuffledMembers(np.arange(len(images)), 0, seed)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Returns the images of a step, which counts from 0, and their classes."""
        members = self._stream.members(step * self.batch_size, (step + 1) * self.batch_size)
        return {"image": self.images[members], "image_class": self.classes[members]}

    def beside(self, texts: "tf.data.Dataset", start_step: int = 0) -> "tf.data.Dataset":
        """Returns a dataset of batches of texts each of which has images among its inputs, too.

        Args:
            texts: Dataset of `(inputs, labels)`, as `TokenBatches.dataset` returns it.
            start_step: Number of batches that were taken before.
        """
        import tensorflow as tf

        def endless() -> Iterator[dict[str, np.ndarray]]:
            step = start_step
            while True:
                yield self.batch(step)
                step += 1

        shape = (self.batch_size, *self.images.shape[1:])
        signature = {
            "image": tf.TensorSpec(shape, tf.float32),
            "image_class": tf.TensorSpec(shape[:1], tf.int32),
        }
        images = tf.data.Dataset.from_generator(endless, output_signature=signature)
        both = tf.data.Dataset.zip(texts, images)
        both = both.map(lambda text, images: ({**text[0], **images}, *text[1:]))
        both.id_limits = getattr(texts, "id_limits", None)
        return both
