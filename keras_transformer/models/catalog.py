"""The catalogue: the architectures that a recipe can name.

Each changes the plain model that `base` makes: a `Transformer`, or, with
`base=LanguageModel.from_sizes`, a language model, which has a decoder alone.
"""

from keras_transformer.layers import (
    MultiHeadAttention,
    RelativeAttention,
    RotaryEmbedding,
    SeparableConvolution,
)
from keras_transformer.models.architectures import register_architecture
from keras_transformer.models.transformer import Transformer


@register_architecture
def transformer(*, base=Transformer, **sizes):
    """Returns a `Transformer`, the model of the paper."""
    return base(**sizes)


@register_architecture
def convolutional(*, kernel_size=3, base=Transformer, **sizes):
    """Returns a `Transformer` whose blocks have a `SeparableConvolution` for their self-attention.

    The decoder still attends to the output of the encoder.

    Args:
        kernel_size: Integer, odd. Number of positions that each convolution sees.
        base: Function that makes the plain model.
        **sizes: Arguments of `base`.
    """
    model = base(**sizes)
    for block in _blocks(model):
        block.self_attention = SeparableConvolution(
            model.d_model,
            kernel_size,
            causal=block in model.decoder.blocks,
            dtype=block.dtype_policy,
        )
    return model


@register_architecture
def rotary(*, base=Transformer, **sizes):
    """Returns a `Transformer` whose self-attentions turn queries and keys by their positions.

    Embeddings have no positions, and cross-attention is that of the paper; see `RotaryEmbedding`.

    Args:
        base: Function that makes the plain model.
        **sizes: Arguments of `base`.
    """
    model = base(**_without_positions("rotary", sizes))
    for block in _blocks(model):
        block.self_attention.position_encoder = RotaryEmbedding(dtype=block.dtype_policy)
    return model


@register_architecture
def relative(*, max_distance=16, base=Transformer, **sizes):
    """Returns a `Transformer` whose self-attentions have a vector for each distance.

    Embeddings have no positions, and cross-attention is that of the paper; see `RelativeAttention`.

    Args:
        max_distance: Integer. Distance from which on vectors are the same.
        base: Function that makes the plain model.
        **sizes: Arguments of `base`.
    """
    model = base(**_without_positions("relative", sizes))
    for block in _blocks(model):
        block.self_attention.attention = RelativeAttention(max_distance, dtype=block.dtype_policy)
    return model


@register_architecture
def multi_query(*, base=Transformer, **sizes):
    """Returns a `Transformer` all of whose attentions have a single head of keys and values.

    In encoder, decoder and cross-attention alike, as in
    [Shazeer, 2019](https://arxiv.org/abs/1911.02150), where `d_ff` is larger instead, so that there
    are as many weights as before: 5440 instead of 4096.

    Args:
        base: Function that makes the plain model.
        **sizes: Arguments of `base`.
    """
    return grouped_query(num_key_value_heads=1, base=base, **sizes)


@register_architecture
def grouped_query(*, num_key_value_heads=2, base=Transformer, **sizes):
    """Returns a `Transformer` all of whose attentions share heads of keys and values in groups.

    Args:
        num_key_value_heads: Integer, a divisor of `num_heads`. Number of heads of keys and values.
        base: Function that makes the plain model.
        **sizes: Arguments of `base`.
    """
    model = base(**sizes)

    def attention(block):
        return MultiHeadAttention(
            block.d_model,
            block.num_heads,
            use_bias=block.use_bias,
            num_key_value_heads=num_key_value_heads,
            dropout_rate=block.attention_dropout_rate,
            dtype=block.dtype_policy,
        )

    for block in _blocks(model):
        block.self_attention = attention(block)
    for block in model.decoder.blocks:
        if block.cross_attention is not None:
            block.cross_attention = attention(block)
    return model


def _blocks(model):
    """Returns the blocks of a model: those of its encoder, if it has one, and of its decoder."""
    return [*(model.encoder.blocks if hasattr(model, "encoder") else ()), *model.decoder.blocks]


def _without_positions(architecture, sizes):
    """Returns sizes of a model whose embeddings have no positions.

    Raises:
        ValueError: The sizes ask for positions other than the standard ones.
    """
    positions = sizes.get("positions")
    if positions not in (None, "paper"):  # "paper" is the default of recipes
        raise ValueError(
            f"The architecture {architecture} has positions in its self-attentions and none in its "
            f"embeddings: leave out `positions`. Received: positions={positions!r}"
        )
    return {**sizes, "positions": None}
