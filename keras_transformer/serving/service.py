"""HTTP service of translators: what may be asked, and how it is answered."""

import asyncio
import dataclasses
from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request, Response

from keras_transformer.serving.dispatcher import (
    ClosedError,
    Dispatcher,
    Item,
    Kind,
    QueueFullError,
)
from keras_transformer.serving.error_handlers import REQUESTS, add_error_handlers
from keras_transformer.serving.errors import HTTPError, shown
from keras_transformer.serving.messages import (
    ErrorAnswer,
    Health,
    ScoreAnswer,
    ScoreOfPair,
    ScoreRequest,
    TranslateAnswer,
    TranslateRequest,
    translation_answer,
)
from keras_transformer.serving.metrics import Metrics
from keras_transformer.serving.page_routes import PAGE_FILES, page_routes
from keras_transformer.serving.pages import make_pages
from keras_transformer.serving.served_run import SHOWN, RefusedError, ServedRun
from keras_transformer.serving.service_settings import ServiceSettings
from keras_transformer.translation.run_folder import package_versions

PATHS = {*REQUESTS, *PAGE_FILES, "/health", "/about", "/metrics", "/docs", "/openapi.json"}
ATTENTION_NUMBERS = 2_000_000  # of one answer, about 14 MB
SHORT = 1000  # characters that are tokenized at once: handing them to a thread would take longer
ERRORS = {
    status: {"model": ErrorAnswer, "description": description}
    for status, description in {
        401: "A bearer token is missing or wrong.",
        413: "The body is too large.",
        422: "The request is not one of those that are served.",
        429: "The queue is full; try again later.",
        503: "The service ends, or has too many connections.",
        504: "The time of the request is up.",
    }.items()
}


class Service:
    """Translators and the dispatcher that owns them.

    Args:
        settings: Settings of the service.
        runs: The runs by name.
        metrics: Metrics of the service.
    """

    def __init__(self, settings: ServiceSettings, runs: dict[str, ServedRun], metrics: Metrics):
        self.settings, self.runs, self.metrics = settings, runs, metrics
        self.ending = False
        self.dispatcher = Dispatcher(
            self._answer,
            lambda kind: runs[kind.run].batch_sizes[kind.operation],
            settings.limits.queue,
            settings.batching.pause,
            metrics.observe_batch,
        )
        metrics.watch_queue(self.dispatcher)

    def _answer(self, kind: Kind, contents: list) -> list:
        run = self.runs[kind.run]
        if kind.operation in ("score", "explain"):
            return {"score": run.score, "explain": run.explain}[kind.operation](contents)
        return run.translate(contents, attention=kind.operation == "attention")

    @property
    def is_ready(self) -> bool:
        """True as long as requests are answered."""
        return self.dispatcher.is_alive and not self.ending

    async def translate(self, asked: TranslateRequest) -> TranslateAnswer:
        """Answers a request for translations."""
        run = self.run(asked.run)
        self._check_count("texts", asked.texts)
        self._check_options(asked, run)
        operation = "attention" if asked.attention else "translate"

        def measure() -> list[Item]:
            kind = Kind(run.name, operation)
            return [Item(kind, text, run.pieces(text, asked.attention)) for text in asked.texts]

        found = await self.ask(measure, asked.texts, len(asked.texts))
        numbers = sum(
            one.attention.size
            for translation in found
            for one in translation.hypotheses
            if one.attention is not None
        )
        if numbers > ATTENTION_NUMBERS:
            raise RefusedError(
                f"The attention scores are {numbers:,} numbers, at most {ATTENTION_NUMBERS:,} are "
                "served. Send fewer or shorter texts."
            )
        return TranslateAnswer(
            translations=[translation_answer(one, asked.top_beams, asked.scores) for one in found]
        )

    async def score(self, asked: ScoreRequest) -> ScoreAnswer:
        """Answers a request for scores."""
        run = self.run(asked.run)
        self._check_count("sources", asked.sources)
        if len(asked.sources) != len(asked.targets):
            raise RefusedError(
                "`targets` must have one translation per source. "
                f"Received: {len(asked.targets)} targets for {len(asked.sources)} sources"
            )
        pairs = list(zip(asked.sources, asked.targets, strict=True))

        def measure() -> list[Item]:
            for pair in pairs:
                run.check_pair(*pair)
            return [Item(Kind(run.name, "score"), pair) for pair in pairs]

        found = await self.ask(measure, asked.sources + asked.targets, len(pairs))
        return ScoreAnswer(
            scores=[
                ScoreOfPair(
                    log_prob=one.log_prob, token_log_probs=one.token_log_probs, tokens=one.tokens
                )
                for one in found
            ]
        )

    async def ask(
        self, measure: Callable[[], list[Item]], texts: list[str], count: int = 1
    ) -> list:
        """Returns the answers to the items of a request.

        Args:
            measure: Function that tokenizes the texts and returns the items. For long texts it is
                called in a thread.
            texts: The texts.
            count: The number of items.
        """
        try:
            self.dispatcher.check_room(count)
            is_short = sum(map(len, texts)) <= SHORT
            items = measure() if is_short else await asyncio.to_thread(measure)
            return await self.dispatcher.ask(items)
        except QueueFullError:
            raise HTTPError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self.settings.limits.queue} texts wait already. Try again later.",
                {"retry-after": "1"},
            ) from None
        except ClosedError:
            raise HTTPError(
                HTTPStatus.SERVICE_UNAVAILABLE, "The service ends.", {"retry-after": "5"}
            ) from None
        except RefusedError:
            raise
        except (ValueError, TypeError) as error:
            raise RefusedError(str(error)) from error

    def run(self, name: str | None) -> ServedRun:
        """Returns the run that a request names."""
        names = ", ".join(self.runs)
        if name is None and len(self.runs) > 1:
            raise RefusedError(f"Say which `run` to use, one of {names}.")
        if name is not None and name not in self.runs:
            raise RefusedError(f"`run` must be one of {names}. Received: {shown(name)}")
        return self.runs[name if name is not None else names]

    def _check_count(self, name: str, texts: list) -> None:
        limit = self.settings.limits.texts
        if len(texts) > limit:
            raise RefusedError(
                f"`{name}` must have at most {limit} texts. Received: {len(texts)}. Send several "
                "requests."
            )

    def _check_options(self, asked: TranslateRequest, run: ServedRun) -> None:
        limit = self.settings.search.top_beams
        if asked.top_beams > limit:
            raise RefusedError(
                f"`top_beams` must be at most {limit}, as the service was started. "
                f"Received: {shown(asked.top_beams)}"
            )
        if asked.attention and not run.has_attention:
            raise RefusedError(f"The run {run.name} is served without attention scores.")
        if asked.attention and len(asked.texts) > SHOWN:
            raise RefusedError(
                f"Attention is shown of at most {SHOWN} texts of a request. "
                f"Received: {len(asked.texts)}"
            )

    def about(self) -> dict:
        """Returns what is served: runs, settings and limits."""
        settings = self.settings
        return {
            "runs": [run.about() for run in self.runs.values()],
            "search": dataclasses.asdict(settings.search),
            "limits": dataclasses.asdict(settings.limits),
            "batching": dataclasses.asdict(settings.batching),
            "engine": settings.engine,
            "compute_type": settings.compute_type,
        }


def make_routes(service: Service) -> APIRouter:
    """Returns the routes of the API."""
    router = APIRouter()

    @router.post("/translate", response_model=TranslateAnswer, responses=ERRORS)
    async def translate(asked: TranslateRequest, request: Request) -> Response:
        """Translates texts, with the search settings of the service."""
        request.state.texts = len(asked.texts)
        return _json(await service.translate(asked))

    @router.post("/score", response_model=ScoreAnswer, responses=ERRORS)
    async def score(asked: ScoreRequest, request: Request) -> Response:
        """Scores given translations by their log-probabilities."""
        request.state.texts = len(asked.sources)
        return _json(await service.score(asked))

    @router.get("/health", responses={503: {"model": Health}})
    async def health(response: Response) -> Health:
        """Says whether requests are answered: status 200, or 503."""
        if service.is_ready:
            return Health(status="ready")
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Health(status="ending")

    @router.get("/about")
    async def about() -> dict:
        """Returns the runs, the settings of the search and the limits."""
        return service.about()

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Returns metrics in the text format of Prometheus."""
        content, media_type = service.metrics.render()
        return Response(content, media_type=media_type)

    return router


def make_app(service: Service) -> FastAPI:
    """Returns the application, without the limits of `limits.py`."""
    version = package_versions(["keras-transformer"]).get("keras-transformer", "")
    app = FastAPI(
        title="keras_transformer",
        version=version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(make_routes(service))
    app.include_router(make_pages(service, app.openapi))
    if service.settings.page:
        app.include_router(page_routes(service, ERRORS))

    add_error_handlers(app, service.settings.search)
    return app


def _json(answer) -> Response:
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")
