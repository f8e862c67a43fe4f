"""Training batches of one static shape, whose rows hold several pairs each."""

import numpy as np

from keras_transformer.data.batching import BatchStream
from keras_transformer.data.buckets import BatchShape
from keras_transformer.data.collation import PACKED_INPUTS, Batch, packed_batch
from keras_transformer.data.packing import pack_pairs
from keras_transformer.data.token_cache import TokenCache


class PackedBatches(BatchStream):
    """Training batches out of a `TokenCache`, all of one shape, with several pairs in a row.

    For TPUs, where every new shape is compiled anew. A row holds whole pairs, side by side, each
    with its segment and with positions that start at 0; `Transformer` lets no segment see another.
    Use it where you would use `TokenBatches`.

    The pairs are put into rows once, so that both sides of a row fill up (see `pack_pairs`); the
    seed draws which of several pairs of equal lengths goes where. The rows keep their pairs in
    every epoch, as pairs of a row do not see each other; which rows share a batch changes. The rows
    are an endless stream, one permutation of all of them after the other (one for each epoch),
    which is cut into batches. So no pair is left out or seen twice in an epoch of the stream, and
    rows that are left at the end of an epoch start the first batch of the next. Batch `step` of
    `epoch` depends on the cache, the arguments and these two numbers alone. A corpus that has fewer
    rows than a batch comes several times in one, and some epochs have no batch of their own.

    Packing takes about 40 bytes of memory for each pair; 10 of them stay.

    Args:
        cache: The pairs.
        tokens_per_batch: Budget of positions, padding included, of each side of a batch.
        length: Positions of each side of a row.
        seed: Seed of the rows and their order.
        batch_multiple: The number of rows of a batch is rounded down to a multiple of this.

    Attributes:
        shapes: The one `BatchShape`, `(rows, length, length)`.
        padding: The share of all positions of both sides that is padding.
        steps_per_epoch: Number of batches after which every pair has been seen once on average, a
            constant, for `fit`. `steps_in(epoch)` is the exact number of an epoch.

    Raises:
        ValueError: Pairs are longer than a row, the budget is below `batch_multiple` rows, or
            `length` or `batch_multiple` is below 1.

    Example:

    ```python
    batches = PackedBatches(cache, tokens_per_batch=4096)
    steps = batches.steps_per_epoch
    model.fit(batches.dataset(), steps_per_epoch=steps, epochs=10, shuffle=False)
    ```
    """

    inputs = PACKED_INPUTS

    def __init__(
        self,
        cache: TokenCache,
        tokens_per_batch: int,
        length: int = 128,
        seed: int = 0,
        batch_multiple: int = 8,
    ):
        shape = _shape(tokens_per_batch, length, batch_multiple)
        self._rows = pack_pairs(cache.lengths, length, seed)
        super().__init__(cache, [(shape, np.arange(len(self._rows), dtype=np.int32))], seed)

    def _filled(self, shape: BatchShape, members: np.ndarray) -> Batch:
        return packed_batch(self.cache, shape, *self._rows.select(members))


def _shape(tokens_per_batch: int, length: int, batch_multiple: int) -> BatchShape:
    if min(length, batch_multiple) < 1:
        raise ValueError(
            "`length` and `batch_multiple` must be at least 1. Received: "
            f"length={length}, batch_multiple={batch_multiple}"
        )
    rows = tokens_per_batch // length
    rows -= rows % batch_multiple
    if rows < 1:
        raise ValueError(
            f"`tokens_per_batch` must hold {batch_multiple} rows (`batch_multiple`) of {length} "
            f"positions (`length`). Received: {tokens_per_batch}. Raise it to "
            f"{batch_multiple * length} or more."
        )
    return BatchShape(rows, length, length)
