"""Probabilities of translations of single tokens, learned from sentence pairs."""

import itertools
from collections.abc import Sequence

import numpy as np

CHUNK = 2_000_000  # pairs of tokens that sentence pairs are expanded to at once


def learn_lexicon(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], iterations: int = 5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Learns how probable each target token is as a translation of each source token.

    IBM Model 1 ([Brown et al., 1993](https://aclanthology.org/J93-2003)): every target token was
    produced by one of the source tokens, and all of them are equally likely to be the one.
    Expectation maximization, from uniform probabilities, finds those under which the targets are
    most probable. Target tokens that no source token predicts go to tokens that occur everywhere,
    such as EOS.

    Args:
        sources: Ids of the source sentences, EOS included.
        targets: Ids of their translations.
        iterations: Number of iterations.

    Returns:
        Three arrays with an element for each pair of tokens that occurs in a sentence pair: source
        ids, in ascending order; target ids; and the probability of the target token given the
        source token.

    Example: In two sentence pairs, 5 and 6 occur twice each, and therefore belong together.

    >>> sources, targets, probabilities = learn_lexicon([[5, 7], [5, 9]], [[6, 8], [6, 4]])
    >>> for source, target, probability in zip(sources, targets, probabilities):
    ...     print(source, target, round(float(probability), 2))
    5 4 0.08
    5 6 0.84
    5 8 0.08
    7 6 0.24
    7 8 0.76
    9 4 0.76
    9 6 0.24
    """
    sizes = np.cumsum([len(a) * len(b) for a, b in zip(sources, targets, strict=True)])
    starts = np.searchsorted(sizes // CHUNK, np.arange(sizes[-1] // CHUNK + 1))
    chunks = [
        _Chunk(sources[start:end], targets[start:end])
        for start, end in itertools.pairwise([*starts, len(sources)])
    ]
    keys = np.unique(np.concatenate([np.unique(one.keys()) for one in chunks]))
    source_ids, target_ids = keys >> 32, keys & 0xFFFFFFFF
    probabilities = np.ones(len(keys))
    for _ in range(iterations):
        counts = np.zeros(len(keys))
        for one in chunks:
            pairs = np.searchsorted(keys, one.keys())
            counts += np.bincount(pairs, one.shares(probabilities[pairs]), len(keys))
        probabilities = counts / np.bincount(source_ids, counts)[source_ids]
    return source_ids, target_ids, probabilities


class _Chunk:
    """Sentence pairs, expanded to all pairs of a target token and a source token of its sentence.

    The pairs of a target token are next to each other.
    """

    def __init__(self, sources, targets):
        kept = [pair for pair in zip(sources, targets, strict=True) if all(map(len, pair))]
        sources, targets = zip(*kept, strict=True) if kept else ((), ())
        self.sources = np.array([id for row in sources for id in row], "int64")
        self.targets = np.array([id for row in targets for id in row], "int64")
        lengths = np.array([len(row) for row in sources], "int64")
        starts = np.cumsum(lengths) - lengths
        sentences = np.repeat(np.arange(len(targets)), [len(row) for row in targets])
        self.counts = lengths[sentences]  # of source tokens, for each target token
        self.first = np.cumsum(self.counts) - self.counts  # its first pair
        self.offsets = starts[sentences] - self.first

    def keys(self):
        """Returns a number for each pair, its source id and its target id."""
        places = np.arange(self.counts.sum()) + np.repeat(self.offsets, self.counts)
        return (self.sources[places] << 32) | np.repeat(self.targets, self.counts)

    def shares(self, probabilities):
        """Returns the share of each pair in its target token; those of a token sum to 1."""
        if not len(probabilities):
            return probabilities
        totals = np.add.reduceat(probabilities, self.first)
        return probabilities / np.repeat(totals, self.counts)
