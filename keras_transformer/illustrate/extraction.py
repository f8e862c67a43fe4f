"""What goes on inside a translator, as the arrays that the figures take."""

import random

import numpy as np
from keras import ops

from keras_transformer.decoding import BeamSearch, generate
from keras_transformer.decoding.beam_search import SearchLimits
from keras_transformer.illustrate.attention_view import Attention
from keras_transformer.illustrate.search_view import SearchStep
from keras_transformer.layers import sinusoids
from keras_transformer.translation.batch_shapes import EXTRA_LENGTH


def ids_of(translator, source: str, target: str) -> tuple[list[int], list[int]]:
    """The ids of a text and of a translation of it, both ending with EOS."""
    pairs = ((translator.tokenizer, source), (translator.target_tokenizer, target))
    return tuple([*tokenizer.tokenize(text), tokenizer.eos_id] for tokenizer, text in pairs)


def known_ids(tokenizer, ids: list[int]) -> list[int]:
    """Ids of a tokenizer, unknown ones for those that only the model has."""
    size = tokenizer.vocabulary_size()
    return [id if id < size else tokenizer.unk_id for id in ids]


def tokens_of(tokenizer, ids: list[int]) -> list[str]:
    """The tokens of a model's ids."""
    return [tokenizer.id_to_token(id) for id in known_ids(tokenizer, ids)]


def attention_of(translator, source: list[int], target: list[int]) -> Attention:
    """All attention scores of a text and a translation of it, given as ids that end with EOS."""
    target_tokenizer = translator.target_tokenizer
    read = [target_tokenizer.bos_id, *target[:-1]]
    scores = translator.model.attention(np.array([source]), np.array([read]))
    return Attention(
        source=tokens_of(translator.tokenizer, source),
        written=tokens_of(target_tokenizer, target),
        read=tokens_of(target_tokenizer, read),
        **{name: array[0] for name, array in scores.items()},
    )


def self_attention_of(translator, source: list[int], layer: int, head: int) -> dict:
    """What one head of the encoder makes its scores from.

    Returns:
        A dict of arrays: `"inputs"` `(S, d_model)`, `"query"`, `"key"` and `"value"`
        `(S, key_dim)`: those of `attention_steps_figure`.
    """
    model = translator.model
    ids = ops.convert_to_tensor(np.array([source], "int32"))
    x = model.source_embedding(ids)
    for block in model.encoder.blocks[:layer]:
        x = block(x)
    block = model.encoder.blocks[layer]
    x = block.self_attention_residual.preprocess(x)
    attention = block.self_attention
    key, value = attention.project_key_value(x)
    query = ops.convert_to_numpy(attention.query_projection(x))[0]
    own = slice(head * attention.key_dim, (head + 1) * attention.key_dim)
    return {
        "inputs": ops.convert_to_numpy(x)[0],
        "query": query[:, own],
        "key": ops.convert_to_numpy(key)[0, head],
        "value": ops.convert_to_numpy(value)[0, head],
    }


def positions_of(d_model: int, count: int = 20) -> dict:
    """The encodings of the first positions, in both forms."""
    places = np.arange(count)
    return {
        form: ops.convert_to_numpy(sinusoids(places, d_model, form)) for form in ("t2t", "paper")
    }


def search_of(
    translator, source: list[int], beam_size: int, top_beams: int, length_penalty: float = 0.6
) -> tuple[list[SearchStep], list[dict]]:
    """Searches as `translate` does, one step after the other, and keeps what was seen.

    Returns:
        The steps, and the hypotheses: dicts with `"ids"`, `"score"`, `"log_prob"`, `"finished"`.
    """
    steps = []

    def recorded(step, state, max_lengths, **options):
        search, limits = BeamSearch(**options), SearchLimits(max_lengths)
        beam_state = search.initialize(max_lengths.shape[0])
        while bool(ops.any(search.is_active(beam_state, limits))):
            index, before = len(steps), beam_state.live
            logits, state = step(
                before.tokens, ops.convert_to_tensor(index), before.ancestry, state
            )
            beam_state = search.step(beam_state, limits, logits, index + 1)
            steps.append(_seen(before, index, logits, beam_state.live))
        return search.finalize(beam_state, limits)

    length = len(source) + EXTRA_LENGTH
    tokenizer = translator.target_tokenizer
    found = generate(
        translator.model,
        ops.convert_to_tensor(np.array([source], "int32")),
        ops.convert_to_tensor(np.array([length], "int32")),
        length=length,
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
        beam_size=beam_size,
        top_beams=top_beams,
        length_penalty=length_penalty,
        search=recorded,
    )
    return steps, _hypotheses(found, translator.model.pad_id)


def _seen(beams, index: int, logits, after) -> SearchStep:
    ids, log_probs = ops.convert_to_numpy(beams.ids)[0], ops.convert_to_numpy(beams.log_probs)[0]
    alive = np.flatnonzero(log_probs > -np.inf)
    next_log_probs = ops.convert_to_numpy(ops.log_softmax(ops.cast(logits, "float32"), axis=-1))[0]
    after_ids, after_log_probs = (ops.convert_to_numpy(x)[0] for x in (after.ids, after.log_probs))
    return SearchStep(
        beams=[tuple(ids[beam, :index].tolist()) for beam in alive],
        log_probs=log_probs[alive].tolist(),
        next_log_probs=next_log_probs[alive],
        kept=[
            tuple(after_ids[beam, : index + 1].tolist())
            for beam in np.flatnonzero(after_log_probs > -np.inf)
        ],
    )


def _hypotheses(found, pad_id: int) -> list[dict]:
    ids, log_probs, scores, finished = (ops.convert_to_numpy(tensor)[0] for tensor in found)
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
    """The distributions, `(T, V)`, that a model gives where it should write a given target."""
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
    """The run's model before it was trained: the same sizes, the same seed.

    The weights are those that the run began with where it was trained from scratch, with the same
    backend and Keras (`run.json` tells its versions). Random numbers elsewhere go on undisturbed.
    """
    model = translator.model
    state = random.getstate()
    random.seed(translator.about.get("seed", 0))  # Keras draws the seeds of its initializers here
    try:
        fresh = type(model).from_config(model.get_config())
        fresh.build()
    finally:
        random.setstate(state)
    return fresh
