"""Streams: answers as inputs come, in order, and in large groups where many inputs are ready."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from keras_transformer.forking import refuse_after_fork
from keras_transformer.translation.validation import as_integer

BUFFER = 4096  # inputs that are read ahead
FIRST_GROUP = 256  # inputs that are answered together at first, so that answers come soon
LONG = 30.0  # seconds; the next group is larger if one took less
PAUSE = 0.01  # seconds without a new input after which none is ready
LONGEST_PAUSE = 0.1  # seconds; a slow but steady source does not delay the answers by more


class ReadAhead:
    """Reads an iterable in a thread of its own, up to a limit ahead of what was taken.

    Args:
        items: An iterable, which may block.
        limit: Number of items that are held at most.
    """

    def __init__(self, items: Iterable, limit: int):
        self._limit = limit
        self._ready = deque()
        self._error: BaseException | None = None
        self._ended = self._closed = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, args=(items,), daemon=True).start()

    def _read(self, items: Iterable) -> None:
        try:
            for item in items:
                if not self._append(item):
                    return
        except BaseException as error:  # of any kind: the thread that takes the items raises it
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _append(self, item) -> bool:
        """Waits for room after an item was added; returns whether items are still wanted."""
        with self._changed:
            self._ready.append(item)
            if len(self._ready) == 1:  # else nobody waits for it
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or len(self._ready) < self._limit)
            return not self._closed

    def take(self, limit: int) -> list:
        """Returns the items that are ready, waiting only if there are none.

        Args:
            limit: Number of items to take at most.

        Returns:
            A list of items; empty at the end of the iterable.

        Raises:
            BaseException: What the iterable raised, once the items before it were taken.
            ForkError: The process was forked meanwhile; the thread is not in it.
        """
        refuse_after_fork()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended)
            self._wait_while_more_come(min(limit, self._limit))
            items = [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
            self._changed.notify_all()
        if not items and self._error is not None:
            raise self._error
        return items

    def _wait_while_more_come(self, wanted: int) -> None:
        """Waits in short steps while items come, so that those that are ready come together."""
        deadline, found = time.monotonic() + LONGEST_PAUSE, 0
        while found < len(self._ready) < wanted and time.monotonic() < deadline:
            found = len(self._ready)
            self._changed.wait_for(lambda: self._ended, timeout=PAUSE)

    def close(self) -> None:
        """Stops reading; an item that the iterable is waiting for is dropped when it comes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def stream_groups(
    items: Iterable, answer: Callable[[list, int], list], buffer: int = BUFFER, start: int = 0
) -> Iterator[list]:
    """Yields the answers to the items of an iterable, in order, as lists.

    Whenever no group is being answered, the items that are ready become the next one. A group has
    at most `FIRST_GROUP` items at first, and up to `buffer` once groups are answered quickly.

    Args:
        items: An iterable, which may block. It is read in a thread of its own.
        answer: Function of a list of items and the number of items before it. It returns the list
            of their answers.
        buffer: Number of items that are read ahead at most.
        start: Number of items before the first, for `answer` and for messages.

    Raises:
        ValueError, TypeError: An item has no answer; the message has its number. The answers to
            the items before it were yielded.

    Example:

    >>> squares = stream_groups([2, 3, 5], lambda items, start: [item * item for item in items])
    >>> [square for group in squares for square in group]
    [4, 9, 25]
    """
    if as_integer("buffer", buffer) < 1:
        raise ValueError(
            f"`buffer` must be at least 1, the texts to read ahead. Received: {buffer}"
        )
    return _stream_groups(items, answer, buffer, start)


def _stream_groups(items, answer, buffer, start):
    size = min(FIRST_GROUP, buffer)
    with contextlib.closing(ReadAhead(items, buffer)) as ahead:
        while group := ahead.take(size):
            began = time.monotonic()
            for answers in _answers(group, start, answer):
                seconds = time.monotonic() - began
                yield answers
            start += len(group)
            if seconds < LONG and len(group) == size:
                size = min(2 * size, buffer)


def _answers(group: list, start: int, answer) -> Iterator[list]:
    """Yields the answers to a group; where one fails, those to the items before it first."""
    try:
        answers = answer(group, start)
    except (ValueError, TypeError) as error:
        if len(group) == 1:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"Input {start + 1}: {error}") from error
        answers = None
    if answers is not None:
        yield answers
        return
    half = len(group) // 2
    yield from _answers(group[:half], start, answer)
    yield from _answers(group[half:], start + half, answer)


def stream_answers(items: Iterable, answer, buffer: int = BUFFER, start: int = 0) -> Iterator:
    """Returns an iterator of the answers of `stream_groups`, one by one."""
    groups = stream_groups(items, answer, buffer, start)
    return (one for group in groups for one in group)
