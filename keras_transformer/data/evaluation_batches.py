"""Every pair once, in a fixed order: what a validation loss is computed on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from keras_transformer.data.buckets import make_buckets
from keras_transformer.data.collation import Batch, padded_batch
from keras_transformer.data.tf_dataset import dataset_of
from keras_transformer.data.token_cache import TokenCache

if TYPE_CHECKING:
    import tensorflow as tf


class EvaluationBatches:
    """Batches that hold each pair of a `TokenCache` exactly once, in an order that never changes.

    Shape after shape, and in the cache's order within one. Every batch has its whole shape: the
    last of each shape is filled up with rows that are padding from end to end. These hold no real
    token and so weigh nothing in a mean over real tokens.

    Args:
        cache: The pairs.
        tokens_per_batch: Budget of positions, padding included, of the larger side of a batch:
            `batch_size * max(source_length, target_length) <= tokens_per_batch`.
        max_shapes: Largest number of static shapes, 1 to 64.
        batch_multiple: Batch sizes are rounded down to a multiple of this, where they reach it.
        parts: Batch sizes are always multiples of this: into how many equal parts a batch is split,
            between devices or one after the other.

    Attributes:
        shapes: The `BatchShape`s, those with the fewest positions first.

    Raises:
        ValueError: A single sentence, or one for each part, exceeds the budget, or `max_shapes` is
            out of its range.

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
        """The batches as a finite dataset of `({"source", "target"}, labels)`, prefetched."""
        import tensorflow as tf

        dataset = dataset_of(self.__iter__, self.shapes)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self)))
