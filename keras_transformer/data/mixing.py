"""Endless streams of the members of a batch shape: of one corpus, or mixed from several by weight.

The members are sentence pairs, or packed rows. A stream is divided into epochs, and any part of it
is found without the parts before it, so that training resumes in mid-epoch. The weighted mixture:

- The share of corpus i in an epoch is `w_i / sum(w)`. An epoch has as many pairs as all corpora
  together, N, so each of the n_i pairs of corpus i comes at the rate of
  `w_i / sum(w) * N / n_i` times per epoch: more than once for a small corpus of large weight, less
  than once for a large corpus of small weight.
- In each batch shape the members of one corpus form an endless sequence, one permutation after
  another. Epoch e takes the places from `floor(e * rate * members)` to
  `floor((e + 1) * rate * members)`, and so goes on where the epoch before it stopped. Every member
  is therefore seen equally often, to within one.
- The parts of all corpora are joined, and permuted, for each epoch.

Rates are fractions, not floats: an epoch begins at the same place on every machine, and shares are
exact over as many epochs as it takes.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from keras_transformer.data.token_cache import TokenCache

_BLOCK = 1 << 16  # members that are permuted at a time, if the corpus is smaller


class MemberStream:
    """Endless stream of the members of one shape, in which each epoch is an array of them.

    Args:
        shape: Index of the shape, which with the seed determines the order.
        seed: Seed of the order.

    Attributes:
        per_epoch: Average number of members in an epoch, a fraction.
    """

    def __init__(self, shape: int, seed: int):
        self.shape, self.seed = shape, seed
        self.per_epoch = Fraction(0)
        self._epochs: dict[int, np.ndarray] = {}

    def before(self, epoch: int) -> int:
        """Returns the number of members in all epochs before this one."""
        raise NotImplementedError

    def _shuffle(self, epoch: int) -> np.ndarray:
        """Returns the members of an epoch, in order."""
        raise NotImplementedError

    def members(self, start: int, stop: int) -> np.ndarray:
        """Returns the members from one place of the stream to another."""
        epoch = int(start / self.per_epoch)
        parts = []
        while start < stop:
            first, end = self.before(epoch), self.before(epoch + 1)
            if start < end:
                parts.append(self._epoch(epoch)[start - first : stop - first])
                start = end
            epoch += 1
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> np.ndarray:
        """Returns the members of an epoch, in order; adjacent epochs stay cached."""
        members = self._epochs.get(epoch)
        if members is None:
            for other in [other for other in list(self._epochs) if abs(other - epoch) > 1]:
                self._epochs.pop(other, None)
            self._epochs[epoch] = members = self._shuffle(epoch)
        return members

    def _generator(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *purpose))


class ShuffledMembers(MemberStream):
    """Stream in which every epoch is a permutation of all members.

    Args:
        members: The members.
        shape: As in `MemberStream`.
        seed: As in `MemberStream`.
    """

    def __init__(self, members: np.ndarray, shape: int, seed: int):
        super().__init__(shape, seed)
        self._members = members
        self.per_epoch = Fraction(len(members))

    def before(self, epoch: int) -> int:
        return epoch * len(self._members)

    def _shuffle(self, epoch: int) -> np.ndarray:
        return self._generator(epoch, 1 + self.shape).permutation(self._members)


class MixedMembers(MemberStream):
    """Stream that draws the members of several corpora at their rates.

    Args:
        members: The members of all corpora, ascending.
        mixture: The rates of the corpora.
        shape: As in `MemberStream`.
        seed: As in `MemberStream`.
    """

    def __init__(self, members: np.ndarray, mixture: "Mixture", shape: int, seed: int):
        super().__init__(shape, seed)
        self._corpora = mixture.split(members)
        self._per_epoch = [
            rate * len(part) for rate, part in zip(mixture.rates, self._corpora, strict=True)
        ]
        self.per_epoch = sum(self._per_epoch)

    def before(self, epoch: int) -> int:
        return sum(self._starts(epoch))

    def _starts(self, epoch: int) -> list[int]:
        """Returns the place in the sequence of each corpus where an epoch begins."""
        return [math.floor(epoch * per_epoch) for per_epoch in self._per_epoch]

    def _shuffle(self, epoch: int) -> np.ndarray:
        places = zip(self._starts(epoch), self._starts(epoch + 1), strict=True)
        parts = [self._slice(corpus, *bounds) for corpus, bounds in enumerate(places)]
        return self._generator(epoch, 1 + self.shape).permutation(np.concatenate(parts))

    def _slice(self, corpus: int, start: int, stop: int) -> np.ndarray:
        """Returns a part of the endless sequence of permutations of a corpus."""
        members = self._corpora[corpus]
        if start == stop:
            return members[:0]
        repeats = max(1, _BLOCK // len(members))  # permutations that are made together
        size = repeats * len(members)
        blocks = range(start // size, -(-stop // size))
        permuted = [
            self._generator(block, 1 + self.shape, 1 + corpus).permuted(
                np.tile(members, (repeats, 1)), axis=1
            )
            for block in blocks
        ]
        first = blocks[0] * size
        return np.concatenate(permuted, axis=None)[start - first : stop - first]


class Mixture(NamedTuple):
    """The rates of several corpora, and which members belong to which.

    Attributes:
        rates: How often each member of a corpus comes in an epoch, on average.
        starts: The first member of each corpus, and the number of all members.
    """

    rates: list[Fraction]
    starts: np.ndarray

    def split(self, members: np.ndarray) -> list[np.ndarray]:
        """Splits ascending members into those of each corpus."""
        return np.split(members, np.searchsorted(members, self.starts[1:-1]))


def mix_pairs(cache: TokenCache, weights: Sequence[float] | None) -> Mixture | None:
    """Returns the mixture of the pairs of a cache; `None` if each is seen once in an epoch.

    Args:
        cache: The token ids of one or several corpora.
        weights: Weight of each corpus, or `None`. A single weight has no effect.

    Raises:
        ValueError: There is not one weight for each corpus, a weight is not greater than 0, or a
            corpus has no pairs.
    """
    if weights is None:
        return None
    sizes = [report.kept for report in cache.reports]
    _check_weights(weights, sizes)
    if len(weights) == 1:
        return None
    exact = [Fraction(str(weight)) for weight in weights]
    shares = [weight / sum(exact) for weight in exact]
    rates = [share * sum(sizes) / size for share, size in zip(shares, sizes, strict=True)]
    return Mixture(rates, np.cumsum([0, *sizes]))


def _check_weights(weights: Sequence[float], sizes: Sequence[int]) -> None:
    if len(weights) != len(sizes):
        raise ValueError(
            f"`weights` must have one number for each corpus. Received: {len(weights)} weights "
            f"for {len(sizes)} corpora."
        )
    for number, (weight, size) in enumerate(zip(weights, sizes, strict=True), start=1):
        if not size:  # first: a weight that follows from the size is 0, too
            raise ValueError(
                f"The filter keeps no pair of corpus {number}, which therefore cannot have a "
                "weight. Leave it out, or change the filter."
            )
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(
                f"`weights` must be greater than 0. Received: {weight} for corpus {number}. To "
                "train without a corpus, leave it out."
            )


def tokens_per_epoch(cache: TokenCache, weights: Sequence[float] | None) -> float:
    """Returns the number of source and target tokens in an epoch, on average."""
    mixture = mix_pairs(cache, weights)
    if mixture is None:
        return cache.lengths.sum()
    lengths = np.split(cache.lengths, mixture.starts[1:-1])
    return sum(float(rate) * part.sum() for rate, part in zip(mixture.rates, lengths, strict=True))
