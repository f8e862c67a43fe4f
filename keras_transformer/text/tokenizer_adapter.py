"""An adapter for tokenizers of other libraries, such as keras-hub."""

import hashlib
import json
from typing import Any

from keras_transformer.text.tags import split_tags
from keras_transformer.text.tokenizer_protocol import check_special_ids


class TokenizerAdapter:
    """An adapter of a keras-hub tokenizer, or one with the same methods, to `TokenizerProtocol`.

    Such tokenizers return tensors, ragged tensors, arrays or lists, and do not always name their
    special ids. The adapter returns lists of ints and takes the special ids as arguments.

    Args:
        tokenizer: Object with `tokenize`, `detokenize`, `vocabulary_size`, `id_to_token` and
            `token_to_id`.
        pad_id: Id that pads a row to the length of its batch.
        bos_id: Id that starts a target sentence.
        eos_id: Id that ends a sentence.
        unk_id: Id of text outside the vocabulary.

    Raises:
        ValueError: The special ids are not four distinct ids of the vocabulary, or `tokenizer`
            pads, truncates, or adds BOS or EOS itself.

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
                    "The tokenizer must return the ids of the text alone, nothing cut or added. "
                    f"Received one with {option}={getattr(tokenizer, option)}. Create it without "
                    "this option."
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
        """Returns the number of ids; every id is in `range(vocabulary_size())`."""
        return self.tokenizer.vocabulary_size()

    def tokenize(self, text: str | list[str]) -> list[int] | list[list[int]]:
        """Tokenizes a sentence, or each sentence of a list, without BOS and EOS."""
        if not isinstance(text, str) and not text:
            return []
        return _to_lists(self.tokenizer.tokenize(text))

    def detokenize(self, ids: list[int] | list[list[int]]) -> str | list[str]:
        """Detokenizes the ids of a sentence, or each row of a list or array of ids.

        Padding, BOS and EOS are skipped. `[]` is the empty sentence.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        ids = _to_lists(ids)
        if ids and isinstance(ids[0], list):
            return [self.detokenize(row) for row in ids]
        outside = [id for id in ids if not 0 <= id < self.vocabulary_size()]
        if outside:
            raise ValueError(
                f"Ids must be between 0 and {self.vocabulary_size() - 1}. Received: {outside[0]}"
            )
        kept = [id for id in ids if id not in (self.pad_id, self.bos_id, self.eos_id)]
        return _to_string(self.tokenizer.detokenize(kept)) if kept else ""

    def split_tags(self, text: str) -> tuple[str, str]:
        """Splits language tags such as ">>fr<<" or "<2fr>" off the start of a text."""
        return split_tags(text)

    def id_to_token(self, id: int) -> str:
        """Returns the token with an id."""
        return self.tokenizer.id_to_token(id)

    def token_to_id(self, token: str) -> int:
        """Returns the id of a token, as the adapted tokenizer defines it."""
        return self.tokenizer.token_to_id(token)


def _to_lists(ids: Any) -> list:
    """Converts a ragged tensor, tensor, array or lists to lists of ints."""
    if hasattr(ids, "to_list"):  # tf.RaggedTensor
        return ids.to_list()
    if hasattr(ids, "numpy"):  # tf.Tensor
        ids = ids.numpy()
    if hasattr(ids, "tolist"):  # np.ndarray
        return ids.tolist()
    return [_to_lists(row) if hasattr(row, "__len__") else int(row) for row in ids]


def _to_string(value: Any) -> str:
    """Converts a string tensor, an array of one string, bytes or a string to a string."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        (value,) = value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
