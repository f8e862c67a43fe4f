"""Beam search for many sentences in few slots: when one is over, the next takes its place."""

from typing import NamedTuple

from keras import ops

from keras_transformer.decoding.beam_search import Task, keep_unless
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


def search_queue(search, step, load, state, task, slots):
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
        task: `Task` of the N sentences.
        slots: Integer, B.

    Returns:
        `Hypotheses` of the N sentences, and which of their searches are complete, `(N,)`.
    """
    N, L = task.max_lengths.shape[0], search.length
    patience = max(1, slots // 8)  # so many free slots are worth a refill

    def of(numbers):
        """The `Task` of some sentences; nothing is asked of N."""
        asked = [
            None if part is None else ops.take(part, ops.minimum(numbers, N - 1), axis=0)
            for part in task
        ]
        return Task(ops.where(numbers < N, asked[0], 0), *asked[1:])

    def refill(queue, progress, state, place):
        """Puts away what was found and begins with the next sentences."""
        own = of(queue.numbers)
        free = ops.logical_not(search.goes_on(progress, own))
        complete = ops.logical_not(search.may_improve(progress, own))
        rows = ops.where(free, queue.numbers, N)[:, None]
        turn = queue.next + ops.cumsum(ops.cast(free, "int32")) - 1
        numbers = ops.where(free, ops.minimum(turn, N), queue.numbers)
        queue = Queue(
            ops.minimum(queue.next + ops.sum(ops.cast(free, "int32")), N),
            numbers,
            Hypotheses(
                *(
                    ops.scatter_update(all_, rows, new)
                    for all_, new in zip(queue.found, search.results(progress, own), strict=True)
                )
            ),
            ops.scatter_update(queue.complete, rows, complete),
        )
        progress = keep_unless(free, search.begin(slots, place), progress)
        return queue, progress, load(numbers, state)

    def write(queue, time, progress, state):
        """Writes tokens until enough slots are free."""
        own = of(queue.numbers)

        def too_few_free(time, progress, state):
            busy = ops.sum(ops.cast(search.goes_on(progress, own), "int32"))
            least = ops.where(queue.next < N, slots - patience, 0)
            return busy > least

        def write_one(time, progress, state):
            beams = progress.beams
            last = ops.maximum(own.max_lengths - 1, 0)  # where a search that is over may stay
            positions = ops.minimum(progress.index, last)
            logits, state = step(beams.tokens, positions, time % L, beams.ancestry, state)
            return time + 1, search.advance(progress, own, logits, (time + 1) % L), state

        return ops.while_loop(too_few_free, write_one, (time, progress, state))

    def work(queue, time, progress, state):
        queue, progress, state = refill(queue, progress, state, time % L)
        return queue, *write(queue, time, progress, state)

    def unfinished(queue, time, progress, state):
        return ops.logical_or(queue.next < N, ops.any(queue.numbers < N))

    none = search.begin(N + 1)
    nothing = search.results(none, Task(ops.zeros((N + 1,), "int32")))
    queue, *_ = ops.while_loop(
        unfinished,
        work,
        (
            Queue(
                ops.zeros((), "int32"),
                ops.full((slots,), N, "int32"),
                nothing,
                ops.zeros((N + 1,), "bool"),
            ),
            ops.zeros((), "int32"),
            search.begin(slots),
            state,
        ),
    )
    return Hypotheses(*(tensor[:N] for tensor in queue.found)), queue.complete[:N]
