"""Grids cut into blocks, each with a window of the grid: the geometry of attention in an image."""

import dataclasses

import numpy as np
from keras import ops


@dataclasses.dataclass(frozen=True)
class GridWindows:
    """Cuts grids, whose cells come block by block, into blocks with a window of keys around each.

    Blocks become rows of the batch, as in `RowWindows`: B * N for B, the cells of a block for T,
    the cells of a window for S. Windows at the edges of the grid are filled up.

    Attributes:
        grid: Tuple of two integers: rows and columns, multiples of those of a block.
        block: Tuple of two integers: rows and columns of a block.
        flange: Tuple of two integers: rows and columns around it.
        below: Boolean. Whether the window has the flange below the block, too.

    Example: The right one of two blocks of 1 x 2 cells, with a column of the left one.

    >>> windows = GridWindows(grid=(1, 4), block=(1, 2), flange=(0, 1))
    >>> windows.places().tolist()
    [[-1, 0, 1, 2], [1, 2, 3, -1]]
    """

    grid: tuple
    block: tuple
    flange: tuple
    below: bool = False

    @property
    def counts(self):
        """Numbers of blocks below each other, and side by side."""
        return tuple(n // own for n, own in zip(self.grid, self.block, strict=True))

    def places(self):
        """Returns the place of each cell of each window in the sequence, `(N, S)`; -1 outside."""
        (h, w), (rows, columns) = self.block, np.indices(self.grid, "int32")
        numbers = rows // h * self.counts[1] + columns // w  # of blocks
        places = (numbers * h + rows % h) * w + columns % w
        places = np.pad(places, self._around(), constant_values=-1)
        return np.stack([places[window].ravel() for window in self._slices()])

    def blocks(self, x):
        """Cuts heads, `(B, H, T, K)`, into blocks, `(B * N, H, cells, K)`."""
        B, H, T, K = ops.shape(x)
        N = self.counts[0] * self.counts[1]
        x = ops.transpose(ops.reshape(x, (B, H, N, T // N, K)), (0, 2, 1, 3, 4))
        return ops.reshape(x, (B * N, H, T // N, K))

    def windows(self, x):
        """Cuts heads, `(B, H, T, K)`, into windows, `(B * N, H, S, K)`, with zeros outside."""
        B, H, _, K = ops.shape(x)
        x = ops.reshape(x, (B, H, *self.counts, *self.block, K))
        x = ops.reshape(ops.transpose(x, (0, 1, 2, 4, 3, 5, 6)), (B, H, *self.grid, K))
        x = ops.pad(x, ((0, 0), (0, 0), *self._around(), (0, 0)))
        x = ops.stack([x[:, :, *window] for window in self._slices()], axis=1)
        return ops.reshape(x, (-1, H, x.shape[3] * x.shape[4], K))

    def join(self, x):
        """Joins the blocks of heads, `(B * N, H, cells, K)`, to sequences, `(B, H, T, K)`."""
        _, H, cells, K = ops.shape(x)
        N = self.counts[0] * self.counts[1]
        x = ops.transpose(ops.reshape(x, (-1, N, H, cells, K)), (0, 2, 1, 3, 4))
        return ops.reshape(x, (-1, H, N * cells, K))

    def _around(self):
        """Returns how many rows and columns are added before and behind the grid."""
        rows, columns = self.flange
        return (rows, rows if self.below else 0), (columns, columns)

    def _slices(self):
        """Returns the rows and columns of each window in the larger grid."""
        (above, below), (left, right) = self._around()
        h, w = self.block
        return [
            (
                slice(row * h, row * h + above + h + below),
                slice(column * w, column * w + left + w + right),
            )
            for row in range(self.counts[0])
            for column in range(self.counts[1])
        ]
