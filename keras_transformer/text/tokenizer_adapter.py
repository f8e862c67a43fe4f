"""Tokenizers of other libraries, keras-hub's first of all, in the place of ours."""

import hashlib
import json
from typing import Any

from keras_transformer.text.tokenizer_protocol import check_special_ids


class TokenizerAdapter:
    """A keras-hub tokenizer, or one with the same methods, as an `TokenizerProtocol`.

    Such tokenizers return tensors, ragged tensors, arrays or lists, and do not say which ids are
    special. This class returns lists of ints and is told.

    Args:
        tokenizer: Object with `tokenize`, `detokenize`, `vocabulary_size`, `id_to_token` and
            `token_to_id`.
        pad_id: Id that fills a row up to the length of its batch.
        bos_id: Id that starts a target sentence.
        eos_id: Id that ends a sentence.
        unk_id: Id of what the vocabulary cannot write.

    Raises:
        ValueError: The special ids are not four different ids of the vocabulary, or `tokenizer`
            pads, cuts, or adds BOS or EOS by itself.

    Example:

    ```python
    words = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "the", "cat", "##s"]
    hub = keras_hub.tokenizers.WordPieceTokenizer(vocabulary=words, oov_token="[UNK]")
    tokenizer = TokenizerAdapter(hub, pad_id=0, bos_id=1, eos_id=2, unk_id=3)
    tokenizer.tokenize("the cats")  # [4, 5, 6]
    ```
    """

    def __init__(self, tokenizer: Any, *, pad_id: int, bos_id: int, eos_id: int, unk_id: int):
        self.tokenizer = tokenizer
        self.pad_id = pad_id
        self.bos_id = bos_id
        self.eos_id = eos_id
        self.unk_id = unk_id
        check_special_ids(self)
        for option in ("sequence_length", "add_bos", "add_eos"):
            if getattr(tokenizer, option, None):
                raise ValueError(
                    f"The tokenizer must return the ids of the text alone, nothing cut or added. "
                    f"Received one with {option}={getattr(tokenizer, option)}; make it without."
                )

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the class, its configuration and every token."""
        tokenizer = self.tokenizer
        config = tokenizer.get_config() if hasattr(tokenizer, "get_config") else {}
        parts = {
            "class": f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}",
            "config": {key: config[key] for key in config.keys() - {"name", "trainable"}},
            "tokens": [tokenizer.id_to_token(id) for id in range(self.vocabulary_size())],
            "special_ids": [self.pad_id, self.bos_id, self.eos_id, self.unk_id],
        }
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def vocabulary_size(self) -> int:
        """Number of ids; every id is in `range(vocabulary_size())`."""
        return self.tokenizer.vocabulary_size()

    def tokenize(self, text: str | list[str]) -> list[int] | list[list[int]]:
        """Ids of a sentence, or of each sentence of a list, without BOS and EOS."""
        if not isinstance(text, str) and not text:
            return []
        return _plain(self.tokenizer.tokenize(text))

    def detokenize(self, ids: list[int] | list[list[int]]) -> str | list[str]:
        """The sentence of some ids, or the sentences of a list (or array) of them.

        Pad, BOS and EOS leave no trace. `[]` is the empty sentence.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        ids = _plain(ids)
        if ids and isinstance(ids[0], list):
            return [self.detokenize(row) for row in ids]
        outside = [id for id in ids if not 0 <= id < self.vocabulary_size()]
        if outside:
            raise ValueError(
                f"Ids must be between 0 and {self.vocabulary_size() - 1}. Received: {outside[0]}"
            )
        kept = [id for id in ids if id not in (self.pad_id, self.bos_id, self.eos_id)]
        return _text(self.tokenizer.detokenize(kept)) if kept else ""

    def id_to_token(self, id: int) -> str:
        """The piece of text behind one id."""
        return self.tokenizer.id_to_token(id)

    def token_to_id(self, token: str) -> int:
        """The id of one piece of text, as the foreign tokenizer gives it."""
        return self.tokenizer.token_to_id(token)


def _plain(ids: Any) -> list:
    """Lists of ints from a ragged tensor, a tensor, an array or lists."""
    if hasattr(ids, "to_list"):  # tf.RaggedTensor
        return ids.to_list()
    if hasattr(ids, "numpy"):  # tf.Tensor
        ids = ids.numpy()
    if hasattr(ids, "tolist"):  # np.ndarray
        return ids.tolist()
    return [_plain(row) if hasattr(row, "__len__") else int(row) for row in ids]


def _text(value: Any) -> str:
    """A string from a string tensor, an array of one string, bytes or a string."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        (value,) = value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
