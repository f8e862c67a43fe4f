"""The interface of tokenizers."""

from typing import Protocol, overload, runtime_checkable


@runtime_checkable
class TokenizerProtocol(Protocol):
    """The interface that the package requires of a tokenizer.

    `Tokenizer` and `MarianTokenizer` implement it; `TokenizerAdapter` adapts tokenizers of other
    libraries to it. Method names follow keras-hub.

    Attributes:
        pad_id: Id that pads a row to the length of its batch.
        bos_id: Id that starts a target sentence.
        eos_id: Id that ends a sentence.
        unk_id: Id of text outside the vocabulary.
        fingerprint: String that two tokenizers share only if they return the same ids.
    """

    pad_id: int
    bos_id: int
    eos_id: int
    unk_id: int

    @property
    def fingerprint(self) -> str: ...

    def vocabulary_size(self) -> int:
        """Returns the number of ids; every id is in `range(vocabulary_size())`."""
        ...

    @overload
    def tokenize(self, text: str) -> list[int]: ...
    @overload
    def tokenize(self, text: list[str]) -> list[list[int]]: ...
    def tokenize(self, text):
        """Tokenizes a sentence, or each sentence of a list, without BOS and EOS."""
        ...

    @overload
    def detokenize(self, ids: list[int]) -> str: ...
    @overload
    def detokenize(self, ids: list[list[int]]) -> list[str]: ...
    def detokenize(self, ids):
        """Detokenizes one row of ids or several; padding, BOS and EOS are skipped."""
        ...

    def split_tags(self, text: str) -> tuple[str, str]:
        """Splits the tags at the start of a text, which tell the model what to do, off the text.

        `Translator` repeats them in every piece of a text that is too long for the model. A
        tokenizer without this method has the tags of `keras_transformer.text.tags`.
        """
        ...

    def id_to_token(self, id: int) -> str:
        """Returns the token with an id."""
        ...

    def token_to_id(self, token: str) -> int:
        """Returns the id of a token, or `unk_id` if the vocabulary lacks it."""
        ...


def check_special_ids(tokenizer: TokenizerProtocol) -> None:
    """Checks that the four special ids are distinct ids of the vocabulary.

    Raises:
        ValueError: An id is outside the vocabulary, or two ids are equal.
    """
    ids = {name: getattr(tokenizer, name) for name in ("pad_id", "bos_id", "eos_id", "unk_id")}
    received = ", ".join(f"{name}={id}" for name, id in ids.items())
    size = tokenizer.vocabulary_size()
    if not all(0 <= id < size for id in ids.values()):
        raise ValueError(
            f"Every special id must be in the vocabulary, between 0 and {size - 1}. "
            f"Received: {received}"
        )
    if len(set(ids.values())) < len(ids):
        raise ValueError(f"The special ids must be four different ids. Received: {received}")
