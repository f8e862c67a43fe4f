"""Knowledge of the order of words in a model, and its figures."""

from typing import NamedTuple

import numpy as np
from keras import ops

from keras_transformer.illustrate.distances import (
    biases_figure,
    learned_figure,
    rotary_figure,
    vectors_figure,
)
from keras_transformer.illustrate.extraction import (
    positions_of,
    queries_of,
    reading_blocks,
    source_embedding_of,
)
from keras_transformer.illustrate.figure import Figure
from keras_transformer.illustrate.positions import positions_figure
from keras_transformer.layers import (
    DotProductAttention,
    FusedAttention,
    MultiHeadAttention,
    RelativeAttention,
    RotaryEmbedding,
)

COUNT = 20  # positions, and distances on either side, that are shown
SMALL_WIDTH = 4  # of the sinusoids that are printed, as in the article


class WordOrder(NamedTuple):
    """Source of the order of words in the layers that read the source, as a rule an encoder's.

    Attributes:
        added: What is added to the embeddings: `"paper"`, `"t2t"`, `"learned"`, or `None`.
        encoders: Names of the layers that encode positions in queries and keys.
        distances: Names of the attentions that know distances.
        limits: Names of the parts that hide some positions from others.
    """

    added: str | None
    encoders: str
    distances: str
    limits: str


def word_order_of(model) -> WordOrder:
    """Returns how the layers that read the source know the order of words."""
    encoders = {type(part).__name__ for _, part in _parts(model, "position_encoder")}
    attentions = [part for _, part in _parts(model, "attention", DotProductAttention)]
    limits = {type(part).__name__ for part in attentions if _hides(part)}
    plain = {DotProductAttention.__name__, FusedAttention.__name__}
    others = {type(part).__name__ for part in attentions} - limits - plain
    return WordOrder(
        getattr(source_embedding_of(model), "positions", None),
        ", ".join(sorted(encoders)),
        ", ".join(sorted(others)),
        ", ".join(sorted(limits)),
    )


def other_layers_of(model) -> str:
    """Returns the names of the layers in the place of the self-attentions that read the source."""
    layers = [getattr(block, "self_attention", block) for block in reading_blocks(model)]
    others = [layer for layer in layers if not isinstance(layer, MultiHeadAttention)]
    return ", ".join(sorted({type(layer).__name__ for layer in others}))


def word_order_figure(model, source: list[int]) -> Figure:
    """Draws what is added to the embeddings of the source, and what its self-attentions know.

    Args:
        model: The model.
        source: Ids of a sentence, for what depends on the words.

    Returns:
        A `Figure`, empty if the model knows no order.
    """
    figures = [
        *_of_embedding(source_embedding_of(model)),
        *_of_rotary(model),
        *_of_vectors(model, source),
        *_of_biases(model),
    ]
    data = {name: numbers for figure in figures for name, numbers in figure.data.items()}
    return Figure("Word order", "\n".join(figure.body for figure in figures), data)


def _of_embedding(embedding) -> list[Figure]:
    added = getattr(embedding, "positions", None)
    if added == "learned":
        table = ops.convert_to_numpy(embedding.learned_positions.embeddings)
        return [learned_figure(table[:COUNT])]
    if added is None:
        return []
    small = {form: rows[:3] for form, rows in positions_of(SMALL_WIDTH).items()}
    return [positions_figure(positions_of(embedding.d_model, COUNT), small)]


def _of_rotary(model) -> list[Figure]:
    """Draws the angles of the first block that has any."""
    for layer, part in _parts(model, "position_encoder"):
        if isinstance(part, RotaryEmbedding):
            key_dim = reading_blocks(model)[layer].self_attention.key_dim
            angles = part.angles(np.arange(COUNT)[None], key_dim)
            return [rotary_figure(ops.convert_to_numpy(angles)[0])]
    return []


def _of_vectors(model, source) -> list[Figure]:
    """Draws the vectors of distances of the first and the last block that have any."""
    tables, added = {}, {}
    for layer, part in _ends(_parts(model, "attention", RelativeAttention)):
        tables[f"Layer {layer}: added to keys"] = ops.convert_to_numpy(part.key_table)
        if part.values:
            tables[f"Layer {layer}: added to values"] = ops.convert_to_numpy(part.value_table)
        query = queries_of(model, source, layer).mean(axis=1)
        keys = tables[f"Layer {layer}: added to keys"]
        added[f"Layer {layer}: added to scores"] = query @ keys.T / query.shape[-1] ** 0.5
    return [vectors_figure(tables, added)] if tables else []


def _of_biases(model) -> list[Figure]:
    """Draws the biases of the first and the last block that have any; once if all are the same."""
    layers = [layer for layer, _ in _parts(model, "attention", DotProductAttention)]
    biases = [(layer, biases_of(model, layer)) for layer in layers]
    biases = [(layer, rows) for layer, rows in biases if rows.any()]
    if len(biases) > 1 and all(np.array_equal(rows, biases[0][1]) for _, rows in biases):
        return [biases_figure({"Every layer": biases[0][1]})]
    titled = {f"Layer {layer}": rows for layer, rows in _ends(biases)}
    return [biases_figure(titled)] if titled else []


def biases_of(model, layer: int) -> np.ndarray:
    """Returns what an encoder's self-attention adds to scores by distance, whatever the words.

    These are the logits of queries and keys that are zero.

    Returns:
        Array of shape `(H, 2 * COUNT + 1)`, for the distances `-COUNT` to `COUNT`.
    """
    attention = reading_blocks(model)[layer].self_attention
    distances = np.arange(-COUNT, COUNT + 1, dtype="int32")[None, None]
    query = np.zeros((1, attention.num_heads, 1, attention.key_dim), "float32")
    key = np.zeros((1, attention.num_key_value_heads, distances.size, attention.key_dim), "float32")
    tensors = map(ops.convert_to_tensor, (query, key, distances))
    logits = ops.cast(attention.attention.logits(*tensors), "float32")
    return ops.convert_to_numpy(logits)[0, :, 0]


def _hides(attention) -> bool:
    """Returns whether an attention hides some positions from others, whatever the mask."""
    positions = ops.arange(COUNT, dtype="int32")
    return attention.sees(positions[None, :, None], positions[None, None, :]) is not None


def _parts(model, name: str, kind: type = object) -> list:
    """Returns the parts of a name in the self-attentions of the encoder, with their layers."""
    attentions = [getattr(block, "self_attention", None) for block in reading_blocks(model)]
    parts = [(layer, getattr(one, name, None)) for layer, one in enumerate(attentions)]
    return [(layer, part) for layer, part in parts if part is not None and isinstance(part, kind)]


def _ends(parts: list) -> list:
    """Returns the first and the last one of a list, which may be the same."""
    return parts[:1] + parts[1:][-1:]
