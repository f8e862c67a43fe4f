"""Formats of other programs, written from a translator."""

from keras_transformer.formats.ctranslate2 import export_ctranslate2

__all__ = ["export_ctranslate2"]
