"""Local attention in two dimensions, for images that are generated block by block."""

import keras
import numpy as np
from keras import ops

from keras_transformer.layers.attention import DotProductAttention
from keras_transformer.layers.grid_windows import GridWindows
from keras_transformer.layers.masks import AttentionMask


@keras.saving.register_keras_serializable(package="keras_transformer")
class LocalAttention2D(DotProductAttention):
    """Attention of each cell of a grid to the cells around its block.

    The grid, such as the pixels of an image, is cut into blocks of `query_shape`. The cells of a
    block see that block and a margin around it, the memory flange. Section 3.2 in
    [Parmar et al., 2018](https://arxiv.org/abs/1802.05751).

    A sequence holds the cells in the order in which they are generated: block by block, and the
    cells of a block line by line. With a causal mask a cell sees those generated before it and
    itself, so the flange shows above, on the left, and above on the right, but nothing below.
    `generation_order` says which cell is where in the sequence.

    For whole images whose rows and columns are multiples of those of a block, each block of
    queries meets only the keys around it. With a mask that is a tensor, in packed rows, and if
    scores are asked for, all pairs of cells are compared, and most are hidden. Decoding steps keep
    no more of the cells behind them than they see.

    Args:
        grid: Tuple of two integers: rows and columns of the grid.
        query_shape: Tuple of two integers: rows and columns of a block. Blocks at the lower and
            right edges are smaller if the grid is not a multiple of it.
        memory_flange: Tuple of two integers: how many rows above and below a block, and how many
            columns on either side of it, are seen.

    Call arguments:
        query, key, value, attention_mask, positions, key_positions, return_attention_scores: As in
            `DotProductAttention`.

    Returns:
        As `DotProductAttention`.

    Raises:
        ValueError: If an argument is invalid; or, when called, if the sequence is longer than the
            grid has cells.

    Example:

    >>> from keras_transformer.layers import AttentionMask
    >>> layer = LocalAttention2D(grid=(2, 4), query_shape=(2, 2), memory_flange=(0, 1))
    >>> layer.generation_order().tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2], [0, 3], [1, 2], [1, 3]]
    >>> x = keras.ops.zeros((1, 1, 8, 3))
    >>> mask = AttentionMask(causal=True)
    >>> _, scores = layer(x, x, x, attention_mask=mask, return_attention_scores=True)
    >>> (scores[0, 0] > 0).numpy().astype(int).tolist()[5]
    [0, 1, 0, 1, 1, 1, 0, 0]
    """

    def __init__(self, grid, query_shape, memory_flange, **kwargs):
        super().__init__(**kwargs)
        self.grid = _pair("grid", grid, 1)
        self.query_shape = _pair("query_shape", query_shape, 1)
        self.memory_flange = _pair("memory_flange", memory_flange, 0)

    def generation_order(self):
        """Returns row and column of each cell in the order of generation, `(rows * columns, 2)`."""
        cells = np.indices(self.grid).reshape(2, -1)
        block_rows, block_columns = cells // np.array(self.query_shape)[:, None]
        order = np.lexsort((cells[1], cells[0], block_columns, block_rows))  # the last counts first
        return cells[:, order].T.astype("int32")

    def sees(self, positions, key_positions):
        size, flange = (np.array(pair, "int32") for pair in (self.query_shape, self.memory_flange))
        place, key_place = self._cells(positions), self._cells(key_positions)
        start = place // size * size  # the first cell of the block, (B or 1, T, 1, 2)
        inside = ops.logical_and(key_place >= start - flange, key_place < start + size + flange)
        return ops.all(inside, axis=-1)  # in its rows and in its columns

    def look_behind(self):
        order, size = self.generation_order(), np.array(self.query_shape)
        start, flange = order // size * size, np.array(self.memory_flange)
        low, high = (start - flange)[:, None], (start + size + flange)[:, None]
        first_seen = ((order >= low) & (order < high)).all(axis=-1).argmax(axis=-1)
        return int((np.arange(len(order)) - first_seen).max()) + 1

    def keys_compared(self, length):
        mask = AttentionMask(causal=True)
        windows = self._windows_of(length, mask)
        return length if windows is None else windows.places().shape[1]

    def call(
        self,
        query,
        key,
        value,
        attention_mask=None,
        positions=None,
        key_positions=None,
        dropout=None,
        return_attention_scores=False,
    ):
        self._check_length("query", query, positions)
        self._check_length("key", key, key_positions)
        windows = self._windows(query, key, attention_mask, positions, key_positions)
        if windows is None or return_attention_scores:
            return super().call(
                query,
                key,
                value,
                attention_mask=attention_mask,
                positions=positions,
                key_positions=key_positions,
                dropout=dropout,
                return_attention_scores=return_attention_scores,
            )
        B, N = ops.shape(query)[0], windows.places().shape[0]
        own = np.arange(query.shape[2], dtype="int32").reshape(N, -1)
        outputs = super().call(
            windows.blocks(query),
            windows.windows(key),
            windows.windows(value),
            _mask(windows, own, attention_mask, B),
            ops.tile(own, (B, 1)),
            ops.tile(np.maximum(windows.places(), 0), (B, 1)),
            dropout=dropout,
        )
        return windows.join(outputs)

    def _windows(self, query, key, mask, positions, key_positions):
        """Returns the `GridWindows` that hold all that is seen; `None` if all keys are needed."""
        if query.shape[2] != key.shape[2] or positions is not None or key_positions is not None:
            return None
        if not isinstance(mask, AttentionMask) or mask.query_segments is not None:
            return None
        return self._windows_of(query.shape[2], mask)

    def _windows_of(self, length, mask):
        cells = self.grid[0] * self.grid[1]
        if length != cells or any(
            n % own for n, own in zip(self.grid, self.query_shape, strict=True)
        ):
            return None
        windows = GridWindows(self.grid, self.query_shape, self.memory_flange, not mask.causal)
        return windows if windows.places().shape[1] < cells else None

    def _cells(self, positions):
        """Returns row and column of each position, in a new last axis.

        In decoding steps, places of the cache that are not seen may have any position.
        """
        order = self.generation_order()
        return ops.take(order, ops.clip(positions, 0, len(order) - 1), axis=0)

    def _check_length(self, name, x, positions):
        if positions is None and (x.shape[2] or 0) > self.grid[0] * self.grid[1]:
            raise ValueError(
                f"A sequence cannot be longer than the grid {self.grid} has cells. Received: "
                f"`{name}` with {x.shape[2]} positions"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "grid": list(self.grid),
            "query_shape": list(self.query_shape),
            "memory_flange": list(self.memory_flange),
        }


def _mask(windows, own, mask, batch_size):
    """Returns the booleans of an `AttentionMask`, block by block, `(B * N, cells, S)`."""
    places = windows.places()
    seen = places[:, None] >= 0
    if mask.causal:
        seen = seen & (places[:, None] <= own[:, :, None])
    if mask.padding is None:
        return ops.tile(seen, (batch_size, 1, 1))
    real = ops.take(mask.padding, np.maximum(places, 0), axis=1)
    seen = ops.logical_and(real[:, :, None], seen)
    return ops.reshape(seen, (-1, *ops.shape(seen)[2:]))


def _pair(name, numbers, minimum):
    """Returns two integers as a tuple; raises a ValueError for anything else."""
    pair = tuple(numbers) if isinstance(numbers, list | tuple) else ()
    if len(pair) != 2 or not all(isinstance(n, int) and n >= minimum for n in pair):
        raise ValueError(
            f"`{name}` must be two integers, for rows and columns, of at least {minimum} each. "
            f"Received: {name}={numbers}"
        )
    return pair
