"""The package's own tokenizer: SentencePiece, in Python and in a TensorFlow graph."""

import functools
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import sentencepiece

from keras_transformer.io import atomic_write
from keras_transformer.text.sentencepiece_training import train_model, utf8
from keras_transformer.text.tokenizer_protocol import check_special_ids

if TYPE_CHECKING:
    import tensorflow as tf


class Tokenizer:
    """Strings to ids and back, with a SentencePiece model.

    Make one with `Tokenizer.train` or `Tokenizer.load`. Python (`tokenize`) and a TensorFlow graph
    (`tokenize_in_graph`) give the same ids, since both get the same bytes: text is read as UTF-8,
    and each byte that is not UTF-8 counts as U+FFFD (in a Python string such bytes are lone
    surrogates, as `errors="surrogateescape"` leaves them). The names of special tokens have no
    meaning inside text: "</s>" is four characters.

    Args:
        model: Bytes of a SentencePiece `ModelProto` that has all four special ids.

    Attributes:
        pad_id: Id that fills a row up to the length of its batch. 0 after `train`.
        bos_id: Id that starts a target sentence. 1 after `train`.
        eos_id: Id that ends a sentence. 2 after `train`.
        unk_id: Id of what the vocabulary cannot write; with byte fallback never needed. 3 after
            `train`.

    Raises:
        ValueError: `model` is damaged, or its special ids are missing or not distinct.

    Example:

    >>> sentences = ["the cat sat", "the dog ran", "the cow stood"]
    >>> tokenizer = Tokenizer.train(sentences, vocabulary_size=285, model_type="bpe")
    >>> tokenizer.detokenize(tokenizer.tokenize("the cow ran"))
    'the cow ran'
    """

    def __init__(self, model: bytes):
        self.model = bytes(model)
        self._processor = _processor(self.model)
        self.pad_id = self._processor.pad_id()
        self.bos_id = self._processor.bos_id()
        self.eos_id = self._processor.eos_id()
        self.unk_id = self._processor.unk_id()
        check_special_ids(self)

    @classmethod
    def train(
        cls,
        sentences: Iterable[str],
        vocabulary_size: int,
        *,
        model_type: str = "unigram",
        normalization: str = "nmt_nfkc",
        byte_fallback: bool = True,
        character_coverage: float = 0.9995,
        max_sentences: int = 1_000_000,
        seed: int = 0,
    ) -> "Tokenizer":
        """Learn a vocabulary from sentences.

        The sentences are read once, as a stream; memory holds `max_sentences` of them. The same
        sentences and seed give the same tokenizer.

        Args:
            sentences: Any iterable of strings. Those over 4192 bytes are not learned from.
            vocabulary_size: Number of ids, special ids and the 256 bytes included.
            model_type: `"unigram"` or `"bpe"`.
            normalization: `"nmt_nfkc"` makes different writings of a word one, and loses what was
                different: "½" becomes "1⁄2", runs of spaces collapse, control characters
                vanish. `"identity"` keeps every character (only U+2581, SentencePiece's own
                sign for a space, becomes a space).
            byte_fallback: Whether characters outside the vocabulary become their UTF-8 bytes
                (256 of the ids) instead of `unk_id`.
            character_coverage: Fraction of the text's characters that get an id, from 0.98 to 1;
                the rarest beyond it do not.
            max_sentences: How many sentences to learn from, sampled with `seed` from all.
            seed: Seed of the sample.

        Raises:
            ValueError: An option makes no sense, or the text does not allow such a vocabulary; the
                message says which it does.
            TypeError: `sentences` is one string, or holds something else than strings.
        """
        model = train_model(
            sentences,
            vocabulary_size,
            model_type=model_type,
            normalization=normalization,
            byte_fallback=byte_fallback,
            character_coverage=character_coverage,
            max_sentences=max_sentences,
            seed=seed,
        )
        return cls(model)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Tokenizer":
        """Read a tokenizer from a file that `save` or SentencePiece wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is not a whole SentencePiece model, or lacks a special id.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no tokenizer at {path}. Expected the path of a SentencePiece model, "
                "such as `Tokenizer.save` writes."
            )
        try:
            return cls(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path} cannot serve as a tokenizer. {error}") from None

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to `path`, whole or not at all."""
        with atomic_write(Path(path)) as scratch:
            scratch.write_bytes(self.model)

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the model: equal only if the ids are."""
        return hashlib.sha256(self.model).hexdigest()

    def vocabulary_size(self) -> int:
        """Number of ids; every id is in `range(vocabulary_size())`."""
        return self._processor.vocab_size()

    @overload
    def tokenize(self, text: str) -> list[int]: ...
    @overload
    def tokenize(self, text: Sequence[str]) -> list[list[int]]: ...
    def tokenize(self, text):
        """Ids of a sentence, or of each sentence of a list, without BOS and EOS.

        A list is tokenized on all processors at once.

        Raises:
            TypeError: What should be a sentence is no string.
        """
        if isinstance(text, str):
            return self._processor.encode(utf8(text))
        threads = os.cpu_count() or 1
        return self._processor.encode([utf8(one) for one in text], num_threads=threads)

    @overload
    def detokenize(self, ids: Sequence[int]) -> str: ...
    @overload
    def detokenize(self, ids: Sequence[Sequence[int]]) -> list[str]: ...
    def detokenize(self, ids):
        """The sentence of some ids, or the sentences of a list (or array) of them.

        Pad, BOS and EOS leave no trace; `unk_id` shows as " ⁇ ". `[]` is the empty sentence.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        ids = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        if not ids:
            return ""
        try:
            return self._processor.decode(ids)
        except IndexError:
            raise ValueError(
                f"Ids must be between 0 and {self.vocabulary_size() - 1}. "
                f"Received: {_first_outside(ids, self.vocabulary_size())}"
            ) from None

    def id_to_token(self, id: int) -> str:
        """The piece of text behind one id. A space is written as U+2581.

        Raises:
            ValueError: The id is not in the vocabulary.
        """
        if not 0 <= id < self.vocabulary_size():
            raise ValueError(
                f"Ids must be between 0 and {self.vocabulary_size() - 1}. Received: {id}"
            )
        return self._processor.id_to_piece(int(id))

    def token_to_id(self, token: str) -> int:
        """The id of one piece of text, `unk_id` where there is none."""
        return self._processor.piece_to_id(token)

    @functools.cached_property
    def in_graph(self):
        """The `tensorflow_text.SentencepieceTokenizer` behind the methods below.

        A `tf.Module` that is to be exported must hold it as an attribute, so that the model
        travels with it.
        """
        import tensorflow as tf
        import tensorflow_text

        with tf.init_scope():  # the model outlives the graph that first asks for it
            return tensorflow_text.SentencepieceTokenizer(model=self.model, out_type=tf.int32)

    def tokenize_in_graph(self, texts: "tf.Tensor") -> "tf.RaggedTensor":
        """As `tokenize`, in a TensorFlow graph.

        Args:
            texts: Strings, shape `(B,)`.

        Returns:
            Ragged int32 ids, shape `(B, None)`.
        """
        return self.in_graph.tokenize(texts)

    def detokenize_in_graph(self, ids: "tf.Tensor | tf.RaggedTensor") -> "tf.Tensor":
        """As `detokenize`, in a TensorFlow graph.

        Args:
            ids: Integers, shape `(B, T)`, dense or ragged.

        Returns:
            Strings, shape `(B,)`.
        """
        import tensorflow as tf

        return self.in_graph.detokenize(tf.cast(ids, tf.int32))


def _processor(model: bytes) -> sentencepiece.SentencePieceProcessor:
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError:
        processor = None
    if processor is None or not _has_all_parts(model):
        raise ValueError(
            f"Expected a whole SentencePiece model, and these {len(model)} bytes are none "
            "(damaged, cut off or something else). Copy or train it again."
        )
    return processor


def _has_all_parts(model: bytes) -> bool:
    """Whether pieces (1), trainer's (2) and normalizer's settings (3) are there.

    A model that was cut off between two parts still loads, and would give other ids.
    """
    fields, place = set(), 0
    while place < len(model):
        tag, place = _varint(model, place)
        size, place = _varint(model, place)
        fields.add(tag >> 3)
        place += size
    return {1, 2, 3} <= fields


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """The protocol buffer integer at a place, and the place behind it."""
    value = shift = 0
    while data[place] > 127:
        value |= (data[place] & 127) << shift
        shift += 7
        place += 1
    return value | data[place] << shift, place + 1


def _first_outside(ids: list, size: int) -> int:
    rows = ids if isinstance(ids[0], list) else [ids]
    return next(id for row in rows for id in row if not 0 <= id < size)
