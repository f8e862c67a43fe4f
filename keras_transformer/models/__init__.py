"""Stacks of blocks, and the Transformer composed of them."""

from keras_transformer.models.decoder import Decoder
from keras_transformer.models.encoder import Encoder
from keras_transformer.models.presets import PRESETS
from keras_transformer.models.transformer import Transformer

__all__ = ["PRESETS", "Decoder", "Encoder", "Transformer"]
