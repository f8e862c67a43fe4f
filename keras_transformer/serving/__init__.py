"""Work on files of any length: inputs in parts, outputs that grow and can be resumed."""

from keras_transformer.serving.growing_file import GrowingFile, growing_file
from keras_transformer.serving.text_sources import Shard, TextSource

__all__ = ["GrowingFile", "Shard", "TextSource", "growing_file"]
