"""Places of the cells of an image, in the order in which they are generated."""

import numpy as np

from keras_transformer.layers.local_attention_2d import LocalAttention2D


def cell_places(image_shape, cells, query_shape=None, enlarged_shape=None):
    """Returns where the cells of an image are, in the order of generation.

    Args:
        image_shape: Tuple of three integers: rows, columns and channels.
        cells: Integer. Number of cells of a pixel, which stand side by side.
        query_shape: As in `LocalAttention2D`; `None` means row by row.
        enlarged_shape: Shape of a larger image in whose pixels the places are counted: each pixel
            is in the middle of those that it stands for. `None` means the image itself.

    Returns:
        Float32 array of shape `(N, 3)`: the row and the column of the pixel, and the number of the
        cell in the pixel.

    Example: Of the four pixels in the place of one, numbers 0 to 3, the middle is 1.5.

    >>> cell_places((1, 2, 1), 1, enlarged_shape=(4, 8, 1)).tolist()
    [[1.5, 1.5, 0.0], [1.5, 5.5, 0.0]]
    """
    rows, columns, _ = image_shape
    grid = rows, columns * cells
    order = LocalAttention2D(grid, query_shape or grid, (0, 0)).generation_order()
    row, (column, cell) = order[:, 0], np.divmod(order[:, 1], cells)
    more_rows, more_columns, _ = enlarged_shape or image_shape
    row = (row + 0.5) * (more_rows / rows) - 0.5
    column = (column + 0.5) * (more_columns / columns) - 0.5
    return np.stack([row, column, cell], axis=-1).astype("float32")


def checked_shape(name, value):
    """Returns the shape of an image as a tuple; raises a ValueError if it is none."""
    shape = tuple(value) if isinstance(value, list | tuple) else ()
    if len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(
            f"`{name}` must be three integers of at least 1: rows, columns and channels. "
            f"Received: {name}={value}"
        )
    return shape
