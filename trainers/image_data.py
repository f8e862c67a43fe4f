"""The images of a recipe, to train and to test on."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_transformer.io import local_path
from trainers.image_recipe import DRAWINGS, TFDS, ImageRecipe


class ImageData(NamedTuple):
    """Images to train on, and images that the model never sees, each `LabelledImages`."""

    train: object
    held_out: object
    num_classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of an image."""
        return self.train.images.shape[1:]


def open_images(recipe: ImageRecipe) -> ImageData:
    """Reads or draws the images of a recipe.

    Raises:
        ImportError: A package that reads them is not installed.
        ValueError: There are none, they cannot be read, or they have no classes and need some.
    """
    if recipe.data == DRAWINGS:
        parts = drawn(recipe)
    elif recipe.data.startswith(TFDS):
        parts = from_tfds(recipe)
    else:
        parts = from_folder(local_path(recipe.data, "--data"), recipe)
    train, held_out = parts
    if recipe.held_out_images and recipe.data != DRAWINGS:
        held_out = _first(held_out, recipe.held_out_images)
    num_classes = 0
    if recipe.classes:
        if train.classes is None or held_out.classes is None:
            raise ValueError(
                f"classes needs images with classes, which {recipe.data} does not have."
            )
        num_classes = int(max(train.classes.max(), held_out.classes.max())) + 1
    if train.images.shape[1:] != held_out.images.shape[1:]:
        raise ValueError(
            f"Images to train and to test on must be of one size. Received: "
            f"{train.images.shape[1:]} and {held_out.images.shape[1:]} of {recipe.data}"
        )
    if recipe.enlarge:
        shrink(train.images[:1], recipe.enlarge)  # raises an error now
    return ImageData(train, held_out, num_classes)


def empty_images(recipe: ImageRecipe) -> ImageData:
    """Returns black images of the sizes of a recipe's, which are not read or downloaded.

    Raises:
        ImportError: A package that knows them is not installed.
        ValueError: They have no classes and need some, or a folder cannot be read.
    """
    from keras_transformer.data import LabelledImages

    if recipe.data == DRAWINGS:
        some = dataclasses.replace(recipe, num_images=500, held_out_images=1, classes=True)
        data = open_images(some)
        shape, known = data.shape, data.num_classes
    elif recipe.data.startswith(TFDS):
        features = tfds_builder(recipe).info.features
        features = dict(features.items()) if hasattr(features, "items") else {}
        shape = getattr(features.get("image"), "shape", ())
        if len(shape) != 3 or None in shape:
            raise ValueError(f"{recipe.data} has no images of one size.")
        known = getattr(features.get("label"), "num_classes", 0)
    else:
        data = open_images(recipe)
        shape, known = data.shape, data.num_classes
    images = LabelledImages(np.zeros((1, *shape), "uint8"), np.zeros(1, "int32"))
    return ImageData(images, images, known if recipe.classes else 0)


def shrink(images, factor: int) -> np.ndarray:
    """Returns images with fewer rows and columns, each pixel the mean of a square.

    Raises:
        ValueError: Rows or columns are no multiple of the factor.
    """
    count, rows, columns, channels = images.shape
    if rows % factor or columns % factor:
        raise ValueError(
            f"enlarge must be a divisor of rows and columns, {rows} and {columns}. Received: "
            f"enlarge={factor}"
        )
    squares = images.reshape(count, rows // factor, factor, columns // factor, factor, channels)
    return np.rint(squares.astype("float32").mean(axis=(2, 4))).astype("uint8")


def _first(labelled, count):
    classes = labelled.classes
    return type(labelled)(labelled.images[:count], None if classes is None else classes[:count])


def drawn(recipe: ImageRecipe):
    """Returns drawings to train on, and others."""
    from keras_transformer.data import LabelledImages, drawings

    sizes = (recipe.image_size, recipe.channels)
    count = recipe.num_images
    everything = drawings(count + recipe.held_out_images, *sizes, seed=recipe.seed)
    return [
        LabelledImages(everything.images[part], everything.classes[part])
        for part in (slice(count), slice(count, None))
    ]


def from_folder(folder: Path, recipe: ImageRecipe):
    """Returns the images of a folder of idx files or PNG files."""
    from keras_transformer.data import LabelledImages, read_idx_folder, read_png_folder

    if not folder.is_dir():
        raise ValueError(
            f"--data must be {DRAWINGS}, {TFDS}NAME or a folder. Received: {recipe.data}"
        )
    if any(folder.glob("*-idx3-ubyte*")):
        return [read_idx_folder(folder, split) for split in ("train", "test")]
    images, classes = read_png_folder(folder)
    count = recipe.held_out_images or len(images) // 10
    if not 0 < count < len(images):
        raise ValueError(
            f"{folder} has {len(images)} PNG files, of which {count} cannot be held out: give "
            "--held-out-images."
        )
    order = np.random.default_rng(recipe.seed).permutation(len(images))
    return [
        LabelledImages(images[part], None if classes is None else classes[part])
        for part in (order[count:], order[:count])
    ]


def from_tfds(recipe: ImageRecipe):
    """Returns the images of a dataset of tensorflow-datasets, which is prepared if it is not."""
    import tensorflow_datasets as tfds

    from keras_transformer.data import LabelledImages

    builder, parts = tfds_builder(recipe), []
    with _told(recipe.data):
        builder.download_and_prepare()
    for split in ("train", "test"):
        with _told(recipe.data):
            loaded = tfds.as_numpy(builder.as_dataset(split, batch_size=-1))
        if getattr(loaded.get("image"), "ndim", 0) != 4:
            raise ValueError(f"{recipe.data} has no images of one size.")
        if (dtype := loaded["image"].dtype).kind not in "iu":
            raise ValueError(f"{recipe.data} must have intensities 0 to 255. Received: {dtype}")
        parts.append(LabelledImages(loaded["image"], loaded.get("label")))
    return parts


def tfds_builder(recipe: ImageRecipe):
    """Returns the builder of a dataset, which knows its sizes."""
    import tensorflow_datasets as tfds

    folder = recipe.data_folder and local_path(recipe.data_folder, "data_folder of TFDS data")
    with _told(recipe.data):
        return tfds.builder(recipe.data.removeprefix(TFDS), data_dir=folder or None)


@contextlib.contextmanager
def _told(data: str) -> Iterator[None]:
    """Returns a context manager that turns errors of tensorflow-datasets into a line."""
    import tensorflow_datasets as tfds

    try:
        yield
    except (tfds.core.DatasetNotFoundError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ValueError(f"{data} cannot be read: {reason}") from None
