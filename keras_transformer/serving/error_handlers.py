"""Answers of the application to what it does not serve, as JSON with a status."""

import dataclasses
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from keras_transformer.serving.errors import FAILED, HTTPError, shown
from keras_transformer.serving.explaining import ExplainRequest
from keras_transformer.serving.messages import ScoreRequest, TranslateRequest
from keras_transformer.serving.served_run import RefusedError
from keras_transformer.serving.service_settings import FixedSearch

REQUESTS = {"/translate": TranslateRequest, "/score": ScoreRequest, "/explain": ExplainRequest}


def add_error_handlers(app: FastAPI, search: FixedSearch) -> None:
    """Has an application answer errors.

    Args:
        app: The application.
        search: The settings that requests cannot change.
    """
    app.add_exception_handler(RequestValidationError, _handle_invalid(search))
    app.add_exception_handler(HTTPException, _handle_http_exception)
    app.add_exception_handler(RefusedError, _handle_refused)
    app.add_exception_handler(HTTPError, _handle_error)
    app.add_exception_handler(Exception, _handle_failure)


def _answer(error: HTTPError) -> Response:
    return Response(
        error.body, int(error.status), headers=error.headers, media_type="application/json"
    )


def _unprocessable(message: str) -> HTTPError:
    return HTTPError(HTTPStatus.UNPROCESSABLE_ENTITY, message)


async def _handle_error(request: Request, error: HTTPError) -> Response:
    return _answer(error)


async def _handle_failure(request: Request, error: Exception) -> Response:
    return _answer(FAILED)  # the error itself goes on to the log


async def _handle_refused(request: Request, error: RefusedError) -> Response:
    return _answer(_unprocessable(str(error)))


async def _handle_http_exception(request: Request, error: HTTPException) -> Response:
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's, of a body that it cannot read
        return _answer(_unprocessable("The body is not JSON in UTF-8."))
    message = {404: "There is nothing here.", 405: "This method is not served here."}
    text = message.get(error.status_code, str(error.detail))
    return _answer(HTTPError(HTTPStatus(error.status_code), f"{text} See /docs.", error.headers))


def _handle_invalid(search: FixedSearch):
    """Returns the handler of requests with wrong fields or types."""
    settings = dataclasses.asdict(search)
    fixed = ", ".join(f"{name} {value}" for name, value in settings.items())

    async def handle(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][1:]))
        fields = REQUESTS[request.url.path]
        expected = f"Expected: {', '.join(fields.model_fields)}."
        if first["type"] == "json_invalid":
            message = f"The body is not JSON: {first['ctx']['error']} at character {place}."
        elif first["type"] == "extra_forbidden":
            message = f"{shown(place)} is not a field of a request. {expected} The search "
            message += f"is fixed when the service starts: {fixed}."
        elif not place:
            message = (
                "The body must be a JSON object, sent as Content-Type: application/json. "
                f"{expected}"
            )
        else:
            message = f"{shown(place)}: {first['msg'].removeprefix('Value error, ')}. {expected}"
        return _answer(_unprocessable(message))

    return handle
