"""Evaluation batches: every pair exactly once, in a fixed order."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from keras_transformer.data.buckets import make_buckets
from keras_transformer.data.collation import Batch, padded_batch
from keras_transformer.data.tf_dataset import dataset_of, with_id_limits
from keras_transformer.data.token_cache import TokenCache

if TYPE_CHECKING:
    import tensorflow as tf


class EvaluationBatches:
    """Batches that contain each pair of a `TokenCache` exactly once, in a fixed order.

    Batches are ordered by shape, and pairs within a shape follow the order of the cache. The last
    batch of each shape is filled up with rows of padding, which do not count in a mean over real
    tokens.

    Args:
        cache: The token ids of the pairs.
        tokens_per_batch: Maximum number of positions, with padding, on the larger side of a batch:
            `batch_size * max(source_length, target_length) <= tokens_per_batch`.
        max_shapes: Maximum number of static shapes, 1 to 64.
        batch_multiple: Batch sizes that reach this number are rounded down to a multiple of it.
        parts: Number of equal parts that each batch is split into, across devices or gradient
            accumulation steps. Batch sizes are always multiples of it.

    Attributes:
        shapes: The `BatchShape`s, in ascending order of source and target positions.

    Raises:
        ValueError: The budget is smaller than the longest sentence times `parts`, or `max_shapes`
            is out of range.

    Example:

    ```python
    model.evaluate(EvaluationBatches(cache, tokens_per_batch=4096).dataset())
    ```
    """

    def __init__(
        self,
        cache: TokenCache,
        tokens_per_batch: int,
        max_shapes: int = 8,
        batch_multiple: int = 8,
        parts: int = 1,
    ):
        self.cache = cache
        self._buckets = make_buckets(
            cache.lengths, tokens_per_batch, max_shapes, batch_multiple, parts
        )
        self.shapes = tuple(bucket.shape for bucket in self._buckets)

    def __len__(self) -> int:
        return sum(-(-len(pairs) // shape.batch_size) for shape, pairs in self._buckets)

    def __iter__(self) -> Iterator[Batch]:
        for shape, pairs in self._buckets:
            for first in range(0, len(pairs), shape.batch_size):
                yield padded_batch(self.cache, shape, pairs[first : first + shape.batch_size])

    def dataset(self) -> "tf.data.Dataset":
        """Returns a finite, prefetched dataset of `({"source", "target"}, labels)` batches."""
        import tensorflow as tf

        dataset = dataset_of(self.__iter__, self.shapes)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(self)))
        return with_id_limits(dataset, self.cache)
