"""Layers of the Transformer, the boxes of Figure 1, and pure functions such as masks."""

from keras_transformer.layers.add_and_norm import AddAndNorm
from keras_transformer.layers.additive_attention import AdditiveAttention
from keras_transformer.layers.attention import (
    DotProductAttention,
    dot_product_attention,
)
from keras_transformer.layers.bidirectional_recurrent_block import BidirectionalRecurrentBlock
from keras_transformer.layers.colour_embedding import ColourEmbedding
from keras_transformer.layers.convolution_module import ConvolutionModule
from keras_transformer.layers.convolution_step import ConvolutionStep
from keras_transformer.layers.convolutional_attention import ConvolutionalAttention
from keras_transformer.layers.convolutional_blocks import (
    AttendingConvolutionModule,
    InputOutputMixer,
)
from keras_transformer.layers.decoder_block import DecoderBlock
from keras_transformer.layers.decoding_step import DecodingStep
from keras_transformer.layers.distance_bias import DistanceBias, LinearBias
from keras_transformer.layers.downsampling_block import DownsamplingBlock
from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.encoder_block import EncoderBlock
from keras_transformer.layers.feed_forward import FeedForward
from keras_transformer.layers.feed_forward_block import FeedForwardBlock
from keras_transformer.layers.fused_attention import FusedAttention
from keras_transformer.layers.grid_bias import GridBias
from keras_transformer.layers.grouped_dense import GroupedDense
from keras_transformer.layers.local_attention import LocalAttention
from keras_transformer.layers.local_attention_2d import LocalAttention2D
from keras_transformer.layers.masks import (
    AttentionMask,
    causal_mask,
    padding_mask,
    segment_mask,
)
from keras_transformer.layers.memory_compressed_attention import MemoryCompressedAttention
from keras_transformer.layers.mixture_of_experts import MixtureOfExperts, collect_gates
from keras_transformer.layers.modalities import ImageModality, TextModality
from keras_transformer.layers.multi_head_attention import MultiHeadAttention
from keras_transformer.layers.pixel_embedding import PixelEmbedding
from keras_transformer.layers.position_encoders import sinusoids
from keras_transformer.layers.positional_embedding import PositionalEmbedding
from keras_transformer.layers.recurrent_block import RecurrentBlock
from keras_transformer.layers.relative_attention import RelativeAttention
from keras_transformer.layers.rotary_embedding import RotaryEmbedding
from keras_transformer.layers.semantic_hashing import SemanticHashing, saturating_sigmoid
from keras_transformer.layers.separable_convolution import SeparableConvolution
from keras_transformer.layers.sequence_compression import (
    ResidualConvolutions,
    SequenceCompressor,
    SequenceExpander,
)
from keras_transformer.layers.vector_quantizer import DecomposedVectorQuantizer, VectorQuantizer

__all__ = [
    "AddAndNorm",
    "AdditiveAttention",
    "AttendingConvolutionModule",
    "AttentionMask",
    "BidirectionalRecurrentBlock",
    "ColourEmbedding",
    "ConvolutionModule",
    "ConvolutionStep",
    "ConvolutionalAttention",
    "DecoderBlock",
    "DecodingStep",
    "DecomposedVectorQuantizer",
    "DistanceBias",
    "DotProductAttention",
    "DownsamplingBlock",
    "Dropout",
    "EncoderBlock",
    "FeedForward",
    "FeedForwardBlock",
    "FusedAttention",
    "GridBias",
    "GroupedDense",
    "ImageModality",
    "InputOutputMixer",
    "LinearBias",
    "LocalAttention",
    "LocalAttention2D",
    "MemoryCompressedAttention",
    "MixtureOfExperts",
    "MultiHeadAttention",
    "PixelEmbedding",
    "PositionalEmbedding",
    "RecurrentBlock",
    "RelativeAttention",
    "ResidualConvolutions",
    "RotaryEmbedding",
    "SemanticHashing",
    "SeparableConvolution",
    "SequenceCompressor",
    "SequenceExpander",
    "TextModality",
    "VectorQuantizer",
    "causal_mask",
    "collect_gates",
    "dot_product_attention",
    "padding_mask",
    "saturating_sigmoid",
    "segment_mask",
    "sinusoids",
]
