"""Which static shapes sentences are translated in, so that few are ever compiled."""

import numpy as np

LENGTHS = (16, 32, 64, 128, 256)  # source positions, EOS included
BATCHES = (1, 8, 16, 32, 64, 128, 256)  # sentences that wait for their turn
PARTED = range(9, 65)  # sentences: fewer are faster together, more have few shapes
POSITIONS = 8192  # of the source in one batch
SLOTS = 16  # sentences at work at a time
EXTRA_LENGTH = 50  # the paper's limit on the output: the input's length + 50, EOS included
USUAL_EXTRA = 16  # a result is seldom longer than its source by more


def padded_length(tokens: int, lengths: tuple[int, ...] = LENGTHS) -> int:
    """The length that so many positions are padded to.

    Example:

    >>> [padded_length(n) for n in (1, 16, 17, 300)]
    [16, 16, 32, 512]
    """
    for length in lengths:
        if tokens <= length:
            return length
    return -(-tokens // lengths[-1]) * lengths[-1]


def decode_lengths(length: int, most: int) -> list[int]:
    """Returns two decode lengths to try: the usual one, then the longest that may be needed.

    Args:
        length: The padded length of the source.
        most: The most tokens of a result.

    Example:

    >>> decode_lengths(32, most=80), decode_lengths(64, most=20), decode_lengths(16, most=300)
    ([48, 82], [80, 114], [32, 320])
    """
    full = length + EXTRA_LENGTH
    return [length + USUAL_EXTRA, full if most <= full else padded_length(most, (32,))]


def batch_sizes(
    sentences: int, length: int, limit: int | None = None, workers: int = 1
) -> list[int]:
    """How many sentences of one length go together: all, or as many as `POSITIONS` allows.

    A few dozen are shared out, so that no worker waits.

    Example:

    >>> batch_sizes(600, length=16), batch_sizes(3, length=16), batch_sizes(1, length=64)
    ([256, 256, 256], [8], [1])
    >>> batch_sizes(32, length=16, workers=2)
    [16, 16]
    """
    most = max(size for size in BATCHES if size == 1 or size * length <= POSITIONS)
    most = min(most, limit or most)
    share = -(-sentences // workers) if sentences in PARTED else sentences
    size = next(size for size in BATCHES if size >= min(share, most))
    return [size] * -(-sentences // size)


def make_batches(
    lengths: list[int], limit: int | None = None, workers: int = 1
) -> list[tuple[int, int, list[int]]]:
    """Groups sentences, longest first.

    Args:
        lengths: Source positions of each sentence.
        limit: One of `BATCHES`: no batch has more sentences.
        workers: How many batches are at work at a time.

    Returns:
        A list of (batch size, source length, the sentences' places in `lengths`).
    """
    order = np.argsort([-length for length in lengths], kind="stable")
    groups: dict[int, list[int]] = {}
    for place in order:
        groups.setdefault(padded_length(lengths[place]), []).append(int(place))
    batches = []
    for length, places in groups.items():
        for size in batch_sizes(len(places), length, limit, workers):
            batches.append((size, length, places[:size]))
            places = places[size:]
    return batches


def padded(rows: list[list[int]], shape: tuple[int, int], pad_id: int) -> np.ndarray:
    """Rows of ids in an array of a fixed shape, filled up with `pad_id`."""
    array = np.full(shape, pad_id, "int32")
    for place, row in enumerate(rows):
        array[place, : len(row)] = row
    return array
