"""Serving of finished runs: engines that translate without Keras."""

from keras_transformer.serving.engines import CTranslate2Translator

__all__ = ["CTranslate2Translator"]
