"""Metrics of the HTTP service, for Prometheus."""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from keras_transformer.translation.compilation import compilations

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # set before prometheus_client is imported
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
OTHER = "other"  # paths that are not served; each its own would be as many as somebody likes


class Metrics:
    """The metrics of a process; of all workers, if they share a folder of files.

    Args:
        paths: Paths that are counted by name.
    """

    def __init__(self, paths: set[str]):
        self.paths = paths
        self._is_shared = SHARED_FOLDER in os.environ
        self.registry = None if self._is_shared else CollectorRegistry()
        registry = {"registry": self.registry}
        self.requests = Counter("kt_requests_total", "Requests.", ["path", "status"], **registry)
        self.seconds = Histogram(
            "kt_request_seconds",
            "Seconds until a request was answered.",
            ["path"],
            buckets=SECONDS,
            **registry,
        )
        self.texts = Counter("kt_texts_total", "Texts answered.", ["run", "operation"], **registry)
        self.batches = Histogram(
            "kt_batch_texts", "Texts of a batch.", ["run", "operation"], buckets=SIZES, **registry
        )
        live = {"multiprocess_mode": "livesum", **registry}
        self.queue = Gauge("kt_queue_texts", "Texts that wait.", **live)
        self.compilations = Gauge(
            "kt_compilations_after_start", "Programs compiled since the service is ready.", **live
        )
        self.programs = Gauge("kt_programs", "Programs compiled at start.", **live)
        self._dispatcher = ()
        self._compiled = compilations()

    def watch_queue(self, dispatcher) -> None:
        """Measures the length of a dispatcher's queue from now on."""
        self._dispatcher = dispatcher

    def start(self) -> None:
        """Counts compilations from now on as such that should not have been."""
        self._compiled = compilations()
        self.programs.set(self._compiled)

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request."""
        path = path if path in self.paths else OTHER
        self.requests.labels(path, status).inc()
        self.seconds.labels(path).observe(seconds)

    def observe_batch(self, kind, items: int) -> None:
        """Counts a batch."""
        self.texts.labels(*kind).inc(items)
        self.batches.labels(*kind).observe(items)
        self._measure()

    def _measure(self) -> None:
        self.queue.set(len(self._dispatcher))
        self.compilations.set(compilations() - self._compiled)

    def render(self) -> tuple[bytes, str]:
        """Returns all metrics as text, and its media type."""
        self._measure()
        registry = self.registry
        if self._is_shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST
