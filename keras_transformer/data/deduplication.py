"""Deduplication of sentence pairs by 64-bit hashes."""

import hashlib
from collections.abc import Iterable

import numpy as np


class HashSet:
    """A growing set of 64-bit hashes that takes 8 bytes of memory for each.

    The hashes are kept in a few sorted arrays. A new array is merged with the last while that is
    less than twice as long, so each hash is copied a logarithmic number of times.

    Example:

    >>> seen = HashSet()
    >>> seen.add(np.array([5, 7, 5], "uint64")).tolist()
    [True, True, False]
    >>> seen.add(np.array([11, 7], "uint64")).tolist()
    [True, False]
    """

    def __init__(self):
        self._arrays: list[np.ndarray] = []

    def add(self, hashes: np.ndarray) -> np.ndarray:
        """Adds hashes and returns, for each, whether it is new, as a boolean array."""
        unique, indices = np.unique(hashes, return_index=True)
        new = np.ones(len(unique), bool)
        for array in self._arrays:
            nearest = np.minimum(np.searchsorted(array, unique), len(array) - 1)
            new &= array[nearest] != unique
        first_time = np.zeros(len(hashes), bool)
        first_time[indices[new]] = True
        self._insert(unique[new])
        return first_time

    def _insert(self, array: np.ndarray) -> None:
        if not len(array):
            return
        while self._arrays and len(self._arrays[-1]) < 2 * len(array):
            array = np.sort(np.concatenate([self._arrays.pop(), array]))
        self._arrays.append(array)


def pair_hashes(pairs: Iterable[tuple[str, str]]) -> np.ndarray:
    """Returns a uint64 hash of each pair.

    The probability of any collision among 36 million pairs is about 1 in 30,000.
    """
    digests = (
        hashlib.blake2b(
            f"{len(source)} {source}{target}".encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        for source, target in pairs
    )
    return np.frombuffer(b"".join(digests), np.uint64)
