"""Connections that end: slow, half-sent and too many of them hold nothing for ever."""

import asyncio
import time
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from keras_transformer.serving.errors import HTTPError
from keras_transformer.serving.limits import log_request
from keras_transformer.serving.service_settings import Limits

KEEP_ALIVE = 15  # seconds that an idle connection is kept
SPARE = 2  # times the limit of connections are told that there are too many, more are cut


async def too_many(scope, receive, send) -> None:
    """ASGI application that answers that there are too many connections."""
    message = "There are too many connections. Try again later."
    headers = {"retry-after": "1", "connection": "close"}
    log_request(scope["method"], scope["raw_path"].decode("ascii", "replace"), 503, 0, 0)
    await HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, message, headers).send(send)


def connection_class(limits: Limits) -> type[H11Protocol]:
    """Returns the class of uvicorn's connections with these limits."""
    return type("Connection", (LimitedConnection,), {"limits": limits})


class LimitedConnection(H11Protocol):
    """Uvicorn's connection, with a time for what it leaves without one.

    Uvicorn waits for ever for the head of a request and for a client that does not read its answer.

    Attributes:
        limits: Limits of the service.
    """

    limits: Limits

    def connection_made(self, transport) -> None:
        """Starts the time of the first request."""
        super().connection_made(transport)
        self.head_timer: asyncio.TimerHandle | None = None
        self.write_timer: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.connections:
            self.app = too_many
        if len(self.connections) > SPARE * self.limits.connections:
            transport.abort()
            return
        self.watch_head()

    def data_received(self, data: bytes) -> None:
        """Passes on what has come, and sees whether a request has begun."""
        super().data_received(data)
        self.watch_head()

    def watch_head(self) -> None:
        """Starts or stops the timer of a request's head."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering and self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None
        elif not is_answering and self.head_timer is None:
            seconds = self.limits.receive_seconds
            self.head_timer = self.loop.call_later(seconds, self.transport.abort)

    def pause_writing(self) -> None:
        """Starts the time of a client that does not read its answer."""
        super().pause_writing()
        self.write_timer = self.loop.call_later(self.limits.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stops the time of a client that reads again."""
        super().resume_writing()
        if self.write_timer is not None:
            self.write_timer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops all timers."""
        super().connection_lost(exc)
        for timer in (self.head_timer, self.write_timer):
            if timer is not None:
                timer.cancel()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP, and closes the connection."""
        log_request("-", "-", 400, 0, 0)
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_response(HTTPError(HTTPStatus.BAD_REQUEST, msg)))
        self.transport.close()


def _response(error: HTTPError) -> bytes:
    """Returns a whole answer, for a connection whose state allows no other."""
    head = f"HTTP/1.1 {int(error.status)} {error.status.phrase}\r\n"
    head += "content-type: application/json\r\nconnection: close\r\n"
    head += f"content-length: {len(error.body)}\r\n"
    head += time.strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n\r\n", time.gmtime())
    return head.encode() + error.body
