"""The corpus interface and a corpus in memory."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """One line of a corpus: a sentence pair, or the reason why it is not one.

    Attributes:
        line: Line number, from 1.
        source: The source sentence, `""` if there is a problem.
        target: The target sentence, `""` if there is a problem.
        problem: Reason why the line is not a pair, such as `"not UTF-8"`, or `None`.
        note: Remark on a line that is a pair, such as `"extra columns ignored"`, or `None`.
    """

    line: int
    source: str
    target: str
    problem: str | None = None
    note: str | None = None


class Corpus:
    """Base class of corpora: sentence pairs that can be read more than once.

    Iteration yields `(source, target)` strings and skips lines that are not pairs; `entries` yields
    those as well, so that a `FilterReport` can count them. Subclasses implement `entries` and
    `fingerprint`.

    Attributes:
        name: Name in reports, such as that of the file.
    """

    name = "corpus"

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for entry in self.entries():
            if entry.problem is None:
                yield entry.source, entry.target

    def entries(self) -> Iterator[Entry]:
        """Yields every line in order, including lines that are not pairs."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Returns a string that changes when the pairs change."""
        raise NotImplementedError

    def sentences(self) -> Iterator[str]:
        """Yields source and target sentences in turn, to train a joint vocabulary on."""
        for source, target in self:
            yield source
            yield target


class InMemoryCorpus(Corpus):
    """A corpus of sentence pairs in memory.

    Args:
        pairs: `(source, target)` strings.

    Raises:
        ValueError: `pairs` is empty, or an item is not a pair of strings.

    Example:

    >>> list(InMemoryCorpus([("a cat", "un chat")]))
    [('a cat', 'un chat')]
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]):
        self.pairs = tuple(map(_two_strings, pairs))
        if not self.pairs:
            raise ValueError("`pairs` must hold at least one (source, target) pair. Received none.")

    def entries(self) -> Iterator[Entry]:
        for line, (source, target) in enumerate(self.pairs, start=1):
            yield Entry(line, source, target)

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for pair in self.pairs:
            digest.update(repr(pair).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


class JoinedCorpora(Corpus):
    """Several corpora, read one after another.

    A `TokenCache` of them knows which pairs belong to which corpus, so that `TokenBatches` and
    `PackedBatches` can mix them by `weights`. A pair that several corpora contain is kept in the
    first of them, if the filter drops duplicates.

    Args:
        corpora: The corpora, at least one.

    Raises:
        ValueError: `corpora` is empty.

    Example:

    >>> corpora = [InMemoryCorpus([("a cat", "un chat")]), InMemoryCorpus([("a dog", "un chien")])]
    >>> list(JoinedCorpora(corpora))
    [('a cat', 'un chat'), ('a dog', 'un chien')]
    """

    def __init__(self, corpora: Sequence[Corpus]):
        self.corpora = tuple(corpora)
        if not self.corpora:
            raise ValueError("`corpora` must hold at least one corpus. Received none.")
        self.name = ", ".join(corpus.name for corpus in self.corpora)

    def entries(self) -> Iterator[Entry]:
        """Yields every line; lines are numbered within their corpus."""
        for corpus in self.corpora:
            yield from corpus.entries()

    def fingerprint(self) -> str:
        return f"joined {[corpus.fingerprint() for corpus in self.corpora]!r}"


class TaggedCorpus(Corpus):
    """A corpus whose sources start with a tag, which tells what to translate them to.

    Args:
        corpus: The corpus.
        tag: Such as `">>fr<<"`; see `keras_transformer.text.tag_of`.

    Example:

    >>> list(TaggedCorpus(InMemoryCorpus([("a cat", "un chat")]), ">>fr<<"))
    [('>>fr<< a cat', 'un chat')]
    """

    def __init__(self, corpus: Corpus, tag: str):
        self.corpus, self.tag = corpus, tag
        self.name = f"{corpus.name} {tag}"

    def entries(self) -> Iterator[Entry]:
        for entry in self.corpus.entries():
            has_pair = entry.problem is None
            yield entry._replace(source=f"{self.tag} {entry.source}") if has_pair else entry

    def fingerprint(self) -> str:
        return f"{self.tag} {self.corpus.fingerprint()}"


def _two_strings(pair) -> tuple[str, str]:
    sides = () if isinstance(pair, str) else tuple(pair)
    if len(sides) != 2 or not all(isinstance(side, str) for side in sides):
        raise ValueError(
            f"`pairs` must hold (source, target) strings, two in each pair. Received: {pair!r:.80}"
        )
    return sides
