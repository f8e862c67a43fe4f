"""A SentencePiece tokenizer, in Python and in a TensorFlow graph."""

import functools
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, overload

import sentencepiece
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from keras_transformer.forking import refused_after_fork
from keras_transformer.io import atomic_write, local_path
from keras_transformer.text.sentencepiece_training import train_model, utf8
from keras_transformer.text.tags import TAG, split_tags, split_tags_in_graph
from keras_transformer.text.tokenizer_protocol import check_special_ids

if TYPE_CHECKING:
    import tensorflow as tf


class Tokenizer:
    """A tokenizer that splits text with a SentencePiece model.

    Create one with `Tokenizer.train` or `Tokenizer.load`. `tokenize` (Python) and
    `tokenize_in_graph` (TensorFlow graph) return the same ids, but for ties: text with repetitions
    has several equally probable segmentations in a unigram model, such as "l" and "ll" or "ll" and
    "l" for "lll", and sentencepiece and tensorflow-text may choose different ones. Both then have
    the same tokens in another order. In a BPE model there are no ties. Both read the same bytes:
    text is UTF-8, and each invalid byte counts as U+FFFD (in a Python string such a byte is a lone
    surrogate, as `errors="surrogateescape"` decodes it). Names of special tokens have no meaning
    inside text: "</s>" is four characters.

    Args:
        model: Bytes of a SentencePiece `ModelProto` that has all four special ids.

    Attributes:
        pad_id: Id that pads a row to the length of its batch. 0 after `train`.
        bos_id: Id that starts a target sentence. 1 after `train`.
        eos_id: Id that ends a sentence. 2 after `train`.
        unk_id: Id of text outside the vocabulary, never used with byte fallback. 3 after `train`.

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
        self._processor = load_processor(self.model)
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
        normalization: str = "nfc",
        byte_fallback: bool = True,
        character_coverage: float = 0.9995,
        max_sentences: int = 1_000_000,
        tags: Sequence[str] = (),
        seed: int = 0,
    ) -> "Tokenizer":
        """Trains a tokenizer on sentences.

        The sentences are read once, as a stream; at most `max_sentences` are held in memory. The
        same sentences and seed give the same tokenizer.

        Args:
            sentences: Iterable of strings. Sentences over 4192 bytes are ignored.
            vocabulary_size: Number of ids, special ids and the 256 bytes included.
            model_type: `"unigram"` or `"bpe"`.
            normalization: What `tokenize` changes in a text before it splits it. `"nfc"` unifies
                different encodings of the same characters (Unicode's NFC); runs of spaces, tabs
                and line breaks become one space, and control characters vanish. `"nmt_nfkc"`, the
                default of SentencePiece, also replaces characters by similar ones, which changes
                what some texts say: "10²" becomes "102", "½" becomes "1⁄2", no-break spaces and
                full-width punctuation become usual ones, joiners vanish. `"identity"` keeps all.
                U+2581, SentencePiece's space symbol, becomes a space in any case.
            byte_fallback: Boolean. Whether characters outside the vocabulary become their UTF-8
                bytes (256 of the ids) instead of `unk_id`.
            character_coverage: Fraction of the text's characters that the vocabulary covers, from
                0.98 to 1; the rarest are left out.
            max_sentences: Number of sentences to train on, sampled from all with `seed`.
            tags: Tags such as ">>fr<<", each of which becomes one token, wherever it stands.
            seed: Seed of the sample.

        Raises:
            ValueError: An option is invalid, or the text does not allow this vocabulary size; the
                message states the largest or smallest possible one.
            TypeError: `sentences` is a single string, or an item is not a string.
        """
        model = train_model(
            sentences,
            vocabulary_size,
            model_type=model_type,
            normalization=normalization,
            byte_fallback=byte_fallback,
            character_coverage=character_coverage,
            max_sentences=max_sentences,
            tags=tags,
            seed=seed,
        )
        return cls(model)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Tokenizer":
        """Loads a tokenizer from a file written by `save` or by SentencePiece.

        A padding, BOS or EOS token that the model lacks is added behind its last id; SentencePiece
        itself makes models without padding.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is not a complete SentencePiece model.
        """
        path = local_path(path, "A tokenizer")
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no tokenizer at {path}. Expected the path of a SentencePiece model, "
                "such as one written by `Tokenizer.save`."
            )
        try:
            return cls(with_special_tokens(path.read_bytes()))
        except ValueError as error:
            raise ValueError(f"{path} cannot serve as a tokenizer. {error}") from None

    def save(self, path: str | os.PathLike) -> None:
        """Saves the model to `path`, with an atomic write."""
        with atomic_write(local_path(path, "A tokenizer")) as scratch:
            scratch.write_bytes(self.model)

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the model; if it is equal, so are the ids."""
        return hashlib.sha256(self.model).hexdigest()

    def vocabulary_size(self) -> int:
        """Returns the number of ids; every id is in `range(vocabulary_size())`."""
        return self._processor.vocab_size()

    @overload
    def tokenize(self, text: str) -> list[int]: ...
    @overload
    def tokenize(self, text: Sequence[str]) -> list[list[int]]: ...
    def tokenize(self, text):
        """Tokenizes a sentence, or each sentence of a list, without BOS and EOS.

        A list is tokenized on all CPU cores in parallel.

        Raises:
            TypeError: A sentence is not a string.
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
        """Detokenizes the ids of a sentence, or each row of a list or array of ids.

        Padding, BOS and EOS are skipped; `unk_id` becomes " ⁇ ". `[]` is the empty sentence.

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

    def split_tags(self, text: str) -> tuple[str, str]:
        """Splits language tags such as ">>fr<<" or "<2fr>" off the start of a text."""
        return split_tags(text)

    @refused_after_fork
    def split_tags_in_graph(self, texts: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        """Splits language tags off a batch of texts in a TensorFlow graph, `(B,)` each."""
        return split_tags_in_graph(texts)

    @functools.cached_property
    def tags(self) -> list[str]:
        """The tags that are tokens, such as ">>fr<<"; see `train`."""
        pieces = ModelProto.FromString(self.model).pieces
        user_defined = ModelProto.SentencePiece.USER_DEFINED
        return [
            one.piece for one in pieces if one.type == user_defined and re.fullmatch(TAG, one.piece)
        ]

    def check_tags(self, text: str, name: str = "The text") -> None:
        """Raises a ValueError if a text starts with a tag that is no token, while others are."""
        if not self.tags:
            return
        for tag in re.findall(TAG, self.split_tags(text)[0]):
            if tag not in self.tags:
                raise ValueError(
                    f"{name} starts with {tag}, a tag that the model does not have. It has "
                    f"{', '.join(self.tags)}."
                )

    @refused_after_fork
    def check_tags_in_graph(self, texts: "tf.Tensor") -> "tf.Operation":
        """Returns an operation that fails where `check_tags` raises an error."""
        import tensorflow as tf

        if not self.tags:
            return tf.no_op()
        leading, _ = self.split_tags_in_graph(texts)
        known = "|".join(map(re.escape, self.tags))
        is_known = tf.strings.regex_full_match(leading, f"(?:(?:{known}) *)*")
        message = "A text starts with a tag that the model does not have. It has "
        message += f"{', '.join(self.tags)}. Received:"
        return tf.debugging.Assert(tf.reduce_all(is_known), [message, leading[~is_known]])

    def id_to_token(self, id: int) -> str:
        """Returns the token with an id. A space is written as U+2581.

        Raises:
            ValueError: The id is not in the vocabulary.
        """
        if not 0 <= id < self.vocabulary_size():
            raise ValueError(
                f"Ids must be between 0 and {self.vocabulary_size() - 1}. Received: {id}"
            )
        return self._processor.id_to_piece(int(id))

    def token_to_id(self, token: str) -> int:
        """Returns the id of a token, or `unk_id` if the vocabulary lacks it."""
        return self._processor.piece_to_id(token)

    @functools.cached_property
    @refused_after_fork
    def in_graph(self):
        """The `tensorflow_text.SentencepieceTokenizer` used by the `*_in_graph` methods.

        A `tf.Module` to be exported must hold it as an attribute, so that the model is exported
        too.
        """
        import tensorflow as tf
        import tensorflow_text

        with tf.init_scope():  # outlives the graph in which it is created
            return tensorflow_text.SentencepieceTokenizer(model=self.model, out_type=tf.int32)

    @refused_after_fork
    def tokenize_in_graph(self, texts: "tf.Tensor") -> "tf.RaggedTensor":
        """Tokenizes a batch of sentences in a TensorFlow graph.

        Args:
            texts: Strings, shape `(B,)`.

        Returns:
            Ragged int32 ids, shape `(B, None)`.
        """
        return self.in_graph.tokenize(texts)

    @refused_after_fork
    def detokenize_in_graph(self, ids: "tf.Tensor | tf.RaggedTensor") -> "tf.Tensor":
        """Detokenizes a batch of ids in a TensorFlow graph.

        Args:
            ids: Integers, shape `(B, T)`, dense or ragged.

        Returns:
            Strings, shape `(B,)`.
        """
        import tensorflow as tf

        return self.in_graph.detokenize(tf.cast(ids, tf.int32))


def load_processor(model: bytes) -> sentencepiece.SentencePieceProcessor:
    """Loads a serialized `ModelProto`, which must have all its parts.

    SentencePiece itself also loads a file cut off between two parts, which would give other ids.
    """
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError:
        processor = None
    if processor is None or not _is_complete(ModelProto.FromString(model)):
        raise ValueError(
            f"Expected a complete SentencePiece model. Received: {len(model)} bytes that are not "
            "one (damaged, cut off or something else). Copy or train it again."
        )
    return processor


def with_special_tokens(model: bytes) -> bytes:
    """Returns a serialized `ModelProto` with padding, BOS and EOS added if it lacks them.

    They take the ids behind its last one. All other ids stay.

    Raises:
        ValueError: `model` is damaged, or already uses the name of a token to be added.
    """
    processor = load_processor(model)
    names = {"pad": "<pad>", "bos": "<s>", "eos": "</s>"}
    missing = [kind for kind in names if getattr(processor, f"{kind}_id")() < 0]
    if not missing:
        return model
    proto = ModelProto.FromString(model)
    for kind in missing:
        if any(piece.piece == names[kind] for piece in proto.pieces):
            raise ValueError(f"It has no {kind}_id, but {names[kind]!r} is another token of it.")
        setattr(proto.trainer_spec, f"{kind}_id", len(proto.pieces))
        setattr(proto.trainer_spec, f"{kind}_piece", names[kind])
        proto.pieces.add(piece=names[kind], type=ModelProto.SentencePiece.CONTROL)
    return proto.SerializeToString()


def _is_complete(proto: ModelProto) -> bool:
    return bool(proto.pieces) and all(map(proto.HasField, ("trainer_spec", "normalizer_spec")))


def _first_outside(ids: list, size: int) -> int:
    """Returns the first id that is not in `range(size)`, from one row or a list of rows."""
    rows = ids if isinstance(ids[0], list) else [ids]
    return next(id for row in rows for id in row if not 0 <= id < size)
