"""A service in a thread of this process, and raw requests to it."""

import contextlib
import json
import socket
import threading

from keras_transformer.serving.address import bind
from keras_transformer.serving.http_server import HTTPServer
from keras_transformer.serving.metrics import Metrics
from keras_transformer.serving.served_run import ServedRun
from keras_transformer.serving.service import PATHS, Service

HANGS = 30  # seconds


class Running:
    """A service that answers; `port` says where."""

    def __init__(self, settings, translators):
        runs = {name: ServedRun(name, one, settings) for name, one in translators.items()}
        for run in runs.values():
            run.prepare()
        metrics = Metrics(PATHS)
        metrics.start()
        self.service = Service(settings, runs, metrics)
        self.listener = bind("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        ready = threading.Event()
        self.server = HTTPServer(self.service, ready.set, signals=())
        self.thread = threading.Thread(target=self.server.answer, args=(self.listener,))
        self.thread.start()
        assert ready.wait(HANGS)

    def end(self):
        self.server.should_exit = True
        self.thread.join(HANGS)
        self.service.dispatcher.close()
        assert not self.thread.is_alive()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=HANGS)

    def send(self, *parts):
        """Sends bytes on a connection of its own; returns status, headers and JSON."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            return read_answer(connection)

    def post(self, path, body, headers=""):
        """Sends a body as JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}"
        return self.send(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)

    def get(self, path, headers=""):
        return self.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n".encode())

    def translate(self, texts, **options):
        return self.post("/translate", {"texts": texts, **options})


@contextlib.contextmanager
def running(settings, **translators):
    service = Running(settings, translators)
    try:
        yield service
    finally:
        service.end()


def read_answer(connection):
    """Reads an answer with its length."""
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.partition(b":")
            headers[name.decode().lower()] = value.strip().decode()
        content = file.read(int(headers["content-length"]))
    is_json = headers["content-type"] == "application/json"
    return status, headers, json.loads(content) if is_json else content.decode()
