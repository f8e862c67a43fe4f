"""Pages of the service for people, beside its API."""

import base64
import hashlib
from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from keras_transformer.serving.documentation import STYLE, documentation_page
from keras_transformer.serving.page_headers import page_headers


def make_pages(service, describe: Callable[[], dict]) -> APIRouter:
    """Returns the routes of the pages, which are not part of the API's description.

    Args:
        service: `Service`: its `about` says what is served.
        describe: Function that returns the API's OpenAPI description.
    """
    router = APIRouter(include_in_schema=False)
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    headers = page_headers(style_src=f"'sha256-{style}'")

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(documentation_page(describe()), headers=headers)

    return router
