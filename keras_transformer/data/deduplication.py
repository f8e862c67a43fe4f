"""Which pairs came before: 64 bits of memory for each, however long it is."""

import hashlib
from collections.abc import Iterable

import numpy as np


class HashSet:
    """A growing set of 64-bit hashes, 8 bytes each.

    The hashes lie in sorted arrays. A new one is merged with the last as long as that is not much
    larger, so there are few arrays and each hash moves a logarithmic number of times.

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
        """Add hashes; returns for each whether this is the first time that it is added."""
        unique, places = np.unique(hashes, return_index=True)
        new = np.ones(len(unique), bool)
        for array in self._arrays:
            at = np.minimum(np.searchsorted(array, unique), len(array) - 1)
            new &= array[at] != unique
        first_time = np.zeros(len(hashes), bool)
        first_time[places[new]] = True
        self._insert(unique[new])
        return first_time

    def _insert(self, array: np.ndarray) -> None:
        if not len(array):
            return
        while self._arrays and len(self._arrays[-1]) < 2 * len(array):
            array = np.sort(np.concatenate([self._arrays.pop(), array]))
        self._arrays.append(array)


def pair_hashes(pairs: Iterable[tuple[str, str]]) -> np.ndarray:
    """A uint64 hash of each pair. Two of 36 million pairs agree by chance in 1 run of 30,000."""
    digests = (
        hashlib.blake2b(
            f"{len(source)} {source}{target}".encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        for source, target in pairs
    )
    return np.frombuffer(b"".join(digests), np.uint64)
