"""The HTTP service, over real sockets: what it answers, and what it refuses with which status."""

import contextlib
import dataclasses
import threading
import time

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("prometheus_client", reason="needs the extra `serve`")
import pydantic

from keras_transformer import Translator
from keras_transformer.serving.messages import ScoreRequest, TranslateRequest
from keras_transformer.serving.service_settings import (
    Batching,
    FixedSearch,
    Limits,
    ServiceSettings,
)
from keras_transformer.translation.shortlisting import make_shortlist
from tests.conftest import searches_without_xla
from tests.serving.http_service import HANGS, read_answer, running
from tests.translation.conftest import LIMIT, one_size, sentences, translator

__all__ = ["one_size", "translator"]

SEARCH = FixedSearch(beam_size=2, top_beams=2, max_length=9)
LIMITS = Limits(
    body=4000,
    texts=5,
    characters=400,
    tokens=40,
    queue=6,
    seconds=HANGS,
    receive_seconds=0.2,
    connections=20,
    end_seconds=HANGS,
)
SETTINGS = ServiceSettings({}, SEARCH, LIMITS, Batching(size=5, pause=0.02))
OPTIONS = {"beam_size": 2, "top_beams": 2, "max_length": 9}
TEXTS = [*sentences(4, seed=7, longest=5), ""]


@pytest.fixture(scope="module")
def service(translator, one_size):
    with searches_without_xla():
        translator.model = translator.model  # a new generator
        with running(SETTINGS, red=translator) as service:
            yield service


def test_translations_are_those_of_the_translator(service, translator):
    status, _, found = service.translate(TEXTS, top_beams=2, scores=True)
    assert status == 200
    wanted = translator.translate(TEXTS, **OPTIONS)
    for one, other in zip(found["translations"], wanted, strict=True):
        assert (one["text"], one["parts"]) == (other.text, other.parts)
        assert one["score"] == pytest.approx(other.score, abs=1e-5)
        assert one["source_tokens"] == list(other.source_tokens)
        texts = [hypothesis["text"] for hypothesis in one["hypotheses"]]
        assert texts == [hypothesis.text for hypothesis in other.hypotheses]
        for hypothesis, wanted_one in zip(one["hypotheses"], other.hypotheses, strict=True):
            assert hypothesis["log_prob"] == pytest.approx(wanted_one.log_prob, abs=1e-5)
            assert hypothesis["tokens"] == list(wanted_one.tokens)
            assert hypothesis["finished"] == wanted_one.finished


@pytest.mark.slow
def test_a_shortlist_limits_what_is_written(translator, one_size):
    pairs = [(text, text) for text in sentences(53, seed=5)]
    shortlist = make_shortlist(translator, pairs, candidates=2, num_frequent=5, size=19)
    parts = translator.model, translator.tokenizer
    with searches_without_xla():
        listed = Translator(*parts, max_source_length=LIMIT, shortlist=shortlist)
        with running(SETTINGS, red=listed) as service:
            status, _, found = service.translate(TEXTS)
        wanted, others = (one.translate(TEXTS, **OPTIONS) for one in (listed, translator))
    assert status == 200
    texts = [one["text"] for one in found["translations"]]
    assert texts == [one.text for one in wanted]
    assert texts != [one.text for one in others]


def test_only_what_was_asked_for_is_sent(service):
    _, _, found = service.translate(TEXTS[:1])
    (one,) = found["translations"]
    assert one.keys() == {"text", "parts", "source_tokens", "hypotheses"}
    assert [each.keys() for each in one["hypotheses"]] == [{"text", "finished", "tokens"}]


def test_attention_is_that_of_the_translator(service, translator):
    _, _, found = service.translate(TEXTS[:2], attention=True, top_beams=1)
    wanted = translator.translate(TEXTS[:2], return_attention=True, **OPTIONS)
    for one, other in zip(found["translations"], wanted, strict=True):
        (hypothesis,) = one["hypotheses"]
        scores = other.hypotheses[0].attention
        assert len(hypothesis["attention"][0][0]) == len(hypothesis["tokens"])
        assert len(hypothesis["attention"][0][0][0]) == len(one["source_tokens"])
        assert hypothesis["attention"] == [
            [[[pytest.approx(x, abs=1e-4) for x in row] for row in head] for head in layer]
            for layer in scores.tolist()
        ]


def test_scores_are_those_of_the_translator(service, translator):
    pairs = {"sources": TEXTS[:3], "targets": TEXTS[1:4]}
    status, _, found = service.post("/score", pairs)
    assert status == 200
    for one, other in zip(found["scores"], translator.score(*pairs.values()), strict=True):
        assert one["log_prob"] == pytest.approx(other.log_prob, abs=1e-4)
        assert one["tokens"] == list(other.tokens)
        assert len(one["token_log_probs"]) == len(one["tokens"])


def test_requests_that_come_together_share_a_batch_and_nothing_is_compiled(service):
    def count():
        lines = service.get("/metrics")[2].splitlines()
        lines = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    label = '{operation="translate",run="red"}'
    before, answers = count(), []
    threads = [
        threading.Thread(target=lambda text=text: answers.append(service.translate([text])))
        for text in TEXTS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = count()
    assert [status for status, _, _ in answers] == [200] * 5
    name = f"kt_batch_texts_count{label}"
    assert after[name] - before.get(name, 0) < 5
    name = f"kt_texts_total{label}"
    assert after[name] - before.get(name, 0) == 5
    assert after["kt_compilations_after_start"] == 0
    assert after["kt_programs"] > 0
    assert after['kt_requests_total{path="/translate",status="200"}'] >= 5


REFUSED = {
    "another setting": (
        {"texts": ["one"], "beam_size": 9},
        "'beam_size' is not a field of a request. Expected: texts, top_beams, scores, attention, "
        "run. The search is fixed when the service starts: beam_size 2, top_beams 2, "
        "length_penalty 0.6, max_length 9, no_repeat_ngram_size 0.",
    ),
    "more hypotheses": (
        {"texts": ["one"], "top_beams": 3},
        "`top_beams` must be at most 2, as the service was started. Received: 3",
    ),
    "no hypothesis": ({"texts": ["one"], "top_beams": 0}, "'top_beams': Input should be greater"),
    "an enormous number": ({"texts": ["one"], "top_beams": 10**400}, "`top_beams` must be"),
    "a fraction": ({"texts": ["one"], "top_beams": 1.5}, "'top_beams': Input should be a valid"),
    "a number as a text": (b'{"texts": ["one"], "top_beams": "1"}', "'top_beams': Input should"),
    "no number": (b'{"texts": ["one"], "top_beams": NaN}', "'top_beams': Input should"),
    "infinity": (b'{"texts": ["one"], "top_beams": 1e999}', "'top_beams': Input should"),
    "a word for a truth": ({"texts": ["one"], "scores": "yes"}, "'scores': Input should be"),
    "one text": ({"texts": "one"}, "'texts': Input should be a valid list"),
    "a number among texts": ({"texts": ["one", 2]}, "'texts.1': Input should be a valid string"),
    "no texts": ({}, "'texts': Field required. Expected: texts, top_beams"),
    "half a character": (
        b'{"texts": ["one \\ud800"]}',
        "'texts.0': half of a surrogate pair at character 4.",
    ),
    "half a character as a field": (b'{"texts": ["one"], "\\ud800": 1}', "Expected: texts"),
    "no UTF-8": (b'{"texts": ["\xe9t\xe9"]}', "The body is not JSON in UTF-8."),
    "no JSON": (b'{"texts": ', "The body is not JSON: Expecting value at character 10."),
    "nothing": (b"", "The body must be a JSON object, sent as Content-Type: application/json"),
    "a list": ([1], "The body must be a JSON object"),
    "deep lists": (b"[" * 3999, "The body"),
    "another run": ({"texts": ["one"], "run": "blue"}, "`run` must be one of red."),
    "too many texts": (
        {"texts": ["one"] * 6},
        "`texts` must have at most 5 texts. Received: 6. Send several requests.",
    ),
    "a text of many characters": (
        {"texts": ["x" * 401]},
        "A text has 401 characters, at most 400 are served. Send shorter texts.",
    ),
    "a text of many tokens": (
        {"texts": ["red cat " * 30]},
        "A text has 60 tokens, at most 40 are served. Send shorter texts.",
    ),
    "attention of pieces": (
        {"texts": ["red cat " * 12], "attention": True},
        "Attention is shown of texts of up to 12 tokens, which are translated in one piece.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_served_is_refused_with_what_is(name, service):
    body, message = REFUSED[name]
    status, _, found = service.post("/translate", body)
    assert status == found["error"]["status"] == 422
    assert message in found["error"]["message"]
    assert "Traceback" not in found["error"]["message"]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"sources": ["one"], "targets": []}, "Received: 0 targets for 1 sources"),
        ({"sources": ["red " * 13], "targets": ["one"]}, "A source has 13 tokens, at most 12"),
        ({"sources": ["one"], "targets": ["red " * 13]}, "A target has 13 tokens, at most 12"),
        ({"sources": ["one"]}, "'targets': Field required. Expected: sources, targets, run."),
    ],
)
def test_pairs_that_cannot_be_scored_are_refused(pairs, message, service):
    status, _, found = service.post("/score", pairs)
    assert (status, found["error"]["status"]) == (422, 422)
    assert message in found["error"]["message"]


@pytest.mark.parametrize("wrong", [1, "\ud800"])
def test_of_many_wrong_texts_the_first_is_told(wrong):
    """Half a million errors would take seconds, in which nobody is answered."""
    for fields in ({"texts": [wrong] * 5}, {"sources": [wrong] * 5, "targets": ["a"] * 5}):
        kind = TranslateRequest if "texts" in fields else ScoreRequest
        with pytest.raises(pydantic.ValidationError) as error:
            kind(**fields)
        assert error.value.error_count() == 1


def test_a_text_that_is_too_long_for_the_model_is_translated_in_pieces(service, translator):
    text = "red cat " * 12
    _, _, found = service.translate([text])
    (wanted,) = translator.translate([text], **OPTIONS)
    assert found["translations"][0]["parts"] == wanted.parts == 2
    assert found["translations"][0]["text"] == wanted.text


def test_a_large_body_is_refused_however_it_comes(service):
    status, _, found = service.post("/translate", b"x" * 4001)
    assert (status, found["error"]["status"]) == (413, 413)
    chunk = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
    head = b"POST /translate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    status, headers, found = service.send(head, chunk * 5, b"0\r\n\r\n")
    assert status == 413
    assert "more than 4000 bytes" in found["error"]["message"]
    head = b"POST /translate HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
    status, headers, _ = service.send(head + b"content-length: 999999\r\n\r\n")
    assert (status, headers["connection"]) == (413, "close")


@pytest.mark.slow
def test_what_is_slow_or_half_sent_does_not_last(service):
    head = b"POST /translate HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n"
    status, headers, found = service.send(head + b"{")
    assert (status, headers["connection"]) == (408, "close")
    assert "has not come within 0.2 seconds" in found["error"]["message"]
    for half in (b"", b"GET /hea", b"GET /health HTTP/1.1\r\nhost"):
        with service.connect() as connection:
            connection.sendall(half)
            with pytest.raises(ConnectionError):  # reset
                receive_until_reset(connection)


def receive_until_reset(connection):
    if connection.recv(1) == b"":
        raise ConnectionError


def test_after_one_answer_half_a_request_does_not_last_either(service):
    with service.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert read_answer(connection)[0] == 200
        connection.sendall(b"GET /hea")
        with pytest.raises(ConnectionError):
            receive_until_reset(connection)


@pytest.mark.parametrize(
    "noise", [b"\0\1\2\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01 a TLS greeting\r\n\r\n"]
)
def test_what_is_no_http_is_answered_as_json(noise, service):
    status, headers, found = service.send(noise)
    assert (status, headers["connection"], found["error"]["status"]) == (400, "close", 400)


def test_a_body_that_turns_into_noise_ends_its_connection_only(service):
    head = b"POST /translate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    assert service.send(head, b"3\r\n{  \r\n", b"zzz\r\n")[0] == 400
    assert service.get("/health")[0] == 200


def test_other_paths_and_methods_are_answered_as_json(service):
    assert service.get("/nothing")[::2] == (
        404,
        {"error": {"status": 404, "message": "There is nothing here. See /docs."}},
    )
    status, headers, found = service.get("/translate")
    assert (status, headers["allow"], found["error"]["status"]) == (405, "POST", 405)


def test_what_is_served_is_described_without_a_network(service):
    assert service.get("/health")[2] == {"status": "ready"}
    about = service.get("/about")[2]
    assert about["runs"][0]["name"] == "red"
    assert about["runs"][0]["attention"] is True
    assert about["search"] == dataclasses.asdict(SEARCH)
    assert about["limits"]["tokens"] == 40
    openapi = service.get("/openapi.json")[2]
    assert {"/translate", "/score", "/health", "/metrics", "/about"} <= openapi["paths"].keys()
    _, headers, page = service.get("/docs")
    assert "default-src 'none'; " in headers["content-security-policy"]
    assert headers["content-security-policy"].count("sha256-") == 1
    assert headers["x-frame-options"] == "DENY"
    assert "POST /translate" in page
    assert "TranslateRequest" in page
    assert "//" not in page.replace("<!doctype html>", "")
    assert "<script" not in page


def lines_of_log(capfd, count):
    """Returns the log, once it has some lines."""
    error, deadline = "", time.monotonic() + HANGS
    while error.count("\n") < count and time.monotonic() < deadline:
        error += capfd.readouterr().err
    return error


def test_the_log_has_no_texts(service, capfd):
    service.translate(["red street"])
    service.get("/red%20street%0A?red=street")
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].split()[1:4] == ["POST", "/translate", "200"]
    assert lines[0].endswith(" ms 1 texts")
    assert lines[1].split()[1:4] == ["GET", "/red%20street%0A", "404"]


def test_too_many_connections_are_told_so_and_then_served_again(service):
    idle = [service.connect() for _ in range(LIMITS.connections)]
    time.sleep(0.05)
    status, headers, found = service.get("/health")
    assert (status, headers["retry-after"], found["error"]["status"]) == (503, "1", 503)
    for connection in idle:
        connection.close()
    deadline = time.monotonic() + HANGS
    while service.get("/health")[0] != 200:
        assert time.monotonic() < deadline


class Held:
    """A translator that waits until it is let go, as one with much to do."""

    def __init__(self, translator):
        self.translator, self.free, self.texts = translator, threading.Event(), []

    def __getattr__(self, name):
        return getattr(self.translator, name)

    def translate(self, texts, *settings, **options):
        self.texts += texts
        assert self.free.wait(HANGS)
        if "fail" in texts:
            raise RuntimeError("secret text")
        return self.translator.translate(texts, *settings, **options)


@contextlib.contextmanager
def holding(translator, seconds):
    """A service whose translator can be held up, and which has so many seconds for a request."""
    engine = Held(translator)
    engine.free.set()
    limits = dataclasses.replace(LIMITS, seconds=seconds)
    settings = dataclasses.replace(SETTINGS, limits=limits, tokens=("0123456789abcdef", "f" * 20))
    with running(settings, one=engine, two=engine) as running_one:
        running_one.engine = engine
        engine.free.clear()
        engine.texts.clear()
        yield running_one
        engine.free.set()


@pytest.fixture(scope="module")
def held(translator, service):
    with holding(translator, HANGS) as running_one:
        yield running_one


@pytest.fixture(scope="module")
def hurried(translator, service):
    with holding(translator, 0.5) as running_one:
        yield running_one


TOKEN = "authorization: Bearer 0123456789abcdef\r\n"


def ask(service, *texts, **options):
    return service.post("/translate", {"texts": list(texts), "run": "one", **options}, TOKEN)


@pytest.mark.slow
def test_a_full_queue_and_a_time_that_is_up_are_told_and_nothing_is_computed(hurried):
    waiting = [threading.Thread(target=ask, args=(hurried, f"{n}", "a", "b")) for n in range(3)]
    waiting[0].start()  # is being translated, the others wait
    while len(hurried.engine.texts) < 3:
        time.sleep(0.01)
    for thread in waiting[1:]:
        thread.start()
    while len(hurried.service.dispatcher) < 6:
        time.sleep(0.01)
    status, headers, found = ask(hurried, "late")
    assert (status, headers["retry-after"]) == (429, "1")
    assert "6 texts wait already" in found["error"]["message"]
    for thread in waiting:
        thread.join()
    status, _, found = ask(hurried, "slow")
    assert (status, found["error"]["status"]) == (504, 504)
    with hurried.connect() as connection:  # and goes away
        body = b'{"texts": ["gone"], "run": "one"}'
        head = f"POST /translate HTTP/1.1\r\nhost: x\r\n{TOKEN}content-type: application/json\r\n"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        while not len(hurried.service.dispatcher):
            time.sleep(0.01)
    while len(hurried.service.dispatcher):
        time.sleep(0.01)
    hurried.engine.free.set()
    while ask(hurried, "red cat")[0] != 200:
        assert set(hurried.engine.texts) == {"0", "a", "b", "red cat"}


def test_a_client_that_does_not_read_its_answers_is_cut_off(hurried):
    request = f"GET /openapi.json HTTP/1.1\r\nhost: x\r\n{TOKEN}\r\n".encode()
    with hurried.connect() as connection, pytest.raises(ConnectionError):
        send_for_ever(connection, 100 * request)


def send_for_ever(connection, data):
    while True:
        connection.sendall(data)


def test_a_failure_is_a_status_and_a_line_without_texts(held, capfd):
    held.engine.free.set()
    status, _, found = ask(held, "fail")
    assert status == 500
    assert found == {"error": {"status": 500, "message": "The service failed. Its log says where."}}
    error = lines_of_log(capfd, 2)
    assert "The service failed with RuntimeError (" in error
    assert "secret" not in error
    assert "Traceback" not in error
    assert ask(held, "red cat")[0] == 200


def test_a_token_is_needed_but_for_the_health(held):
    held.engine.free.set()
    for headers in ("", "authorization: Bearer 0123456789abcdeg\r\n", TOKEN.replace("B", "X")):
        status, answer, found = held.post("/translate", {"texts": ["one"], "run": "one"}, headers)
        assert (status, answer["www-authenticate"]) == (401, "Bearer")
        assert found["error"]["status"] == 401
        assert held.get("/about", headers)[0] == held.get("/metrics", headers)[0] == 401
    assert held.get("/health")[0] == 200
    assert ask(held, "red cat")[0] == 200
    assert held.get("/about", f"authorization: bearer {'f' * 20}\r\n")[0] == 200


def test_of_several_runs_a_request_names_one(held):
    held.engine.free.set()
    status, _, found = held.post("/translate", {"texts": ["one"]}, TOKEN)
    assert status == 422
    assert found["error"]["message"] == "Say which `run` to use, one of one, two."
    assert held.post("/translate", {"texts": ["one"], "run": "two"}, TOKEN)[0] == 200


@pytest.mark.slow
def test_an_end_answers_what_has_come_and_closes_what_is_idle(translator, service):
    holding = Held(translator)
    holding.free.set()
    with running(SETTINGS, red=holding) as ending, ending.connect() as idle:
        holding.free.clear()
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(ending.translate(["red cat"])))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        while len(holding.texts) + len(ending.service.dispatcher) < 3:
            time.sleep(0.01)
        ending.server.should_exit = True
        while not ending.service.ending:
            time.sleep(0.01)
        while ending.listener.fileno() >= 0:
            time.sleep(0.01)
        with pytest.raises(ConnectionError):
            ending.connect()
        holding.free.set()
        for thread in threads:
            thread.join()
        assert [status for status, _, _ in answers] == [200] * 3
        assert {headers["connection"] for _, headers, _ in answers} == {"close"}
        idle.settimeout(HANGS)
        assert idle.recv(1) == b""
    assert not ending.server.is_late


@pytest.mark.slow
def test_what_is_not_answered_in_time_at_the_end_is_told_so(translator, service):
    engine = Held(translator)
    settings = dataclasses.replace(SETTINGS, limits=dataclasses.replace(LIMITS, end_seconds=0.1))
    with running(settings, red=engine) as ending:
        answers = []
        asking = threading.Thread(target=lambda: answers.append(ending.translate(["red cat"])))
        asking.start()
        while not engine.texts:
            time.sleep(0.01)
        ending.server.should_exit = True
        asking.join()
        assert [status for status, _, _ in answers] == [503]
        assert "The service ends." in answers[0][2]["error"]["message"]
        engine.free.set()
    assert ending.server.is_late
