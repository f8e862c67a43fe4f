"""Every layer and model with a method for decoding steps: the table that
`tests/layers/test_decoding_steps.py` goes through, here and in a process of its own on JAX.

To add a layer, add a line to `ROWS`: `LayerRow` if it is called as `MultiHeadAttention` is,
`LayerRow(..., attends=True)` if it attends to an encoder as `DecoderBlock` does.
"""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

import keras_transformer as kt
from keras_transformer.layers import AttentionMask
from keras_transformer.models import (
    DecoderOnly,
    DecoderStack,
    EncoderDecoder,
    EncoderStack,
    LanguageModel,
    create_model,
)
from keras_transformer.models.encoder_decoder import Memory
from tests.toy_parts import AttentionByDistance, AttentionInBlocks, PreviousInput, Rotation
from tests.weights import random, randomize

H, K, S, F, V = 2, 7, 13, 17, 23  # primes, all different, also from those of the drive
D = H * K
SOURCES = 37  # how many sources there are; each sentence of the drive has another
SIZES = {"d_model": D, "num_heads": H, "d_ff": F}
P = 8  # tokens of the longest prompt

_generator = np.random.default_rng(3)
SOURCE_MASK = np.arange(S) < _generator.integers(1, S + 1, (SOURCES, 1))
SOURCE_IDS = np.where(SOURCE_MASK, _generator.integers(3, V, (SOURCES, S)), 0).astype("int32")
SOURCE_VECTORS = random(SOURCES, S, D, seed=5)
PROMPT_LENGTHS = np.arange(SOURCES, dtype="int32") % (P + 1)  # some are empty


@dataclasses.dataclass(frozen=True)
class Packed:
    """Rows of several sentences: the number of the sentence of each token, and its position."""

    segments: np.ndarray
    positions: np.ndarray
    source_segments: np.ndarray
    source_positions: np.ndarray


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """A layer from vectors to vectors.

    Attributes:
        make: Makes the layer, given a dtype.
        attends: Whether the layer attends to the output of an encoder.
        reads_prompts: Whether the layer can read a prompt.
    """

    make: Callable
    attends: bool = False
    reads_prompts: bool = True

    def layer(self, dtype="float32"):
        """Returns the layer with random weights, the same for each dtype and backend."""
        layer = self.make(dtype=dtype)
        shape = (None, None, D)
        layer.build(shape, shape) if self.attends else layer.build(shape)
        return randomize(layer)

    def inputs(self, layer, numbers):
        """Returns different inputs for each of the numbers, from 0 on: `(..., D)`."""
        vectors = random(numbers.max() + 1, D, seed=1)[numbers]
        return ops.cast(vectors, layer.compute_dtype)

    def memory(self, layer):
        """Returns what decoding steps know of each source."""
        vectors = ops.cast(SOURCE_VECTORS, layer.compute_dtype)
        blocks = layer.project_memory(vectors) if self.attends else ()
        return Memory(vectors, ops.convert_to_tensor(SOURCE_MASK), blocks)

    def whole(self, layer, inputs, memory):
        """Returns the outputs for whole sentences."""
        source = {"encoder_output": memory.encoder_output, "memory_mask": memory.mask}
        mask = AttentionMask(causal=True)
        return layer(inputs, attention_mask=mask, **(source if self.attends else {}))

    def alone(self, layer, inputs, memory):
        """Returns the outputs for sentences without prompts."""
        return self.whole(layer, inputs, memory)

    def prefill(self, layer, prompts, mask, memory):
        """Returns what decoding steps know of each prompt."""
        return layer.prefill(prompts, mask, **self._source(memory))[1]

    def step(self, layer, inputs, cache, at, memory, **prompt):
        """Returns the outputs of a decoding step, and the new cache."""
        outputs, _, cache = layer.step(inputs, cache, at, **self._source(memory), **prompt)
        return outputs, cache

    def _source(self, memory):
        return {"memory": memory.blocks, "memory_mask": memory.mask} if self.attends else {}

    def in_packed_rows(self, layer, inputs, packed, sources):
        """Returns the outputs for packed rows; `sources` are numbers of source positions."""
        source = {
            "encoder_output": ops.cast(SOURCE_VECTORS.reshape(-1, D)[sources], layer.compute_dtype),
            "memory_mask": AttentionMask(
                packed.source_segments > 0, packed.segments, packed.source_segments
            ),
        }
        return layer(
            inputs,
            attention_mask=AttentionMask(None, packed.segments, packed.segments, causal=True),
            positions=packed.positions,
            **(source if self.attends else {}),
        )


@dataclasses.dataclass(frozen=True)
class ModelRow:
    """A model from token ids to logits, with the same methods as `LayerRow`."""

    make: Callable

    def layer(self, dtype="float32"):
        model = self.make(dtype=dtype)
        model.build()
        return randomize(model)

    def inputs(self, model, numbers):
        ids = np.random.default_rng(1).integers(3, V, numbers.max() + 1)[numbers]
        return ops.convert_to_tensor(ids.astype("int32"))

    def memory(self, model):
        return model.encode(ops.convert_to_tensor(SOURCE_IDS))

    def whole(self, model, inputs, memory):
        return model.decode(inputs, memory)

    def alone(self, model, inputs, memory):
        return self.whole(model, inputs, memory)

    def step(self, model, inputs, cache, at, memory):
        logits, _, cache = model.decode_step(inputs, cache, at, memory)
        return logits, cache

    def in_packed_rows(self, model, inputs, packed, sources):
        real = packed.source_segments > 0
        return model(
            {
                "source": np.where(real, np.maximum(SOURCE_IDS, 3).reshape(-1)[sources], 0),
                "target": inputs,
                "source_segments": packed.source_segments,
                "target_segments": packed.segments,
                "source_positions": packed.source_positions,
                "target_positions": packed.positions,
            }
        )


@dataclasses.dataclass(frozen=True)
class LatentRow(ModelRow):
    """A model whose steps are those of latents, by its own decoder for them."""

    def whole(self, model, inputs, memory):
        mask = AttentionMask(memory.mask)
        vectors = model.latent_embedding(inputs)
        hidden = model.latent_decoder(vectors, memory.encoder_output, memory_mask=mask)
        return model.latent_embedding.logits(hidden)

    def in_packed_rows(self, model, inputs, packed, sources):
        real, segments = packed.source_segments > 0, packed.source_segments
        source = np.where(real, np.maximum(SOURCE_IDS, 3).reshape(-1)[sources], 0)
        encoder_output = model.encoder(
            model.source_embedding(source, packed.source_positions),
            attention_mask=AttentionMask(real, segments, segments),
            positions=packed.source_positions,
        )
        hidden = model.latent_decoder(
            model.latent_embedding(inputs, packed.positions),
            encoder_output,
            attention_mask=AttentionMask(None, packed.segments, packed.segments, causal=True),
            memory_mask=AttentionMask(real, packed.segments, segments),
            positions=packed.positions,
        )
        return model.latent_embedding.logits(hidden)


@dataclasses.dataclass(frozen=True)
class WithPrompts:
    """The layer of a `LayerRow`, with a prompt of another length before each sentence.

    The memory of decoding steps is that of the row, what the layer keeps of the prompts, their
    lengths, and the prompts themselves, which only `whole` sees.
    """

    row: LayerRow

    def inputs(self, layer, numbers):
        return self.row.inputs(layer, numbers)

    def memory(self, layer):
        prompts = self.inputs(layer, np.arange(SOURCES * P).reshape(SOURCES, P)[::-1])
        memory, mask = self.row.memory(layer), np.arange(P) < PROMPT_LENGTHS[:, None]
        mask = ops.convert_to_tensor(mask)
        read = self.row.prefill(layer, prompts, mask, memory)
        return memory, read, ops.convert_to_tensor(PROMPT_LENGTHS), prompts

    def whole(self, layer, inputs, memory):
        memory, _, lengths, prompts = memory
        return after_prompts(lambda x: self.row.whole(layer, x, memory), prompts, lengths, inputs)

    def step(self, layer, inputs, cache, at, memory):
        memory, prompt, lengths, _ = memory
        at = at._replace(positions=at.positions + lengths)
        return self.row.step(layer, inputs, cache, at, memory, prompt=prompt)


def after_prompts(function, prompts, lengths, inputs):
    """Returns what a function of whole sentences gives for inputs that follow their prompts."""
    start, length = prompts.shape[1], inputs.shape[1]
    places = np.arange(start + length, dtype="int32")
    lengths = ops.convert_to_tensor(lengths)[:, None]
    order = ops.where(places < lengths, places, start + places - lengths)
    order = ops.minimum(order, start + length - 1)  # what follows is not looked at
    outputs = function(taken(ops.concatenate([prompts, inputs], axis=1), order))
    return taken(outputs, lengths + np.arange(length, dtype="int32"))


def taken(x, places):
    """Returns `x[b, places[b]]` for every row."""
    return ops.take_along_axis(x, ops.reshape(places, (*places.shape, *[1] * (x.ndim - 2))), axis=1)


@dataclasses.dataclass(frozen=True)
class LanguageModelRow(ModelRow):
    """A language model. Its sentences follow prompts, whose last token is their first input."""

    def memory(self, model):
        generator = np.random.default_rng(11)
        prompts = generator.integers(3, V, (SOURCES, P + 1))
        prompts = np.where(np.arange(P + 1) <= PROMPT_LENGTHS[:, None], prompts, 0)
        prompts = ops.convert_to_tensor(prompts.astype("int32"))
        return model.encode(prompts), prompts

    def whole(self, model, inputs, memory):
        prompt, prompts = memory
        inputs = ops.concatenate([prompt.last[:, None], inputs[:, 1:]], axis=1)
        return after_prompts(
            lambda ids: self.alone(model, ids, None), prompts, prompt.lengths, inputs
        )

    def alone(self, model, inputs, memory):
        return model({"target": inputs})

    def step(self, model, inputs, cache, at, memory):
        logits, _, cache = model.decode_step(inputs, cache, at, memory[0])
        return logits, cache

    def in_packed_rows(self, model, inputs, packed, sources):
        segments, positions = packed.segments, packed.positions
        return model({"target": inputs, "target_segments": segments, "target_positions": positions})


@dataclasses.dataclass(frozen=True)
class DecoderOnlyRow(ModelRow):
    """A decoder-only translator, which reads each source before the first step."""

    def memory(self, model):
        source = ops.convert_to_tensor(SOURCE_IDS)
        return model.encode(source), source

    def whole(self, model, inputs, memory):
        return model({"source": memory[1], "target": inputs})

    def step(self, model, inputs, cache, at, memory):
        return super().step(model, inputs, cache, at, memory[0])


def attention(dtype, attention=None, position_encoder=None, num_heads=H, **options):
    return kt.MultiHeadAttention(
        D,
        num_heads,
        attention=attention and attention(dtype=dtype),
        position_encoder=position_encoder and position_encoder(dtype=dtype),
        dtype=dtype,
        **options,
    )


def block(dtype, self_attention=None, feed_forward=None, **options):
    """A decoder block with parts, which are functions of the dtype."""
    return kt.DecoderBlock(
        **SIZES,
        self_attention=self_attention and self_attention(dtype=dtype),
        feed_forward=feed_forward and feed_forward(dtype=dtype),
        dtype=dtype,
        **options,
    )


def rotary(dtype):
    return attention(dtype, position_encoder=Rotation, key_dim=4)


def by_distance(dtype):
    return attention(dtype, AttentionByDistance)


def all_parts(dtype):
    """An attention with parts in all places."""
    return attention(dtype, AttentionByDistance, Rotation, key_dim=4, use_bias=True)


def grouped(dtype, num_key_value_heads=2, **parts):
    """Four heads of queries, which share fewer ones of keys and values, perhaps with parts."""
    heads = {"num_heads": 4, "num_key_value_heads": num_key_value_heads}
    return attention(dtype, key_dim=6, **heads, **parts)


def relative(dtype):
    return kt.RelativeAttention(2, dtype=dtype)


def grouped_with_parts(dtype):
    return grouped(dtype, attention=relative, position_encoder=kt.RotaryEmbedding)


def local_part(dtype, block_length=3, look_back=1):
    return kt.LocalAttention(block_length, look_back, dtype=dtype)


def local(dtype, block_length=3, look_back=1, **options):
    part = local_part(dtype, block_length, look_back)
    return kt.MultiHeadAttention(D, H, attention=part, dtype=dtype, **options)


def local_2d_part(dtype):
    return kt.LocalAttention2D((5, 5), (2, 2), (1, 1), dtype=dtype)


def local_2d(dtype):
    return attention(dtype, local_2d_part)


def compressed(dtype, attention=None, position_encoder=None, **options):
    return kt.MemoryCompressedAttention(
        D,
        H,
        attention=attention and attention(dtype=dtype),
        position_encoder=position_encoder and position_encoder(dtype=dtype),
        dtype=dtype,
        **options,
    )


def convolution(dtype, kernel_size=5):
    return kt.SeparableConvolution(D, kernel_size, dtype=dtype)


def experts(dtype):
    """All of them for each token: in bfloat16 another rounding may choose others of a few."""
    return kt.MixtureOfExperts(D, F, num_experts=3, k=3, dtype=dtype)


MODULE = {"kernel_sizes": (3, 5), "dilations": (2, 1), "groups": (2, 7), "dropout_rate": 0.1}


def recurrent(cell, cross_attention_of=None, **options):
    """A row for a recurrent block around a cell, perhaps with cross-attention."""
    attends = cross_attention_of is not None

    def make(dtype):
        cross_attention = cross_attention_of(dtype) if attends else None
        return kt.RecurrentBlock(cell(D, dtype=dtype), cross_attention, dtype=dtype, **options)

    return LayerRow(make, attends)


def alternating_stack(dtype):
    """Blocks with and without cross-attention in turns, with different parts and sizes."""
    return DecoderStack(
        [
            block(dtype),
            block(dtype, by_distance, cross_attention=False),
            kt.DecoderBlock(D, 7, 19, norm="pre", dtype=dtype),
            block(dtype, convolution, cross_attention=False, norm="pre"),
        ],
        keras.layers.LayerNormalization(dtype=dtype),
        dtype=dtype,
    )


def local_and_compressed_stack(dtype):
    """The blocks of a long language model: local, memory-compressed, local."""
    parts = (functools.partial(local, look_back=0), compressed, local)
    return DecoderStack(
        [block(dtype, part, cross_attention=False) for part in parts],
        dtype=dtype,
    )


def transformer(**settings):
    return lambda dtype: kt.Transformer(
        V, num_layers=2, **SIZES, max_length=19, dtype=dtype, **settings
    )


def architecture(name, options=None, **settings):
    """A model of the catalogue, whose heads have an even width."""
    sizes = {"vocabulary_size": V, "num_layers": 2, "d_model": 12, "num_heads": 2, "d_ff": F}
    return lambda dtype: create_model(name, options, **{**sizes, **settings}, dtype=dtype)


def model_of_parts(dtype):
    return EncoderDecoder(
        kt.PositionalEmbedding(V, D, dtype=dtype),
        kt.PositionalEmbedding(V, D, positions=None, use_bias=True, dtype=dtype),
        EncoderStack(
            [kt.EncoderBlock(**SIZES, self_attention=rotary(dtype), dtype=dtype)], dtype=dtype
        ),
        DecoderStack(
            [
                block(dtype, rotary),
                block(dtype, feed_forward=convolution, cross_attention=False),
                kt.RecurrentBlock(keras.layers.GRUCell(D, dtype=dtype), dtype=dtype),
            ],
            dtype=dtype,
        ),
        dtype=dtype,
    )


def language_model(dtype):
    """A language model of blocks of all kinds."""
    return LanguageModel(
        kt.PositionalEmbedding(V, D, dtype=dtype),
        DecoderStack(
            [
                block(dtype, all_parts, cross_attention=False, norm="pre"),
                block(dtype, convolution, cross_attention=False),
                kt.RecurrentBlock(keras.layers.GRUCell(D, dtype=dtype), dtype=dtype),
            ],
            dtype=dtype,
        ),
        dtype=dtype,
    )


def decoder_only(dtype):
    """A decoder-only translator of blocks of all kinds."""
    plain = language_model(dtype)
    return DecoderOnly(plain.embedding, plain.decoder, dtype=dtype)


def long_language_model(dtype):
    """A language model of local and memory-compressed attention in turns."""
    parts = [functools.partial(local, look_back=0), compressed] * 2 + [local]
    blocks = [block(dtype, part, cross_attention=False) for part in parts]
    embedding = kt.PositionalEmbedding(V, D, dtype=dtype)
    return LanguageModel(embedding, DecoderStack(blocks, dtype=dtype), dtype=dtype)


ROWS = {
    "attention": LayerRow(attention),
    "attention with biases and another key_dim": LayerRow(
        lambda dtype: attention(dtype, key_dim=5, use_bias=True)
    ),
    "attention with rotated keys": LayerRow(rotary),
    "attention by distance": LayerRow(by_distance),
    "attention in blocks": LayerRow(lambda dtype: attention(dtype, AttentionInBlocks)),
    "attention with all parts": LayerRow(all_parts),
    "multi-query attention": LayerRow(lambda dtype: grouped(dtype, 1)),
    "grouped-query attention with rotary and relative positions": LayerRow(grouped_with_parts),
    "grouped-query attention, local and rotary": LayerRow(
        lambda dtype: grouped(dtype, attention=local_part, position_encoder=kt.RotaryEmbedding)
    ),
    "grouped-query attention, relative": LayerRow(lambda dtype: grouped(dtype, attention=relative)),
    "multi-query attention with linear biases": LayerRow(
        lambda dtype: grouped(dtype, 1, attention=kt.LinearBias)
    ),
    "relative attention of keys alone": LayerRow(
        lambda dtype: attention(
            dtype, lambda dtype: kt.RelativeAttention(3, values=False, dtype=dtype)
        )
    ),
    "rotary attention, half": LayerRow(
        lambda dtype: attention(
            dtype,
            position_encoder=lambda dtype: kt.RotaryEmbedding(100, "half", dtype=dtype),
            key_dim=4,
        )
    ),
    "attention with a bias for each range of distances": LayerRow(
        lambda dtype: attention(
            dtype, lambda dtype: kt.DistanceBias(8, 9, bidirectional=False, dtype=dtype)
        )
    ),
    "fused attention": LayerRow(lambda dtype: attention(dtype, kt.FusedAttention)),
    "attention with linear biases": LayerRow(lambda dtype: attention(dtype, kt.LinearBias)),
    "attention with biases in two dimensions": LayerRow(
        lambda dtype: attention(
            dtype, lambda dtype: kt.GridBias((5, 5, 1), (5, 5, 1), (2, 2), dtype=dtype)
        )
    ),
    "local attention": LayerRow(local),
    "local attention, no block before": LayerRow(lambda dtype: local(dtype, 2, 0)),
    "local attention, three blocks before, rotated": LayerRow(
        lambda dtype: local(dtype, 2, 3, position_encoder=Rotation(dtype=dtype), key_dim=4)
    ),
    "local attention in two dimensions": LayerRow(local_2d),
    "local attention in two dimensions, rotated": LayerRow(
        lambda dtype: attention(dtype, local_2d_part, kt.RotaryEmbedding, key_dim=4)
    ),
    "memory-compressed attention": LayerRow(compressed),
    "memory-compressed attention of pairs, with all parts": LayerRow(
        lambda dtype: compressed(
            dtype, AttentionByDistance, Rotation, compression=2, key_dim=4, use_bias=True
        )
    ),
    "memory-compressed attention, longer than the cache": LayerRow(
        lambda dtype: compressed(dtype, compression=13)
    ),
    "previous input": LayerRow(PreviousInput),
    "convolution": LayerRow(convolution),
    "convolution of a single position": LayerRow(lambda dtype: convolution(dtype, 1)),
    "convolution wider than the cache": LayerRow(lambda dtype: convolution(dtype, 29)),
    "convolution in groups, dilated": LayerRow(
        lambda dtype: kt.SeparableConvolution(D, 3, dilation=2, groups=7, dtype=dtype)
    ),
    "convolution step": LayerRow(lambda dtype: kt.ConvolutionStep(D, 5, groups=2, dtype=dtype)),
    "convolution module": LayerRow(lambda dtype: kt.ConvolutionModule(D, **MODULE, dtype=dtype)),
    "convolutional attention": LayerRow(
        lambda dtype: kt.ConvolutionalAttention(D, (2, 7), dtype=dtype), attends=True
    ),
    "input-output mixer": LayerRow(
        lambda dtype: kt.InputOutputMixer(D, (7, 2), dtype=dtype), attends=True
    ),
    "attending convolution module": LayerRow(
        lambda dtype: kt.AttendingConvolutionModule(D, **MODULE, dtype=dtype), attends=True
    ),
    "block post": LayerRow(block, attends=True),
    "block pre": LayerRow(lambda dtype: block(dtype, norm="pre"), attends=True),
    "block of a language model": LayerRow(
        lambda dtype: block(dtype, cross_attention=False, use_bias=True)
    ),
    "block, attention by distance": LayerRow(
        lambda dtype: block(dtype, by_distance, norm="pre"), attends=True
    ),
    "block, rotated cross-attention": LayerRow(
        lambda dtype: block(dtype, rotary, cross_attention=rotary(dtype)), attends=True
    ),
    "block, cross-attention by distance": LayerRow(
        lambda dtype: block(dtype, cross_attention=by_distance(dtype), norm="pre"), attends=True
    ),
    "block, grouped queries in both attentions": LayerRow(
        lambda dtype: block(dtype, grouped_with_parts, cross_attention=grouped(dtype)), attends=True
    ),
    "block, previous input in both slots": LayerRow(
        lambda dtype: block(dtype, PreviousInput, PreviousInput, norm="pre"), attends=True
    ),
    "block, convolution": LayerRow(lambda dtype: block(dtype, convolution), attends=True),
    "block, convolution for feed-forward": LayerRow(
        lambda dtype: block(dtype, feed_forward=convolution), attends=True
    ),
    "block, experts for feed-forward": LayerRow(
        lambda dtype: block(dtype, feed_forward=experts), attends=True
    ),
    "block of experts alone": LayerRow(
        lambda dtype: kt.FeedForwardBlock(D, experts(dtype), norm="pre", dtype=dtype)
    ),
    "recurrent block, LSTM": recurrent(keras.layers.LSTMCell),
    "recurrent block, GRU": recurrent(keras.layers.GRUCell, norm="pre"),
    "recurrent block, LSTM, pre, attends": recurrent(keras.layers.LSTMCell, attention, norm="pre"),
    "recurrent block, GRU, rotated cross-attention": recurrent(keras.layers.GRUCell, rotary),
    "recurrent block, LSTM, additive attention": recurrent(
        keras.layers.LSTMCell, lambda dtype: kt.AdditiveAttention(D, units=11, dtype=dtype)
    ),
    "block, additive cross-attention": LayerRow(
        lambda dtype: block(dtype, cross_attention=kt.AdditiveAttention(D, dtype=dtype)),
        attends=True,
    ),
    "stack of alternating blocks": LayerRow(alternating_stack, attends=True),
    "stack of local and memory-compressed attention": LayerRow(local_and_compressed_stack),
    "decoder": LayerRow(
        lambda dtype: kt.Decoder(2, **SIZES, norm="pre", dtype=dtype), attends=True
    ),
    "Transformer": ModelRow(transformer()),
    "Transformer pre, learned positions": ModelRow(transformer(norm="pre", positions="learned")),
    "rotary": ModelRow(architecture("rotary")),
    "relative": ModelRow(architecture("relative", {"max_distance": 2})),
    "multi-query": ModelRow(architecture("multi_query", norm="pre")),
    "recurrent": ModelRow(architecture("recurrent")),
    "recurrent, pre": ModelRow(architecture("recurrent", norm="pre", num_decoder_layers=3)),
    "slicenet": ModelRow(
        architecture("slicenet", {"kernels": "3-5", "dilations": "2-1", "groups": "2-3"})
    ),
    "experts": ModelRow(architecture("experts", {"num_experts": 2, "interval": 1})),
    "multimodel": ModelRow(
        architecture("multimodel", {"num_commands": 7, "num_experts": 2, "num_classes": 3})
    ),
    "multimodel of attention": ModelRow(
        architecture("multimodel", {"body": "attention", "num_commands": 7, "num_experts": 2})
    ),
    "latent": LatentRow(architecture("latent", {"bits": 5, "num_slices": 1})),
    "model of parts": ModelRow(model_of_parts),
    "decoder-only translator": DecoderOnlyRow(decoder_only),
    "decoder-only translator of local and memory-compressed attention": DecoderOnlyRow(
        architecture("memory_compressed", {"block_length": 5}, num_layers=3)
    ),
    "language model": LanguageModelRow(language_model),
    "language model of local and memory-compressed attention": LanguageModelRow(
        long_language_model
    ),
}

# Layers that are tried with a prompt before each sentence, too.
PROMPTED = [name for name, row in ROWS.items() if isinstance(row, LayerRow) and row.reads_prompts]

# Those that every backend goes through in the quick tests.
QUICK = [
    "decoder-only translator",
    "attention with all parts",
    "block, convolution",
    "recurrent block, LSTM, pre, attends",
    "Transformer",
    "language model",
]

# Those that others of the table have as their parts, or are much like. JAX goes through the others.
STOOD_FOR = [
    "attention with biases and another key_dim",
    "attention by distance",
    "attention in blocks",
    "multi-query attention",
    "grouped-query attention, local and rotary",
    "grouped-query attention, relative",
    "relative attention of keys alone",
    "local attention, no block before",
    "local attention in two dimensions",
    "memory-compressed attention",
    "previous input",
    "convolution",
    "convolution of a single position",
    "convolution step",
    "convolution module",
    "convolutional attention",
    "input-output mixer",
    "attending convolution module",
    "block post",
    "block pre",
    "block, attention by distance",
    "block, cross-attention by distance",
    "block, previous input in both slots",
    "recurrent block, LSTM",
    "stack of alternating blocks",
    "decoder",
    "Transformer pre, learned positions",
    "recurrent, pre",
    "multimodel",
]
