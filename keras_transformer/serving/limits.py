"""Limits around the application: bytes, time, tokens; and what is logged of each request."""

import asyncio
import contextlib
import sys
import time
import traceback
from http import HTTPStatus

from keras_transformer.serving.errors import FAILED, HTTPError
from keras_transformer.serving.page_routes import PAGE_FILES
from keras_transformer.serving.service import Service
from keras_transformer.serving.tokens import Tokens

OPEN_PATHS = {"/health", *PAGE_FILES}  # need no token
DRAIN_SECONDS = 1.0  # for the rest of a body that is refused: else its sender would see no answer
DRAIN_BYTES = 16  # times the limit


class LimitedApp:
    """ASGI application that limits what another one receives, and answers when that fails.

    The other application gets each body as a whole. It is cancelled if the client goes away, or if
    the time is up.

    Args:
        app: The other application.
        service: The service, with its settings and metrics.
    """

    def __init__(self, app, service: Service):
        self._app, self._service = app, service
        self._limits = service.settings.limits
        self._tokens = Tokens(service.settings.tokens)

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send, self._service)
        try:
            await self._answer(exchange)
        except HTTPError as error:
            await exchange.fail(error)
        except ClientGoneError:
            pass
        except asyncio.CancelledError:  # the time to end is up
            ending = HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, "The service ends.")
            await exchange.fail(ending)
        except Exception as error:
            log_failure(error)
            await exchange.fail(FAILED)
        finally:
            exchange.log()

    async def _answer(self, exchange: "Exchange") -> None:
        if exchange.scope["path"] not in OPEN_PATHS:
            try:
                self._tokens.check(exchange.scope["headers"])
            except HTTPError:
                await exchange.drain(self._limits.body)
                raise
        body = await exchange.read(self._limits.body, self._limits.receive_seconds)
        await exchange.pass_on(self._app, body, self._limits.seconds)


class Exchange:
    """A request and its answer.

    Args:
        scope, receive, send: As of an ASGI application.
        service: The service.
    """

    def __init__(self, scope, receive, send, service: Service):
        self.scope, self._receive, self._send, self._service = scope, receive, send, service
        self._began = time.perf_counter()
        self._has_ended = False  # the client is gone, or has sent all
        self._status, self._is_logged = 0, False
        scope.setdefault("state", {})

    async def send(self, message) -> None:
        """Sends a part of the answer; a service that ends closes the connection after it."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._service.ending or not self._has_ended:
                headers = [*message.get("headers", []), (b"connection", b"close")]
                message = {**message, "headers": headers}
        elif not message.get("more_body", False):
            self.log()  # before the client knows
        await self._send(message)

    async def fail(self, error: HTTPError) -> None:
        """Answers with an error, unless an answer has begun."""
        if not self._status:
            await error.send(self.send)

    async def read(self, limit: int, seconds: float) -> bytes:
        """Returns the body.

        Raises:
            HTTPError: It has more bytes than the limit, or has not come in time.
        """
        declared = dict(self.scope["headers"]).get(b"content-length", b"0")
        body = bytearray()
        try:
            async with asyncio.timeout(seconds):
                too_large = int(declared) > limit
                while not too_large and not self._has_ended:
                    body += await self._read_part()
                    too_large = len(body) > limit
        except TimeoutError:
            raise HTTPError(
                HTTPStatus.REQUEST_TIMEOUT, f"The body has not come within {seconds} seconds."
            ) from None
        if too_large:
            await self.drain(limit)
            raise HTTPError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body has more than {limit} bytes, the limit. Send several requests.",
            )
        return bytes(body)

    async def drain(self, limit: int) -> None:
        """Drops the rest of a body, for a short time: its sender comes to read the answer."""
        if (b"expect", b"100-continue") in self.scope["headers"]:  # it waits for the answer
            return
        dropped = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._has_ended and dropped < DRAIN_BYTES * limit:
                    dropped += len(await self._read_part())
        except TimeoutError:
            return

    async def _read_part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._has_ended = True
            raise ClientGoneError
        self._has_ended = not message.get("more_body", False)
        return message.get("body", b"")

    async def pass_on(self, app, body: bytes, seconds: float) -> None:
        """Has an application answer; cancels it if the client goes away or the time is up."""
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            return messages.pop() if messages else await asyncio.Event().wait()

        answering = asyncio.ensure_future(app(self.scope, receive, self.send))
        gone = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait({answering, gone}, timeout=seconds, return_when="FIRST_COMPLETED")
            if answering.done():
                await answering
            elif not gone.done():
                raise HTTPError(
                    HTTPStatus.GATEWAY_TIMEOUT,
                    f"The request was not answered within {seconds} seconds, and was dropped.",
                    {"retry-after": "1"},
                )
        finally:
            answering.cancel()
            gone.cancel()
            await asyncio.gather(answering, gone, return_exceptions=True)

    def log(self) -> None:
        """Writes a line without texts to the log, and counts the request, once."""
        if self._is_logged:
            return
        self._is_logged = True
        seconds = time.perf_counter() - self._began
        path = self.scope["raw_path"].decode("ascii", "backslashreplace")
        texts = self.scope["state"].get("texts", 0)
        status = self._status or 499  # the client went away
        log_request(self.scope["method"], path, status, seconds, texts)
        self._service.metrics.observe_request(self.scope["path"], status, seconds)


class ClientGoneError(Exception):
    """Error raised if a client goes away while it sends a body."""


def log_request(method: str, path: str, status: int, seconds: float, texts: int) -> None:
    """Writes a line of the access log."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S")
    _write(f"{now} {method[:20]} {path[:200]} {status} {1000 * seconds:.1f} ms {texts} texts\n")


def log_failure(error: Exception) -> None:
    """Writes where an error was raised; its message might hold a text."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename}, line {frame.lineno}"
    _write(f"The service failed with {type(error).__name__} ({place})\n")


def _write(line: str) -> None:
    """Writes a line to standard error; a service outlives the reader of its log."""
    with contextlib.suppress(OSError):
        sys.stderr.write(line)
