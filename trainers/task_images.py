"""The images of a recipe for several tasks."""

import hashlib
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_transformer.io import local_path
from trainers.tasks import DIGITS, Task

HELD_OUT = 5  # one of so many images is held out
CLASSIFIED = 256  # images that are classified at a time


class Images(NamedTuple):
    """Batches to train on, and images to validate on, with their classes."""

    train: object  # ImageBatches
    held_out: np.ndarray
    held_out_classes: np.ndarray
    fingerprint: str  # of all images and classes

    def callback(self):
        """Returns a callback that logs how many of the held-out images are classified right."""
        import keras

        images, classes = self.held_out, self.held_out_classes

        class ImageAccuracy(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                found = [
                    keras.ops.convert_to_numpy(self.model.classify(images[at : at + CLASSIFIED]))
                    for at in range(0, len(images), CLASSIFIED)
                ]
                if logs is not None:
                    right = np.concatenate(found).argmax(-1) == classes
                    logs["val_image_accuracy"] = float(right.mean())

        return ImageAccuracy()


def open_images(recipe, parts: int) -> Images:
    """Reads the images of a recipe and splits them.

    Args:
        recipe: `MultitaskRecipe` with a task of images.
        parts: Number of equal parts of a batch.
    """
    from keras_transformer.data import ImageBatches

    task = recipe.image_task
    images, classes = read_digits() if task.corpus == DIGITS else read_images(task, recipe)
    order = np.random.default_rng(recipe.seed).permutation(len(images))
    held_out, train = order[: len(order) // HELD_OUT], order[len(order) // HELD_OUT :]
    size = -(-recipe.images_per_batch // parts) * parts
    print(
        f"Images of the task {task.name}: {len(train):,} to train on, {size} beside each batch of "
        f"texts; {len(held_out):,} held out.",
        flush=True,
    )
    batches = ImageBatches(images[train], classes[train], size, recipe.seed)
    fingerprint = hashlib.sha256(images.tobytes() + classes.tobytes()).hexdigest()
    return Images(batches, images[held_out], classes[held_out], fingerprint)


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Returns the 1,797 handwritten digits of scikit-learn, 8 x 8 pixels, and their classes."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise ValueError(
            'corpus: digits needs scikit-learn, which is not installed: pip install ".[digits]"'
        ) from None
    digits = load_digits()
    return (digits.images / 16).astype("float32")[..., None], digits.target


def read_images(task: Task, recipe) -> tuple[np.ndarray, np.ndarray]:
    """Reads the images of a file of NumPy, and their classes.

    Raises:
        ValueError: It is no such file, or its arrays are not those that the task describes.
    """
    path = local_path(recipe.data_folder or Path(), "data_folder of images") / task.file
    try:
        with np.load(path, allow_pickle=False) as file:
            images, classes = file["images"], file["classes"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}, of the task {task.name}, must be a file of NumPy, .npz, with the arrays "
            f"images and classes. {error}"
        ) from None
    size = (task.image_size, task.image_size, task.image_channels)
    fits = images.shape[1:] == size and classes.shape == images.shape[:1]
    if not fits or len(images) < HELD_OUT or classes.dtype.kind not in "iu":
        raise ValueError(
            f"{path} must have images of shape (N, {', '.join(map(str, size))}), {HELD_OUT} "
            f"at least, and classes of shape (N,), integers. Received: images {images.shape}, "
            f"classes {classes.shape}, {classes.dtype}"
        )
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        raise ValueError(f"{path} must have images with values from 0 to 1.")
    if classes.min() < 0 or classes.max() >= task.num_classes:
        raise ValueError(
            f"{path} must have classes from 0 to {task.num_classes - 1}, as num_classes "
            f"says. Received: {classes.min()} to {classes.max()}"
        )
    return images, classes
