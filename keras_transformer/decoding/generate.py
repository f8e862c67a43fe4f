"""From a model and source ids to target ids."""

import keras
from keras import ops

from keras_transformer.decoding.beam_search import BeamSearch, SearchLimits, beam_search
from keras_transformer.decoding.continuous_batching import continuous_beam_search


def generate(model, source, max_lengths, *, length, beam_size=4, search=beam_search, **options):
    """Translates a batch of ids: encodes once, then searches with the cache.

    Args:
        model: A `Transformer`.
        source: Integer tensor of shape `(B, S)`, rows ending with EOS.
        max_lengths: Integer tensor of shape `(B,)`: most tokens of each result, EOS included.
        length: Integer, L. Room for so many tokens.
        beam_size: Integer. How many beginnings of each sentence are kept.
        search: `beam_search`, or `sample`.
        **options: The search's other options, `bos_id` and `eos_id` among them.

    Returns:
        `Hypotheses`.

    Raises:
        ValueError: `beam_size` is less than 1, or the search refuses its options.
    """
    if beam_size < 1:  # before a cache for so many
        raise ValueError(f"`beam_size` must be at least 1. Received: {beam_size}")
    encoder_output, memory_mask = model.encode(source)
    memory = model.decoder.project_memory(encoder_output)
    output_weights = model.target_embedding.output_weights()

    def step(tokens, index, ancestry, cache):
        logits, _, cache = model.decode_step(
            tokens,
            index,
            ancestry,
            cache,
            memory,
            memory_mask,
            output_weights=output_weights,
        )
        return logits, cache

    cache = model.decoder.init_cache(source.shape[0], length * beam_size)
    options = {"pad_id": model.pad_id, **options}
    return search(step, cache, max_lengths, length=length, beam_size=beam_size, **options)


def generate_all(
    model, source, max_lengths, min_lengths=None, prefix=None, *, length, slots, **options
):
    """Translates many sentences, a few at a time: `generate` without waiting for the longest.

    Args:
        model: A `Transformer`.
        source: Integer tensor of shape `(N, S)`, rows ending with EOS.
        max_lengths: Integer tensor of shape `(N,)`: most tokens of each result, EOS included.
        min_lengths: Integer tensor of shape `(N,)`, or `None`.
        prefix: Integer tensor of shape `(N, P)`, or `None`.
        length: Integer, L. Room for so many tokens. A sentence that needs more is given up.
        slots: Integer. How many sentences are at work at a time.
        **options: The other options of `beam_search`, `bos_id` and `eos_id` among them.

    Returns:
        `Hypotheses`, and which sentences had room enough, `(N,)`.

    Raises:
        ValueError: The search refuses its options.
    """
    search = BeamSearch(length, pad_id=model.pad_id, **options)
    encoder_output, memory_mask = model.encode(source)
    everything = model.decoder.project_memory(encoder_output), memory_mask
    output_weights = model.target_embedding.output_weights()

    def load(numbers, state):
        cache, _ = state
        rows = ops.minimum(numbers, source.shape[0] - 1)
        return cache, keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), everything)

    def step(tokens, positions, place, ancestry, state):
        cache, (memory, mask) = state
        logits, _, cache = model.decode_step(
            tokens, place, ancestry, cache, memory, mask, positions, output_weights
        )
        return logits, (cache, (memory, mask))

    cache = model.decoder.init_cache(slots, length * search.beam_size)
    state = load(ops.zeros((slots,), "int32"), (cache, None))
    limits = SearchLimits(ops.cast(max_lengths, "int32"), min_lengths, prefix)
    return continuous_beam_search(search, step, load, state, limits, slots)
