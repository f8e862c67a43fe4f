"""Blocks, embeddings and vocabularies in CTranslate2's format."""

import keras
import numpy as np

from keras_transformer.formats.ctranslate2_attention import (
    attention_spec,
    float32_array,
    has_sizes_of,
    set_linear,
)
from keras_transformer.keras_patches import layers_of
from keras_transformer.layers import (
    AddAndNorm,
    DecoderBlock,
    DotProductAttention,
    Dropout,
    FeedForward,
    FusedAttention,
    MultiHeadAttention,
    PositionalEmbedding,
    RelativeAttention,
    RotaryEmbedding,
    sinusoids,
)
from keras_transformer.layers.position_encoders import LearnedPositions

MIN_POSITIONS = 2048
ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "silu": "SWISH"}  # Keras' name: CTranslate2's
KNOWN_LAYERS = {
    AddAndNorm,
    DecoderBlock,
    DotProductAttention,
    Dropout,
    FeedForward,
    FusedAttention,
    LearnedPositions,
    MultiHeadAttention,
    PositionalEmbedding,
    RelativeAttention,
    RotaryEmbedding,
    keras.layers.Dense,
    keras.layers.LayerNormalization,
    keras.layers.ReversibleEmbedding,
}
BLOCK_SIZES = ("d_model", "num_heads", "d_ff", "norm", "activation", "use_bias", "epsilon")


def check_layers(model, known: set, expected: str) -> None:
    """Raises a ValueError, which names the layer, if CTranslate2 does not know one."""
    for layer in layers_of(model):
        if type(layer) not in known:
            raise ValueError(
                f"CTranslate2 computes {expected}, and no other parts. "
                f"Received: a {type(layer).__name__} at {layer.path!r}. "
                "Export to a SavedModel or a .keras file, which hold any part."
            )


def block_has_sizes_of(block, model) -> bool:
    """Returns whether a block has the sizes of a model, or of another block, and usual parts."""
    attentions = [getattr(block, name) for name in block.PARTS if name != "feed_forward"]
    return (
        all(getattr(block, size) == getattr(model, size) for size in BLOCK_SIZES)
        and block.is_standard("feed_forward")
        and all(has_sizes_of(attention, model) for attention in attentions if attention is not None)
    )


def activation(function):
    """Returns the CTranslate2 counterpart of a Keras activation."""
    from ctranslate2.specs.common_spec import Activation

    name = keras.activations.serialize(function)
    if name not in ACTIVATIONS:
        raise ValueError(
            f"CTranslate2 supports the activations {', '.join(ACTIVATIONS)}. Received: {name!r}"
        )
    return Activation[ACTIVATIONS[name]]


def tokens(tokenizer, size: int) -> list[str]:
    """Returns the tokens of ids 0 to `size - 1`, with fillers for ids unknown to the tokenizer."""
    known = tokenizer.vocabulary_size()
    tokens = [tokenizer.id_to_token(id) for id in range(known)]
    tokens += [f"<unused {id}>" for id in range(known, size)]
    ids = {}
    for id, token in enumerate(tokens):
        if ids.setdefault(token, id) != id:
            raise ValueError(
                "CTranslate2 identifies tokens by their text, so all texts must be distinct. "
                f"Received: {token!r} with the ids {ids[token]} and {id}"
            )
    return tokens


def special_tokens(tokenizer) -> list[str]:
    """Returns the tokens BOS, EOS and unknown."""
    ids = (tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id)
    return [tokenizer.id_to_token(id) for id in ids]


def set_special_tokens(config, special: list[str]) -> None:
    """Sets the tokens that `special_tokens` returned."""
    config.bos_token, config.eos_token, config.unk_token = special


def set_stack(spec, stack, embedding, positions: int) -> None:
    """Sets the positions and the weights of the blocks of an encoder or decoder.

    Args:
        spec: The specification of the encoder or decoder.
        stack: The stack of blocks.
        embedding: `PositionalEmbedding` of its inputs.
        positions: Number of sinusoids to write.
    """
    spec.scale_embeddings = True  # of inputs; the output projection is not scaled
    if hasattr(spec, "position_encodings"):
        spec.position_encodings.encodings = position_table(embedding, positions)
    if stack.final_normalization is not None:
        set_normalization(spec.layer_norm, stack.final_normalization)
    for block, block_spec in zip(stack.blocks, spec.layer, strict=True):
        set_block(block_spec, block)


def set_output(spec, embedding) -> None:
    """Sets the embeddings of a decoder, which its output layer shares."""
    table = float32_array(embedding.tokens.embeddings)
    spec.embeddings.weight = spec.projection.weight = table
    if embedding.use_bias:
        spec.projection.bias = float32_array(embedding.bias)


def position_table(embedding, positions: int):
    """Returns the position encodings; without a table, CTranslate2 adds its own sinusoids."""
    if embedding.positions is None:
        return np.zeros((positions, embedding.d_model), "float32")
    if embedding.positions == "learned":
        return float32_array(embedding.learned_positions.embeddings)
    return float32_array(sinusoids(np.arange(positions), embedding.d_model, embedding.positions))


def set_block(spec, block) -> None:
    """Sets the weights of an encoder or decoder block."""
    spec.self_attention = attention_spec(block.self_attention, self_attention=True)
    set_normalization(spec.self_attention.layer_norm, block.self_attention_residual.normalization)
    if hasattr(spec, "attention"):
        spec.attention = attention_spec(block.cross_attention, self_attention=False)
        set_normalization(spec.attention.layer_norm, block.cross_attention_residual.normalization)
    set_linear(spec.ffn.linear_0, block.feed_forward.hidden)
    set_linear(spec.ffn.linear_1, block.feed_forward.output_projection)
    set_normalization(spec.ffn.layer_norm, block.feed_forward_residual.normalization)


def set_normalization(spec, normalization) -> None:
    spec.gamma, spec.beta = float32_array(normalization.gamma), float32_array(normalization.beta)
