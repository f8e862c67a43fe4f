"""Errors of the HTTP service, each with its status, as JSON."""

import json
from http import HTTPStatus

JSON = (b"content-type", b"application/json")


class HTTPError(Exception):
    """Error that is answered.

    Args:
        status: HTTP status.
        message: What came, what was expected and what to do.
        headers: Headers of the answer.
    """

    def __init__(self, status: HTTPStatus, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})

    @property
    def body(self) -> bytes:
        """The body of the answer."""
        error = {"status": int(self.status), "message": self.message}
        return json.dumps({"error": error}).encode()

    async def send(self, send) -> None:
        """Sends the answer to an ASGI server."""
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        length = (b"content-length", str(len(self.body)).encode())
        await send(
            {
                "type": "http.response.start",
                "status": int(self.status),
                "headers": [JSON, length, *headers],
            }
        )
        await send({"type": "http.response.body", "body": self.body})


FAILED = HTTPError(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed. Its log says where.")


def shown(value, limit: int = 80) -> str:
    """Returns a short ASCII form of what came from outside, for messages and logs.

    Example:

    >>> shown("a\\nb\\ud800"), shown("x" * 100, limit=8)
    ("'a\\\\nb\\\\ud800'", "'xxxxxxx...")
    """
    text = ascii(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
