"""Training batches of a few static shapes, in a reproducible order with random access."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_transformer.data.buckets import BatchShape, make_buckets
from keras_transformer.data.collation import INPUTS, Batch, padded_batch
from keras_transformer.data.mixing import (
    MixedMembers,
    Mixture,
    ShuffledMembers,
    mix_pairs,
    tokens_per_epoch,
)
from keras_transformer.data.tf_dataset import dataset_of, with_id_limits
from keras_transformer.data.token_cache import TokenCache

if TYPE_CHECKING:
    import tensorflow as tf


class BatchStream:
    """Base class of training batches, whose order is a function of the seed.

    Each shape has members, which are pairs or packed rows. They form an endless stream, one
    permutation after another or a mixture of corpora, that is cut into full batches. Subclasses
    implement `_collate`, which builds a batch from members.

    Args:
        cache: The token ids of the pairs.
        buckets: Each shape with the indices of its members.
        seed: Seed of the order.
        weights: Weights of the corpora, or `None`.
        mixture: The `Mixture` of the members that these weights give.
    """

    inputs = INPUTS

    def __init__(
        self,
        cache: TokenCache,
        buckets: Sequence[tuple[BatchShape, np.ndarray]],
        seed: int,
        weights: Sequence[float] | None,
        mixture: Mixture | None,
    ):
        self.cache = cache
        self.seed = seed
        self.shapes = tuple(shape for shape, _ in buckets)
        self._streams = [
            ShuffledMembers(members, number, seed)
            if mixture is None
            else MixedMembers(members, mixture, number, seed)
            for number, (_, members) in enumerate(buckets)
        ]
        streams = list(zip(self.shapes, self._streams, strict=True))
        self.rows_per_epoch = tuple(float(stream.per_epoch) for stream in self._streams)
        positions = sum(stream.per_epoch * sum(shape[1:]) for shape, stream in streams)
        self.padding = float(1 - tokens_per_epoch(cache, weights) / float(positions))
        steps = sum(float(stream.per_epoch) / shape.batch_size for shape, stream in streams)
        self.steps_per_epoch = max(1, round(steps))
        self._order: tuple[int, np.ndarray] = (-1, np.zeros((0, 2), int))

    def _collate(self, shape: BatchShape, members: np.ndarray) -> Batch:
        """Collates members of a shape into a batch."""
        raise NotImplementedError

    def steps_in(self, epoch: int) -> int:
        """Returns the number of batches in an epoch; epochs count from 0."""
        return sum(self._batches_before(epoch + 1)) - sum(self._batches_before(epoch))

    def _batches_before(self, epoch: int) -> list[int]:
        """Returns, for each shape, the number of full batches before an epoch."""
        return [
            stream.before(epoch) // shape.batch_size
            for shape, stream in zip(self.shapes, self._streams, strict=True)
        ]

    def locate(self, step: int) -> tuple[int, int]:
        """Converts a global step, from 0, to an epoch and a step within it."""
        epoch = 0
        while step >= (steps := self.steps_in(epoch)):
            step -= steps
            epoch += 1
        return epoch, step

    def batch(self, epoch: int, step: int) -> Batch:
        """Returns one batch of the stream.

        Args:
            epoch: Index of the epoch.
            step: Index of the batch within the epoch, below `steps_in(epoch)`.

        Returns:
            `({"source": (B, S), "target": (B, T)}, labels)`, int32; labels have shape `(B, T)` and
            are `target` shifted left by one position, with EOS at the end. Packed rows have
            additional inputs.

        Raises:
            IndexError: `step` is out of range.
        """
        order = self._epoch_order(epoch)
        if not 0 <= step < len(order):
            raise IndexError(f"Epoch {epoch} has {len(order)} batches. Received: step={step}")
        shape, number = order[step].tolist()
        size = self.shapes[shape].batch_size
        members = self._streams[shape].members(number * size, (number + 1) * size)
        return self._collate(self.shapes[shape], members)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch, starting at `start_step`."""
        for step in range(start_step, self.steps_in(epoch)):
            yield self.batch(epoch, step)

    def dataset(self, start_epoch: int = 0, start_step: int = 0) -> "tf.data.Dataset":
        """Returns an endless dataset of batches for `fit`.

        Args:
            start_epoch: Epoch to start in.
            start_step: Number of batches to skip from the start of that epoch. It may exceed the
                epoch, so `dataset(start_step=n)` resumes after n training steps.

        Returns:
            Prefetched dataset of the batches that `batch` returns. Its static shapes are
            `(None, None)`, or fully defined if there is only one shape.
        """

        def endless() -> Iterator[Batch]:
            epoch, step = start_epoch, start_step
            while True:
                yield from self.epoch(epoch, step)
                step = max(0, step - self.steps_in(epoch))
                epoch += 1

        return with_id_limits(dataset_of(endless, self.shapes, self.inputs), self.cache)

    def _epoch_order(self, epoch: int) -> np.ndarray:
        """Returns the batches of an epoch in order, as an array of shape `(steps, 2)`.

        The columns are the index of the batch's shape, and its number in the stream of that shape.
        """
        cached_epoch, order = self._order
        if cached_epoch != epoch:
            bounds = zip(self._batches_before(epoch), self._batches_before(epoch + 1), strict=True)
            batches = [
                (shape, number)
                for shape, (first, last) in enumerate(bounds)
                for number in range(first, last)
            ]
            generator = np.random.default_rng((self.seed, epoch, 0))
            order = generator.permutation(np.array(batches, int).reshape(-1, 2))
            self._order = (epoch, order)
        return order


class TokenBatches(BatchStream):
    """Bucketed training batches from a `TokenCache`, in an order that is a function of the seed.

    Every pair belongs to one of at most `max_shapes` shapes, chosen to minimize padding (see
    `make_buckets`). The pairs of each shape form an endless stream, one permutation per epoch, that
    is cut into full batches. In each epoch of its stream every pair is seen exactly once, and pairs
    left over at the end of an epoch begin the first batch of the next. The batches of an epoch are
    those whose last pair belongs to it, from all shapes, shuffled. Batch `step` of `epoch` depends
    only on the cache, the arguments and these two numbers, so training can resume in mid-epoch
    without replaying earlier batches.

    With `weights`, an epoch has as many pairs as all corpora of the cache together, but the share
    of each corpus is its weight divided by the sum of the weights: a small corpus is repeated, and
    of a large one each epoch sees the next part (see `keras_transformer/data/mixing.py`).

    Args:
        cache: The token ids of the pairs.
        tokens_per_batch: Maximum number of positions, with padding, on the larger side of a batch:
            `batch_size * max(source_length, target_length) <= tokens_per_batch`.
        max_shapes: Maximum number of static shapes, 1 to 64.
        seed: Seed of the order.
        batch_multiple: Batch sizes that reach this number are rounded down to a multiple of it.
        parts: Number of equal parts that each batch is split into, across devices or gradient
            accumulation steps. Batch sizes are always multiples of it.
        weights: Relative shares of the corpora of a cache of `JoinedCorpora`. `None` sees every
            pair once in an epoch.

    Attributes:
        shapes: The `BatchShape`s, in ascending order of source and target positions.
        rows_per_epoch: Average number of rows of each shape in an epoch.
        padding: Fraction of all source and target positions that is padding.
        steps_per_epoch: Average number of batches per epoch, a constant, for `fit`. The exact
            number of an epoch, `steps_in(epoch)`, differs slightly; the stream of batches does not
            depend on where `fit` ends its epochs.

    Raises:
        ValueError: The budget is smaller than the longest sentence times `parts`, `max_shapes`
            is out of range, or `weights` does not fit the corpora.

    Example:

    ```python
    batches = TokenBatches(cache, tokens_per_batch=4096)
    steps = batches.steps_per_epoch
    model.fit(batches.dataset(), steps_per_epoch=steps, epochs=10, shuffle=False)
    ```
    """

    def __init__(
        self,
        cache: TokenCache,
        tokens_per_batch: int,
        max_shapes: int = 8,
        seed: int = 0,
        batch_multiple: int = 8,
        parts: int = 1,
        weights: Sequence[float] | None = None,
    ):
        mixture = mix_pairs(cache, weights)
        buckets = make_buckets(cache.lengths, tokens_per_batch, max_shapes, batch_multiple, parts)
        super().__init__(cache, buckets, seed, weights, mixture)

    def _collate(self, shape: BatchShape, members: np.ndarray) -> Batch:
        return padded_batch(self.cache, shape, members)
