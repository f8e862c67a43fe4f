"""The HTTP server of one process: uvicorn, with an end that answers what was accepted."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from keras_transformer.serving.connections import KEEP_ALIVE, connection_class
from keras_transformer.serving.limits import LimitedApp
from keras_transformer.serving.service import Service, make_app

BACKLOG = 1024
LINGER = 0.3  # seconds in which requests that are on their way still come


class HTTPServer(uvicorn.Server):
    """Uvicorn's server. The first signal ends it gracefully, the second at once.

    Args:
        service: The service.
        ready: Function that is called once connections are accepted.
        signals: Signals that end it.
    """

    def __init__(
        self,
        service: Service,
        ready: Callable[[], None] = lambda: None,
        signals: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM),
    ):
        limits = service.settings.limits
        config = uvicorn.Config(
            LimitedApp(make_app(service), service),
            http=connection_class(limits),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=limits.end_seconds,
            backlog=BACKLOG,
        )
        super().__init__(config)
        self.service, self.ready, self.signals = service, ready, signals
        self.is_late = False

    def answer(self, listener: socket.socket) -> bool:
        """Answers requests until a signal comes; returns whether all were answered in time."""
        asyncio.run(self.serve(sockets=[listener]))
        return not self.is_late

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens from now on."""
        await super().startup(sockets)
        self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, answers what has come, and what comes on open connections just now."""
        self.service.ending = True
        for server in self.servers:
            server.close()
        await asyncio.sleep(LINGER)
        await super().shutdown(sockets)
        if self.server_state.tasks:
            self.is_late = True
            await asyncio.sleep(LINGER)  # they are told so

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Installs the handlers of signals, for a while."""
        before = {number: signal.signal(number, self.handle_exit) for number in self.signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, number: int, frame) -> None:
        """Handles a signal."""
        if self.should_exit:
            end_at_once(number)
        self.should_exit = True


def end_at_once(number: int) -> None:
    """Ends this process as a signal does that nobody handles."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
