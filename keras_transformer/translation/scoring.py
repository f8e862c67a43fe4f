"""Scores and attention of given translations, by teacher forcing."""

from keras import ops

from keras_transformer.decoding.latent_search import has_latents
from keras_transformer.forking import refused_after_fork
from keras_transformer.models.token_model import stack_scores


def shift_right(target, bos_id, pad_id):
    """Returns the decoder input for `target`, shape `(B, T)`: BOS, then all but EOS, padded."""
    bos = ops.full((target.shape[0], 1), bos_id, dtype=target.dtype)
    before = ops.where(ops.equal(target[:, 1:], pad_id), pad_id, target[:, :-1])
    return ops.concatenate([bos, before], axis=1)


@refused_after_fork
def score_targets(model, source, target, *, bos_id):
    """Returns the log-probabilities of the tokens of given targets.

    Those of a `LatentTransformer` are those of the words, given the latents of the target itself,
    and those of these latents at the first word of each. Their sum is a lower bound: other latents
    may stand for the same words.

    Args:
        model: A `Transformer`.
        source: Integer tensor of shape `(B, S)`, rows ending with EOS, then padding.
        target: Integer tensor of shape `(B, T)`, rows ending with EOS, then padding.
        bos_id: Integer. First token of the decoder input; not part of `target`.

    Returns:
        Float32 tensor of shape `(B, T)`; 0 at padding.
    """
    inputs = {"source": source, "target": shift_right(target, bos_id, model.pad_id)}
    log_probs = _chosen_log_probs(model(inputs, training=False), target, model.pad_id)
    return log_probs + model.latent_log_probs(inputs) if has_latents(model) else log_probs


@refused_after_fork
def score_labels(model, target, labels):
    """Returns the log-probabilities of labels, given the inputs of a language model.

    Args:
        model: A `LanguageModel`.
        target: Integer tensor of shape `(B, T)`, rows starting with BOS, then padding.
        labels: Integer tensor of shape `(B, T)`: the token after each of `target`, then padding.

    Returns:
        Float32 tensor of shape `(B, T)`; 0 at padding.
    """
    return _chosen_log_probs(model({"target": target}, training=False), labels, model.pad_id)


def _chosen_log_probs(logits, labels, pad_id):
    log_probs = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    chosen = ops.take_along_axis(log_probs, labels[..., None], axis=-1)[..., 0]
    return ops.where(ops.equal(labels, pad_id), 0.0, chosen)


@refused_after_fork
def target_attention(model, source, target, *, bos_id):
    """Returns the cross-attention scores of given targets.

    Row t of the scores is the attention to the source at the position that predicts token t.

    Args:
        model: A `Transformer`.
        source: As in `score_targets`.
        target: As in `score_targets`.
        bos_id: As in `score_targets`.

    Returns:
        Float32 tensor of shape `(B, layers, H, T, S)`, of the blocks with cross-attention.

    Raises:
        ValueError: If no block of the decoder has such scores.
    """
    inputs = {"source": source, "target": shift_right(target, bos_id, model.pad_id)}
    _, scores = model(inputs, training=False, return_attention_scores=True)
    return stack_scores({"cross": scores["cross"]})["cross"]


@refused_after_fork
def all_attention(model, source, target, *, bos_id, with_positions=False):
    """Returns the attention scores of all blocks for given targets.

    Row t of those of the decoder belongs to the position that predicts token t.

    Args:
        model: A `Transformer`.
        source: As in `score_targets`.
        target: As in `score_targets`.
        bos_id: As in `score_targets`.
        with_positions: Whether the model gets the positions of the tokens, with which all of its
            layers have a key per token.

    Returns:
        Three float32 tensors: of the encoder, `(B, layers, H, S, S)`, of the decoder,
        `(B, layers, H, T, T)`, and of the cross-attention, `(B, layers, H, T, S)`.

    Raises:
        ValueError: As `EncoderDecoder.attention`.
    """
    inputs = {"source": source, "target": shift_right(target, bos_id, model.pad_id)}
    if with_positions:
        for name, ids in list(inputs.items()):
            inputs[f"{name}_positions"] = ops.arange(ids.shape[1], dtype="int32")[None]
    _, scores = model(inputs, training=False, return_attention_scores=True)
    stacked = stack_scores(scores)
    return tuple(stacked[name] for name in ("encoder", "decoder", "cross"))
