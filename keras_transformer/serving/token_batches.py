"""Batches of similar lengths, of a number of tokens."""

BATCH_TOKENS = 1024  # of a batch, padding included


def token_batches(sizes: list[tuple[int, int]]) -> list[list[int]]:
    """Groups sentences into batches with little padding, longest sentences first.

    Args:
        sizes: The number of tokens of the prefix and of the source of each sentence.

    Returns:
        The indices of the sentences of each batch, all with prefixes of the same length. A batch
        has at most `BATCH_TOKENS` tokens, or one sentence.

    Example:

    >>> token_batches([(0, 3), (0, 600), (2, 5), (0, 500), (0, 4)])
    [[2], [1], [3, 4], [0]]
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index], reverse=True):
        batch = batches[-1] if batches else [index]
        prefix, longest = sizes[batch[0]]
        fits = (len(batch) + 1) * longest <= BATCH_TOKENS and prefix == sizes[index][0]
        if batches and fits:
            batch.append(index)
        else:
            batches.append([index])
    return batches
