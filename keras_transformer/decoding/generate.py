"""Generation of target ids from source ids, by a model and a search."""

import keras
from keras import ops

from keras_transformer.decoding.beam_search import BeamSearch, SearchLimits, beam_search
from keras_transformer.decoding.continuous_batching import continuous_beam_search
from keras_transformer.decoding.latent_search import generate_from_latents, has_latents
from keras_transformer.decoding.model_step import model_step
from keras_transformer.decoding.shortlist import ShortlistedModel, to_ids, to_indices
from keras_transformer.forking import refused_after_fork
from keras_transformer.layers import DecodingStep


@refused_after_fork
def generate(model, source, max_lengths, *, length, beam_size=4, search=beam_search, **options):
    """Generates target sentences for a batch of source ids.

    The source is encoded and projected to the keys and values of the cross-attention once. Each
    step of the search then computes a single target position, with a KV cache.

    A `LanguageModel` continues prompts: `source` holds them, starting with BOS, and the results are
    what follows. A prompt is read in one pass; the first step begins with its last token.

    Args:
        model: An `EncoderDecoder`, such as a `Transformer`, or a `LanguageModel`.
        source: Integer tensor of shape `(B, S)`, rows ending with EOS, then padding.
        max_lengths: Integer tensor of shape `(B,)`: maximum number of target tokens, EOS included.
        length: Integer L. Static length of the results, at least the largest of `max_lengths`.
        beam_size: Integer W. Number of live beams, or of samples, per sentence.
        search: `beam_search` or `sample`, or a function with the same arguments.
        **options: Other options of the search, `bos_id` and `eos_id` among them.

    Returns:
        `Hypotheses`.

    Raises:
        ValueError: If `beam_size` is less than 1, or another option is invalid.
    """
    if beam_size < 1:  # checked here, since the cache is allocated before the search
        raise ValueError(f"`beam_size` must be at least 1. Received: {beam_size}")
    if has_latents(model):
        options |= {"search": search, "beam_size": beam_size}
        return generate_from_latents(model, source, max_lengths, length, **options)
    memory = model.encode(source)
    step = model_step(model, memory, model.target_embedding.output_weights())
    cache = model.init_cache(source.shape[0], beam_size, length)
    options = {"pad_id": model.pad_id, **options}
    return search(step, cache, max_lengths, length=length, beam_size=beam_size, **options)


@refused_after_fork
def generate_all(
    model,
    source,
    max_lengths,
    min_lengths=None,
    prefix=None,
    *,
    length,
    slots,
    bos_id,
    eos_id,
    shortlist=None,
    **options,
):
    """Generates target sentences by beam search with continuous batching.

    Unlike `generate`, the sentences do not wait for the one that takes the most steps; see
    `continuous_beam_search`.

    Args:
        model: As in `generate`.
        source: Integer tensor of shape `(N, S)`: as in `generate`.
        max_lengths: Integer tensor of shape `(N,)`: maximum number of target tokens, EOS included.
        min_lengths: Integer tensor of shape `(N,)`: minimum number of target tokens, or `None`.
        prefix: Integer tensor of shape `(N, P)`: tokens that the targets start with, followed by
            padding, or `None`.
        length: Integer L. Static length of the results. The search for a sentence that needs more
            steps is abandoned.
        slots: Integer. Number of sentences that are decoded at the same time.
        bos_id: Integer. The beginning-of-sentence id.
        eos_id: Integer. The end-of-sentence id.
        shortlist: `Shortlist`, which limits the ids that each sentence may consist of. `None` means
            all ids.
        **options: Other options of `beam_search`.

    Returns:
        A tuple of `Hypotheses` and a boolean tensor of shape `(N,)`: whether the search for each
        sentence is complete. If it is `False`, search again with a larger `length`.

    Raises:
        ValueError: If an option is invalid.
    """
    if has_latents(model):
        if shortlist is not None:
            raise ValueError("This model finds all words at once: it knows no `shortlist`.")
        options |= {"bos_id": bos_id, "eos_id": eos_id, "min_lengths": min_lengths}
        found = generate_from_latents(model, source, max_lengths, length, prefix=prefix, **options)
        fits = ops.cast(max_lengths, "int32") <= length
        return found, ops.logical_or(fits, ops.all(found.finished, axis=-1))
    if shortlist is None:
        memory, load = model.encode(source), lambda memory: memory
        output_weights = model.target_embedding.output_weights()
    else:
        model = ShortlistedModel(model, shortlist, (bos_id, eos_id), prefix)
        memory, load, output_weights = model.encode(source), model.load, None
        bos_id, eos_id = model.index_of(bos_id), model.index_of(eos_id)
        prefix = None if prefix is None else to_indices(prefix, memory.ids)
    options |= {"bos_id": bos_id, "eos_id": eos_id, "pad_id": model.pad_id}
    search = BeamSearch(length, **options)
    found, complete = continuous_beam_search(
        search,
        _step_in_slots(model, output_weights),
        lambda indices, state: (state[0], load(_rows(memory, indices))),
        (
            model.init_cache(slots, search.beam_size, length),
            load(_rows(memory, ops.zeros((slots,), "int32"))),
        ),
        SearchLimits(ops.cast(max_lengths, "int32"), min_lengths, prefix),
        slots,
    )
    if shortlist is not None:
        found = found._replace(ids=to_ids(found.ids, memory.ids))
    return found, complete


def _rows(memory, indices):
    """Returns the rows `indices` of an encoded source; the last row beyond its end."""

    def take(tensor):
        return ops.take(tensor, ops.minimum(indices, tensor.shape[0] - 1), axis=0)

    return keras.tree.map_structure(take, memory)


def _step_in_slots(model, output_weights):
    """Returns the function `step` of `continuous_beam_search`, whose state is cache and memory."""

    def step(tokens, positions, place, ancestry, state):
        cache, memory = state
        at = DecodingStep(place, positions, ops.equal(positions, 0), ancestry)
        logits, _, cache = model.decode_step(tokens, cache, at, memory, output_weights)
        return logits, (cache, memory)

    return step
