"""Continuous batching: beam search in a few slots, each refilled when its sentence is done."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from keras_transformer.decoding.beam_search import BeamSearch, SearchLimits, select
from keras_transformer.decoding.hypotheses import Hypotheses


class Queue(NamedTuple):
    """The progress of N sentences through B slots.

    Attributes:
        next: Integer scalar tensor: the number of sentences that have been assigned to a slot.
        sentences: Integer tensor of shape `(B,)`: the index of the sentence in each slot; N in a
            free slot.
        results: `Hypotheses` of N + 1 sentences; free slots write to the last row.
        complete: Boolean tensor of shape `(N + 1,)`: whether the search for each sentence ran to
            its end. `False` means not yet, or abandoned at the static length.
    """

    next: object
    sentences: object
    results: Hypotheses
    complete: object


def continuous_beam_search(search, step, load, state, limits, slots):
    """Runs `beam_search` for N sentences with continuous batching in B slots.

    In a plain batch, all sentences wait for the one that takes the most steps. Here, as soon as a
    few slots are free, the next sentences start in them, each at its own position 0. The KV cache
    of `step` has L places, used cyclically: place 0 follows place L - 1.

    Args:
        search: `BeamSearch`. Its `length` L is the maximum number of steps of a sentence in its
            slot; the search for a sentence that needs more is abandoned and not `complete`.
        step: Function `(tokens, positions, place, ancestry, state) -> (logits, state)`, as in
            `beam_search`, except for `positions`, `(B,)`, the position of the tokens in each
            sentence, and `place`, an integer scalar tensor, the place in the cache to write to.
        load: Function `(indices, state) -> state`. Returns the state of `step` with the source
            sentences `indices`, `(B,)`, in the slots, and with the cache unchanged. Index N means
            a free slot, for which any sentence will do.
        state: Any nested structure of tensors: the initial state of `step`.
        limits: `SearchLimits` of the N sentences.
        slots: Integer B. Number of slots.

    Returns:
        A tuple of the `Hypotheses` of the N sentences and whether each search is complete, `(N,)`.
    """
    return ContinuousBeamSearch(search, step, load, limits, slots).run(state)


@dataclasses.dataclass(frozen=True)
class ContinuousBeamSearch:
    """The algorithm of `continuous_beam_search`, with the same arguments except `state`."""

    search: BeamSearch
    step: Callable
    load: Callable
    limits: SearchLimits
    slots: int

    @property
    def num_sentences(self):
        """Number of sentences, N."""
        return self.limits.max_lengths.shape[0]

    def run(self, state):
        """Alternates between refilling slots and decoding, until all sentences are done."""
        queue, *_ = ops.while_loop(
            lambda queue, *_: (queue.next < self.num_sentences) | ops.any(self.occupied(queue)),
            self.refill_and_decode,
            (self.initialize(), ops.zeros((), "int32"), self.search.initialize(self.slots), state),
        )
        results = (tensor[: self.num_sentences] for tensor in queue.results)
        return Hypotheses(*results), queue.complete[: self.num_sentences]

    def initialize(self):
        """Returns a `Queue` with free slots only and without results."""
        rows = self.num_sentences + 1
        return Queue(
            next=ops.zeros((), "int32"),
            sentences=ops.full((self.slots,), self.num_sentences, "int32"),
            results=self.search.finalize(
                self.search.initialize(rows), SearchLimits(ops.zeros((rows,), "int32"))
            ),
            complete=ops.zeros((rows,), "bool"),
        )

    def occupied(self, queue):
        """Returns whether each slot holds a sentence, `(B,)`."""
        return queue.sentences < self.num_sentences

    def slot_limits(self, queue):
        """Returns the `SearchLimits` of the sentences in the slots; 0 tokens for a free slot."""
        rows = ops.minimum(queue.sentences, self.num_sentences - 1)
        max_lengths, *others = (
            None if part is None else ops.take(part, rows, axis=0) for part in self.limits
        )
        return SearchLimits(ops.where(self.occupied(queue), max_lengths, 0), *others)

    def refill_and_decode(self, queue, time, beam_state, state):
        """Stores finished results, refills the free slots and decodes until the next refill."""
        free = ops.logical_not(self.search.is_active(beam_state, self.slot_limits(queue)))
        queue = self.refill(self.store_results(queue, beam_state, free), free)
        fresh = self.search.initialize(self.slots, time % self.search.length)
        beam_state = select(free, fresh, beam_state)
        return queue, *self.decode(queue, time, beam_state, self.load(queue.sentences, state))

    def store_results(self, queue, beam_state, free):
        """Stores the results of the searches in free slots."""
        limits = self.slot_limits(queue)
        rows = ops.where(free, queue.sentences, self.num_sentences)[:, None]
        results = self.search.finalize(beam_state, limits)
        complete = ops.logical_not(self.search.can_improve(beam_state, limits))
        return queue._replace(
            results=Hypotheses(
                *(
                    ops.scatter_update(old, rows, new)
                    for old, new in zip(queue.results, results, strict=True)
                )
            ),
            complete=ops.scatter_update(queue.complete, rows, complete),
        )

    def refill(self, queue, free):
        """Assigns the next sentences, as far as there are any, to the free slots."""
        next_after = queue.next + ops.cumsum(ops.cast(free, "int32"))  # `next` after each slot
        return queue._replace(
            next=ops.minimum(next_after[-1], self.num_sentences),
            sentences=ops.where(
                free, ops.minimum(next_after - 1, self.num_sentences), queue.sentences
            ),
        )

    def decode(self, queue, time, beam_state, state):
        """Runs steps until a few slots are free, or all of them if no sentences are waiting."""
        limits, length = self.slot_limits(queue), self.search.length
        refill_size = max(1, self.slots // 8)  # number of free slots that make a refill worthwhile
        sentences_wait = ops.cast(queue.next < self.num_sentences, "int32")
        min_active = (self.slots - refill_size) * sentences_wait

        def enough_active(time, beam_state, state):
            active = self.search.is_active(beam_state, limits)
            return ops.sum(ops.cast(active, "int32")) > min_active

        def decode_one(time, beam_state, state):
            beams = beam_state.live
            last = ops.maximum(limits.max_lengths - 1, 0)  # finished searches stay there
            positions = ops.minimum(beam_state.index, last)
            logits, state = self.step(beams.tokens, positions, time % length, beams.ancestry, state)
            next_place = (time + 1) % length
            return time + 1, self.search.step(beam_state, limits, logits, next_place), state

        return ops.while_loop(enough_active, decode_one, (time, beam_state, state))
