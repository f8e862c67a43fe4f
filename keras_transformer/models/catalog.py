"""The catalogue: the architectures that a recipe can name."""

from keras_transformer.layers import (
    MultiHeadAttention,
    RelativeAttention,
    RotaryEmbedding,
    SeparableConvolution,
)
from keras_transformer.models.architectures import register_architecture
from keras_transformer.models.transformer import Transformer


@register_architecture
def transformer(**sizes):
    """Returns a `Transformer`, the model of the paper."""
    return Transformer(**sizes)


@register_architecture
def convolutional(*, kernel_size=3, **sizes):
    """Returns a `Transformer` whose blocks have a `SeparableConvolution` for their self-attention.

    The decoder still attends to the output of the encoder.

    Args:
        kernel_size: Integer, odd. Number of positions that each convolution sees.
        **sizes: Arguments of `Transformer`.
    """
    model = Transformer(**sizes)
    for stack, causal in ((model.encoder, False), (model.decoder, True)):
        for block in stack.blocks:
            block.self_attention = SeparableConvolution(
                model.d_model, kernel_size, causal, dtype=block.dtype_policy
            )
    return model


@register_architecture
def rotary(**sizes):
    """Returns a `Transformer` whose self-attentions turn queries and keys by their positions.

    Embeddings have no positions, and cross-attention is that of the paper; see `RotaryEmbedding`.

    Args:
        **sizes: Arguments of `Transformer`.
    """
    model = Transformer(**_without_positions("rotary", sizes))
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        block.self_attention.position_encoder = RotaryEmbedding(dtype=block.dtype_policy)
    return model


@register_architecture
def relative(*, max_distance=16, **sizes):
    """Returns a `Transformer` whose self-attentions have a vector for each distance.

    Embeddings have no positions, and cross-attention is that of the paper; see `RelativeAttention`.

    Args:
        max_distance: Integer. Distance from which on vectors are the same.
        **sizes: Arguments of `Transformer`.
    """
    model = Transformer(**_without_positions("relative", sizes))
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        block.self_attention.attention = RelativeAttention(max_distance, dtype=block.dtype_policy)
    return model


@register_architecture
def multi_query(**sizes):
    """Returns a `Transformer` all of whose attentions have a single head of keys and values.

    In encoder, decoder and cross-attention alike, as in
    [Shazeer, 2019](https://arxiv.org/abs/1911.02150), where `d_ff` is larger instead, so that there
    are as many weights as before: 5440 instead of 4096.

    Args:
        **sizes: Arguments of `Transformer`.
    """
    return grouped_query(num_key_value_heads=1, **sizes)


@register_architecture
def grouped_query(*, num_key_value_heads=2, **sizes):
    """Returns a `Transformer` all of whose attentions share heads of keys and values in groups.

    Args:
        num_key_value_heads: Integer, a divisor of `num_heads`. Number of heads of keys and values.
        **sizes: Arguments of `Transformer`.
    """
    model = Transformer(**sizes)

    def attention(block):
        return MultiHeadAttention(
            model.d_model,
            model.num_heads,
            use_bias=model.use_bias,
            num_key_value_heads=num_key_value_heads,
            dropout_rate=model.attention_dropout_rate,
            dtype=block.dtype_policy,
        )

    for block in (*model.encoder.blocks, *model.decoder.blocks):
        block.self_attention = attention(block)
    for block in model.decoder.blocks:
        block.cross_attention = attention(block)
    return model


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
