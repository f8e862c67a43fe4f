"""Local attention: every position sees its own block and the blocks just before it."""

import keras
from keras import ops

from keras_transformer.layers.attention import DotProductAttention
from keras_transformer.layers.masks import AttentionMask
from keras_transformer.layers.row_windows import RowWindows


@keras.saving.register_keras_serializable(package="keras_transformer")
class LocalAttention(DotProductAttention):
    """Attention of each position to its own block and to `look_back` blocks before it.

    Sentences are cut into blocks of `block_length` positions. With `look_back=0` blocks know
    nothing of each other, as in [Liu et al., 2018](https://arxiv.org/abs/1801.10198); with
    `look_back=1` a position sees at least `block_length` others before it, as in
    [Parmar et al., 2018](https://arxiv.org/abs/1802.05751). In its own block a position sees the
    later ones too, unless the mask is causal.

    Time and memory of self-attention grow linearly with the length: each block of queries meets
    only the keys of its window, and the cache of decoding steps keeps few more. With a mask that is
    a tensor, in attention to another sequence, and if scores are asked for, all keys are met and
    most are hidden. In packed
    rows the blocks of a sentence start where the sentence starts; the computation needs the
    segments of an `AttentionMask` and the positions.

    Args:
        block_length: Integer. Number of positions of a block.
        look_back: Integer. How many blocks are seen before a position's own.

    Call arguments:
        query, key, value, attention_mask, positions, key_positions, dropout,
            return_attention_scores: As in `DotProductAttention`. Queries and keys are of the same
            row if neither `positions` nor `key_positions` are given, or both are the same tensor
            and the mask has segments.

    Returns:
        As `DotProductAttention`.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    >>> x = keras.ops.zeros((1, 1, 5, 3))
    >>> mask = AttentionMask(causal=True)
    >>> layer = LocalAttention(block_length=2, look_back=0)
    >>> _, scores = layer(x, x, x, attention_mask=mask, return_attention_scores=True)
    >>> scores[0, 0].numpy().tolist()[3]
    [0.0, 0.0, 0.5, 0.5, 0.0]
    """

    def __init__(self, block_length, look_back=1, **kwargs):
        super().__init__(**kwargs)
        if block_length < 1 or look_back < 0:
            raise ValueError(
                "`block_length` must be at least 1 and `look_back` at least 0. Received: "
                f"block_length={block_length}, look_back={look_back}"
            )
        self.block_length = block_length
        self.look_back = look_back

    def sees(self, positions, key_positions):
        blocks_back = positions // self.block_length - key_positions // self.block_length
        return ops.logical_and(blocks_back >= 0, blocks_back <= self.look_back)

    def look_behind(self):
        return (self.look_back + 1) * self.block_length

    def keys_compared(self, length):
        return min(length, self.look_behind())

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
        mask = AttentionMask() if attention_mask is None else attention_mask
        windows = self._windows(query, key, mask, positions, key_positions)
        if windows is None or return_attention_scores:
            return super().call(
                query,
                key,
                value,
                attention_mask,
                positions,
                key_positions,
                dropout=dropout,
                return_attention_scores=return_attention_scores,
            )
        positions = windows.rows() if positions is None else positions
        outputs = super().call(
            windows.blocks(query),
            windows.windows(key),
            windows.windows(value),
            windows.mask(mask),
            windows.blocks(positions),
            windows.windows(positions),
            dropout=dropout,
        )
        return windows.join(outputs)

    def _windows(self, query, key, mask, positions, key_positions):
        """Returns the `RowWindows` that hold all that is seen; `None` if all keys are needed."""
        if not isinstance(mask, AttentionMask) or query.shape[2] != key.shape[2]:
            return None
        if positions is not key_positions or mask.query_segments is not mask.key_segments:
            return None
        before, after = self.look_back, 0
        if positions is not None:  # sentences, and their blocks, start amid a block of the row
            if mask.query_segments is None:
                return None
            before, after = before + 1, 0 if mask.causal else 1
        B, _, T, _ = ops.shape(query)
        if isinstance(T, int) and (before + 1 + after) * self.block_length >= T:
            return None
        # A row of unknown length may be shorter than a block, and is not to be filled up to one.
        length = self.block_length if isinstance(T, int) else ops.minimum(self.block_length, T)
        return RowWindows(B, T, length, before, after)

    def get_config(self):
        return {
            **super().get_config(),
            "block_length": self.block_length,
            "look_back": self.look_back,
        }
