"""Images from files: idx files, the format of MNIST and Fashion-MNIST, and folders of PNG files."""

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

SPLITS = {"train": "train", "test": "t10k"}  # how the names of their files begin
SUFFIXES = ("", ".gz")
MODES = {"L": 1, "RGB": 3}  # of PNG files: their channels
DEPTH_AT = 24  # the byte of a PNG file that says how many bits a channel has


class LabelledImages(NamedTuple):
    """Images and their classes.

    Attributes:
        images: uint8 array of shape `(N, h, w, channels)`.
        classes: Integer array of shape `(N,)`, or `None` where there are none.
    """

    images: np.ndarray
    classes: np.ndarray | None


def read_idx(path):
    """Returns the array of an idx file, plain or .gz, of unsigned bytes.

    Args:
        path: Path of the file.

    Raises:
        ValueError: It is not such a file, or cut short.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or not content[3]:
        raise ValueError(
            f"{path} is not an idx file of unsigned bytes, which begins with 00 00 08. "
            f"Received: {content[:4].hex(' ')}"
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"{path} is cut short: its sizes are missing.")
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">u4"))
    expected = int(np.prod(shape, dtype="object"))
    if len(content) - start != expected:
        raise ValueError(
            f"{path} must have {expected:,} bytes after its sizes, {' x '.join(map(str, shape))}. "
            f"Received: {len(content) - start:,}"
        )
    return np.frombuffer(content, "uint8", offset=start).reshape(shape)


def read_idx_folder(folder, split):
    """Returns the images of a folder of idx files, named as those of MNIST, in grey.

    Args:
        folder: Path of the folder, with files such as `train-images-idx3-ubyte.gz`.
        split: `"train"` or `"test"`.

    Returns:
        `LabelledImages`, with classes if there is a file of them.

    Raises:
        ValueError: A file is missing or damaged, or the numbers of images and classes differ.
    """
    folder, name = Path(folder), SPLITS[split]
    file = _find(folder, f"{name}-images-idx3-ubyte")
    if file is None:
        raise ValueError(
            f"{folder} has no file {name}-images-idx3-ubyte, plain or .gz, as MNIST has."
        )
    images = read_idx(file)
    if images.ndim != 3:
        raise ValueError(
            f"{file} must have three sizes: images, rows and columns. Received: {images.ndim}"
        )
    labels = _find(folder, f"{name}-labels-idx1-ubyte")
    classes = None if labels is None else read_idx(labels).astype("int64")
    if classes is not None and classes.shape != (len(images),):
        raise ValueError(
            f"{labels} must have a class for each of the {len(images):,} images. Received: shape "
            f"{classes.shape}"
        )
    return LabelledImages(images[..., None], classes)


def _find(folder, name):
    """Returns the path of a file, plain or compressed; `None` if there is neither."""
    paths = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def read_png_folder(folder):
    """Returns the images of a folder of PNG files, in the order of their names.

    The names of folders in it are classes, in their order; without such folders there are none.
    Folders without PNG files do not count, nor do those whose names start with `.` or `__`.

    Args:
        folder: Path of the folder.

    Returns:
        `LabelledImages`. All are grey or all in colour, and of one size.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: There are no PNG files, or some in folders and some beside them; one cannot be
            read, has a palette or another depth, or they differ in size.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder of PNG files.")
    names = (path.name for path in folder.iterdir() if path.is_dir())
    groups = [folder / name for name in sorted(names) if not name.startswith((".", "__"))]
    groups = [group for group in map(_png_files, groups) if group]
    beside = _png_files(folder)
    if groups and beside:
        raise ValueError(
            f"{folder} has PNG files in folders, whose names are classes, and others beside them, "
            f"such as {beside[0].name}. Move those into folders, too."
        )
    files = [(file, number) for number, group in enumerate(groups or [beside]) for file in group]
    if not files:
        raise ValueError(f"{folder} has no PNG files, nor have the folders in it.")
    images = []
    for file, _ in files:
        image = read_png(file)
        if images and image.shape != images[0].shape:
            raise ValueError(
                f"{file} must be as large as the other images, {_size(images[0])}. Received: "
                f"{_size(image)}"
            )
        images.append(image)
    classes = np.array([number for _, number in files]) if groups else None
    return LabelledImages(np.stack(images), classes)


def _png_files(folder):
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == ".png")


def read_png(path):
    """Returns the image of a PNG file, uint8 `(h, w, channels)`: one channel of grey, or three.

    Args:
        path: Path of the file.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: It cannot be read, or is neither grey nor in colour with 8 bits a channel.
    """
    Image = pillow()
    try:
        with Image.open(path, formats=["PNG"]) as image:
            mode, pixels = image.mode, np.asarray(image)
            is_transparent = "transparency" in image.info
        with open(path, "rb") as file:
            depth = file.read(DEPTH_AT + 1)[DEPTH_AT]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a PNG file: {error}") from None
    if mode not in MODES or depth != 8 or is_transparent:
        kinds = {"P": "a palette", "RGBA": "transparency", "LA": "transparency"}
        kind = "transparency" if is_transparent else kinds.get(mode, f"{depth} bits")
        raise ValueError(
            f"{path} must be grey or in colour (RGB), with 8 bits a channel. Received: an image "
            f"with {kind}"
        )
    return pixels.reshape(*pixels.shape[:2], MODES[mode])


def pillow():
    """Returns the module `PIL.Image`; raises an ImportError that says how to install it."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        message = 'PNG files need Pillow: pip install ".[images]"'
        raise ImportError(message) from error
    return Image


def _size(image):
    return " x ".join(map(str, image.shape))
