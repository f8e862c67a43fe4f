"""The built-in images: shapes and letters in colour, drawn by the package."""

import numpy as np

from keras_transformer.data.image_files import LabelledImages

SHAPES = ("disc", "ring", "square", "triangle", "cross")
LETTERS = {  # five columns and seven rows each
    "A": " ### #   ##   #######   ##   ##   #",
    "E": "######    #    #### #    #    #####",
    "H": "#   ##   ##   #######   ##   ##   #",
    "T": "#####  #    #    #    #    #    #  ",
    "Z": "#####    #   #   #   #   #    #####",
}
CLASSES = (*SHAPES, *LETTERS)
COLOURS = np.array(
    [
        [230, 60, 50],
        [250, 170, 40],
        [245, 225, 90],
        [70, 165, 80],
        [60, 120, 215],
        [145, 80, 185],
        [240, 240, 235],
        [35, 35, 45],
    ]
)
NOISE = 3  # standard deviation of the intensities around their colour


def drawings(count, size=16, channels=3, seed=0):
    """Draws images, each of a shape or a letter of one colour on another.

    Place, size, colours and a little noise are random; the same arguments give the same images on
    any machine.

    Args:
        count: Integer. Number of images.
        size: Integer, at least 8. Rows and columns.
        channels: Integer, 3 for colours, 1 for grey.
        seed: Integer.

    Returns:
        `LabelledImages`, whose classes are the places of what they show in `CLASSES`.

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> images, classes = drawings(5, size=12)
    >>> images.shape, str(images.dtype), len(classes)
    ((5, 12, 12, 3), 'uint8', 5)
    """
    if count < 0 or size < 8 or channels not in (1, 3):
        raise ValueError(
            "`count` must be at least 0, `size` at least 8 and `channels` 1 or 3. Received: "
            f"count={count}, size={size}, channels={channels}"
        )
    generator = np.random.default_rng(seed)
    classes = generator.integers(len(CLASSES), size=count)
    images = np.zeros((count, size, size, 3))
    for image, number in zip(images, classes, strict=True):
        height = generator.integers(size // 2, size - 1)
        top, left = generator.integers(1, size - height, size=2, endpoint=True)
        front, back = generator.choice(len(COLOURS), size=2, replace=False)
        image[:] = COLOURS[back]
        square = image[top : top + height, left : left + height]
        square[_mask(CLASSES[number], height)] = COLOURS[front]
    if channels == 1:
        images = images @ np.array([[0.299], [0.587], [0.114]])
    images += generator.normal(0, NOISE, images.shape)
    return LabelledImages(np.clip(np.rint(images), 0, 255).astype("uint8"), classes)


def _mask(name, height):
    """Returns where a shape or letter of a height is, boolean `(height, height)`."""
    y, x = (np.indices((height, height)) + 0.5) / height * 2 - 1  # -1 to 1
    if name in LETTERS:
        rows = np.minimum((np.arange(height) * 7) // height, 6)
        columns = np.minimum((np.arange(height) * 5) // height, 4)
        filled = np.array([mark == "#" for mark in LETTERS[name]]).reshape(7, 5)
        return filled[rows[:, None], columns]
    return {
        "disc": x**2 + y**2 <= 1,
        "ring": (x**2 + y**2 <= 1) & (x**2 + y**2 >= 0.3),
        "square": np.maximum(abs(x), abs(y)) <= 0.9,
        "triangle": 2 * abs(x) <= y + 1,
        "cross": np.minimum(abs(x), abs(y)) <= 0.3,
    }[name]
