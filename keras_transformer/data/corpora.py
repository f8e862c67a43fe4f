"""What a corpus is, and the one that lies in memory."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Entry(NamedTuple):
    """One line of a corpus: a pair of sentences, or what is wrong with it.

    Attributes:
        line: Its number, from 1.
        source: The source sentence, `""` if there is a problem.
        target: The target sentence, `""` if there is a problem.
        problem: Why there is no pair (`"not UTF-8"`, say), or `None`.
    """

    line: int
    source: str
    target: str
    problem: str | None = None


class Corpus:
    """Sentence pairs that can be read several times, one after the other.

    Iterating gives `(source, target)` strings and passes over lines that hold no pair; `entries`
    gives those too, so that a `FilterReport` can count them. A corpus of one's own needs `entries`
    and `fingerprint`.
    """

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for entry in self.entries():
            if entry.problem is None:
                yield entry.source, entry.target

    def entries(self) -> Iterator[Entry]:
        """Every line in order, those that hold no pair included."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Text that changes when the pairs do."""
        raise NotImplementedError

    def sentences(self) -> Iterator[str]:
        """Source and target sentences in turn: what a joint vocabulary is learned from."""
        for source, target in self:
            yield source
            yield target


class InMemoryCorpus(Corpus):
    """Sentence pairs that are already there.

    Args:
        pairs: `(source, target)` strings.

    Raises:
        ValueError: There are none, or one of them is something else.

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


def _two_strings(pair) -> tuple[str, str]:
    sides = () if isinstance(pair, str) else tuple(pair)
    if len(sides) != 2 or not all(isinstance(side, str) for side in sides):
        raise ValueError(
            f"`pairs` must hold (source, target) strings, two in each. Received: {pair!r:.80}"
        )
    return sides
