"""Attention masks: pure functions that return boolean tensors, `True` = may be attended to.

Shape letters: B batch, S source length, T target length.
"""

import dataclasses
import functools

import keras
from keras import ops


def padding_mask(ids, pad_id=0):
    """Returns the padding mask of token ids: `True` at real tokens, `False` at padding.

    Args:
        ids: Integer tensor of shape `(B, S)`.
        pad_id: Integer. The padding id.

    Returns:
        Boolean tensor of shape `(B, S)`.

    Example:

    >>> padding_mask(keras.ops.array([[7, 5, 0]])).numpy().tolist()
    [[True, True, False]]
    """
    return ops.not_equal(ids, pad_id)


def causal_mask(length):
    """Returns the causal mask: every position attends to itself and to the positions before it.

    Args:
        length: Integer or scalar tensor. Sequence length T.

    Returns:
        Boolean tensor of shape `(1, T, T)`: row `i` is the mask of query position `i`.

    Example:

    >>> causal_mask(3).numpy().astype(int).tolist()
    [[[1, 0, 0], [1, 1, 0], [1, 1, 1]]]
    """
    positions = ops.arange(length, dtype="int32")
    return ops.greater_equal(positions[:, None], positions[None, :])[None]


def segment_mask(query_segments, value_segments):
    """Returns the mask of packed rows: every position attends to its own segment only.

    Args:
        query_segments: Integer tensor of shape `(B, T)`. Segment number of each query position;
            the sentences packed into a row have different numbers.
        value_segments: Integer tensor of shape `(B, S)`. Segment number of each position that may
            be attended to.

    Returns:
        Boolean tensor of shape `(B, T, S)`.

    Example:

    >>> segment_mask(keras.ops.array([[1, 2]]), keras.ops.array([[1, 1, 2]])).numpy().tolist()
    [[[True, True, False], [False, False, True]]]
    """
    return ops.equal(query_segments[:, :, None], value_segments[:, None, :])


@dataclasses.dataclass(frozen=True)
class AttentionMask:
    """An attention mask by its parts, which take far less memory than `(B, T, S)` booleans.

    Models pass it down their stacks, and each layer expands it, or uses the parts: a blocked
    attention expands it block by block, and a convolution needs only the padding.

    Attributes:
        padding: Boolean tensor of shape `(B, S)`: `True` at real tokens. `None` means no padding.
        query_segments: Integer tensor of shape `(B, T)`: segment of each query position of packed
            rows; a position attends to its own segment only. `None` means rows are not packed.
        key_segments: The same for the positions that may be attended to, `(B, S)`.
        causal: Boolean. Whether a position attends only to itself and to the positions before it.
        query_padding: Boolean tensor of shape `(B, T)`: `True` at real query positions. It hides
            nothing; layers that count tokens need it where `padding` is not that of the queries.

    Example:

    >>> mask = AttentionMask(padding=keras.ops.array([[True, True, False]]), causal=True)
    >>> mask.expand(3).numpy().astype(int).tolist()
    [[[1, 0, 0], [1, 1, 0], [1, 1, 0]]]
    """

    padding: object = None
    query_segments: object = None
    key_segments: object = None
    causal: bool = False
    query_padding: object = None

    def expand(self, query_length):
        """Returns the mask as booleans of shape `(B or 1, T or 1, S)`; `None` if it hides nothing.

        Args:
            query_length: Integer or scalar tensor. Length T.
        """
        masks = []
        if self.query_segments is not None:
            masks.append(segment_mask(self.query_segments, self.key_segments))
        if self.padding is not None:
            masks.append(self.padding[:, None, :])
        if self.causal:
            masks.append(causal_mask(query_length))
        return functools.reduce(ops.logical_and, masks) if masks else None


def expand_mask(mask, query_length):
    """Returns a mask as booleans of shape `(B or 1, T or 1, S)`, whatever form it has.

    Args:
        mask: `AttentionMask`, padding mask of shape `(B, S)`, boolean tensor of shape
            `(B or 1, T or 1, S)`, or `None`.
        query_length: Integer or scalar tensor. Length T.

    Returns:
        Boolean tensor, or `None` if nothing is hidden.

    Example:

    >>> tuple(expand_mask(keras.ops.ones((2, 3), "bool"), 5).shape)
    (2, 1, 3)
    """
    if isinstance(mask, AttentionMask):
        return mask.expand(query_length)
    return mask[:, None, :] if mask is not None and len(mask.shape) == 2 else mask


def real_tokens(mask):
    """Returns which positions are real tokens and not padding, as far as a self-attention's mask
    knows it.

    Args:
        mask: `AttentionMask`, boolean tensor, or `None`.

    Returns:
        Boolean tensor of shape `(B, T)`; `None` if the mask tells of no padding.

    Example:

    >>> real_tokens(AttentionMask(query_padding=keras.ops.array([[1, 1, 0]], "bool"))).shape[1]
    3
    """
    if not isinstance(mask, AttentionMask):
        return mask if mask is not None and len(mask.shape) == 2 else None
    if mask.query_padding is not None:
        return mask.query_padding
    if mask.query_segments is not None:
        return ops.greater(mask.query_segments, 0)
    return mask.padding


def check_attention_mask(mask):
    """Raises a ValueError if a mask is no `AttentionMask` and not booleans of three axes."""
    if mask is None or isinstance(mask, AttentionMask):
        return
    if len(mask.shape) != 3:
        raise ValueError(
            "`attention_mask` must have three axes, (B or 1, T or 1, S). Expand a padding "
            "mask of shape (B, S) by `mask[:, None, :]`. Received: shape "
            f"{tuple(mask.shape)}"
        )
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "`attention_mask` must be boolean, True = may be attended to. Convert an "
            "additive mask (0 = may be attended to) by `mask == 0`. Received: dtype "
            f"{dtype}"
        )


def key_positions(mask):
    """Returns the position of each key in its sentence, as far as a mask knows it.

    Args:
        mask: `AttentionMask`, boolean tensor, or `None`. The tokens of a segment are next to each
            other.

    Returns:
        Integer tensor of shape `(B, S)`; `None` without segments, which means 0 to S - 1.

    Example:

    >>> segments = keras.ops.array([[1, 1, 2, 2, 2, 0]])
    >>> key_positions(AttentionMask(None, segments, segments)).numpy().tolist()
    [[0, 1, 0, 1, 2, 0]]
    """
    if not isinstance(mask, AttentionMask) or mask.key_segments is None:
        return None
    in_segment = ops.cast(segment_mask(mask.key_segments, mask.key_segments), "int32")
    starts = ops.cast(ops.argmax(in_segment, axis=-1), "int32")
    return ops.arange(ops.shape(starts)[1], dtype="int32") - starts


def prompt_padding(mask, inputs):
    """Returns the padding mask of prompts, for `prefill`.

    Args:
        mask: `AttentionMask` with no other parts than `padding` and `causal`, boolean tensor of
            shape `(B, P)`, or `None`, which means no padding. Padding follows the real tokens.
        inputs: The prompts, `(B, P, d_model)`.

    Returns:
        Boolean tensor of shape `(B, P)`.

    Raises:
        ValueError: The mask has another form.

    Example:

    >>> prompt_padding(None, keras.ops.ones((1, 2, 3))).numpy().tolist()
    [[True, True]]
    """
    parts = mask if isinstance(mask, AttentionMask) else AttentionMask(mask)
    if parts.query_segments is not None or len(getattr(parts.padding, "shape", (0, 0))) != 2:
        raise ValueError(
            "A prompt is read with a padding mask, a boolean tensor of shape (B, P), `True` at "
            f"real tokens; each row holds one prompt. Received: {mask}"
        )
    return ops.ones(ops.shape(inputs)[:2], "bool") if parts.padding is None else parts.padding


def prompt_ends(inputs, padding, count):
    """Returns the last inputs of prompts, with which windows over inputs begin after them.

    Args:
        inputs: The prompts, `(B, P, d_model)`.
        padding: Their padding mask, boolean `(B, P)`; see `prompt_padding`.
        count: Integer. How many inputs.

    Returns:
        Tensor of shape `(B, count, d_model)`, zeros where a prompt has fewer.

    Example:

    >>> padding = keras.ops.array([[True, True, False]])
    >>> prompt_ends(keras.ops.array([[[5.0], [7.0], [9.0]]]), padding, 3).numpy().tolist()
    [[[0.0], [5.0], [7.0]]]
    """
    padded = ops.pad(inputs, ((0, 0), (count, 0), (0, 0)))
    lengths = ops.sum(ops.cast(padding, "int32"), axis=-1)
    places = lengths[:, None] + ops.arange(count, dtype="int32")
    return ops.take_along_axis(padded, places[:, :, None], axis=1)


def require_parts(mask, positions, layer):
    """Returns a mask as an `AttentionMask`, for layers that use its parts and never expand it.

    Args:
        mask: `AttentionMask`, padding mask of shape `(B, S)`, or `None`.
        positions: The positions that the layer is called with. It must find the sentences of
            packed rows by them.
        layer: The layer, for the error message.

    Returns:
        `AttentionMask`.

    Raises:
        ValueError: The mask has a row per query position, of which such a layer cannot tell
            whether it observes it; or rows are packed and there are no positions.

    Example:

    >>> require_parts(None, None, None) == AttentionMask()
    True
    """
    if mask is None:
        return AttentionMask()
    if not isinstance(mask, AttentionMask):
        if len(mask.shape) != 2:
            raise ValueError(
                f"A {type(layer).__name__} cannot observe an `attention_mask` with a row per "
                "position. Pass `AttentionMask(padding, query_segments, key_segments, causal)`, "
                "whose parts it knows, or the padding mask, (B, T). Received: shape "
                f"{tuple(mask.shape)}"
            )
        return AttentionMask(mask)
    if mask.query_segments is not None and positions is None:
        raise ValueError(
            f"A {type(layer).__name__} finds the sentences of packed rows by their positions: "
            "pass `positions`, which restart at 0 in each sentence (a model takes them as "
            '"source_positions" and "target_positions"). Received: segments, and positions=None'
        )
    return mask
