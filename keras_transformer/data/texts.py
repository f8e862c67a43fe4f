"""Texts of a language model: documents of text files, and their tokens in rows of one length."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_transformer.data.batching import BatchStream
from keras_transformer.data.buckets import BatchShape
from keras_transformer.data.collation import PACKED_TEXT, Batch, packed_texts
from keras_transformer.data.packed_batches import packed_shape
from keras_transformer.data.packing import pack_pairs
from keras_transformer.data.tf_dataset import dataset_of, with_id_limits
from keras_transformer.io import decode_lines, read_raw_lines, require_file
from keras_transformer.text import TokenizerProtocol

if TYPE_CHECKING:
    import tensorflow as tf

DOCUMENTS = ("lines", "paragraphs")


class TextFile(Sequence):
    """The documents of a text file, plain or compressed, in memory.

    Args:
        path: The file, or its URL.
        documents: `"lines"`: every line is a document. `"paragraphs"`: documents are separated by
            blank lines, and their lines are joined by spaces. Blank documents are left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: `documents` is unknown, the file is not UTF-8, or it holds no text.
    """

    def __init__(self, path: str | os.PathLike, documents: str = "lines"):
        if documents not in DOCUMENTS:
            raise ValueError(
                f"`documents` must be one of {', '.join(DOCUMENTS)}. Received: {documents!r}"
            )
        lines = decode_lines(read_raw_lines(require_file(path)), path)
        texts = [line.strip() for line in lines]
        self._texts = [text for text in texts if text]
        if documents == "paragraphs":
            paragraphs = "\n".join(texts).split("\n\n")
            joined = (" ".join(paragraph.split("\n")).strip() for paragraph in paragraphs)
            self._texts = [text for text in joined if text]
        if not self._texts:
            raise ValueError(f"{path} holds no text. Expected a text file in UTF-8.")

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index):
        return self._texts[index]

    def fingerprint(self) -> str:
        """Returns a hash of the documents."""
        digest = hashlib.sha256()
        for text in self._texts:
            digest.update(text.encode() + b"\0")
        return digest.hexdigest()


class TextPieces:
    """The tokens of documents, cut into pieces of limited length, in memory.

    Every token of a document, EOS included, is the label of one position. A piece after the first
    begins with the last token of the piece before it, in place of BOS.

    Args:
        texts: The documents.
        tokenizer: `Tokenizer`.
        length: Maximum number of tokens of a piece.

    Attributes:
        inputs: Ids of all pieces, one after another.
        labels: The id that follows each of `inputs` in its document.
        offsets: Start of each piece, and the end, shape `(pieces + 1,)`.
        lengths: Number of positions of each piece, twice, shape `(pieces, 2)`.
    """

    def __init__(self, texts: Sequence[str], tokenizer: TokenizerProtocol, length: int):
        self.pad_id = tokenizer.pad_id
        size = tokenizer.vocabulary_size()
        self.id_limits = {"target": size, "labels": size}
        rows = [[*ids, tokenizer.eos_id] for ids in tokenizer.tokenize(list(texts))]
        labels = [np.array(ids, np.int32) for ids in rows]
        bos = np.array([tokenizer.bos_id], np.int32)
        self.labels = np.concatenate(labels)
        self.inputs = np.concatenate([part for ids in labels for part in (bos, ids[:-1])])
        sizes = [
            min(length, len(ids) - start) for ids in rows for start in range(0, len(ids), length)
        ]
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])
        self.lengths = np.stack([np.diff(self.offsets)] * 2, axis=1)

    @property
    def fingerprint(self) -> str:
        """Hash of the tokens and of the pieces."""
        parts = (self.labels, self.offsets)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


class TextBatches(BatchStream):
    """Training batches of a language model: pieces of texts, packed into rows of one length.

    Several pieces share a row without seeing each other, each a segment with positions from 0. The
    order is that of `PackedBatches`: batch `step` of `epoch` depends only on the pieces, the
    arguments and these two numbers.

    Args:
        pieces: `TextPieces`.
        tokens_per_batch: Maximum number of positions of a batch, padding included.
        length: Number of positions of a row.
        seed: Seed of the rows and their order.
        batch_multiple: The number of rows in a batch is a multiple of this.

    Raises:
        ValueError: A piece is longer than a row, or the budget is below `batch_multiple` rows.

    Example:

    ```python
    batches = TextBatches(TextPieces(texts, tokenizer, 128), tokens_per_batch=4096)
    steps = batches.steps_per_epoch
    model.fit(batches.dataset(), steps_per_epoch=steps, epochs=10, shuffle=False)
    ```
    """

    inputs = PACKED_TEXT

    def __init__(
        self,
        pieces: TextPieces,
        tokens_per_batch: int,
        length: int = 128,
        seed: int = 0,
        batch_multiple: int = 1,
    ):
        shape = packed_shape(tokens_per_batch, length, batch_multiple)
        self._rows = pack_pairs(pieces.lengths, length, seed)
        members = np.arange(len(self._rows), dtype=np.int32)
        super().__init__(pieces, [(shape, members)], seed, None, None)

    def _collate(self, shape: BatchShape, members: np.ndarray) -> Batch:
        return packed_texts(self.cache, shape, *self._rows.select(members))

    def each_once(self) -> "tf.data.Dataset":
        """Returns a finite dataset of batches with every piece once, for evaluation."""
        import tensorflow as tf

        (shape,), rows = self.shapes, np.arange(len(self._rows), dtype=np.int32)
        starts = range(0, len(rows), shape.batch_size)

        def batches() -> Iterator[Batch]:
            for start in starts:
                yield self._collate(shape, rows[start : start + shape.batch_size])

        dataset = dataset_of(batches, self.shapes, self.inputs)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(starts)))
        return with_id_limits(dataset, self.cache)
