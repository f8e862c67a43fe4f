"""Generation by models that search for latents, and find all words of each hypothesis at once."""

from keras import ops

from keras_transformer.decoding.beam_search import beam_search
from keras_transformer.decoding.hypotheses import Hypotheses
from keras_transformer.decoding.model_step import model_step

PAD, BOS, END = range(3)  # ids of latents


def has_latents(model):
    """Returns whether a model searches for latents, as a `LatentTransformer` does."""
    return hasattr(model, "words_per_latent")


def generate_from_latents(
    model,
    source,
    max_lengths,
    length,
    bos_id,
    eos_id,
    search=beam_search,
    beam_size=4,
    min_lengths=None,
    prefix=None,
    no_repeat_ngram_size=0,
    **options,
):
    """Generates target sentences: latents one after the other, then their words.

    Log-probabilities and scores are those of the latents, and so is what options of the search
    count.

    Args:
        model: `LatentTransformer`.
        source: As in `generate`, like the following ones.
        max_lengths: Integer tensor of shape `(B,)`.
        length: Integer L.
        bos_id: Integer, which has no meaning here.
        eos_id: Integer.
        search: `beam_search` or `sample`.
        beam_size: Integer W.
        min_lengths: Integer tensor of shape `(B,)`, or `None`: the latents are enough for so many
            tokens; the words may end before.
        prefix: `None`, or a tensor of shape `(B, 0)`: no words can be prescribed.
        no_repeat_ngram_size: 0: words are not chosen one by one.
        **options: Other options of the search.

    Returns:
        `Hypotheses`.

    Raises:
        ValueError: If an option prescribes words.
    """
    if (prefix is not None and prefix.shape[1]) or no_repeat_ngram_size:
        raise ValueError(
            "This model finds all words at once: it knows no `prefix` and no "
            "`no_repeat_ngram_size`."
        )
    words = model.words_per_latent
    places = -(-length // words) + 1  # END included
    memory = model.encode(source)
    if min_lengths is not None:
        options["min_lengths"] = -(-(ops.cast(min_lengths, "int32") - 1) // words) + 1
    found = search(
        model_step(model, memory, model.latent_embedding.output_weights()),
        model.init_cache(source.shape[0], beam_size, places),
        -(-ops.cast(max_lengths, "int32") // words) + 1,
        length=places,
        beam_size=beam_size,
        bos_id=BOS,
        eos_id=END,
        pad_id=PAD,
        **options,
    )
    ids = _with_ends(model, words_of(model, found.ids, memory), found, eos_id)
    shown = ops.arange(ids.shape[-1], dtype="int32") < ops.cast(max_lengths, "int32")[:, None, None]
    ids = ops.where(shown, ids, model.pad_id)[:, :, :length]
    finished = ops.any(ops.equal(ids, eos_id), axis=-1)
    return Hypotheses(ids, found.log_probs, found.scores, finished)


def words_of(model, latents, memory):
    """Returns the words of latents, found in a pass over no more places than they need.

    Sentences are as a rule much shorter than the longest possible ones: if a third of the places
    holds all latents, the others are padding.

    Args:
        model: `LatentTransformer`.
        latents: Integer tensor of shape `(B, N, L)`.
        memory: What `model.encode` returned of the sources.
    """
    L = latents.shape[-1]
    few = -(-L // 3)
    if few == L:
        return model.words(latents, memory)
    unused = model.words_per_latent * (L - few)

    def of_few():
        ids = model.words(latents[:, :, :few], memory)
        return ops.pad(ids, ((0, 0), (0, 0), (0, unused)), constant_values=model.pad_id)

    fits = ops.all(latents[:, :, few:] <= END)
    return ops.cond(fits, of_few, lambda: model.words(latents, memory))


def _with_ends(model, ids, found, eos_id):
    """Returns words of hypotheses, with padding behind the first EOS, or EOS behind the last."""
    lengths = model.words_per_latent * ops.sum(ops.cast(found.ids > END, "int32"), axis=-1)
    places = ops.arange(ids.shape[-1], dtype="int32")
    behind = ops.logical_and(ops.equal(places, lengths[..., None]), found.finished[..., None])
    ids = ops.where(behind, eos_id, ids)
    is_end = ops.cast(ops.equal(ids, eos_id), "int32")
    after = (ops.cumsum(is_end, axis=-1) - is_end) > 0
    return ops.where(after, model.pad_id, ids)
