"""Training batches: few static shapes, every pair seen, any batch at any time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_transformer.data.buckets import BatchShape, make_buckets
from keras_transformer.data.collation import INPUTS, Batch, padded_batch
from keras_transformer.data.tf_dataset import dataset_of
from keras_transformer.data.token_cache import TokenCache

if TYPE_CHECKING:
    import tensorflow as tf


class BatchStream:
    """What all training batches share: an order that is a function of the seed.

    Each shape has members, pairs or packed rows, which come as an endless stream: one permutation
    of them after the other, cut into full batches. A subclass says how members fill a batch.

    Args:
        cache: The pairs.
        buckets: Each shape, with the numbers of its members.
        seed: Seed of the order.
    """

    inputs = INPUTS

    def __init__(
        self, cache: TokenCache, buckets: Sequence[tuple[BatchShape, np.ndarray]], seed: int
    ):
        self.cache = cache
        self.seed = seed
        self._buckets = buckets
        self.shapes = tuple(shape for shape, _ in buckets)
        positions = sum(len(members) * sum(shape[1:]) for shape, members in buckets)
        self.padding = float(1 - cache.lengths.sum() / positions)
        steps = sum(len(members) / shape.batch_size for shape, members in buckets)
        self.steps_per_epoch = max(1, round(steps))
        self._permutations: dict[tuple[int, int], np.ndarray] = {}
        self._order: tuple[int, np.ndarray] = (-1, np.zeros((0, 2), int))

    def _filled(self, shape: BatchShape, members: np.ndarray) -> Batch:
        """The batch that holds some members of a shape."""
        raise NotImplementedError

    def steps_in(self, epoch: int) -> int:
        """Number of batches of an epoch, counted from 0."""
        return sum(self._batches_before(epoch + 1)) - sum(self._batches_before(epoch))

    def _batches_before(self, epoch: int) -> list[int]:
        """For each shape, how many batches are full before an epoch starts."""
        return [epoch * len(members) // shape.batch_size for shape, members in self._buckets]

    def locate(self, step: int) -> tuple[int, int]:
        """Epoch and step within it of the batch that comes after `step` others."""
        epoch = 0
        while step >= (steps := self.steps_in(epoch)):
            step -= steps
            epoch += 1
        return epoch, step

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch at a place of the stream.

        Args:
            epoch: Number of the epoch, from 0.
            step: Number of the batch within it, below `steps_in(epoch)`.

        Returns:
            `({"source": (B, S), "target": (B, T)}, labels)`, int32; labels have shape `(B, T)` and
            are `target` one position earlier, EOS at the end. Packed rows have more inputs.

        Raises:
            IndexError: The epoch has no such batch.
        """
        order = self._order_of(epoch)
        if not 0 <= step < len(order):
            raise IndexError(f"Epoch {epoch} has {len(order)} batches. Received: step={step}")
        shape, number = order[step].tolist()
        return self._filled(self.shapes[shape], self._members(shape, number))

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_step` on."""
        for step in range(start_step, self.steps_in(epoch)):
            yield self.batch(epoch, step)

    def dataset(self, start_epoch: int = 0, start_step: int = 0) -> "tf.data.Dataset":
        """All batches from a place of the stream on, without end, for `fit`.

        Args:
            start_epoch: Epoch to start in.
            start_step: Batches of the stream to pass over from the start of that epoch; may reach
                into later epochs, so `dataset(start_step=n)` goes on after n steps of training.

        Returns:
            Dataset of what `batch` returns, prefetched. Its static shapes are `(None, None)`, or
            the shape itself if there is one shape.
        """

        def endless() -> Iterator[Batch]:
            epoch, step = start_epoch, start_step
            while True:
                yield from self.epoch(epoch, step)
                step = max(0, step - self.steps_in(epoch))
                epoch += 1

        return dataset_of(endless, self.shapes, self.inputs)

    def _order_of(self, epoch: int) -> np.ndarray:
        """Shape and number in its stream of each batch of an epoch, shape `(steps, 2)`."""
        known, order = self._order
        if known != epoch:
            bounds = zip(self._batches_before(epoch), self._batches_before(epoch + 1), strict=True)
            places = [
                (shape, number)
                for shape, (first, last) in enumerate(bounds)
                for number in range(first, last)
            ]
            order = self._generator(epoch, 0).permutation(np.array(places, int).reshape(-1, 2))
            self._order = (epoch, order)
        return order

    def _members(self, shape: int, number: int) -> np.ndarray:
        """The members of one batch: a piece of the endless stream of its shape."""
        size, count = self.shapes[shape].batch_size, len(self._buckets[shape][1])
        places = np.arange(number * size, (number + 1) * size)
        epochs = places // count
        members = [
            self._permutation(shape, int(epoch))[places[epochs == epoch] % count]
            for epoch in np.unique(epochs)
        ]
        return np.concatenate(members)

    def _permutation(self, shape: int, epoch: int) -> np.ndarray:
        """All members of a shape in the order of an epoch. The last two of each shape are kept."""
        shuffled = self._permutations.get((shape, epoch))
        if shuffled is None:
            for old in [key for key in list(self._permutations) if key[0] == shape]:
                if abs(old[1] - epoch) > 1:
                    self._permutations.pop(old, None)
            shuffled = self._generator(epoch, 1 + shape).permutation(self._buckets[shape][1])
            self._permutations[shape, epoch] = shuffled
        return shuffled

    def _generator(self, epoch: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, epoch, purpose))


class TokenBatches(BatchStream):
    """Training batches out of a `TokenCache`, in an order that is a function of the seed.

    Every pair belongs to one of at most `max_shapes` shapes, chosen for little padding (see
    `make_buckets`). The pairs of one shape are an endless stream, one permutation of them after the
    other (one for each epoch), which is cut into full batches. So no pair is left out or seen twice
    in an epoch of its stream, and what is left at the end of an epoch starts the first batch of the
    next. An epoch's batches are those whose last pair belongs to it, of all shapes, shuffled. Batch
    `step` of `epoch` depends on the cache, the arguments and these two numbers alone: training goes
    on in mid-epoch without going through what came before.

    Args:
        cache: The pairs.
        tokens_per_batch: Budget of positions, padding included, of the larger side of a batch:
            `batch_size * max(source_length, target_length) <= tokens_per_batch`.
        max_shapes: Largest number of static shapes, 1 to 64.
        seed: Seed of the order.
        batch_multiple: Batch sizes are rounded down to a multiple of this, where they reach it.
        parts: Batch sizes are always multiples of this: into how many equal parts a batch is split,
            between devices or one after the other.

    Attributes:
        shapes: The `BatchShape`s, those with the fewest positions first.
        padding: The share of all positions of both sides that is padding.
        steps_per_epoch: Number of batches after which every pair has been seen once on average, a
            constant, for `fit`. `steps_in(epoch)` is the exact number of an epoch and differs from
            it by few; the endless stream of batches does not depend on where `fit` cuts its epochs.

    Raises:
        ValueError: A single sentence, or one for each part, exceeds the budget, or `max_shapes` is
            out of its range.

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
    ):
        buckets = make_buckets(cache.lengths, tokens_per_batch, max_shapes, batch_multiple, parts)
        super().__init__(cache, buckets, seed)

    def _filled(self, shape: BatchShape, members: np.ndarray) -> Batch:
        return padded_batch(self.cache, shape, members)
