"""The queue and the thread of a service, without a model."""

import asyncio
import threading

import pytest

from keras_transformer.serving.dispatcher import (
    ClosedError,
    Dispatcher,
    Item,
    Kind,
    QueueFullError,
)

UPPER, LOWER = Kind("run", "upper"), Kind("run", "lower")
HANGS = 30


class Engine:
    """Answers batches, notes them, and can be held up."""

    def __init__(self, size=4, limit=100):
        self.batches, self.free = [], threading.Event()
        self.free.set()
        self.dispatcher = Dispatcher(self.answer, lambda kind: size, limit, pause=0.02)

    def answer(self, kind, contents):
        assert self.free.wait(HANGS)
        self.batches.append((kind.operation, contents))
        if "bad" in contents:
            raise ValueError("bad one")
        return [getattr(content, kind.operation)() for content in contents]

    def ask(self, *contents, kind=UPPER, size=1):
        items = [Item(kind, content, size) for content in contents]
        return asyncio.ensure_future(self.dispatcher.ask(items))

    async def hold(self):
        """Has the thread wait in a batch of its own."""
        self.free.clear()
        waiting = self.ask("x")
        await asyncio.sleep(0)
        while len(self.dispatcher):
            await asyncio.sleep(0.01)
        return waiting


def run(scenario, **options):
    engine = Engine(**options)
    try:
        asyncio.run(asyncio.wait_for(scenario(engine), HANGS))
    finally:
        engine.free.set()
        engine.dispatcher.close()
    return engine.batches


def test_requests_that_come_together_are_answered_together():
    async def scenario(engine):
        assert await asyncio.gather(*(engine.ask(one) for one in "abc")) == [["A"], ["B"], ["C"]]

    assert run(scenario) == [("upper", ["a", "b", "c"])]


def test_others_are_waited_for_only_as_long_as_some_are_expected():
    async def scenario(engine):
        assert await engine.ask("a") == ["A"]
        engine.dispatcher._pause = 10 * HANGS
        assert await engine.ask("b") == ["B"]
        assert await engine.ask("c", "d") == ["C", "D"]
        waiting = engine.ask("e")
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert await asyncio.gather(waiting, engine.ask("f")) == [["E"], ["F"]]

    assert [contents for _, contents in run(scenario)] == [["a"], ["b"], ["c", "d"], ["e", "f"]]


def test_what_comes_while_a_batch_runs_waits_in_order_and_by_kind():
    async def scenario(engine):
        first = await engine.hold()
        asked = [engine.ask("a", "b"), engine.ask("C", kind=LOWER), engine.ask("d", "e", "f")]
        await asyncio.sleep(0)
        engine.free.set()
        await first
        assert await asyncio.gather(*asked) == [["A", "B"], ["c"], ["D", "E", "F"]]

    assert run(scenario) == [
        ("upper", ["x"]),
        ("upper", ["a", "b", "d", "e"]),
        ("lower", ["C"]),
        ("upper", ["f"]),
    ]


def test_a_text_of_many_pieces_takes_their_room():
    async def scenario(engine):
        first = await engine.hold()
        asked = [engine.ask("a", size=3), engine.ask("b", size=2), engine.ask("c")]
        await asyncio.sleep(0)
        engine.free.set()
        await asyncio.gather(first, *asked)

    assert run(scenario)[1:] == [("upper", ["a", "c"]), ("upper", ["b"])]


def test_a_request_that_fails_fails_alone():
    async def scenario(engine):
        good, bad, other = engine.ask("a"), engine.ask("bad", "b"), engine.ask("c")
        assert await good == ["A"]
        assert await other == ["C"]
        with pytest.raises(ValueError, match="bad one"):
            await bad
        assert await engine.ask("d") == ["D"]

    run(scenario)


def test_a_request_that_was_given_up_is_not_computed_and_leaves_room():
    async def scenario(engine):
        first = await engine.hold()
        given_up = engine.ask("a", "b", "c")
        await asyncio.sleep(0)
        assert len(engine.dispatcher) == 3
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert len(engine.dispatcher) == 0
        kept = engine.ask("d", "e", "f")
        await asyncio.sleep(0)
        engine.free.set()
        await asyncio.gather(first, kept)

    assert run(scenario, limit=3) == [("upper", ["x"]), ("upper", ["d", "e", "f"])]


def test_a_full_queue_refuses_a_whole_request_at_once():
    async def scenario(engine):
        first = await engine.hold()
        kept = engine.ask("a", "b")
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await engine.ask("c", "d")
        last = engine.ask("e")
        await asyncio.sleep(0)
        engine.free.set()
        assert await asyncio.gather(first, kept, last) == [["X"], ["A", "B"], ["E"]]

    run(scenario, limit=3)


def test_what_waits_at_the_end_is_answered_and_no_more():
    async def scenario(engine):
        first = await engine.hold()
        last = engine.ask("a")
        await asyncio.sleep(0)
        closing = asyncio.get_running_loop().run_in_executor(None, engine.dispatcher.close)
        while engine.dispatcher.is_alive:
            await asyncio.sleep(0.01)
        with pytest.raises(ClosedError):
            await engine.ask("b")
        engine.free.set()
        await closing
        assert await asyncio.gather(first, last) == [["X"], ["A"]]

    run(scenario)
