"""What a model makes of translations that are given to it."""

from keras import ops


def shift_right(target, bos_id):
    """What a decoder reads to write `target`, `(B, T)`: BOS, then all but the last."""
    bos = ops.full((target.shape[0], 1), bos_id, dtype=target.dtype)
    return ops.concatenate([bos, target[:, :-1]], axis=1)


def score_targets(model, source, target, *, bos_id):
    """Log-probabilities of the tokens of given targets.

    Args:
        model: A `Transformer`.
        source: Integer tensor of shape `(B, S)`, rows ending with EOS.
        target: Integer tensor of shape `(B, T)`, rows ending with EOS.
        bos_id: Integer. What the decoder reads first; no part of `target`.

    Returns:
        Tensor of shape `(B, T)`, float32; 0 at padding.
    """
    logits = model({"source": source, "target": shift_right(target, bos_id)}, training=False)
    log_probs = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    chosen = ops.take_along_axis(log_probs, target[..., None], axis=-1)[..., 0]
    return ops.where(ops.equal(target, model.pad_id), 0.0, chosen)


def target_attention(model, source, target, *, bos_id):
    """How much each token of given targets attends to each of the source's as it is written.

    Args:
        As in `score_targets`.

    Returns:
        Tensor of shape `(B, layers, H, T, S)`, float32.
    """
    inputs = {"source": source, "target": shift_right(target, bos_id)}
    _, scores = model(inputs, training=False, return_attention_scores=True)
    return ops.stack(scores["cross"], axis=1)
