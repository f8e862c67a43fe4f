"""Rows cut into blocks, each with a window of the row: the geometry of blocked attention."""

import dataclasses

from keras import ops

from keras_transformer.layers.masks import AttentionMask

OUTSIDE = -1  # index in the row, and position, of what fills up a row


@dataclasses.dataclass(frozen=True)
class RowWindows:
    """Cuts rows of any length into blocks of queries, each with a window of keys.

    The window of a block is the block itself and some blocks before and after it. Blocks become
    rows of the batch: what works on rows works on them, with B * N for B, `block_length` for T and
    the length of the window for S. The last block is filled up, and so are windows at the ends.

    Attributes:
        batch_size: Integer or scalar tensor, B.
        length: Integer or scalar tensor, T.
        block_length: Integer or scalar tensor.
        before: Integer. How many blocks of the window stand before the block.
        after: Integer. How many stand after it.

    Example:

    >>> windows = RowWindows(batch_size=1, length=5, block_length=2, before=1)
    >>> windows.blocks(keras.ops.array([[1, 2, 3, 4, 5]])).numpy().tolist()
    [[1, 2], [3, 4], [5, -1]]
    >>> windows.windows(keras.ops.array([[1, 2, 3, 4, 5]])).numpy().tolist()
    [[-1, -1, 1, 2], [1, 2, 3, 4], [3, 4, 5, -1]]
    """

    batch_size: object
    length: object
    block_length: object
    before: int = 0
    after: int = 0

    @property
    def count(self):
        """The number of blocks of a row, N."""
        return (self.length + self.block_length - 1) // self.block_length

    def rows(self):
        """Returns the index of every token in its row, `(1, T)`."""
        return ops.arange(self.length, dtype="int32")[None]

    def blocks(self, x):
        """Cuts integers of shape `(B or 1, T)`, or heads of shape `(B, H, T, K)`, into blocks."""
        return self._cut(x, 0, 0)

    def windows(self, x):
        """Cuts integers of shape `(B or 1, T)`, or heads of shape `(B, H, T, K)`, into windows."""
        return self._cut(x, self.before, self.after)

    def join(self, x):
        """Joins the blocks of heads, `(B * N, H, block_length, K)`, to rows, `(B, H, T, K)`."""
        _, H, _, K = ops.shape(x)
        shape = (self.batch_size, self.count * self.block_length, H, K)
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), shape)
        return ops.transpose(x[:, : self.length], (0, 2, 1, 3))

    def mask(self, mask):
        """Returns the booleans of an `AttentionMask` of self-attention, block by block.

        Their shape is `(B * N, block_length, window)`.
        """
        rows, key_rows = self.blocks(self.rows()), self.windows(self.rows())
        real = ops.not_equal(key_rows, OUTSIDE)
        if mask.padding is not None:
            padding = self.windows(ops.cast(mask.padding, "int32"))
            real = ops.logical_and(real, ops.equal(padding, 1))
        segments = key_segments = None
        if mask.query_segments is not None:
            segments, key_segments = (
                self.blocks(mask.query_segments),
                self.windows(mask.key_segments),
            )
        seen = AttentionMask(real, segments, key_segments).expand(self.block_length)
        if mask.causal:
            seen = ops.logical_and(seen, key_rows[:, None, :] <= rows[:, :, None])
        return seen

    def _cut(self, x, before, after):
        is_heads = len(x.shape) == 4
        x = ops.transpose(x, (0, 2, 1, 3)) if is_heads else x  # (B, T, ...)
        n, N, others = self.block_length, self.count, ops.shape(x)[2:]
        x = ops.reshape(x, (ops.shape(x)[0], self.length, *others))  # refuses any other length
        around = ((0, 0), (before * n, N * n - self.length + after * n), *((0, 0) for _ in others))
        x = ops.pad(x, around, constant_values=0 if others else OUTSIDE)
        shape = (ops.shape(x)[0], N, n, *others)
        parts = [ops.reshape(x[:, i * n : (i + N) * n], shape) for i in range(before + 1 + after)]
        x = ops.concatenate(parts, axis=2)
        x = ops.broadcast_to(x, (self.batch_size, *ops.shape(x)[1:]))
        x = ops.reshape(x, (self.batch_size * N, (before + 1 + after) * n, *others))
        return ops.transpose(x, (0, 2, 1, 3)) if is_heads else x
