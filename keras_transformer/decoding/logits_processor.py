"""What sentences have to obey while they are written, whoever chooses their tokens."""

from typing import NamedTuple

from keras import ops

IMPOSSIBLE = float("-inf")


class LogitsRules(NamedTuple):
    """Which tokens may not come next.

    Attributes:
        eos_id: Integer. Ends a sentence.
        pad_id: Integer. Fills up and is no token: never allowed.
        min_lengths: Integer tensor `(B,)`: the fewest tokens, EOS included; `None` for no rule.
        prefix: Integer tensor `(B, P)`: the tokens to start with, then `pad_id`; or `None`.
        no_repeat_ngram_size: Integer, n: no n tokens in a row occur twice; 0 for no rule. What
            the prefix repeats is allowed.
    """

    eos_id: int
    pad_id: int = 0
    min_lengths: object = None
    prefix: object = None
    no_repeat_ngram_size: int = 0


def mask_logits(logits, index, ids, rules):
    """Sets the logits of tokens that may not come next to -inf.

    Args:
        logits: Tensor of shape `(B, W, V)`, float32.
        index: Integer tensor, `(B,)` or scalar: the position that is written.
        ids: Integer tensor of shape `(B, W, L)`: what was written before.
        rules: `LogitsRules`.

    Returns:
        Tensor of shape `(B, W, V)`.

    Example: the three tokens 4 5 4 are written; if no pair may come twice, 5 may not follow.

    >>> ids = keras.ops.array([[[4, 5, 4, 0]]])
    >>> rules = LogitsRules(eos_id=2, no_repeat_ngram_size=2)
    >>> mask_logits(keras.ops.ones((1, 1, 6)), 3, ids, rules).numpy().tolist()
    [[[-inf, 1.0, 1.0, 1.0, 1.0, -inf]]]
    """
    vocabulary = ops.arange(logits.shape[-1], dtype="int32")
    index = ops.broadcast_to(index, logits.shape[:1])
    forbidden = ops.equal(vocabulary, rules.pad_id)[None, None]
    if rules.min_lengths is not None:
        early = index + 1 < ops.cast(rules.min_lengths, "int32")
        ends = ops.equal(vocabulary, rules.eos_id)
        forbidden = ops.logical_or(forbidden, ops.logical_and(early[:, None, None], ends))
    free, logits = logits, ops.where(forbidden, IMPOSSIBLE, logits)
    if 0 < rules.no_repeat_ngram_size <= ids.shape[-1]:
        logits = _forbid_repeats(logits, index, ids, rules)
    if rules.prefix is not None and rules.prefix.shape[1]:
        due = _due(rules, index)[:, None, None]
        only = ops.where(ops.equal(due, vocabulary), free, IMPOSSIBLE)  # whatever else forbids it
        logits = ops.where(ops.equal(due, rules.pad_id), logits, only)
    return logits


def _due(rules, index):
    """The prefix' token at a position, `(B,)`; padding where the prefix is over."""
    P = rules.prefix.shape[1]
    tokens = ops.take_along_axis(rules.prefix, ops.minimum(index, P - 1)[:, None], axis=1)[:, 0]
    return ops.where(index < P, ops.cast(tokens, "int32"), rules.pad_id)


def _forbid_repeats(logits, index, ids, rules):
    """Forbids every token that came after the last n - 1 tokens where these stood before."""
    B, W, L = ids.shape
    V, n = logits.shape[-1], rules.no_repeat_ngram_size
    index = index[:, None, None]
    places = ops.arange(L, dtype="int32")
    matches = ops.logical_and(places >= n - 1, places < index)  # (B, 1, L)
    for back in range(1, n):
        before = ops.concatenate([ids[..., :back], ids[..., : L - back]], axis=-1)
        recent = ops.take_along_axis(ids, ops.maximum(index - back, 0), axis=-1)  # (B, W, 1)
        matches = ops.logical_and(matches, ops.equal(before, recent))
    tokens = ops.where(matches, ids, V)  # one more column, for nothing
    rows = ops.repeat(ops.arange(B * W, dtype="int32"), L)
    places = ops.stack([rows, ops.reshape(tokens, (-1,))], axis=-1)
    updates = ops.full((B * W * L,), IMPOSSIBLE, dtype="float32")
    wider = ops.pad(ops.reshape(logits, (B * W, V)), [[0, 0], [0, 1]])
    return ops.reshape(ops.scatter_update(wider, places, updates)[:, :V], (B, W, V))
