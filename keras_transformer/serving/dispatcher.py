"""Dynamic batching: texts of many requests, answered together by the one thread that may."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

LONGEST_WAIT = 10  # pauses; texts that keep coming delay the first one by no more
RECENT = 4  # batches, the largest of which says how much is worth waiting for


class QueueFullError(Exception):
    """Error raised if a request has more texts than the queue has room for."""


class ClosedError(Exception):
    """Error raised if a dispatcher that was closed is asked."""


class Kind(NamedTuple):
    """Run and operation of an item; items of one kind can be answered together.

    Attributes:
        run: Name of the run.
        operation: "translate", "attention" or "score".
    """

    run: str
    operation: str


class Item:
    """A text or a pair that waits for its answer.

    Args:
        kind: What is asked.
        content: The text or pair.
        size: How much room it takes in a batch: the number of pieces of a text.
    """

    def __init__(self, kind: Kind, content, size: int = 1):
        self.kind, self.content, self.size = kind, content, size
        self.arrived = time.monotonic()
        self.answer: Future = Future()


class Dispatcher:
    """Queue of texts, and the thread that answers them in batches, oldest first.

    A batch has the kind of the oldest item, and the other items of this kind in their order. Items
    are waited for only until as many wait as were in a recent batch: a client that is alone does
    not wait for others. If answering a batch fails, its items are answered one by one, so that each
    fails by itself.

    Args:
        answer: Function of a `Kind` and a list of contents. It returns the list of their answers.
        batch_size: Function of a `Kind`: the total size of a batch at most.
        limit: Number of items that may wait.
        pause: Seconds without a new item after which no more are waited for.
        observe: Function that is called with the kind and the number of items of each batch.
    """

    def __init__(
        self,
        answer: Callable[[Kind, list], list],
        batch_size: Callable[[Kind], int],
        limit: int,
        pause: float,
        observe: Callable[[Kind, int], None] = lambda kind, items: None,
    ):
        self._answer, self._batch_size, self._observe = answer, batch_size, observe
        self._limit, self._pause = limit, pause
        self._waiting: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._recent: deque[int] = deque(maxlen=RECENT)  # sizes of batches
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """The number of items that wait."""
        return len(self._waiting)

    @property
    def is_alive(self) -> bool:
        """True as long as items are answered."""
        return self._thread.is_alive() and not self._closed

    async def ask(self, items: list[Item]) -> list:
        """Waits for the answers to the items of a request.

        If this is cancelled, the items that still wait are dropped.

        Raises:
            QueueFullError: There is no room for all of them.
            ClosedError: The dispatcher was closed.
            Exception: What the answer to an item failed with.
        """
        self._put(items)
        answers = [asyncio.wrap_future(item.answer) for item in items]
        try:
            return await asyncio.gather(*answers)
        finally:
            for answer in answers:
                answer.cancel()
            self._drop(items)

    def check_room(self, count: int) -> None:
        """Raises a QueueFullError or ClosedError unless a number of items could wait now."""
        if self._closed:
            raise ClosedError
        if len(self._waiting) + count > self._limit:
            raise QueueFullError

    def _put(self, items: list[Item]) -> None:
        with self._changed:
            self.check_room(len(items))
            self._waiting.extend(items)
            self._changed.notify_all()

    def _drop(self, items: list[Item]) -> None:
        """Removes items that nobody waits for any more."""
        for item in items:
            item.answer.cancel()
        with self._changed:
            if any(item.answer.cancelled() for item in items):
                kept = [item for item in self._waiting if not item.answer.cancelled()]
                self._waiting = deque(kept)

    def close(self) -> None:
        """Answers what waits, then ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next_batch():
            kind = batch[0].kind
            batch = [item for item in batch if item.answer.set_running_or_notify_cancel()]
            if batch:
                self._observe(kind, len(batch))
                self._answer_batch(kind, batch)

    def _next_batch(self) -> list[Item]:
        """Waits for items; returns those of the next batch, or none once closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._wait_while_more_come()
                if self._waiting or self._closed:  # else all were dropped meanwhile
                    return self._take_batch()

    def _wait_while_more_come(self) -> None:
        found = -1
        while found != len(self._waiting) and not self._is_due():
            found = len(self._waiting)
            self._changed.wait(self._pause)

    def _is_due(self) -> bool:
        """Returns whether the next batch need not wait for more items."""
        if not self._waiting or self._closed:
            return True
        oldest, size = self._waiting[0], sum(item.size for item in self._waiting)
        is_old = time.monotonic() > oldest.arrived + LONGEST_WAIT * self._pause
        expected = self._batch_size(oldest.kind)
        if self._recent:
            expected = min(expected, max(self._recent))
        return is_old or size >= expected

    def _take_batch(self) -> list[Item]:
        batch, rest, room = [], deque(), 0
        for item in self._waiting:
            if not batch:
                room = self._batch_size(item.kind)
            if not batch or (item.kind == batch[0].kind and item.size <= room):
                batch.append(item)
                room -= item.size
            else:
                rest.append(item)
        self._waiting = rest
        if batch:
            self._recent.append(sum(item.size for item in batch))
        return batch

    def _answer_batch(self, kind: Kind, batch: list[Item]) -> None:
        try:
            answers = self._answer(kind, [item.content for item in batch])
            for item, answer in list(zip(batch, answers, strict=True)):
                item.answer.set_result(answer)
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for item in batch:
                self._answer_batch(kind, [item])
