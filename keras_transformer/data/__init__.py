"""Corpora, filters, the on-disk token cache, and batches of token ids."""

from keras_transformer.data.batching import TokenBatches
from keras_transformer.data.buckets import BatchShape
from keras_transformer.data.corpora import (
    Corpus,
    Entry,
    InMemoryCorpus,
    JoinedCorpora,
    TaggedCorpus,
)
from keras_transformer.data.drawing import drawings
from keras_transformer.data.evaluation_batches import EvaluationBatches
from keras_transformer.data.filters import FilterReport, PairFilter
from keras_transformer.data.image_batches import ImageBatches
from keras_transformer.data.image_files import LabelledImages, read_idx_folder, read_png_folder
from keras_transformer.data.image_sequences import ImageSequences
from keras_transformer.data.packed_batches import PackedBatches
from keras_transformer.data.parallel_files import ParallelFiles, TsvFile
from keras_transformer.data.texts import TextBatches, TextFile, TextPieces
from keras_transformer.data.tfds_corpus import TfdsCorpus
from keras_transformer.data.token_cache import TokenCache

__all__ = [
    "BatchShape",
    "Corpus",
    "Entry",
    "EvaluationBatches",
    "FilterReport",
    "ImageBatches",
    "ImageSequences",
    "InMemoryCorpus",
    "JoinedCorpora",
    "LabelledImages",
    "PackedBatches",
    "PairFilter",
    "ParallelFiles",
    "TaggedCorpus",
    "TextBatches",
    "TextFile",
    "TextPieces",
    "TfdsCorpus",
    "TokenBatches",
    "TokenCache",
    "TsvFile",
    "drawings",
    "read_idx_folder",
    "read_png_folder",
]
