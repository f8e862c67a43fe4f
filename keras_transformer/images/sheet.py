"""Sheets: many small images side by side, as one."""

import numpy as np


def make_sheet(images, columns=8, scale=1, gap=1):
    """Puts images side by side, row by row.

    Args:
        images: uint8 array of shape `(N, h, w, channels)`, with at least one image.
        columns: Integer. Number of images in a row.
        scale: Integer. Every pixel becomes a square of so many pixels on either side.
        gap: Integer. White pixels between images, before scaling.

    Returns:
        uint8 array of shape `(height, width, channels)`.

    Raises:
        ValueError: There are no images, or a number is out of range.

    Example:

    >>> make_sheet(np.zeros((5, 4, 6, 3), "uint8"), columns=3).shape
    (9, 20, 3)
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ValueError(
            "`images` must have the shape (N, h, w, channels), with at least one image. Received: "
            f"{images.shape}"
        )
    if columns < 1 or scale < 1 or gap < 0:
        raise ValueError(
            "`columns` and `scale` must be at least 1 and `gap` at least 0. Received: "
            f"columns={columns}, scale={scale}, gap={gap}"
        )
    count, height, width, channels = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, "uint8"
    )
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet.repeat(scale, axis=0).repeat(scale, axis=1)
