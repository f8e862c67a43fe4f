"""The Image Transformer: a language model of the intensities of images."""

import keras

from keras_transformer.layers import (
    ColourEmbedding,
    DecoderBlock,
    DotProductAttention,
    LocalAttention,
    LocalAttention2D,
    PixelEmbedding,
)
from keras_transformer.layers.add_and_norm import EPSILON
from keras_transformer.models.decoder_stack import DecoderStack
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
    if attention not in ATTENTIONS:
        raise ValueError(
            f"`attention` must be one of {', '.join(ATTENTIONS)}. Received: {attention!r}"
        )
    if output not in OUTPUTS:
        raise ValueError(f"`output` must be one of {', '.join(OUTPUTS)}. Received: {output!r}")
    dtype = keras.dtype_policies.get(dtype)
    blocks_of = query_shape if attention == "local_2d" else None
    sizes = (image_shape, d_model, num_levels, num_classes, blocks_of, dropout_rate)
    if output == "mixture":
        embedding = ColourEmbedding(*sizes, num_mixtures, dtype=dtype)
    else:
        embedding = PixelEmbedding(*sizes, dtype=dtype)
    blocks = []
    for _ in range(num_layers):
        block = DecoderBlock(
            d_model, num_heads, d_ff, dropout_rate, norm, cross_attention=False, dtype=dtype
        )
        block.self_attention.attention = {
            "full": lambda: DotProductAttention(dtype=dtype),
            "local": lambda: LocalAttention(block_length, dtype=dtype),
            "local_2d": lambda: LocalAttention2D(
                embedding.grid, query_shape, memory_flange, dtype=dtype
            ),
        }[attention]()
        blocks.append(block)
    final = keras.layers.LayerNormalization(epsilon=EPSILON, dtype=dtype) if norm == "pre" else None
    return LanguageModel(embedding, DecoderStack(blocks, final, dtype=dtype), dtype=dtype)
