"""What a tokenizer must be able to do, said once."""

from typing import Protocol, overload, runtime_checkable


@runtime_checkable
class TokenizerProtocol(Protocol):
    """The few methods through which the package uses a tokenizer.

    `Tokenizer` has them; `TokenizerAdapter` gives them to the tokenizers of other libraries.
    The names are keras-hub's.

    Attributes:
        pad_id: Id that fills a row up to the length of its batch.
        bos_id: Id that starts a target sentence.
        eos_id: Id that ends a sentence.
        unk_id: Id of what the vocabulary cannot write.
        fingerprint: Text that is equal for two tokenizers only if they give the same ids.
    """

    pad_id: int
    bos_id: int
    eos_id: int
    unk_id: int

    @property
    def fingerprint(self) -> str: ...

    def vocabulary_size(self) -> int:
        """How many ids there are: every id is in `range(vocabulary_size())`."""
        ...

    @overload
    def tokenize(self, text: str) -> list[int]: ...
    @overload
    def tokenize(self, text: list[str]) -> list[list[int]]: ...
    def tokenize(self, text):
        """Ids of a sentence, or of each of a list; without `bos_id` and `eos_id`."""
        ...

    @overload
    def detokenize(self, ids: list[int]) -> str: ...
    @overload
    def detokenize(self, ids: list[list[int]]) -> list[str]: ...
    def detokenize(self, ids):
        """The sentence of some ids, or of each of a list; pad, BOS and EOS leave no trace."""
        ...

    def id_to_token(self, id: int) -> str:
        """The piece of text behind one id."""
        ...

    def token_to_id(self, token: str) -> int:
        """The id of one piece of text, `unk_id` where there is none."""
        ...


def check_special_ids(tokenizer: TokenizerProtocol) -> None:
    """Raise `ValueError` unless the four special ids are distinct ids of the vocabulary."""
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
