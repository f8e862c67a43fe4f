"""Which static shapes sentences are translated in, so that few are ever compiled."""

import numpy as np

LENGTHS = (16, 32, 64, 128, 256)  # source positions, EOS included
BATCHES = (1, 8, 32, 128)
POSITIONS = 4096  # of the source in one batch


def source_length(tokens: int) -> int:
    """The length that so many source positions are padded to.

    Example:

    >>> [source_length(n) for n in (1, 16, 17, 300)]
    [16, 16, 32, 512]
    """
    for length in LENGTHS:
        if tokens <= length:
            return length
    return -(-tokens // LENGTHS[-1]) * LENGTHS[-1]


def batch_sizes(sentences: int, length: int) -> list[int]:
    """How many sentences of one length go together: full batches, then one that holds the rest.

    Example:

    >>> batch_sizes(300, length=16), batch_sizes(3, length=16), batch_sizes(1, length=64)
    ([128, 128, 128], [8], [1])
    """
    most = max(size for size in BATCHES if size == 1 or size * length <= POSITIONS)
    sizes = [most] * (sentences // most)
    rest = sentences % most
    return sizes + ([next(size for size in BATCHES if size >= rest)] if rest else [])


def make_batches(lengths: list[int]) -> list[tuple[int, int, list[int]]]:
    """Groups sentences, shortest first.

    Args:
        lengths: Source positions of each sentence.

    Returns:
        A list of (batch size, source length, the sentences' places in `lengths`).
    """
    order = np.argsort(lengths, kind="stable")
    groups: dict[int, list[int]] = {}
    for place in order:
        groups.setdefault(source_length(lengths[place]), []).append(int(place))
    batches = []
    for length, places in groups.items():
        for size in batch_sizes(len(places), length):
            batches.append((size, length, places[:size]))
            places = places[size:]
    return batches
