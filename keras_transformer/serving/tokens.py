"""Bearer tokens: who may ask a service."""

import hmac
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path

from keras_transformer.serving.errors import HTTPError

SCHEME = b"bearer"
SHORTEST = 16  # characters; shorter ones can be guessed


def read_tokens(path: str | Path) -> tuple[str, ...]:
    """Reads bearer tokens, one a line; empty lines and lines that start with # are ignored.

    Raises:
        OSError: The file cannot be read.
        ValueError: It has no tokens, or one that cannot be sent or can be guessed.
    """
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} must hold bearer tokens in ASCII, one a line.") from None
    tokens = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not tokens:
        raise ValueError(f"{path} holds no bearer token. Expected one a line.")
    for number, token in enumerate(tokens, start=1):
        if len(token) < SHORTEST or len(token.split()) > 1:
            raise ValueError(
                f"Token {number} of {path} must have at least {SHORTEST} characters and no spaces. "
                "Make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
    return tokens


class Tokens:
    """The bearer tokens of a service.

    Args:
        tokens: The tokens; none lets everybody in.
    """

    def __init__(self, tokens: Iterable[str] = ()):
        self._tokens = [token.encode() for token in tokens]

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raises an HTTPError unless one of the headers has one of the tokens.

        Every token is compared, so that the time does not tell which is nearly right.
        """
        if not self._tokens:
            return
        given = [value for name, value in headers if name == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        found = [hmac.compare_digest(token.strip(), one) for one in self._tokens]
        if scheme.lower() != SCHEME or not any(found):
            raise HTTPError(
                HTTPStatus.UNAUTHORIZED,
                "A bearer token of this service is needed: Authorization: Bearer TOKEN.",
                {"www-authenticate": "Bearer"},
            )
