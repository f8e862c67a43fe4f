"""Language models in CTranslate2's format."""

import keras

from keras_transformer.formats.ctranslate2_attention import check_attentions
from keras_transformer.formats.ctranslate2_blocks import (
    KNOWN_LAYERS,
    MIN_POSITIONS,
    activation,
    block_has_sizes_of,
    check_layers,
    set_output,
    set_special_tokens,
    set_stack,
    special_tokens,
    tokens,
)
from keras_transformer.layers import LinearBias
from keras_transformer.models import DecoderStack, LanguageModel

KNOWN = KNOWN_LAYERS | {LanguageModel, DecoderStack, LinearBias}
EXPECTED = (
    "language models of DecoderBlocks, with RotaryEmbedding, RelativeAttention, LinearBias and "
    "shared heads of keys and values"
)


def language_model_spec(generator):
    """Returns the specification of a language model, with its weights and its vocabulary.

    Args:
        generator: A `TextGenerator`.

    Raises:
        ValueError: CTranslate2 cannot compute a part of the model.
    """
    from ctranslate2.specs import TransformerDecoderModelSpec

    model, stack = generator.model, generator.model.decoder
    check_layers(model, KNOWN, EXPECTED)
    _check_blocks(stack)
    check_attentions(stack, model.embedding)
    first = stack.blocks[0]
    has_final = stack.final_normalization is not None
    spec = TransformerDecoderModelSpec.from_config(
        len(stack.blocks),
        first.num_heads,
        pre_norm=has_final,  # else it refuses a final normalization
        activation=activation(first.activation),
        no_final_norm=not has_final,
        alibi=_uses_linear_bias(stack),
    )
    spec.decoder.pre_norm = first.norm == "pre"
    positions = max(MIN_POSITIONS, 2 * generator.trained_length)
    set_stack(spec.decoder, stack, model.embedding, positions)
    set_output(spec.decoder, model.embedding)
    spec.register_vocabulary(tokens(generator.tokenizer, model.vocabulary_size))
    set_special_tokens(spec.config, special_tokens(generator.tokenizer))
    spec.config.layer_norm_epsilon = first.epsilon
    return spec


def _check_blocks(stack) -> None:
    """Raises a ValueError, which names the block, unless all blocks have the same sizes."""
    first, final = stack.blocks[0], stack.final_normalization
    for number, block in enumerate(stack.blocks):
        if not block_has_sizes_of(block, first):
            raise ValueError(
                "CTranslate2 computes stacks of equal blocks of the paper's sizes only. Received: "
                f"block {number}, which has other sizes, {block.name!r}"
            )
    if final is not None:
        _check_final(final, first)


def _check_final(final, block) -> None:
    """Raises a ValueError unless a final normalization is of the kind of those in a block."""
    standard = keras.layers.LayerNormalization(epsilon=block.epsilon)
    standard.build((None, None, block.d_model))
    usual, own = standard.get_config(), final.get_config()
    names = own.keys() - {"name", "dtype"}
    different = sorted(name for name in names if own[name] != usual.get(name))
    if different:
        raise ValueError(
            "CTranslate2 computes a final LayerNormalization with the epsilon of the blocks only. "
            f"Received: a {type(final).__name__} with other {', '.join(different)}, {final.path!r}"
        )


def _uses_linear_bias(stack) -> bool:
    """Returns whether the self-attentions are LinearBias, which must be all of them or none."""
    uses = [type(block.self_attention.attention) is LinearBias for block in stack.blocks]
    if any(uses) and not all(uses):
        raise ValueError(
            "CTranslate2 computes LinearBias in all blocks or in none. Received: a model that has "
            f"it in {sum(uses)} of {len(uses)} blocks"
        )
    return any(uses)
