"""Beam search for many sentences in few slots: when one is over, the next takes its place."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from keras_transformer.decoding.beam_search import BeamSearch, SearchLimits, select
from keras_transformer.decoding.hypotheses import Hypotheses


class Queue(NamedTuple):
    """Where N sentences stand that are searched for in B slots.

    Attributes:
        next: How many sentences have had their turn.
        numbers: `(B,)`: which sentence is in each slot; N where there is none.
        found: `Hypotheses` of N + 1 sentences; the last row is none's.
        complete: `(N + 1,)`: whether a sentence's search came to its end.
    """

    next: object
    numbers: object
    found: Hypotheses
    complete: object


def continuous_beam_search(search, step, load, state, limits, slots):
    """What `beam_search` finds for N sentences, with no more than B of them at work at a time.

    In a batch all wait for the longest sentence. Here, as soon as a few slots are free, the next
    sentences begin in them, each with a clock of its own. Memory that `step` keeps for L places is
    used in turns: place 0 follows on place L - 1.

    Args:
        search: `BeamSearch`. Its `length` is the room of a slot; a sentence that needs more is
            given up, and not `complete`.
        step: Function `(tokens, positions, place, ancestry, state) -> (logits, state)`, as in
            `beam_search`, but with the `positions`, `(B,)`, of the tokens in their sentences, and
            the `place`, a scalar, where the memory of this step belongs.
        load: Function `(numbers, state) -> state`: makes the state that of the sentences `numbers`,
            `(B,)`, without touching the memory of `step`; N stands for any.
        state: What `step` and `load` want to remember.
        limits: `SearchLimits` of the N sentences.
        slots: Integer, B.

    Returns:
        `Hypotheses` of the N sentences, and which of their searches are complete, `(N,)`.
    """
    return ContinuousBeamSearch(search, step, load, limits, slots).run(state)


@dataclasses.dataclass(frozen=True)
class ContinuousBeamSearch:
    """The parts of `continuous_beam_search`, whose arguments it has."""

    search: BeamSearch
    step: Callable
    load: Callable
    limits: SearchLimits
    slots: int

    @property
    def sentences(self):
        """How many there are, N."""
        return self.limits.max_lengths.shape[0]

    def run(self, state):
        """Refills slots and writes in them, until every sentence had its turn."""
        queue, *_ = ops.while_loop(
            lambda queue, *_: (queue.next < self.sentences) | ops.any(self.taken(queue)),
            self.refill_and_write,
            (self.initialize(), ops.zeros((), "int32"), self.search.initialize(self.slots), state),
        )
        found = (tensor[: self.sentences] for tensor in queue.found)
        return Hypotheses(*found), queue.complete[: self.sentences]

    def initialize(self):
        """All slots free, nothing found."""
        rows = self.sentences + 1
        return Queue(
            next=ops.zeros((), "int32"),
            numbers=ops.full((self.slots,), self.sentences, "int32"),
            found=self.search.finalize(
                self.search.initialize(rows), SearchLimits(ops.zeros((rows,), "int32"))
            ),
            complete=ops.zeros((rows,), "bool"),
        )

    def taken(self, queue):
        """Which slots have a sentence, `(B,)`."""
        return queue.numbers < self.sentences

    def limits_of(self, queue):
        """Returns the `SearchLimits` of the sentences in the slots; 0 tokens in empty slots."""
        rows = ops.minimum(queue.numbers, self.sentences - 1)
        asked = [None if part is None else ops.take(part, rows, axis=0) for part in self.limits]
        return SearchLimits(ops.where(self.taken(queue), asked[0], 0), *asked[1:])

    def refill_and_write(self, queue, time, beam_state, state):
        free = ops.logical_not(self.search.is_active(beam_state, self.limits_of(queue)))
        queue = self.next_sentences(self.put_away(queue, beam_state, free), free)
        fresh = self.search.initialize(self.slots, time % self.search.length)
        beam_state = select(free, fresh, beam_state)
        return queue, *self.write(queue, time, beam_state, self.load(queue.numbers, state))

    def put_away(self, queue, beam_state, free):
        """Keeps what was found in the slots that are free now."""
        limits = self.limits_of(queue)
        rows = ops.where(free, queue.numbers, self.sentences)[:, None]
        results = self.search.finalize(beam_state, limits)
        complete = ops.logical_not(self.search.can_improve(beam_state, limits))
        return queue._replace(
            found=Hypotheses(
                *(
                    ops.scatter_update(old, rows, new)
                    for old, new in zip(queue.found, results, strict=True)
                )
            ),
            complete=ops.scatter_update(queue.complete, rows, complete),
        )

    def next_sentences(self, queue, free):
        """Gives each free slot the next sentence, if there is one."""
        turns = queue.next + ops.cumsum(ops.cast(free, "int32"))  # after each slot's
        return queue._replace(
            next=ops.minimum(turns[-1], self.sentences),
            numbers=ops.where(free, ops.minimum(turns - 1, self.sentences), queue.numbers),
        )

    def write(self, queue, time, beam_state, state):
        """Writes tokens until a few slots are free, or all if no sentence is left to begin with."""
        limits, length = self.limits_of(queue), self.search.length
        patience = max(1, self.slots // 8)  # so many free slots are worth a refill
        least_busy = ops.where(queue.next < self.sentences, self.slots - patience, 0)

        def enough_busy(time, beam_state, state):
            return (
                ops.sum(ops.cast(self.search.is_active(beam_state, limits), "int32")) > least_busy
            )

        def write_one(time, beam_state, state):
            beams = beam_state.live
            last = ops.maximum(limits.max_lengths - 1, 0)  # where a search that is over may stay
            positions = ops.minimum(beam_state.index, last)
            logits, state = self.step(beams.tokens, positions, time % length, beams.ancestry, state)
            next_place = (time + 1) % length
            return time + 1, self.search.step(beam_state, limits, logits, next_place), state

        return ops.while_loop(enough_busy, write_one, (time, beam_state, state))
