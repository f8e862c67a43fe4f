"""Packed training batches: one static shape, several pairs per row."""

from collections.abc import Sequence

import numpy as np

from keras_transformer.data.batching import BatchStream
from keras_transformer.data.buckets import BatchShape
from keras_transformer.data.collation import PACKED_INPUTS, Batch, packed_batch
from keras_transformer.data.mixing import Mixture, mix_pairs
from keras_transformer.data.packing import pack_each, pack_pairs
from keras_transformer.data.token_cache import TokenCache


class PackedBatches(BatchStream):
    """Packed training batches from a `TokenCache`, all of one static shape.

    Packing suits TPUs, which recompile for each new shape. A row holds several complete pairs side
    by side; each pair is a segment with positions from 0, and attention in `Transformer` stays
    within a segment. The class is interchangeable with `TokenBatches`.

    The pairs are packed into rows once, such that both sides of a row fill up (see `pack_pairs`);
    the seed determines the order of pairs of equal lengths. Rows keep their pairs in every epoch,
    since pairs of a row do not attend to each other, but are shuffled into other batches. The rows
    form an endless stream, one permutation per epoch, that is cut into batches. In each epoch of
    the stream every pair is seen exactly once, and rows left over at the end of an epoch begin the
    first batch of the next. Batch `step` of `epoch` depends only on the cache, the arguments and
    these two numbers. If the corpus has fewer rows than a batch, a batch repeats rows and some
    epochs have no batch.

    With `weights`, corpora are mixed as in `TokenBatches`: each row holds pairs of one corpus, and
    rows are drawn at the rate of their corpus.

    Packing takes about 40 bytes of memory per pair, of which 10 remain in use.

    Args:
        cache: The token ids of the pairs.
        tokens_per_batch: Maximum number of positions, with padding, on each side of a batch.
        length: Number of positions on each side of a row.
        seed: Seed of the rows and their order.
        batch_multiple: The number of rows in a batch is rounded down to a multiple of this.
        weights: Relative shares of the corpora of a cache of `JoinedCorpora`. `None` sees every
            pair once in an epoch.

    Attributes:
        shapes: The only `BatchShape`, `(rows, length, length)`.
        rows_per_epoch: Tuple of the average number of rows in an epoch.
        padding: Fraction of all source and target positions that is padding.
        steps_per_epoch: Average number of batches per epoch, a constant, for `fit`. The exact
            number of an epoch is `steps_in(epoch)`.

    Raises:
        ValueError: A pair is longer than a row, the budget is below `batch_multiple` rows,
            `length` or `batch_multiple` is below 1, or `weights` does not fit the corpora.

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
        weights: Sequence[float] | None = None,
    ):
        shape = packed_shape(tokens_per_batch, length, batch_multiple)
        mixture = mix_pairs(cache, weights)
        if mixture is None:
            self._rows = pack_pairs(cache.lengths, length, seed)
        else:
            self._rows, first_rows = pack_each(cache.lengths, mixture.starts, length, seed)
            mixture = Mixture(mixture.rates, first_rows)
        members = np.arange(len(self._rows), dtype=np.int32)
        super().__init__(cache, [(shape, members)], seed, weights, mixture)

    def _collate(self, shape: BatchShape, members: np.ndarray) -> Batch:
        return packed_batch(self.cache, shape, *self._rows.select(members))


def packed_shape(tokens_per_batch: int, length: int, batch_multiple: int) -> BatchShape:
    """Returns the shape of as many rows as the budget allows."""
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
