"""Extraction of attention scores, search steps and probabilities from a translator."""

import random

import keras
import numpy as np
from keras import ops

from keras_transformer.decoding import BeamSearch, generate
from keras_transformer.decoding.beam_search import SearchLimits
from keras_transformer.illustrate.attention_view import Attention
from keras_transformer.illustrate.search_view import SearchStep
from keras_transformer.layers import (
    AttentionMask,
    DotProductAttention,
    FusedAttention,
    MemoryCompressedAttention,
    MixtureOfExperts,
    collect_gates,
    sinusoids,
)
from keras_transformer.layers.attention import masked_softmax, scale
from keras_transformer.translation.batch_shapes import EXTRA_LENGTH


def ids_of(translator, source: str, target: str) -> tuple[list[int], list[int]]:
    """Returns the ids of a text and of its translation, both with EOS."""
    pairs = ((translator.tokenizer, source), (translator.target_tokenizer, target))
    return tuple([*tokenizer.tokenize(text), tokenizer.eos_id] for tokenizer, text in pairs)


def known_ids(tokenizer, ids: list[int]) -> list[int]:
    """Replaces ids that the tokenizer does not have, but the model may have, by its `unk_id`."""
    size = tokenizer.vocabulary_size()
    return [id if id < size else tokenizer.unk_id for id in ids]


def tokens_of(tokenizer, ids: list[int]) -> list[str]:
    """Returns the tokens of ids, the unknown token for ids that the tokenizer does not have."""
    return [tokenizer.id_to_token(id) for id in known_ids(tokenizer, ids)]


def attention_of(translator, source: list[int], target: list[int]) -> Attention:
    """Returns all attention scores of a text and its translation, given as ids with EOS."""
    target_tokenizer = translator.target_tokenizer
    read = [target_tokenizer.bos_id, *target[:-1]]
    scores = _scores_of(translator.model, np.array([source]), np.array([read]))
    return Attention(
        source=tokens_of(translator.tokenizer, source),
        written=tokens_of(target_tokenizer, target),
        read=tokens_of(target_tokenizer, read),
        **{name: array[0] for name, array in scores.items()},
    )


def has_encoder(model) -> bool:
    """Returns whether a model has an encoder; if not, its decoder reads the source, too."""
    return hasattr(model, "encoder")


def reading_blocks(model) -> list:
    """Returns the blocks that read the source: those of the encoder, if there is one."""
    return (model.encoder if has_encoder(model) else model.decoder).blocks


def source_embedding_of(model):
    """Returns the embedding of the source, which may be that of both sides."""
    return getattr(model, "source_embedding", model.target_embedding)


def compressions_of(model) -> dict[int, int]:
    """Returns how many tokens become one key in blocks of the decoder, by layer.

    A `DecoderOnly` has scores of single tokens in any case.
    """
    return compressing_layers(model.decoder.blocks) if has_encoder(model) else {}


def compressing_layers(blocks) -> dict[int, int]:
    """Returns how many tokens become one key in some of the blocks, by layer."""
    attentions = enumerate(getattr(one, "self_attention", None) for one in blocks)
    return {
        layer: attention.compression
        for layer, attention in attentions
        if isinstance(attention, MemoryCompressedAttention)
    }


def _scores_of(model, source: np.ndarray, target: np.ndarray) -> dict:
    """Returns the scores of `model.attention`; a score of several tokens is divided among them."""
    if not compressions_of(model):
        return model.attention(source, target)
    inputs = {"source": source, "target": target}
    for name, ids in list(inputs.items()):  # with positions, all layers have a key per token
        inputs[f"{name}_positions"] = np.arange(ids.shape[1], dtype="int32")[None]
    inputs = {name: ops.convert_to_tensor(array) for name, array in inputs.items()}
    _, blocks = model(inputs, training=False, return_attention_scores=True)
    if any(block is None for block in keras.tree.flatten(blocks)):
        return model.attention(source, target)  # which says so
    scores = {
        name: np.stack([ops.convert_to_numpy(block) for block in of_stack], axis=1)
        for name, of_stack in blocks.items()
    }
    return {**scores, "decoder": divided_scores(model, scores["decoder"])}


def divided_scores(model, decoder: np.ndarray) -> np.ndarray:
    """Returns scores of the decoder, `(..., layers, H, T, T)`, of which each is of one token."""
    divided = decoder.copy()
    for layer, compression in compressions_of(model).items():
        divided[..., layer, :, :, :] = divide_scores(decoder[..., layer, :, :, :], compression)
    return divided


def divide_scores(scores: np.ndarray, compression: int) -> np.ndarray:
    """Divides the scores of groups of tokens, which stand at their last ones, among their tokens.

    Args:
        scores: Array of shape `(..., T)`: at 0 that of the first token, and those of groups.
        compression: Number of tokens of a group.

    Returns:
        Array of the same shape, whose rows have the same sums.
    """
    divided = np.zeros_like(scores)
    divided[..., 0] = scores[..., 0]
    for end in range(compression, scores.shape[-1] + 1, compression):
        divided[..., end - compression : end] += scores[..., end - 1 : end] / compression
    return divided


def queries_of(model, source: list[int], layer: int) -> np.ndarray:
    """Returns the queries of all heads of a layer that reads the source, `(H, S, key_dim)`."""
    attention = reading_blocks(model)[layer].self_attention
    query = attention.project_query(_attention_inputs(model, source, layer))
    return ops.convert_to_numpy(query)[0].astype("float32")


def _attention_inputs(model, source: list[int], layer: int):
    """Returns what self-attention gets in a layer that reads the source, `(1, S, d_model)`."""
    x = source_embedding_of(model)(ops.convert_to_tensor(np.array([source], "int32")))
    options = {} if has_encoder(model) else {"attention_mask": AttentionMask(causal=True)}
    for block in reading_blocks(model)[:layer]:
        x = block(x, **options)
    return reading_blocks(model)[layer].self_attention_residual.preprocess(x)


def self_attention_of(translator, source: list[int], layer: int, head: int) -> dict:
    """Returns the inputs, queries, keys and values of one head that reads the source.

    Returns:
        A dict of arrays with the names of the arguments of `attention_steps_figure`: `"inputs"`
        `(S, d_model)`, and `"query"`, `"key"` and `"value"` `(S, key_dim)`; with another attention
        than the standard one, also what it adds: `"biases"` `(S, S)`, and `"added_outputs"`
        `(S, key_dim)`. Biases of minus infinity hide later words from a model without an encoder.
    """
    model = translator.model
    attention = reading_blocks(model)[layer].self_attention
    if isinstance(attention, MemoryCompressedAttention):
        raise ValueError(
            f"Layer {layer} cannot be shown step by step: a key of its "
            "MemoryCompressedAttention is made of several words. Select another `layer`."
        )
    x = _attention_inputs(model, source, layer)
    query, (key, value) = attention.project_query(x), attention.project_key_value(x)
    added, causal = {}, not has_encoder(model)
    if causal or type(attention.attention) not in (DotProductAttention, FusedAttention):
        added = _added_by(attention.attention, query, key, value, causal)
    shared = head * attention.num_key_value_heads // attention.num_heads
    return {
        "inputs": ops.convert_to_numpy(x)[0],
        "query": ops.convert_to_numpy(query)[0, head],
        "key": ops.convert_to_numpy(key)[0, shared],
        "value": ops.convert_to_numpy(value)[0, shared],
        **{name: ops.convert_to_numpy(tensor)[0, head] for name, tensor in added.items()},
    }


def _added_by(attention, query, key, value, causal) -> dict:
    """Returns what an attention adds to the logits and outputs of the standard one, by head.

    Computed by its hooks, as in its `call`. If `causal`, later positions are hidden, too.
    """
    query, key, value = (ops.cast(heads, "float32") for heads in (query, key, value))
    standard, positions = DotProductAttention(), np.arange(query.shape[2])
    rows, columns = positions[None, :, None], positions[None, None, :]
    rows, columns = ops.convert_to_tensor(rows), ops.convert_to_tensor(columns)
    distances = attention.distances(rows, columns)
    logits = attention.logits(scale(query), key, distances)
    biases = ops.cast(logits - standard.logits(scale(query), key, distances), "float32")
    seen = attention.sees(rows, columns)
    if causal:
        before = columns <= rows
        seen = before if seen is None else ops.logical_and(seen, before)
    if seen is not None:
        biases = ops.where(seen[:, None], biases, -np.inf)
    scores = ops.cast(masked_softmax(logits, None if seen is None else seen[:, None]), value.dtype)
    mixed = attention.mix(scores, value, distances) - standard.mix(scores, value, distances)
    return {"biases": biases, "added_outputs": mixed}


def positions_of(d_model: int, count: int = 20) -> dict:
    """Returns the encodings of the first `count` positions, in both forms."""
    positions = np.arange(count)
    return {
        form: ops.convert_to_numpy(sinusoids(positions, d_model, form)) for form in ("t2t", "paper")
    }


def search_of(
    translator, source: list[int], beam_size: int, top_beams: int, length_penalty: float = 0.6
) -> tuple[list[SearchStep], list[dict]]:
    """Runs the beam search of `translate` step by step, and records every step.

    Returns:
        The steps, and the hypotheses as dicts with `"ids"`, `"score"`, `"log_prob"` and
        `"finished"`.
    """
    steps, _, words = _recorded_search(translator, source, beam_size, top_beams, length_penalty)
    return steps, words


def latent_search_of(translator, source: list[int], beam_size: int, length_penalty: float):
    """Runs the search for latents step by step, and records every step.

    Returns:
        The steps; the hypotheses, as those of `search_of`, whose ids are those of latents; and the
        ids of the best one's words.
    """
    steps, latents, words = _recorded_search(
        translator, source, beam_size, beam_size, length_penalty
    )
    return steps, latents, list(words[0]["ids"])


def _recorded_search(translator, source, beam_size, top_beams, length_penalty):
    """Returns the steps of a search, what it found, and its hypotheses as words."""
    steps, found = [], []

    def recording_search(step, state, max_lengths, **options):
        search, limits = BeamSearch(**options), SearchLimits(max_lengths)
        beam_state = search.initialize(max_lengths.shape[0])
        while bool(ops.any(search.is_active(beam_state, limits))):
            index, before = len(steps), beam_state.live
            logits, state = step(
                before.tokens, ops.convert_to_tensor(index), before.ancestry, state
            )
            beam_state = search.step(beam_state, limits, logits, index + 1)
            steps.append(_search_step(before, index, logits, beam_state.live))
        found.append(search.finalize(beam_state, limits))
        return found[0]

    length = len(source) + EXTRA_LENGTH
    tokenizer = translator.target_tokenizer
    generated = generate(
        translator.model,
        ops.convert_to_tensor(np.array([source], "int32")),
        ops.convert_to_tensor(np.array([length], "int32")),
        length=length,
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
        beam_size=beam_size,
        top_beams=top_beams,
        length_penalty=length_penalty,
        search=recording_search,
    )
    pad_id = translator.model.pad_id
    return steps, hypotheses_of(found[0], pad_id), hypotheses_of(generated, pad_id)


def _search_step(before, index: int, logits, after) -> SearchStep:
    """Converts the live beams before and after a step, and its logits, to a `SearchStep`."""
    ids, log_probs = (ops.convert_to_numpy(x)[0] for x in (before.ids, before.log_probs))
    live = np.flatnonzero(log_probs > -np.inf)
    next_log_probs = ops.convert_to_numpy(ops.log_softmax(ops.cast(logits, "float32"), axis=-1))[0]
    after_ids, after_log_probs = (ops.convert_to_numpy(x)[0] for x in (after.ids, after.log_probs))
    return SearchStep(
        beams=[tuple(ids[beam, :index].tolist()) for beam in live],
        log_probs=log_probs[live].tolist(),
        next_log_probs=next_log_probs[live],
        kept=[
            tuple(after_ids[beam, : index + 1].tolist())
            for beam in np.flatnonzero(after_log_probs > -np.inf)
        ],
    )


def hypotheses_of(generated, pad_id: int) -> list[dict]:
    """Converts the hypotheses of the only sentence to dicts, without padding."""
    ids, log_probs, scores, finished = (ops.convert_to_numpy(tensor)[0] for tensor in generated)
    return [
        {
            "ids": tuple(ids[n][ids[n] != pad_id].tolist()),
            "score": float(scores[n]),
            "log_prob": float(log_probs[n]),
            "finished": bool(finished[n]),
        }
        for n in np.flatnonzero(scores > -np.inf)
    ]


def probabilities_of(translator, source: list[int], target: list[int], model=None) -> np.ndarray:
    """Returns the output distributions of a model for a given target, `(T, V)`."""
    read = [translator.target_tokenizer.bos_id, *target[:-1]]
    logits = (model or translator.model)(
        {
            "source": ops.convert_to_tensor(np.array([source], "int32")),
            "target": ops.convert_to_tensor(np.array([read], "int32")),
        },
        training=False,
    )
    return ops.convert_to_numpy(ops.softmax(ops.cast(logits, "float32"), axis=-1))[0]


def initial_model(translator):
    """Returns the model of a run before training: same sizes, same seed.

    The weights equal the initial weights of the run if it was trained from scratch with the same
    backend and the same version of Keras (`run.json` records both). The state of Python's random
    numbers is restored afterwards.
    """
    model = translator.model
    state = random.getstate()
    random.seed(translator.about.get("seed", 0))  # Keras seeds its initializers from `random`
    try:
        fresh = type(model).from_config(model.get_config())
        fresh.build()
    finally:
        random.setstate(state)
    return fresh


def gates_of(model, source: list[int], target: list[int]) -> dict[str, np.ndarray]:
    """Returns the shares of the experts of each block that has some, as in translation.

    Args:
        model: `EncoderDecoder`. Another model has none to show.
        source: Ids of the source, ending with EOS.
        target: Ids that the decoder reads, starting with BOS.

    Returns:
        A dict of arrays of shape `(S, E)` and `(T, E)`, by names such as `"encoder, layer 1"`;
        layers are counted from 0, as everywhere.
    """
    blocks = [*model.encoder.blocks, *model.decoder.blocks] if has_encoder(model) else []
    if not any(isinstance(getattr(one, "feed_forward", None), MixtureOfExperts) for one in blocks):
        return {}
    inputs = {"source": np.array([source], "int32"), "target": np.array([target], "int32")}
    with collect_gates() as collected:
        model(inputs, training=False)
    return {
        f"{side}, layer {number}": ops.convert_to_numpy(collected[block.feed_forward][0])[0]
        for side in ("encoder", "decoder")
        for number, block in enumerate(getattr(model, side).blocks)
        if getattr(block, "feed_forward", None) in collected
    }
