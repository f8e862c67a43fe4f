"""The tokenizer of Marian checkpoints: SentencePiece with a separate table of ids."""

import base64
import functools
import hashlib
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from keras_transformer.forking import refused_after_fork
from keras_transformer.io import atomic_write, local_path
from keras_transformer.text.marian_codes import (
    LANGUAGE,
    language_of,
    split_code,
    split_code_in_graph,
    which_there_are,
)
from keras_transformer.text.sentencepiece_training import utf8
from keras_transformer.text.tokenizer import load_processor

if TYPE_CHECKING:
    import tensorflow as tf

SPACE = "▁"
SPECIAL_IDS = ("pad_id", "bos_id", "eos_id", "unk_id")


class MarianTokenizer:
    """A tokenizer compatible with `MarianTokenizer` of the Transformers library.

    SentencePiece splits the text into tokens; a table, shared by source and target, maps tokens to
    ids, and tokens outside the table are unknown. A language code at the start of the text, such
    as ">>fra<<", is one token. Unlike in Transformers, names of special tokens have no meaning
    inside text. Marian models start target sentences with the padding token, so `bos_id` may equal
    `pad_id`.

    Args:
        model: Bytes of a SentencePiece `ModelProto`.
        tokens: The token of each id, in order.
        pad_id: Id that pads a row to the length of its batch.
        bos_id: Id that starts a target sentence.
        eos_id: Id that ends a sentence.
        unk_id: Id of tokens outside the table.

    Raises:
        ValueError: `model` is damaged, two tokens are equal, a special id is outside the table, or
            two special ids other than `pad_id` and `bos_id` are equal.
    """

    def __init__(
        self,
        model: bytes,
        tokens: Sequence[str],
        *,
        pad_id: int,
        bos_id: int,
        eos_id: int,
        unk_id: int,
    ):
        self.model = bytes(model)
        self.tokens = list(tokens)
        self.pad_id = pad_id
        self.bos_id = bos_id
        self.eos_id = eos_id
        self.unk_id = unk_id
        self._processor = load_processor(self.model)
        self._ids = {token: id for id, token in enumerate(self.tokens)}
        _check_ids(self.tokens, self._ids, self.special_ids)

    @property
    def special_ids(self) -> dict[str, int]:
        """The special ids by name."""
        return {name: getattr(self, name) for name in SPECIAL_IDS}

    @classmethod
    def load(cls, path: str | os.PathLike) -> "MarianTokenizer":
        """Loads a tokenizer from a file written by `save`.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is damaged or not a Marian tokenizer.
        """
        path = local_path(path, "A tokenizer")
        try:
            config = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
            model = base64.b64decode(config["sentencepiece"], validate=True)
            ids = {name: int(config["special_ids"][name]) for name in SPECIAL_IDS}
            return cls(model, config["tokens"], **ids)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} cannot serve as a Marian tokenizer: it is damaged or something else "
                f"({error}). Convert or copy it again."
            ) from error

    def save(self, path: str | os.PathLike) -> None:
        """Saves table and model to one JSON file, with an atomic write."""
        path = local_path(path, "A tokenizer")
        config = {
            "format": "marian",
            "special_ids": self.special_ids,
            "tokens": self.tokens,
            "sentencepiece": base64.b64encode(self.model).decode(),
        }
        content = json.dumps(config, ensure_ascii=False).encode("utf-8", "surrogatepass")
        with atomic_write(path) as scratch:
            scratch.write_bytes(content)

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of model and table; if it is equal, so are the ids."""
        table = json.dumps([self.tokens, self.special_ids])
        return hashlib.sha256(self.model + table.encode()).hexdigest()

    def vocabulary_size(self) -> int:
        """Returns the number of ids; every id is in `range(vocabulary_size())`."""
        return len(self.tokens)

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
            return self.tokenize([text])[0]
        texts = [split_code(line) if isinstance(line, str) else ([], line) for line in text]
        rows = self._processor.encode(
            [utf8(rest) for _, rest in texts], out_type=str, num_threads=os.cpu_count() or 1
        )
        return [
            [self.token_to_id(piece) for piece in (*code, *pieces)]
            for (code, _), pieces in zip(texts, rows, strict=True)
        ]

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
        if ids and isinstance(ids[0], list):
            return [self.detokenize(row) for row in ids]
        skipped = (self.pad_id, self.bos_id, self.eos_id)
        tokens = [self.id_to_token(id) for id in ids if id not in skipped]
        return self._processor.decode_pieces(tokens).replace(SPACE, " ").strip()

    def split_tags(self, text: str) -> tuple[str, str]:
        """Splits the language code off the start of a text."""
        code, rest = split_code(text)
        return "".join(code), rest

    def check_tags(self, text: str, name: str = "The text") -> None:
        """Raises a ValueError if a text starts with a language code that the table lacks.

        `tokenize` would make `unk_id` of it, and the model would choose a language itself.
        """
        code = language_of(text)
        if code is not None and code not in self._ids:
            raise ValueError(
                f"{name} starts with {code}, a language code that the model does not have. "
                f"{which_there_are(self.tokens)}"
            )

    def id_to_token(self, id: int) -> str:
        """Returns the token with an id. A space is written as U+2581.

        Raises:
            ValueError: The id is not in the vocabulary.
        """
        if not 0 <= id < len(self.tokens):
            raise ValueError(f"Ids must be between 0 and {len(self.tokens) - 1}. Received: {id}")
        return self.tokens[id]

    def token_to_id(self, token: str) -> int:
        """Returns the id of a token, or `unk_id` if the vocabulary lacks it."""
        return self._ids.get(token, self.unk_id)

    @functools.cached_property
    @refused_after_fork
    def in_graph(self):
        """A `tf.Module` with the splitter and the table used by the `*_in_graph` methods.

        A `tf.Module` to be exported must hold it as an attribute, so that the model is exported
        too.
        """
        import tensorflow as tf
        import tensorflow_text

        module = tf.Module(name="marian_tokenizer")
        with tf.init_scope():  # outlives the graph in which it is created
            module.pieces = tensorflow_text.SentencepieceTokenizer(self.model, out_type=tf.string)
            table = tf.lookup.KeyValueTensorInitializer(
                self._names_in_graph(), tf.range(len(self.tokens))
            )
            module.ids = tf.lookup.StaticHashTable(table, default_value=self.unk_id)
        return module

    @refused_after_fork
    def tokenize_in_graph(self, texts: "tf.Tensor") -> "tf.RaggedTensor":
        """Tokenizes a batch of sentences in a TensorFlow graph.

        Args:
            texts: Strings, shape `(B,)`.

        Returns:
            Ragged int32 ids, shape `(B, None)`.
        """
        return self.ids_in_graph(self.pieces_in_graph(texts))

    @refused_after_fork
    def pieces_in_graph(self, texts: "tf.Tensor") -> "tf.RaggedTensor":
        """Splits sentences into tokens, those outside the table included, in a TensorFlow graph.

        Args:
            texts: Strings, shape `(B,)`.

        Returns:
            Ragged strings, shape `(B, None)`.
        """
        import tensorflow as tf

        code, rest = self.split_tags_in_graph(texts)
        codes = tf.ragged.boolean_mask(code[:, None], (code != "")[:, None])
        return tf.concat([codes, self.in_graph.pieces.tokenize(rest)], axis=1)

    @refused_after_fork
    def ids_in_graph(self, pieces: "tf.RaggedTensor") -> "tf.RaggedTensor":
        """Returns the int32 id of each token of a ragged tensor, `unk_id` if it has none."""
        import tensorflow as tf

        return tf.ragged.map_flat_values(self.in_graph.ids.lookup, pieces)

    @refused_after_fork
    def split_tags_in_graph(self, texts: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        """Splits language codes off a batch of texts in a TensorFlow graph, `(B,)` each."""
        return split_code_in_graph(texts)

    @refused_after_fork
    def check_tags_in_graph(self, texts: "tf.Tensor") -> "tf.Operation":
        """Returns an operation that fails where `check_tags` raises an error."""
        import tensorflow as tf

        code, _ = self.split_tags_in_graph(texts)
        is_missing = tf.strings.regex_full_match(code, LANGUAGE)
        is_missing &= self.in_graph.ids.lookup(code) == self.unk_id
        message = "A text starts with a language code that the model does not have. "
        message += f"{which_there_are(self.tokens)} Received:"
        return tf.debugging.Assert(~tf.reduce_any(is_missing), [message, code[is_missing]])

    @refused_after_fork
    def detokenize_in_graph(self, ids: "tf.Tensor | tf.RaggedTensor") -> "tf.Tensor":
        """Detokenizes a batch of ids in a TensorFlow graph.

        Args:
            ids: Integers, shape `(B, T)`, dense or ragged.

        Returns:
            Strings, shape `(B,)`.
        """
        import tensorflow as tf

        ids = ids if isinstance(ids, tf.RaggedTensor) else tf.RaggedTensor.from_tensor(ids)
        skipped = tf.constant([self.pad_id, self.bos_id, self.eos_id], ids.dtype)
        is_text = tf.ragged.map_flat_values(
            lambda flat: tf.reduce_all(flat[:, None] != skipped, axis=1), ids
        )
        tokens = tf.gather(self._names_in_graph(), tf.ragged.boolean_mask(ids, is_text))
        texts = self.in_graph.pieces.detokenize(tokens)
        return tf.strings.strip(tf.strings.regex_replace(texts, SPACE, " "))

    def _names_in_graph(self) -> "tf.Tensor":
        import tensorflow as tf

        return tf.constant([token.encode("utf-8", "surrogatepass") for token in self.tokens])


def _check_ids(tokens: list[str], ids: dict[str, int], special_ids: dict[str, int]) -> None:
    if len(ids) < len(tokens):
        twice = next(token for id, token in enumerate(tokens) if ids[token] != id)
        raise ValueError(f"Tokens must be distinct. Received: {twice!r} twice")
    received = ", ".join(f"{name}={id}" for name, id in special_ids.items())
    if not all(0 <= id < len(tokens) for id in special_ids.values()):
        raise ValueError(
            f"Every special id must be in the vocabulary, between 0 and {len(tokens) - 1}. "
            f"Received: {received}"
        )
    pad, bos, eos, unk = special_ids.values()
    if len({pad, eos, unk}) < 3 or bos in (eos, unk):
        raise ValueError(
            "The special ids must be different, except that `bos_id` may equal `pad_id`. "
            f"Received: {received}"
        )
