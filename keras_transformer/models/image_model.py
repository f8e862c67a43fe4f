"""The Image Transformer: models of the intensities of images, drawn one after the other."""

from typing import NamedTuple

import keras

from keras_transformer.layers import (
    ColourEmbedding,
    DecoderBlock,
    DotProductAttention,
    EncoderBlock,
    GridBias,
    LocalAttention,
    LocalAttention2D,
    PixelEmbedding,
)
from keras_transformer.layers.add_and_norm import EPSILON
from keras_transformer.models.decoder_stack import DecoderStack
from keras_transformer.models.encoder_decoder import EncoderDecoder
from keras_transformer.models.encoder_stack import EncoderStack
from keras_transformer.models.language_model import LanguageModel

ATTENTIONS = ("full", "local", "local_2d")
OUTPUTS = ("categorical", "mixture")


def create_image_model(
    image_shape,
    num_layers=6,
    d_model=512,
    num_heads=8,
    d_ff=2048,
    *,
    attention="local",
    block_length=256,
    query_shape=(8, 16),
    memory_flange=(8, 8),
    output="categorical",
    num_mixtures=10,
    num_levels=256,
    num_classes=0,
    dropout_rate=0.1,
    norm="post",
    dtype=None,
):
    """Returns a `LanguageModel` of images, which generates intensity after intensity.

    From [Parmar et al., 2018](https://arxiv.org/abs/1802.05751). With the output `"categorical"`,
    every intensity is a token with a probability of its own (`PixelEmbedding`), and the loss is
    `TokenCrossEntropy(0.0)`. With `"mixture"`, a pixel with all its channels is a token, whose
    probability is a mixture of logistics (`ColourEmbedding`), and the loss is a
    `DiscretizedLogisticMixture`. Either loss is the mean over all intensities in nats; divided by
    ln 2, it is bits a dimension.

    Args:
        image_shape: Tuple of three integers: rows, columns and channels.
        num_layers: Integer. Number of blocks.
        d_model: Integer. Width of every position.
        num_heads: Integer. Number of attention heads of each block.
        d_ff: Integer. Width of the hidden layer of the feed-forward networks.
        attention: `"full"`, to all that was generated before; `"local"`, to the same block of the
            rows, read one after the other, and the block before (`LocalAttention`); or
            `"local_2d"`, to what is near in both dimensions (`LocalAttention2D`).
        block_length: Integer. Of `"local"`: number of tokens of a block.
        query_shape: Tuple of two integers. Of `"local_2d"`: rows and columns of a block, where the
            channels of a pixel count as columns if they are tokens.
        memory_flange: Tuple of two integers. Of `"local_2d"`: see `LocalAttention2D`.
        output: `"categorical"` or `"mixture"`.
        num_mixtures: Integer. Of `"mixture"`: number of components.
        num_levels: Integer. Number of intensities.
        num_classes: Integer. Number of classes; 0 for images without classes.
        dropout_rate: Float. Fraction of sub-layer outputs and embeddings to drop in training.
        norm: `"post"` (the paper's) or `"pre"`; see `AddAndNorm`.
        dtype: Dtype policy, or its name.

    Raises:
        ValueError: If an argument is invalid.

    Example: 4 x 4 pixels with three channels, of which each has 256 intensities.

    >>> sizes = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 16}
    >>> model = create_image_model((4, 4, 3), **sizes, block_length=12)
    >>> ids, labels = model.embedding.to_ids(keras.ops.zeros((2, 4, 4, 3), "int32"))
    >>> tuple(model({"target": ids}).shape)
    (2, 48, 258)
    """
    dtype = keras.dtype_policies.get(dtype)
    sizes = _Sizes(num_layers, d_model, num_heads, d_ff, dropout_rate, norm, dtype)
    view = _View(attention, block_length, tuple(query_shape), tuple(memory_flange))
    embedding = _embedding(image_shape, sizes, view, output, num_mixtures, num_levels, num_classes)
    return LanguageModel(embedding, _decoder(embedding, sizes, view, False), dtype=dtype)


def create_enlarging_model(
    small_shape,
    image_shape,
    num_layers=6,
    d_model=512,
    num_heads=8,
    d_ff=2048,
    *,
    attention="local",
    block_length=256,
    query_shape=(8, 16),
    memory_flange=(8, 8),
    output="categorical",
    num_mixtures=10,
    num_levels=256,
    dropout_rate=0.1,
    norm="post",
    dtype=None,
):
    """Returns an `EncoderDecoder` that draws images, given small ones.

    Section 4.3 in [Parmar et al., 2018](https://arxiv.org/abs/1802.05751). The encoder reads all
    of a small image; each block of the decoder attends to it, too. Unlike in the paper, this
    attention prefers what is near in the image (`GridBias`).

    Args:
        small_shape: Tuple of three integers: rows, columns and channels of a small image.
        image_shape: Tuple of three integers, those of an image.
        num_layers: Integer. Number of blocks of encoder and decoder.
        d_model: As in `create_image_model`, like all that follow.
        num_heads: Integer.
        d_ff: Integer.
        attention: String, of the decoder.
        block_length: Integer.
        query_shape: Tuple of two integers.
        memory_flange: Tuple of two integers.
        output: String.
        num_mixtures: Integer.
        num_levels: Integer.
        dropout_rate: Float.
        norm: String.
        dtype: Dtype policy, or its name.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    >>> sizes = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 16}
    >>> model = create_enlarging_model((2, 2, 1), (4, 4, 1), **sizes, block_length=8)
    >>> source = model.source_embedding.read(keras.ops.zeros((3, 2, 2, 1), "int32"))
    >>> target, _ = model.target_embedding.to_ids(keras.ops.zeros((3, 4, 4, 1), "int32"))
    >>> tuple(model({"source": source, "target": target}).shape)
    (3, 16, 258)
    """
    dtype = keras.dtype_policies.get(dtype)
    sizes = _Sizes(num_layers, d_model, num_heads, d_ff, dropout_rate, norm, dtype)
    view = _View(attention, block_length, tuple(query_shape), tuple(memory_flange))
    kind = (output, num_mixtures, num_levels, 0)
    source = _embedding(small_shape, sizes, _View("full"), *kind, enlarged_shape=image_shape)
    target = _embedding(image_shape, sizes, view, *kind)
    blocks = [
        EncoderBlock(d_model, num_heads, d_ff, dropout_rate, norm, dtype=dtype)
        for _ in range(num_layers)
    ]
    encoder = EncoderStack(blocks, _final(sizes), dtype=dtype)
    decoder = _decoder(target, sizes, view, True)
    cells = target.grid[1] // target.image_shape[1]
    for block in decoder.blocks:
        block.cross_attention.attention = GridBias(
            target.image_shape, source.image_shape, target.query_shape, cells, dtype=dtype
        )
    return EncoderDecoder(source, target, encoder, decoder, dtype=dtype)


class _Sizes(NamedTuple):
    """Sizes of the blocks; see `create_image_model`."""

    num_layers: int
    d_model: int
    num_heads: int
    d_ff: int
    dropout_rate: float
    norm: str
    dtype: object


class _View(NamedTuple):
    """The view of a position; see `create_image_model`."""

    attention: str
    block_length: int = 0
    query_shape: tuple = ()
    memory_flange: tuple = ()


def _embedding(
    image_shape, sizes, view, output, num_mixtures, num_levels, num_classes, enlarged_shape=None
):
    """Returns the embedding of images.

    Raises:
        ValueError: The attention or the output is unknown.
    """
    if view.attention not in ATTENTIONS:
        raise ValueError(
            f"`attention` must be one of {', '.join(ATTENTIONS)}. Received: {view.attention!r}"
        )
    if output not in OUTPUTS:
        raise ValueError(f"`output` must be one of {', '.join(OUTPUTS)}. Received: {output!r}")
    blocks = view.query_shape if view.attention == "local_2d" else None
    sizes_of_images = (image_shape, sizes.d_model, num_levels, num_classes, blocks)
    options = {"enlarged_shape": enlarged_shape, "dtype": sizes.dtype}
    if output == "mixture":
        return ColourEmbedding(*sizes_of_images, sizes.dropout_rate, num_mixtures, **options)
    return PixelEmbedding(*sizes_of_images, sizes.dropout_rate, **options)


def _decoder(embedding, sizes, view, cross_attention):
    """Returns the stack of blocks that draws."""
    blocks = []
    for _ in range(sizes.num_layers):
        block = DecoderBlock(
            sizes.d_model,
            sizes.num_heads,
            sizes.d_ff,
            sizes.dropout_rate,
            sizes.norm,
            cross_attention=cross_attention,
            dtype=sizes.dtype,
        )
        block.self_attention.attention = _attention(embedding, view, sizes.dtype)
        blocks.append(block)
    return DecoderStack(blocks, _final(sizes), dtype=sizes.dtype)


def _attention(embedding, view, dtype):
    if view.attention == "local":
        return LocalAttention(view.block_length, dtype=dtype)
    if view.attention == "local_2d":
        return LocalAttention2D(embedding.grid, view.query_shape, view.memory_flange, dtype=dtype)
    return DotProductAttention(dtype=dtype)


def _final(sizes):
    """Returns the normalization after the blocks, which a model with norm "pre" needs."""
    if sizes.norm != "pre":
        return None
    return keras.layers.LayerNormalization(epsilon=EPSILON, dtype=sizes.dtype)
