"""Routes of the page that shows translations, and what it shows."""

import asyncio
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from keras_transformer.illustrate.figure import TEMPLATES
from keras_transformer.serving.dispatcher import Item, Kind
from keras_transformer.serving.explaining import (
    ExplainAnswer,
    ExplainRequest,
    explanation_answer,
)
from keras_transformer.serving.page_headers import page_headers

if TYPE_CHECKING:
    from keras_transformer.serving.service import Service

FOLDER = Path(__file__).parent / "page"
PAGE_FILES = {  # which need no token: they are the same for everybody
    "/": ("text/html", [FOLDER / "page.html"]),
    "/page.css": ("text/css", [TEMPLATES / "style.css", FOLDER / "page.css"]),
    "/page.js": (
        "text/javascript",
        [
            TEMPLATES / "attention.js",
            FOLDER / "search.js",
            FOLDER / "page.js",
        ],
    ),
}
HEADERS = page_headers(
    script_src="'self'",
    style_src="'self'",
    connect_src="'self'",
    img_src="data:",
    require_trusted_types_for="'script'",
    trusted_types="'none'",
)


@functools.cache
def page_file(path: str) -> bytes:
    """Returns a file of the page; scripts and styles are those of `illustrate`, and its own."""
    parts = PAGE_FILES[path][1]
    return "\n".join(part.read_text(encoding="utf-8") for part in parts).encode()


def page_routes(service: "Service", errors: dict) -> APIRouter:
    """Returns the routes of the page.

    Args:
        service: The service.
        errors: Descriptions of errors by status, for the description of the API.
    """
    router = APIRouter()

    @router.post("/explain", response_model=ExplainAnswer, responses=errors)
    async def explain(asked: ExplainRequest, request: Request) -> Response:
        """Translates a sentence, and returns the steps of the search and all attention scores."""
        request.state.texts = 1
        run = service.run(asked.run)

        def measure() -> list[Item]:
            run.check_explained(asked.text)
            return [Item(Kind(run.name, "explain"), asked.text)]

        (explained,) = await service.ask(measure, [asked.text])
        answer = await asyncio.to_thread(explanation_answer, run.explainer, explained)
        return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")

    for path, (media_type, _) in PAGE_FILES.items():
        response = functools.partial(Response, page_file(path), headers=HEADERS)
        router.add_api_route(
            path, _endpoint(response, media_type), methods=["GET"], include_in_schema=False
        )
    return router


def _endpoint(response, media_type: str):
    async def answer() -> Response:
        return response(media_type=f"{media_type}; charset=utf-8")

    return answer
