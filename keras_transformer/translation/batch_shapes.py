"""Batch shapes: a few static shapes for sentences of any number and length.

XLA compiles the search once for every shape, so sentences are padded and grouped to share shapes.
"""

import numpy as np

LENGTHS = (16, 32, 64, 128, 256)  # padded source lengths, EOS included
BATCHES = (1, 8, 16, 32, 64, 128, 256)  # batch sizes
PLAIN_BATCH = 32  # maximum batch size without continuous batching: of samples and given targets
SHARED = range(9, 65)  # numbers of sentences to distribute over workers
MANY = 256  # sentences of a call from which on there are few batch sizes, so that few are compiled
FEW = 8  # sentences of such a call for which, when they are searched again, batches are small
POSITIONS = 8192  # maximum source positions of a batch
SLOTS = 16  # maximum sentences that are decoded at the same time
EXTRA_LENGTH = 50  # the paper's limit of the output: the length of the input + 50, EOS included
USUAL_EXTRA = 16  # few translations exceed the length of their source by more


def padded_length(tokens: int, lengths: tuple[int, ...] = LENGTHS) -> int:
    """Returns the length to which a sentence is padded.

    This is the smallest of `lengths` that fits, or else the next multiple of the largest.

    Args:
        tokens: Number of tokens.
        lengths: Lengths in ascending order.

    Example:

    >>> [padded_length(n) for n in (1, 16, 17, 300)]
    [16, 16, 32, 512]
    """
    for length in lengths:
        if tokens <= length:
            return length
    return -(-tokens // lengths[-1]) * lengths[-1]


def decode_lengths(length: int, max_length: int) -> list[int]:
    """Returns two decode lengths to try: the usual one, then one that is always sufficient.

    Args:
        length: Padded length of the source.
        max_length: Maximum number of tokens of a translation.

    Example:

    >>> decode_lengths(32, 80), decode_lengths(64, 20), decode_lengths(16, 300)
    ([48, 82], [80, 114], [32, 320])
    """
    full = length + EXTRA_LENGTH
    return [length + USUAL_EXTRA, full if max_length <= full else padded_length(max_length, (32,))]


def batch_sizes(
    sentences: int,
    length: int,
    limit: int | None = None,
    workers: int = 1,
    many: bool = False,
) -> list[int]:
    """Returns the sizes of the batches for a number of sentences of one padded length.

    Batches are as large as `POSITIONS` and `limit` allow. A few dozen sentences are distributed
    evenly over the workers, so that no worker is idle; fewer are faster in one batch, and for more
    the number of shapes matters more.

    Args:
        sentences: Number of sentences.
        length: Padded length of the sources.
        limit: Maximum batch size, one of `BATCHES`. `None` means no further limit.
        workers: Number of batches that are processed at the same time.
        many: Whether they belong to a call of many sentences. Batches are then at least a quarter
            as large as they can be: time lost on empty rows is little, and programs are few.

    Example:

    >>> batch_sizes(600, length=16), batch_sizes(3, length=16), batch_sizes(1, length=64)
    ([256, 256, 256], [8], [1])
    >>> batch_sizes(32, length=16, workers=2), batch_sizes(3, length=16, many=True)
    ([16, 16], [64])
    """
    largest = max(size for size in BATCHES if size == 1 or size * length <= POSITIONS)
    largest = min(largest, limit or largest)
    share = -(-sentences // workers) if sentences in SHARED else sentences
    needed = max(min(share, largest), largest // 4 if many else 1)
    size = next(size for size in BATCHES if size >= needed)
    return [size] * -(-sentences // size)


def make_batches(
    lengths: list[int], limit: int | None = None, workers: int = 1, many: bool = False
) -> list[tuple[int, int, list[int]]]:
    """Groups sentences of similar length into batches, longest sentences first.

    Args:
        lengths: Number of source tokens of each sentence.
        limit: Maximum batch size, one of `BATCHES`. `None` means no further limit.
        workers: Number of batches that are processed at the same time.
        many: Whether they belong to a call of many sentences; see `batch_sizes`.

    Returns:
        A list of tuples: the batch size, the padded source length, and the indices of the
        sentences, at most as many as the batch size.
    """
    order = np.argsort([-length for length in lengths], kind="stable")
    groups: dict[int, list[int]] = {}
    for index in order:
        groups.setdefault(padded_length(lengths[index]), []).append(int(index))
    batches = []
    for length, indices in groups.items():
        for size in batch_sizes(len(indices), length, limit, workers, many):
            batches.append((size, length, indices[:size]))
            indices = indices[size:]
    return batches


def pad_rows(rows: list[list[int]], shape: tuple[int, int], pad_id: int) -> np.ndarray:
    """Returns an int32 array of the given shape with the rows of ids, padded with `pad_id`."""
    array = np.full(shape, pad_id, "int32")
    for index, row in enumerate(rows):
        array[index, : len(row)] = row
    return array
