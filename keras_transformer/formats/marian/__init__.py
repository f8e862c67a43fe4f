"""Marian checkpoints of the Transformers library, such as the OPUS-MT models."""

from keras_transformer.formats.marian.convert import import_marian

__all__ = ["import_marian"]
