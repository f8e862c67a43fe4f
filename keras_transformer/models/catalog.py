"""The catalogue: the architectures that a recipe can name.

Each changes the plain model that `base` makes: a `Transformer`, or, with
`base=LanguageModel.from_sizes`, a language model, which has a decoder alone.
"""

from keras_transformer.layers import (
    FusedAttention,
    LocalAttention,
    MemoryCompressedAttention,
    MixtureOfExperts,
    MultiHeadAttention,
    RelativeAttention,
    RotaryEmbedding,
    SeparableConvolution,
)
from keras_transformer.models.architectures import register_architecture
from keras_transformer.models.decoder_only import DecoderOnly
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
def fused(*, base=Transformer, **sizes):
    """Returns a `Transformer` all of whose attentions are a `FusedAttention`.

    It computes the same, with less memory for long texts on some GPUs.

    Args:
        base: Function that makes the plain model.
        **sizes: Arguments of `base`.
    """
    model = base(**sizes)
    for block in _blocks(model):
        for attention in (block.self_attention, getattr(block, "cross_attention", None)):
            if attention is not None:
                attention.attention = FusedAttention(dtype=block.dtype_policy)
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


@register_architecture
def memory_compressed(*, block_length=256, compression=3, base=DecoderOnly.from_sizes, **sizes):
    """Returns a `DecoderOnly` that sees long texts, with two kinds of blocks in turns.

    The first, third and so on attend to the tokens nearby (`LocalAttention`), the others to all
    that is past, compressed (`MemoryCompressedAttention`): the T-DMCA of
    [Liu et al., 2018](https://arxiv.org/abs/1801.10198), section 4.2.4, which has five blocks.
    With another base, it is the decoder of that model which has such blocks.

    Args:
        block_length: Integer. Number of tokens of a block of local attention, in which each token
            sees those before it.
        compression: Integer. Number of tokens whose keys and values become one.
        base: Function that makes the plain model.
        **sizes: Arguments of `base`.
    """
    model = base(**sizes)
    for block in model.decoder.blocks[::2]:
        block.self_attention.attention = LocalAttention(
            block_length, look_back=0, dtype=block.dtype_policy
        )
    for block in model.decoder.blocks[1::2]:
        block.self_attention = MemoryCompressedAttention(
            block.d_model,
            block.num_heads,
            compression,
            use_bias=block.use_bias,
            dropout_rate=block.attention_dropout_rate,
            dtype=block.dtype_policy,
        )
    return model


@register_architecture
def experts(*, num_experts=4, k=2, balance_weight=0.01, interval=2, base=Transformer, **sizes):
    """Returns a `Transformer` some of whose feed-forward networks are a `MixtureOfExperts`.

    Each expert has a hidden layer of `d_ff`.

    Args:
        num_experts: Integer. Number of experts of a mixture.
        k: Integer. Number of experts of each token.
        balance_weight: Float. What the losses that keep all experts busy are multiplied by.
        interval: Integer. Every which block of encoder and decoder has experts: 1 means all, 2 the
            second, fourth and so on.
        base: Function that makes the plain model.
        **sizes: Arguments of `base`.
    """
    model = base(**sizes)
    stacks = [] if interval < 1 else _stacks(model)
    blocks = [block for stack in stacks for block in stack.blocks[interval - 1 :: interval]]
    if not blocks:
        raise ValueError(
            "`interval` must be at least 1 and at most the number of blocks, so that one of them "
            f"has experts. Received: interval={interval}"
        )
    for block in blocks:
        put_experts(block, num_experts, k, balance_weight)
    return model


def put_experts(block, num_experts, k, balance_weight):
    """Replaces the feed-forward network of a block by a `MixtureOfExperts` of its sizes."""
    block.feed_forward = MixtureOfExperts(
        block.d_model,
        block.d_ff,
        num_experts,
        k,
        activation=block.activation,
        dropout_rate=block.feed_forward_dropout_rate,
        balance_weight=balance_weight,
        dtype=block.dtype_policy,
    )


def _stacks(model):
    """Returns the encoder of a model, if it has one, and its decoder."""
    return [*([model.encoder] if hasattr(model, "encoder") else ()), model.decoder]


def _blocks(model):
    """Returns the blocks of a model: those of its encoder, if it has one, and of its decoder."""
    return [block for stack in _stacks(model) for block in stack.blocks]


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
