"""The recurrent translator: a stack of LSTMs on either side, and additive attention."""

import inspect

import keras

from keras_transformer.layers import (
    AdditiveAttention,
    BidirectionalRecurrentBlock,
    PositionalEmbedding,
    RecurrentBlock,
)
from keras_transformer.models.architectures import register_architecture
from keras_transformer.models.decoder_stack import DecoderStack
from keras_transformer.models.encoder_decoder import EncoderDecoder
from keras_transformer.models.encoder_stack import EncoderStack
from keras_transformer.models.transformer import Transformer

MEANINGLESS = {
    "positions": "the order of words is in the states",
    "activation": "it has no feed-forward networks",
    "attention_dropout_rate": "it drops outputs of layers alone, by `dropout_rate`",
    "feed_forward_dropout_rate": "it has no feed-forward networks",
}
DEFAULTS = {
    "vocabulary_size": None,
    **{
        name: parameter.default
        for name, parameter in inspect.signature(Transformer).parameters.items()
        if parameter.default is not parameter.empty
    },
    "dtype": None,
    "name": None,
}


@register_architecture
def recurrent(**sizes):
    """Returns a translator of LSTMs with attention, the kind that the Transformer replaced.

    It is [GNMT](https://arxiv.org/abs/1609.08144), section 3, in small. The bottom layer of the
    encoder is bidirectional, all others go forwards, and each is added to its input. The bottom
    layer of the decoder attends to the encoder by the attention of
    [Bahdanau et al., 2015](https://arxiv.org/abs/1409.0473).

    It differs from GNMT in that the layers above the bottom one of the decoder get the attention
    context through the residual connections, where GNMT gives it to each of them beside its input.
    The bottom layer asks with its output of the same step, not of the one before, and so never gets
    the context itself: all steps of a known target attend at once. Every layer has a residual
    connection and is normalized, and the embeddings are also the output layer, as in the
    Transformer.

    Args:
        **sizes: Arguments of `Transformer`. `num_heads`, `d_ff` and `max_length` have no effect.
            `use_bias` is of the output layer. `positions`, `activation` and the rates of dropout
            other than `dropout_rate` must have their default values.

    Returns:
        An `EncoderDecoder`.

    Raises:
        ValueError: If a size is unknown, missing, invalid or without meaning.

    Example:

    >>> model = recurrent(vocabulary_size=11, num_layers=2, d_model=8)
    >>> source, target = keras.ops.array([[4, 7, 2]]), keras.ops.array([[1, 9]])
    >>> tuple(model({"source": source, "target": target}).shape)
    (1, 2, 11)
    """
    _check(sizes)
    sizes = {**DEFAULTS, **sizes, "dtype": keras.dtype_policies.get(sizes.get("dtype"))}
    shared = sizes["target_vocabulary_size"] is None
    source_embedding = _embedding(sizes, "source", sizes["use_bias"] and shared)
    target_embedding = None if shared else _embedding(sizes, "target", sizes["use_bias"])
    return EncoderDecoder(
        source_embedding,
        target_embedding,
        _encoder(sizes),
        _decoder(sizes),
        sizes["pad_id"],
        dtype=sizes["dtype"],
        name=sizes["name"],
    )


def _embedding(sizes, side, use_bias):
    return PositionalEmbedding(
        sizes["vocabulary_size" if side == "source" else "target_vocabulary_size"],
        sizes["d_model"],
        positions=None,
        dropout_rate=sizes["dropout_rate"],
        use_bias=use_bias,
        dtype=sizes["dtype"],
        name=f"{side}_embedding",
    )


def _encoder(sizes):
    """Returns a bidirectional block, and unidirectional ones on top of it."""
    cells = [_cell(sizes, "cell"), _cell(sizes, "backward_cell")]
    bottom = BidirectionalRecurrentBlock(*cells, **_block_sizes(sizes), name="block_0")
    others = [_block(sizes, number) for number in range(1, sizes["num_layers"])]
    dtype = sizes["dtype"]
    return EncoderStack([bottom, *others], _final_norm(sizes), dtype=dtype, name="encoder")


def _decoder(sizes):
    """Returns a block that attends to the encoder, and others on top of it."""
    dtype, count = sizes["dtype"], sizes["num_decoder_layers"]
    count = sizes["num_layers"] if count is None else count
    blocks = [_block(sizes, number, attends=number == 0) for number in range(count)]
    return DecoderStack(blocks, _final_norm(sizes), dtype=dtype, name="decoder")


def _block(sizes, number, attends=False):
    cell = _cell(sizes, "cell")  # in the order of the block's parts: initializers draw their seeds
    attention = None
    if attends:
        attention = AdditiveAttention(
            sizes["d_model"], dtype=sizes["dtype"], name="cross_attention"
        )
    return RecurrentBlock(cell, attention, **_block_sizes(sizes), name=f"block_{number}")


def _block_sizes(sizes):
    return {name: sizes[name] for name in ("dropout_rate", "norm", "epsilon", "dtype")}


def _cell(sizes, name):
    return keras.layers.LSTMCell(sizes["d_model"], dtype=sizes["dtype"], name=name)


def _final_norm(sizes):
    """Returns the normalization of the output of a stack of pre-normalized blocks, else `None`."""
    if sizes["norm"] != "pre":
        return None
    return keras.layers.LayerNormalization(
        epsilon=sizes["epsilon"], dtype=sizes["dtype"], name="final_normalization"
    )


def _check(sizes):
    """Raises a ValueError if a size is unknown, missing, too small or without meaning."""
    unknown = ", ".join(sorted(sizes.keys() - DEFAULTS.keys()))
    if unknown or sizes.get("vocabulary_size") is None:
        raise ValueError(
            "The architecture recurrent takes the arguments of `Transformer`, `vocabulary_size` at "
            f"least. Received: {unknown or 'no vocabulary_size'}"
        )
    for name, reason in MEANINGLESS.items():
        if name in sizes and sizes[name] != DEFAULTS[name] and sizes[name] is not None:
            raise ValueError(
                f"`{name}` has no meaning in the architecture recurrent: {reason}. Leave it out. "
                f"Received: {name}={sizes[name]!r}"
            )
    for name in ("d_model", "num_layers", "num_decoder_layers"):
        if sizes.get(name) is not None and sizes[name] < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={sizes[name]}")
