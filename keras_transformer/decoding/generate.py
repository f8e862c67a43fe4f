"""From a model and source ids to target ids."""

from keras_transformer.decoding.greedy_search import greedy_search


def generate(model, source, max_lengths, *, length, bos_id, eos_id):
    """Translates a batch of ids: encodes once, then searches with the cache.

    Args:
        model: A `Transformer`.
        source: Integer tensor of shape `(B, S)`, rows ending with EOS.
        max_lengths: Integer tensor of shape `(B,)`: most tokens of each result, EOS included.
        length: Integer, L. Room for so many tokens.
        bos_id: Integer. The target's first token.
        eos_id: Integer. The target's last token.

    Returns:
        Ids `(B, L)`, log-probabilities `(B,)`, and whether each row ended with EOS `(B,)`.
    """
    encoder_output, encoder_mask = model.encode(source)
    projected = model.decoder.project_source(encoder_output)

    def step(tokens, index, cache):
        logits, _, cache = model.decode_step(tokens, index, cache, projected, encoder_mask)
        return logits, cache

    cache = model.decoder.empty_cache(source.shape[0], length)
    return greedy_search(step, cache, max_lengths, length, bos_id, eos_id, model.pad_id)
