"""Streams: in order, at once where something is ready, together where much is."""

import itertools
import os
import queue
import signal
import threading
import time

import pytest

from keras_transformer import Sampling
from keras_transformer.forking import ForkError, refuse_after_fork
from keras_transformer.translation import streaming
from keras_transformer.translation.streaming import ReadAhead, stream_answers, stream_groups
from tests.translation.conftest import sentences

HANGS = 30  # seconds


class Pipe:
    """An iterable that waits for what is put into it; `None` ends it."""

    def __init__(self):
        self.waiting = queue.Queue()
        self.put = self.waiting.put

    def __iter__(self):
        while (item := self.waiting.get(timeout=HANGS)) is not None:
            yield item


def doubled(items, start):
    return [2 * item for item in items]


def test_an_item_is_answered_before_the_next_one_comes():
    pipe = Pipe()
    answers = stream_answers(pipe, doubled)
    for number in (3, 5, 7):
        pipe.put(number)
        assert next(answers) == 2 * number
    pipe.put(None)
    assert list(answers) == []


def test_what_is_ready_is_answered_together_and_in_order():
    groups = list(stream_groups(range(3000), doubled, buffer=1024))
    assert [answer for group in groups for answer in group] == [2 * n for n in range(3000)]
    assert len(groups) <= 6  # 256, 512, 1024, 1024 and 184, if the reader is not late
    assert max(map(len, groups)) <= 1024


def test_items_that_come_one_after_the_other_are_answered_together(monkeypatch):
    """With endless patience, that is: all that come until the end."""
    monkeypatch.setattr(streaming, "PAUSE", HANGS)
    monkeypatch.setattr(streaming, "LONGEST_PAUSE", HANGS)
    items = (time.sleep(0.01) or number for number in range(5))
    assert list(stream_groups(items, doubled)) == [[0, 2, 4, 6, 8]]


def test_what_comes_while_a_group_is_answered_is_the_next_group():
    pipe, asked = Pipe(), []

    def answer(items, start):
        if not asked:
            for item in range(1, 100):
                pipe.put(item)
            pipe.put(None)
        asked.append((start, items))
        return items

    pipe.put(0)
    assert list(stream_answers(pipe, answer)) == list(range(100))
    assert asked == [(0, [0]), (1, list(range(1, 100)))]


def test_groups_that_take_long_do_not_grow(monkeypatch):
    monkeypatch.setattr(streaming, "LONG", 0.0)
    assert {len(group) for group in stream_groups(range(2560), doubled)} == {256}


def test_no_more_is_read_than_the_buffer_holds():
    read = itertools.count()
    answers = stream_answers((next(read) for _ in itertools.count()), doubled, buffer=10)
    assert [next(answers) for _ in range(25)] == [2 * number for number in range(25)]
    answers.close()
    assert next(read) <= 25 + 2 * 10 + 1


def test_what_the_iterable_raises_comes_after_the_answers():
    def items():
        yield 3
        yield 5
        raise RuntimeError("the pipe broke")

    answers = stream_answers(items(), doubled)
    assert [next(answers), next(answers)] == [6, 10]
    with pytest.raises(RuntimeError, match="the pipe broke"):
        next(answers)


@pytest.mark.parametrize(("bad", "kind"), [(ValueError, ValueError), (TypeError, TypeError)])
@pytest.mark.parametrize("place", [0, 1, 4, 6])
def test_what_is_wrong_with_an_item_comes_after_the_answers_before_it(place, bad, kind):
    def answer(items, start):
        if "bad" in items:
            raise bad("no such word")
        return [start + number for number in range(len(items))]

    items = ["good"] * place + ["bad"] + ["good"] * 5
    answers, found = stream_answers(items, answer, start=100), []
    with pytest.raises(kind, match=rf"Input {101 + place}: no such word"):
        found.extend(answers)
    assert found == list(range(100, 100 + place))


def test_an_unwanted_stream_stops_reading():
    threads = threading.active_count()
    ahead = ReadAhead(itertools.count(), 7)
    assert ahead.take(3) == [0, 1, 2]
    ahead.close()
    for _ in range(HANGS * 100):
        if threading.active_count() <= threads:
            return
        time.sleep(0.01)
    raise AssertionError("the reading thread did not end")


def test_a_stream_that_is_read_after_a_fork_is_refused():
    """Its thread is not in the child, which would wait for ever."""
    refuse_after_fork()  # notes that TensorFlow or JAX is used from now on
    ahead = ReadAhead(Pipe(), 7)
    child = os.fork()
    if child == 0:
        try:
            ahead.take(1)
        except ForkError:
            os._exit(7)
        os._exit(1)
    for _ in range(HANGS * 100):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.01)
    else:
        os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(status) == 7


def test_a_buffer_of_nothing_is_refused():
    for wrong in (0, -3):
        with pytest.raises(ValueError, match=f"`buffer` must be at least 1.*Received: {wrong}"):
            stream_groups([], doubled, buffer=wrong)
    with pytest.raises(TypeError, match=r"`buffer` must be an integer\. Received: 2\.5"):
        stream_groups([], doubled, buffer=2.5)


# Translators


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beam_size": 3, "top_beams": 2, "length_penalty": 1.1},
        {"sampling": Sampling(seed=5), "max_length": 9},
    ],
    ids=["plain", "several", "samples"],
)
def test_a_stream_translates_as_one_call(translator, texts, options, one_size):
    """Samples too, whose random numbers come from the place in the whole."""
    texts = ["", *texts]
    wanted = translator.translate(texts, **options)
    for buffer in (4, 1000):
        found = list(translator.stream(iter(texts), buffer=buffer, **options))
        assert [[h.text for h in one.hypotheses] for one in found] == [
            [h.text for h in one.hypotheses] for one in wanted
        ]
        assert [one.parts for one in found] == [one.parts for one in wanted]
    tail = list(translator.stream(texts[11:], start=11, **options))
    assert [one.text for one in tail] == [one.text for one in wanted[11:]]


@pytest.mark.slow
def test_each_text_of_a_stream_has_its_prefix(translator, texts, one_size):
    prefixes = ["one" if number % 2 else "" for number in range(len(texts))]
    found = translator.stream(texts, prefixes=iter(prefixes), buffer=5)
    wanted = translator.translate(texts, prefixes=prefixes)
    assert [one.text for one in found] == [one.text for one in wanted]
    few = translator.stream(texts, prefixes=prefixes[:3])
    assert [next(few).text for _ in range(3)] == [one.text for one in wanted[:3]]
    with pytest.raises(ValueError, match="Text 4 has none"):
        next(few)


def test_scores_of_a_stream_are_those_of_one_call(translator, texts):
    pairs = list(zip(texts, reversed(texts), strict=True))
    found = list(translator.stream_scores(iter(pairs), buffer=6))
    wanted = translator.score(texts, list(reversed(texts)))
    assert [one.tokens for one in found] == [one.tokens for one in wanted]
    assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in wanted])


def test_wrong_options_of_a_stream_are_refused_when_it_is_made(translator):
    for options, error, message in (
        ({"beam_size": 0}, ValueError, "`beam_size` must be at least 1"),
        ({"beams": 3}, TypeError, "unexpected keyword argument 'beams'"),
        ({"start": 1.5}, TypeError, "`start` must be an integer"),
        ({"prefixes": "one"}, TypeError, "`prefixes` must be an iterable"),
        ({"buffer": 0}, ValueError, "`buffer` must be at least 1"),
    ):
        with pytest.raises(error, match=message):
            translator.stream(["one"], **options)
    for wrong in ("one two", b"one", 7, {"one": 1}):
        with pytest.raises(TypeError, match="`texts` must be an iterable, such as a list"):
            translator.stream(wrong)


def test_a_text_that_is_no_string_is_named_after_the_ones_before_it(translator, one_size):
    found = translator.stream(["one", "two", 3.5, "four"])
    assert [next(found).parts for _ in range(2)] == [1, 1]
    with pytest.raises(TypeError, match=r"Input 3: `texts` must be a list of strings"):
        next(found)


def test_an_interrupted_call_does_not_search_what_is_left(translator, one_size, monkeypatch):
    """Only the batches that are being searched: Ctrl-C does not wait for thousands of texts."""
    searched, generator = [], translator._generator
    run_search = generator._run_search

    def spy(batch, *arguments):
        searched.append(batch)
        return run_search(batch, *arguments)

    def interrupt(done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(generator, "_run_search", spy)
    texts = sentences(32 * 40, seed=4, longest=6)
    with pytest.raises(KeyboardInterrupt):
        translator.translate(texts, progress=interrupt)
    assert len(searched) < 20
