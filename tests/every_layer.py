"""Every public layer once, with small sizes that are all different primes: the table that
`test_every_layer.py` goes through, here and in a process of its own on JAX."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

import keras_transformer as kt
from tests.weights import random

B, S, T, H, D, F, V, L = 2, 7, 5, 3, 12, 17, 23, 29  # D must be a multiple of H, and even
SIZES = {"d_model": D, "num_heads": H, "d_ff": F}


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer to be made, what to build it with, and what to call it with."""

    make: Callable
    build: tuple
    arguments: dict
    float32_output: bool = False


def real(length, *lengths):
    """A padding mask: the first `lengths[b]` positions of row `b` are real."""
    return np.arange(length)[None] < np.array(lengths)[:, None]


def ids(rows, length, vocabulary_size, real_positions):
    numbers = np.random.default_rng(13).integers(3, vocabulary_size, size=(rows, length))
    return np.where(real_positions, numbers, 0).astype("int32")


SOURCE, TARGET = random(B, S, D, seed=1), random(B, T, D, seed=2)
SOURCE_MASK, TARGET_MASK = real(S, 7, 3), real(T, 4, 5)
ATTENTION_MASK = np.broadcast_to(SOURCE_MASK[:, None], (B, T, S)).copy()
SOURCE_IDS, TARGET_IDS = ids(B, S, V, SOURCE_MASK), ids(B, T, V, TARGET_MASK)
IDS = {"source": SOURCE_IDS, "target": TARGET_IDS}
SEGMENTS = {
    "source_segments": np.array([[1, 1, 1, 2, 2, 2, 2], [1, 2, 2, 0, 0, 0, 0]], "int32"),
    "target_segments": np.array([[1, 1, 2, 2, 0], [1, 1, 1, 2, 2]], "int32"),
    "source_positions": np.array([[0, 1, 2, 0, 1, 2, 3], [0, 0, 1, 0, 0, 0, 0]], "int32"),
    "target_positions": np.array([[0, 1, 0, 1, 0], [0, 1, 2, 0, 1]], "int32"),
}


def _embedding(positions):
    return Case(
        lambda **options: kt.PositionalEmbedding(
            V, D, positions, dropout_rate=0.1, max_length=L, **options
        ),
        build=((B, T),),
        arguments={"ids": TARGET_IDS},
    )


def _encoder_block(norm):
    return Case(
        lambda **options: kt.EncoderBlock(**SIZES, norm=norm, **options),
        build=((B, S, D),),
        arguments={"inputs": SOURCE, "attention_mask": SOURCE_MASK},
    )


def _decoder_block(norm):
    return Case(
        lambda **options: kt.DecoderBlock(**SIZES, norm=norm, **options),
        build=((B, T, D), (B, S, D)),
        arguments={"inputs": TARGET, "encoder_output": SOURCE, "memory_mask": SOURCE_MASK},
    )


def _encoder(norm):
    return Case(
        lambda **options: kt.Encoder(2, **SIZES, norm=norm, **options),
        build=((B, S, D),),
        arguments={"inputs": SOURCE, "attention_mask": SOURCE_MASK},
    )


def _decoder(norm):
    return Case(
        lambda **options: kt.Decoder(2, **SIZES, norm=norm, **options),
        build=((B, T, D), (B, S, D)),
        arguments={"inputs": TARGET, "encoder_output": SOURCE, "memory_mask": SOURCE_MASK},
    )


def _attention(part, *arguments, **settings):
    """What happens between the projections."""
    return Case(
        lambda **options: part(*arguments, **settings, **options),
        build=((B, H, T, D),),
        arguments={
            "query": random(B, H, T, D, seed=5),
            "key": random(B, H, S, D, seed=6),
            "value": random(B, H, S, D, seed=7),
            "attention_mask": ATTENTION_MASK,
        },
    )


def _convolution(causal):
    return Case(
        lambda **options: kt.SeparableConvolution(D, causal=causal, **options),
        build=((B, S, D),),
        arguments={
            "inputs": SOURCE,
            "attention_mask": SOURCE_MASK,
            "positions": SEGMENTS["source_positions"],
        },
    )


def _compression(layer):
    return Case(
        lambda **options: layer(D, 2, **options),
        build=((B, S, D),),
        arguments={"inputs": SOURCE, "attention_mask": SOURCE_MASK},
    )


MODULE = {"kernel_sizes": (3, 7), "dilations": (2, 1), "groups": (2, 3)}


def _attending_convolutions(make):
    return Case(
        make,
        build=((B, T, D), (B, S, D)),
        arguments={"inputs": TARGET, "encoder_output": SOURCE, "memory_mask": SOURCE_MASK},
    )


def _attention_in_itself(make):
    """What is between the projections, for queries, keys and values of the same row."""
    query, key, value = (random(B, H, S, D, seed=seed) for seed in (5, 6, 7))
    return Case(make, ((B, H, S, D),), {"query": query, "key": key, "value": value})


def _recurrent_block(cell, attention_class=None, **arguments):
    """Of a cell, which has the dtype of its block, and perhaps attention to an encoder."""

    def make(dtype=None):
        attention = None
        if "encoder_output" in arguments:
            sizes = (D, 11) if attention_class else (D, H)
            attention = (attention_class or kt.MultiHeadAttention)(*sizes, dtype=dtype)
        return kt.RecurrentBlock(cell(D, dtype=dtype), attention, dtype=dtype)

    build = ((B, T, D), (B, S, D)) if "encoder_output" in arguments else ((B, T, D),)
    return Case(make, build, {"inputs": TARGET, **arguments})


def _bidirectional_block(norm, **arguments):
    def make(dtype=None):
        cells = [keras.layers.LSTMCell(11, dtype=dtype), keras.layers.GRUCell(5, dtype=dtype)]
        return kt.BidirectionalRecurrentBlock(*cells, norm=norm, dtype=dtype)

    return Case(make, ((B, S, D),), {"inputs": SOURCE, **arguments})


def _transformer(inputs=IDS, **settings):
    return Case(
        lambda **options: kt.Transformer(
            V, num_layers=2, **SIZES, max_length=L, **settings, **options
        ),
        build=(),
        arguments={"inputs": inputs},
        float32_output=True,
    )


def _decoder_only(inputs):
    def make(**options):
        blocks = [kt.DecoderBlock(**SIZES, cross_attention=False, **options) for _ in range(2)]
        embedding = kt.PositionalEmbedding(V, D, **options)
        return kt.DecoderOnly(embedding, kt.DecoderStack(blocks, **options), **options)

    return Case(make, build=(), arguments={"inputs": inputs}, float32_output=True)


CASES = {
    "AddAndNorm post": Case(
        lambda **options: kt.AddAndNorm(0.1, **options),
        build=((B, T, D), (B, T, D)),
        arguments={"inputs": TARGET, "outputs": random(B, T, D, seed=3)},
    ),
    "AddAndNorm pre": Case(
        lambda **options: kt.AddAndNorm(0.1, norm="pre", **options),
        build=((B, T, D), (B, T, D)),
        arguments={"inputs": TARGET, "outputs": random(B, T, D, seed=3)},
    ),
    "Dropout": Case(
        lambda **options: kt.Dropout(0.1, **options),
        build=((B, T, D),),
        arguments={"inputs": TARGET},
    ),
    "FeedForward": Case(
        lambda **options: kt.FeedForward(D, F, **options),
        build=((B, T, D),),
        arguments={"inputs": TARGET},
    ),
    "FeedForward gelu": Case(
        lambda **options: kt.FeedForward(D, F, activation="gelu", dropout_rate=0.1, **options),
        build=((B, T, D),),
        arguments={"inputs": TARGET},
    ),
    "MixtureOfExperts": Case(
        lambda **options: kt.MixtureOfExperts(D, F, num_experts=5, dropout_rate=0.1, **options),
        build=((B, T, D),),
        arguments={"inputs": TARGET, "attention_mask": TARGET_MASK},
    ),
    "FeedForwardBlock": Case(
        lambda **options: kt.FeedForwardBlock(
            D, kt.MixtureOfExperts(D, F, num_experts=5, **options), dropout_rate=0.1, **options
        ),
        build=((B, T, D),),
        arguments={"inputs": TARGET, "attention_mask": TARGET_MASK},
    ),
    "ResidualConvolutions": _compression(kt.ResidualConvolutions),
    "SequenceCompressor": _compression(kt.SequenceCompressor),
    "SequenceExpander": _compression(kt.SequenceExpander),
    "SemanticHashing": Case(
        lambda **options: kt.SemanticHashing(D, 5, **options),
        build=((B, T, D),),
        arguments={"inputs": TARGET},
    ),
    "VectorQuantizer": Case(
        lambda **options: kt.VectorQuantizer(D, 7, **options),
        build=((B, T, D),),
        arguments={"inputs": TARGET, "attention_mask": TARGET_MASK},
    ),
    "DecomposedVectorQuantizer of projections": Case(
        lambda **options: kt.DecomposedVectorQuantizer(D, 5, 3, "project", **options),
        build=((B, T, D),),
        arguments={"inputs": TARGET, "attention_mask": TARGET_MASK},
    ),
    "MultiHeadAttention": Case(
        lambda **options: kt.MultiHeadAttention(D, H, **options),
        build=((B, T, D), (B, S, D)),
        arguments={"query": TARGET, "value": SOURCE, "attention_mask": ATTENTION_MASK},
    ),
    "MultiHeadAttention with biases and another key_dim": Case(
        lambda **options: kt.MultiHeadAttention(D, H, key_dim=11, use_bias=True, **options),
        build=((B, T, D), (B, S, D)),
        arguments={"query": TARGET, "value": SOURCE, "key": random(B, S, D, seed=4)},
    ),
    "MultiHeadAttention with parts": Case(
        lambda **options: kt.MultiHeadAttention(
            D, H, attention=kt.DotProductAttention(**options), **options
        ),
        build=((B, T, D),),
        arguments={"query": TARGET},
    ),
    "MultiHeadAttention of grouped queries, with dropout": Case(
        lambda **options: kt.MultiHeadAttention(
            D, 4, num_key_value_heads=2, dropout_rate=0.1, **options
        ),
        build=((B, T, D), (B, S, D)),
        arguments={"query": TARGET, "value": SOURCE, "attention_mask": ATTENTION_MASK},
    ),
    "AdditiveAttention": Case(
        lambda **options: kt.AdditiveAttention(D, units=11, **options),
        build=((B, T, D), (B, S, D)),
        arguments={"query": TARGET, "value": SOURCE, "attention_mask": ATTENTION_MASK},
    ),
    "RotaryEmbedding": Case(
        lambda **options: kt.RotaryEmbedding(**options),
        build=((B, H, T, 8),),
        arguments={
            "inputs": random(B, H, T, 8, seed=5),
            "positions": SEGMENTS["target_positions"],
        },
    ),
    "RelativeAttention": _attention(kt.RelativeAttention, 2),
    "RelativeAttention of keys alone": _attention(kt.RelativeAttention, 3, values=False),
    "DistanceBias": _attention(kt.DistanceBias, 8, 7),
    "LinearBias": _attention(kt.LinearBias),
    "GridBias": _attention(kt.GridBias, (6, 4, 1), (3, 2, 1)),
    "FusedAttention": _attention(kt.FusedAttention),
    "DotProductAttention": _attention(kt.DotProductAttention),
    "LocalAttention": _attention_in_itself(
        lambda **options: kt.LocalAttention(2, look_back=1, **options)
    ),
    "LocalAttention2D": _attention_in_itself(
        lambda **options: kt.LocalAttention2D((3, 5), (2, 2), (1, 1), **options)
    ),
    "MemoryCompressedAttention": Case(
        lambda **options: kt.MemoryCompressedAttention(D, H, **options),
        build=((B, S, D),),
        arguments={"inputs": SOURCE, "attention_mask": SOURCE_MASK},
    ),
    "MemoryCompressedAttention of packed rows": Case(
        lambda **options: kt.MemoryCompressedAttention(
            D, H, compression=2, key_dim=11, use_bias=True, **options
        ),
        build=((B, S, D),),
        arguments={"inputs": SOURCE, "positions": SEGMENTS["source_positions"]},
    ),
    "ColourEmbedding": Case(
        lambda **options: kt.ColourEmbedding((5, 3, 1), D, num_levels=V - 2, **options),
        build=((B, T),),
        arguments={"ids": IDS["target"]},
    ),
    "PixelEmbedding": Case(
        lambda **options: kt.PixelEmbedding((2, 2, 3), D, num_levels=V - 2, **options),
        build=((B, T),),
        arguments={"ids": IDS["target"]},
    ),
    "PositionalEmbedding paper": _embedding("paper"),
    "PositionalEmbedding t2t": _embedding("t2t"),
    "PositionalEmbedding learned": _embedding("learned"),
    "PositionalEmbedding without positions": _embedding(None),
    "TextModality": Case(
        lambda **options: kt.TextModality(V, D, dropout_rate=0.1, commands=[4, 5], **options),
        build=((B, T),),
        arguments={"ids": TARGET_IDS},
    ),
    "ImageModality": Case(
        lambda **options: kt.ImageModality((11, 7, 3), 5, D, (2, 13), (17,), **options),
        build=((B, 11, 7, 3),),
        arguments={"images": random(B, 11, 7, 3, seed=6)},
    ),
    "DownsamplingBlock": Case(
        lambda **options: kt.DownsamplingBlock(D, **options),
        build=((B, 11, 7, 3),),
        arguments={"inputs": random(B, 11, 7, 3, seed=6)},
    ),
    "EncoderBlock post": _encoder_block("post"),
    "EncoderBlock pre": _encoder_block("pre"),
    "DecoderBlock post": _decoder_block("post"),
    "DecoderBlock pre": _decoder_block("pre"),
    "DecoderBlock of a language model": Case(
        lambda **options: kt.DecoderBlock(
            **SIZES, cross_attention=False, activation="gelu", use_bias=True, **options
        ),
        build=((B, T, D),),
        arguments={"inputs": TARGET},
    ),
    "SeparableConvolution causal": _convolution(causal=True),
    "SeparableConvolution centred": _convolution(causal=False),
    "SeparableConvolution of groups, dilated, of wider inputs": Case(
        lambda **options: kt.SeparableConvolution(9, dilation=2, groups=3, input_dim=D, **options),
        build=((B, S, D),),
        arguments={"inputs": SOURCE, "attention_mask": SOURCE_MASK},
    ),
    "GroupedDense": Case(
        lambda **options: kt.GroupedDense(9, 3, **options),
        build=((B, T, D),),
        arguments={"inputs": TARGET},
    ),
    "ConvolutionStep": Case(
        lambda **options: kt.ConvolutionStep(D, 5, dilation=2, groups=3, **options),
        build=((B, S, D),),
        arguments={"inputs": SOURCE, "positions": SEGMENTS["source_positions"]},
    ),
    "ConvolutionModule": Case(
        lambda **options: kt.ConvolutionModule(
            D, **MODULE, causal=False, dropout_rate=0.1, **options
        ),
        build=((B, S, D),),
        arguments={"inputs": SOURCE, "attention_mask": SOURCE_MASK},
    ),
    "ConvolutionalAttention": _attending_convolutions(
        lambda **options: kt.ConvolutionalAttention(D, (2, 3), **options)
    ),
    "InputOutputMixer": _attending_convolutions(
        lambda **options: kt.InputOutputMixer(D, (2, 3), **options)
    ),
    "AttendingConvolutionModule": _attending_convolutions(
        lambda **options: kt.AttendingConvolutionModule(D, **MODULE, dropout_rate=0.1, **options)
    ),
    "RecurrentBlock of an encoder": _recurrent_block(
        keras.layers.GRUCell, attention_mask=TARGET_MASK
    ),
    "RecurrentBlock of a decoder": _recurrent_block(
        keras.layers.LSTMCell,
        encoder_output=SOURCE,
        memory_mask=SOURCE_MASK,
        positions=SEGMENTS["target_positions"],
    ),
    "RecurrentBlock with additive attention": _recurrent_block(
        keras.layers.GRUCell, kt.AdditiveAttention, encoder_output=SOURCE, memory_mask=SOURCE_MASK
    ),
    "BidirectionalRecurrentBlock": _bidirectional_block("post", attention_mask=SOURCE_MASK),
    "BidirectionalRecurrentBlock of packed rows": _bidirectional_block(
        "pre", attention_mask=SOURCE_MASK, positions=SEGMENTS["source_positions"]
    ),
    "Encoder post": _encoder("post"),
    "Encoder pre": _encoder("pre"),
    "Decoder post": _decoder("post"),
    "Decoder pre": _decoder("pre"),
    "EncoderStack": Case(
        lambda **options: kt.EncoderStack(
            [kt.EncoderBlock(**{**SIZES, "num_heads": heads}, **options) for heads in (3, 4)],
            keras.layers.LayerNormalization(**options),
            **options,
        ),
        build=((B, S, D),),
        arguments={"inputs": SOURCE, "attention_mask": SOURCE_MASK},
    ),
    "DecoderStack": Case(
        lambda **options: kt.DecoderStack(
            [
                kt.DecoderBlock(**SIZES, cross_attention=attends, **options)
                for attends in (False, True)
            ],
            **options,
        ),
        build=((B, T, D), (B, S, D)),
        arguments={"inputs": TARGET, "encoder_output": SOURCE, "memory_mask": SOURCE_MASK},
    ),
    "EncoderDecoder": Case(
        lambda **options: kt.EncoderDecoder(
            kt.PositionalEmbedding(V, D, **options),
            None,
            kt.EncoderStack([kt.EncoderBlock(**SIZES, **options)], **options),
            kt.DecoderStack([kt.DecoderBlock(**SIZES, norm="pre", **options)], **options),
            **options,
        ),
        build=(),
        arguments={"inputs": IDS},
        float32_output=True,
    ),
    "EncoderDecoder of the architecture recurrent": Case(
        lambda **options: kt.create_model(
            "recurrent", vocabulary_size=V, num_layers=2, d_model=D, norm="pre", **options
        ),
        build=(),
        arguments={"inputs": {**IDS, **SEGMENTS}},
        float32_output=True,
    ),
    "MultiModel of packed rows": Case(
        lambda **options: kt.MultiModel(
            kt.TextModality(V, D, commands=[*range(3, 11)], **options),
            kt.EncoderStack([kt.EncoderBlock(**SIZES, **options)], **options),
            kt.DecoderStack([kt.DecoderBlock(**SIZES, norm="pre", **options)], **options),
            kt.ImageModality((8, 8, 1), 5, D, **options),
            **options,
        ),
        build=(),
        arguments={"inputs": {**IDS, **SEGMENTS}},
        float32_output=True,
    ),
    "LatentTransformer": Case(
        lambda **options: kt.create_model(
            "latent", {"bits": 4}, vocabulary_size=V, num_layers=1, **SIZES, **options
        ),
        build=(),
        arguments={"inputs": IDS},
        float32_output=True,
    ),
    "LanguageModel": Case(
        lambda **options: kt.LanguageModel(
            kt.PositionalEmbedding(V, D, **options),
            kt.DecoderStack(
                [kt.DecoderBlock(**SIZES, cross_attention=False, **options)], **options
            ),
            **options,
        ),
        build=(),
        arguments={"inputs": {"target": IDS["target"]}},
        float32_output=True,
    ),
    "EncoderDecoder of images": Case(
        lambda **options: kt.create_enlarging_model(
            (2, 4, 1), (3, 5, 1), num_layers=1, **SIZES, block_length=2, num_levels=V - 2, **options
        ),
        build=(),
        arguments={"inputs": IDS},
        float32_output=True,
    ),
    "LanguageModel of images": Case(
        lambda **options: kt.create_image_model(
            (3, 5, 1),
            num_layers=1,
            **SIZES,
            attention="local_2d",
            query_shape=(2, 2),
            memory_flange=(1, 2),
            num_levels=V - 2,
            **options,
        ),
        build=(),
        arguments={"inputs": {"target": IDS["target"]}},
        float32_output=True,
    ),
    "DecoderOnly": _decoder_only(IDS),
    "DecoderOnly of packed rows": _decoder_only({**IDS, **SEGMENTS}),
    "Transformer": _transformer(),
    "Transformer pre, t2t": _transformer(norm="pre", positions="t2t"),
    "Transformer of two vocabularies": _transformer(target_vocabulary_size=31, positions="learned"),
    "Transformer with dropout everywhere": _transformer(
        attention_dropout_rate=0.1, feed_forward_dropout_rate=0.1
    ),
    "Transformer of packed rows": _transformer({**IDS, **SEGMENTS}, num_decoder_layers=1),
}
