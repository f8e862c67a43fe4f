"""`serve` in processes of its own: hostile clients, signals, killed workers, overload.

KERAS_TRANSFORMER_HOSTILE_REQUESTS is the number of hostile requests, 2,000 unless it says more.
"""

import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keras_transformer import Tokenizer, Translator
from tests.conftest import ROOT
from tests.system.hostile_requests import STATUSES, hostile_request
from tests.translation.conftest import BYTES, LIMIT, make_model, sentences

pytest.importorskip("fastapi", reason="needs the extra `serve`")
pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "keras_transformer", "serve", "--port", "0"]
SMALL = ["--batch-size", "8", "--beam-size", "2", "--max-length", "20"]
TEXTS = sentences(40, seed=3, longest=9)
HANGS = 300  # seconds
HOSTILE = int(os.environ.get("KERAS_TRANSFORMER_HOSTILE_REQUESTS", "2000"))
GROWTH = 100  # MB
ENGINES = ["keras", "ctranslate2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "random"
    tokenizer = Tokenizer.train(sentences(211, seed=1), 307, model_type="bpe")
    model = make_model(307, seed=20, like_eos=285, seldom=BYTES)
    Translator(model, tokenizer, max_source_length=LIMIT).save(folder)
    return folder


@pytest.fixture(scope="module")
def wanted(run):
    """The translation of each text, by each engine."""
    found = {}
    for engine in ENGINES:
        translator = Translator.load(run, engine)
        translations = translator.translate(TEXTS, 2, max_length=20)
        found[engine] = dict(zip(TEXTS, (one.text for one in translations), strict=True))
    return found


class Service:
    """A process that serves; its log is read meanwhile."""

    def __init__(self, run, *options, engine="keras"):
        command = [*COMMAND, "--run", str(run), "--engine", engine, *SMALL, *options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
        )  # fmt: skip
        self.lines, self.port = [], None
        self.is_ready = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        assert self.is_ready.wait(HANGS), self.lines
        assert self.port, self.lines

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.match(r"Serving .* at http://127.0.0.1:(\d+)$", line):
                self.port = int(found[1])
                self.is_ready.set()
        self.is_ready.set()

    def translate(self, text, connection=None):
        """Asks for one translation; returns status and body."""
        if connection is None:
            with contextlib.closing(self.connection()) as connection:
                return self.translate(text, connection)
        body = json.dumps({"texts": text if isinstance(text, list) else [text]})
        connection.request("POST", "/translate", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS)

    def metric(self, name):
        with contextlib.closing(self.connection()) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))

    def memory(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000

    def workers(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children.split()}
        return [int(pid) for pid, command in commands.items() if "spawn_main" in command]

    def end(self):
        """Ends it by SIGTERM; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(HANGS)
        self.reader.join(HANGS)
        return code


@contextlib.contextmanager
def serving(run, *options, **engine):
    service = Service(run, *options, **engine)
    try:
        yield service
    finally:
        service.process.kill()
        service.process.wait()
        service.reader.join(HANGS)
        service.process.stderr.close()


def send(port, request, seconds):
    """Sends a request as it is; returns the status of the first answer, or `None` without one."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 30) as one:
        with contextlib.suppress(OSError):  # it may be cut while much is sent
            one.sendall(request)
        one.settimeout(seconds)
        with one.makefile("rb") as answer:
            line = answer.readline()
            if b" 100 " in line:
                line = answer.readline() and answer.readline()
        return int(line.split()[1]) if line else None
    return None


def ask_on(service, texts, wanted, stop, problems):
    """Asks for one translation after the other, and notes what is wrong."""
    count = 0
    while not stop.is_set():
        text = texts[count % len(texts)]
        status, found = service.translate(text)
        if status not in (200, 429, 503):
            problems.append((status, found))
        if status == 200 and found["translations"][0]["text"] != wanted[text]:
            problems.append((text, found))
        count += status == 200
    return count


def test_hostile_requests_break_nothing(run, wanted, capsys):
    with serving(run) as service, ThreadPoolExecutor(10) as pool:
        stop, problems, statuses = threading.Event(), [], {}
        arguments = (service, TEXTS, wanted["keras"], stop, problems)
        others = [pool.submit(ask_on, *arguments) for _ in range(2)]
        started = time.monotonic()
        before = 0
        for number, status in enumerate(
            pool.map(lambda n: send(service.port, *hostile_request(n)), range(HOSTILE))
        ):
            statuses[status] = statuses.get(status, 0) + 1
            if number == HOSTILE // 10:
                before = service.memory()
        seconds = time.monotonic() - started
        stop.set()
        answered = [other.result() for other in others]
        growth = service.memory() - before
        with capsys.disabled():
            print(f"\n{HOSTILE} hostile requests in {seconds:.0f} s: {statuses}")
            print(f"memory {growth:+.0f} MB after the first tenth, {sum(answered)} others answered")
        assert not problems
        assert statuses.keys() <= STATUSES | {None}
        assert statuses[200] > HOSTILE // 20
        assert statuses[422] > HOSTILE // 5
        assert min(answered) > 10
        assert growth < GROWTH
        assert service.metric("kt_compilations_after_start") == 0
        assert service.translate(TEXTS[0])[0] == 200
        assert service.end() == 0
    log = "".join(service.lines)
    assert "Traceback" not in log
    assert "failed" not in log
    assert not any(text in log for text in TEXTS if len(text) > 9)


@pytest.mark.parametrize("engine", ["ctranslate2"])
def test_sigterm_under_load_answers_all_that_was_sent(engine, run, wanted):
    pytest.importorskip(engine)
    with serving(run, engine=engine) as service, ThreadPoolExecutor(24) as pool:
        sent, signalled = [], threading.Event()

        def ask(client):
            """Asks until there is no service any more; notes when it asked and the answer."""
            with contextlib.closing(service.connection()) as connection:
                for count in itertools.count(client):
                    if client % 2:
                        connection.close()  # and opens another one
                    row = [TEXTS[count % len(TEXTS)], not signalled.is_set(), None]
                    sent.append(row)
                    try:
                        row[2] = service.translate(row[0], connection)
                    except (OSError, http.client.HTTPException) as error:
                        row[2] = error
                        return

        clients = [pool.submit(ask, number) for number in range(24)]
        time.sleep(3)
        began = time.monotonic()
        signalled.set()
        time.sleep(0.1)  # what was begun before is sent
        code = service.end()
        seconds = time.monotonic() - began
        for client in clients:
            client.result()
    before = [row for row in sent if row[1]]
    assert len(before) > 50
    for text, was_before, answer in sent:
        if was_before or not isinstance(answer, Exception):
            status, found = answer
            assert status == 200
            assert found["translations"][0]["text"] == wanted[engine][text]
    assert code == 0
    assert seconds < 35


def test_a_second_signal_ends_at_once(run):
    pytest.importorskip("ctranslate2")
    with (
        serving(run, engine="ctranslate2") as service,
        ThreadPoolExecutor(1) as pool,
        socket.create_connection(("127.0.0.1", service.port)) as one,
    ):
        one.sendall(b"POST /translate HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        time.sleep(0.5)
        ending = pool.submit(service.end)
        time.sleep(1)
        assert not ending.done()  # it waits for the rest of that body
        service.process.send_signal(signal.SIGINT)
        assert ending.result() == -signal.SIGINT


@pytest.mark.parametrize("engine", ["keras"])
def test_a_worker_that_is_killed_is_replaced_and_the_rest_is_served(engine, run, wanted):
    pytest.importorskip(engine)
    with serving(run, "--workers", "2", engine=engine) as service:
        first = service.workers()
        assert len(first) == 2
        for text in TEXTS[:9]:
            assert service.translate(text)[0] == 200
        victim = first[0]
        subprocess.run(["kill", "-KILL", str(victim)], check=True)
        while victim in service.workers():
            time.sleep(0.01)
        deadline = time.monotonic() + HANGS
        count = 0
        while len(service.workers()) < 2 or service.metric("kt_requests_total") < 30:
            assert time.monotonic() < deadline
            text = TEXTS[count % len(TEXTS)]
            status, found = service.translate(text)
            assert (status, found["translations"][0]["text"]) == (200, wanted[engine][text])
            count += 1
        assert any("Another one starts" in line for line in service.lines)
        assert service.metric("kt_compilations_after_start") == 0
        assert service.end() == 0
        assert "Traceback" not in "".join(service.lines)


def test_workers_end_when_their_parent_is_killed(run):
    pytest.importorskip("ctranslate2")
    with serving(run, "--workers", "2", engine="ctranslate2") as service:
        workers = service.workers()
        service.process.kill()
        service.process.wait()
        deadline = time.monotonic() + HANGS
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_overload_is_told_soon_and_goes_by(run, wanted, capsys):
    pytest.importorskip("ctranslate2")
    options = ["--max-queue", "64", "--max-texts", "32", "--max-connections", "500"]
    with serving(run, *options, engine="ctranslate2") as service, ThreadPoolExecutor(100) as pool:

        def ask(number):
            began = time.monotonic()
            status, _ = service.translate(TEXTS[:32])
            return status, time.monotonic() - began

        answers = list(pool.map(ask, range(300)))
        refused = sorted(seconds for status, seconds in answers if status in (429, 503))
        assert {status for status, _ in answers} <= {200, 429}
        assert len(refused) > 20
        with capsys.disabled():
            print(f"\n{len(refused)} of 300 refused, median {1000 * refused[len(refused) // 2]:.0f}"
                  f" ms, slowest {1000 * refused[-1]:.0f} ms, by 100 clients at once")  # fmt: skip
        text = TEXTS[0]
        status, found = service.translate(text)
        assert (status, found["translations"][0]["text"]) == (200, wanted["ctranslate2"][text])
        assert service.end() == 0
