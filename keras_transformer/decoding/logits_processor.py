"""Decoding constraints, applied to the logits of the next token."""

from typing import NamedTuple

from keras import ops

IMPOSSIBLE = float("-inf")


class LogitsRules(NamedTuple):
    """Constraints on the next token of a sentence.

    Attributes:
        eos_id: Integer. The end-of-sentence id.
        pad_id: Integer. The padding id, which is never allowed as a token.
        min_lengths: Integer tensor of shape `(B,)`: minimum number of tokens, EOS included. `None`
            means no minimum.
        prefix: Integer tensor of shape `(B, P)`: tokens that each sentence starts with, followed
            by `pad_id`. `None` means no prefix.
        no_repeat_ngram_size: Integer n. No n-gram of tokens may occur twice in a sentence, except
            for n-grams that the prefix repeats. 0 means no such rule.
    """

    eos_id: int
    pad_id: int = 0
    min_lengths: object = None
    prefix: object = None
    no_repeat_ngram_size: int = 0

    def has_prefix(self):
        """Returns whether a sentence may have a prefix."""
        return self.prefix is not None and self.prefix.shape[1] > 0

    def forbids_repetition(self, length):
        """Returns whether an n-gram can occur twice in `length` tokens, which is forbidden."""
        return 0 < self.no_repeat_ngram_size <= length


def mask_logits(logits, index, ids, rules):
    """Sets the logits of forbidden next tokens to -inf.

    Args:
        logits: Float32 tensor of shape `(B, W, V)`.
        index: Integer tensor, `(B,)` or scalar: the position of the next token.
        ids: Integer tensor of shape `(B, W, L)`: the preceding tokens.
        rules: `LogitsRules`.

    Returns:
        Tensor of shape `(B, W, V)`.

    Example: After the tokens 4 5 4, a second bigram 4 5 is forbidden. Padding (0) always is.

    >>> ids = keras.ops.array([[[4, 5, 4, 0]]])
    >>> rules = LogitsRules(eos_id=2, no_repeat_ngram_size=2)
    >>> mask_logits(keras.ops.ones((1, 1, 6)), 3, ids, rules).numpy().tolist()
    [[[-inf, 1.0, 1.0, 1.0, 1.0, -inf]]]
    """
    vocabulary = ops.arange(logits.shape[-1], dtype="int32")
    index = ops.broadcast_to(index, logits.shape[:1])
    unmasked = logits
    logits = mask_padding_and_eos(logits, vocabulary[None, None], index, rules)
    if rules.forbids_repetition(ids.shape[-1]):
        logits = _mask_repeated_ngrams(logits, index, ids, rules)
    if rules.has_prefix():
        token = _prefix_token(rules, index)[:, None, None]
        # The prefix overrides all other rules.
        forced = ops.where(ops.equal(token, vocabulary), unmasked, IMPOSSIBLE)
        logits = ops.where(ops.equal(token, rules.pad_id), logits, forced)
    return logits


def mask_padding_and_eos(logits, tokens, index, rules):
    """Sets the logits of padding to -inf, and those of EOS in sentences that are too short.

    Args:
        logits: Float32 tensor of shape `(B, W, M)`.
        tokens: Integer tensor that broadcasts to `(B, W, M)`: the tokens of the logits.
        index: Integer tensor of shape `(B,)`: as in `mask_logits`.
        rules: `LogitsRules`, of which prefix and repetition are ignored.

    Returns:
        Tensor of shape `(B, W, M)`.
    """
    forbidden = ops.equal(tokens, rules.pad_id)
    if rules.min_lengths is not None:
        too_short = index + 1 < ops.cast(rules.min_lengths, "int32")
        is_eos = ops.equal(tokens, rules.eos_id)
        forbidden = ops.logical_or(forbidden, ops.logical_and(too_short[:, None, None], is_eos))
    return ops.where(forbidden, IMPOSSIBLE, logits)


def _prefix_token(rules, index):
    """Returns the token of the prefix at position `index`, `(B,)`; `pad_id` after the prefix."""
    P = rules.prefix.shape[1]
    tokens = ops.take_along_axis(rules.prefix, ops.minimum(index, P - 1)[:, None], axis=1)[:, 0]
    return ops.where(index < P, ops.cast(tokens, "int32"), rules.pad_id)


def _mask_repeated_ngrams(logits, index, ids, rules):
    """Masks every token that would complete an n-gram which the sentence already contains."""
    B, W, L = ids.shape
    V, n = logits.shape[-1], rules.no_repeat_ngram_size
    index = index[:, None, None]
    positions = ops.arange(L, dtype="int32")
    # Whether the n - 1 tokens before each position equal the last n - 1 tokens.
    matches = ops.logical_and(positions >= n - 1, positions < index)  # (B, 1, L)
    for offset in range(1, n):
        preceding = ops.concatenate([ids[..., :offset], ids[..., : L - offset]], axis=-1)
        recent = ops.take_along_axis(ids, ops.maximum(index - offset, 0), axis=-1)  # (B, W, 1)
        matches = ops.logical_and(matches, ops.equal(preceding, recent))
    tokens = ops.where(matches, ids, V)  # where nothing matches, an extra column V is updated
    rows = ops.repeat(ops.arange(B * W, dtype="int32"), L)
    indices = ops.stack([rows, ops.reshape(tokens, (-1,))], axis=-1)
    updates = ops.full((B * W * L,), IMPOSSIBLE, dtype="float32")
    extended = ops.pad(ops.reshape(logits, (B * W, V)), [[0, 0], [0, 1]])
    return ops.reshape(ops.scatter_update(extended, indices, updates)[:, :V], (B, W, V))
