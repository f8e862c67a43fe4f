"""Files of any length, and engines that translate without Keras.

Inputs in parts, outputs that grow by whole lines and can be resumed; CTranslate2.
"""

from keras_transformer.serving.engines import CTranslate2Translator
from keras_transformer.serving.growing_file import GrowingFile, growing_file
from keras_transformer.serving.text_sources import Shard, TextSource

__all__ = ["CTranslate2Translator", "GrowingFile", "Shard", "TextSource", "growing_file"]
