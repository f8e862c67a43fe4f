"""Pages of the service for people, beside its API."""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from keras_transformer.serving.documentation import documentation_page


def make_pages(service, describe: Callable[[], dict]) -> APIRouter:
    """Returns the routes of the pages, which are not part of the API's description.

    Args:
        service: `Service`: its `about` says what is served.
        describe: Function that returns the API's OpenAPI description.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(documentation_page(describe()))

    return router
