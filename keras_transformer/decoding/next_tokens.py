"""The most probable next tokens of every beam."""

from keras import ops

from keras_transformer.decoding.logits_processor import mask_logits, mask_padding_and_eos
from keras_transformer.decoding.top_k import top_k_two_stage


def most_probable_tokens(logits, index, ids, rules, count):
    """Returns the most probable next tokens that are allowed, and their log-probabilities.

    The probabilities are those of the model, the softmax over all tokens, forbidden ones included.

    As a rule, only padding and EOS can be forbidden, so the `count` best allowed tokens are among
    the `count + 2` best of all, and the largest logit, which the softmax needs, is among them too.
    The logits, the largest tensor of a search, are then read only twice: for the maxima of columns
    (see `top_k_two_stage`) and for the sum of the softmax.

    Args:
        logits: Float32 tensor of shape `(B, W, V)`.
        index: Integer tensor of shape `(B,)`: the position of the next token.
        ids: Integer tensor of shape `(B, W, L)`: the preceding tokens.
        rules: `LogitsRules`.
        count: Integer, at most V.

    Returns:
        A tuple of the log-probabilities, in descending order, -inf for forbidden tokens, and the
        tokens, both of shape `(B, W, count)`.

    Example: Padding (0) would be the most probable one.

    >>> from keras_transformer.decoding.logits_processor import LogitsRules
    >>> logits = keras.ops.log([[[0.4, 0.1, 0.2, 0.3]]])
    >>> rules, ids = LogitsRules(eos_id=2), keras.ops.zeros((1, 1, 5), "int32")
    >>> log_probs, tokens = most_probable_tokens(logits, keras.ops.array([0]), ids, rules, 2)
    >>> [round(float(p), 2) for p in keras.ops.exp(log_probs[0, 0])], tokens[0, 0].numpy().tolist()
    ([0.3, 0.2], [3, 2])
    """
    if rules.has_prefix() or rules.forbids_repetition(ids.shape[-1]):
        best, tokens = top_k_two_stage(mask_logits(logits, index, ids, rules), count)
        largest = ops.max(logits, axis=-1, keepdims=True)
        return best - largest - _log_total(logits, largest), tokens
    best, tokens = top_k_two_stage(logits, min(count + 2, logits.shape[-1]))
    # Not `best[..., :1]`: of a slice of its result, XLA's TopK on CPUs sorts everything.
    largest = ops.max(best, axis=-1, keepdims=True)
    log_probs = best - largest - _log_total(logits, largest)
    log_probs, order = ops.top_k(mask_padding_and_eos(log_probs, tokens, index, rules), count)
    return log_probs, ops.take_along_axis(tokens, order, axis=-1)


def _log_total(logits, largest):
    """Returns the logarithm of the sum of `exp(logits - largest)`, `(B, W, 1)`."""
    return ops.log(ops.sum(ops.exp(logits - largest), axis=-1, keepdims=True))
