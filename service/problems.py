"""Errors over HTTP: RFC 9457 problem+json with JSON pointers. No answer repeats what was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from features.errors import InputError, RihlaError, StoreContended, StoreError, StoreFull
from service.logs import places_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import FastAPI
    from pydantic_core import ErrorDetails
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
MAX_ERRORS: Final = 20
_MAX_POINTER: Final = 200
_HEADERS: Final = {
    413: {"connection": "close"},  # the rest of the body will not be read
    429: {"retry-after": str(RETRY_AFTER_S)},
    503: {"retry-after": str(RETRY_AFTER_S)},
}
_TITLES: Final = {
    400: "Bad request",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Invalid input",
    429: "Too many requests",
    499: "Caller left",
    500: "Internal error",
    503: "Unavailable",
}

log = structlog.get_logger()


class Flaw(NamedTuple):
    """One thing that is wrong, and where: a JSON pointer into the body, or ``/path/…``, ``/query/…``."""

    pointer: str
    code: str
    detail: str


class InvalidRequest(InputError):
    """A request with one or more flaws."""

    code = "invalid_request"

    def __init__(self, flaws: tuple[Flaw, ...]) -> None:
        super().__init__(flaws[0].detail, pointer=flaws[0].pointer)
        self.flaws = flaws


class TooManyEvents(RihlaError):
    """A customer with more events in 24 hours than are told apart."""

    code = "too_many_events"


class IdConflict(RihlaError):
    """An event id that came before with another body."""

    code = "id_conflict"


class CustomerErased(RihlaError):
    """An event from before the moment at which its customer was erased: it is not kept anywhere."""

    code = "erased"


class GroupFull(RihlaError):
    """A link that would join more identities than one customer may have."""

    code = "group_full"


class DecisionKeyConflict(RihlaError):
    """A decision key that came before with other parameters."""

    code = "decision_key_conflict"


class CursorExpired(RihlaError):
    """A cursor of a list that does not reach back to it any more."""

    code = "cursor_expired"


class BodyTooLarge(RihlaError):
    """A body of more bytes than its route takes."""

    code = "body_too_large"

    def __init__(self) -> None:
        super().__init__("expected a smaller body")


class CallerLeft(RihlaError):
    """The connection was closed before the body had come: no fault of ours, and nobody reads the answer."""

    code = "caller_left"


class NotFound(RihlaError):
    """The thing itself was asked for, and is not there."""

    code = "not_found"


_STATUSES: Final[dict[type[RihlaError], int]] = {
    InputError: 422,
    StoreError: 503,
    TooManyEvents: 429,
    IdConflict: 409,
    GroupFull: 409,
    DecisionKeyConflict: 409,
    CustomerErased: 410,
    CursorExpired: 410,
    NotFound: 404,
    BodyTooLarge: 413,
    CallerLeft: 499,
}


def problem(status: int, code: str, detail: str, flaws: Iterable[Flaw] = ()) -> Response:
    """A problem as a response."""
    body: dict[str, Any] = {
        "type": f"urn:rihla:problem:{code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors := [flaw._asdict() for flaw in flaws][:MAX_ERRORS]:
        body |= {"pointer": errors[0]["pointer"], "errors": errors}
    return Response(msgspec.json.encode(body), status, _HEADERS.get(status), MEDIA_TYPE)


def pointer_of(location: Iterable[str | int]) -> str:
    """JSON pointer (RFC 6901) of a place in a document."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in location)
    return "".join(f"/{part}" for part in parts)[:_MAX_POINTER]


def flaws_of(errors: Iterable[ErrorDetails]) -> tuple[Flaw, ...]:
    """Flaws of pydantic's errors: the place, the kind and the expectation, never the value."""
    return tuple(Flaw(pointer_of(error["loc"]), error["type"], error["msg"]) for error in errors)


def status_of(error: RihlaError) -> int:
    """HTTP status of an error of ours."""
    return next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)


def answer_to(error: RihlaError) -> Response:
    """The problem that tells a caller about an error of ours."""
    status = status_of(error)
    if isinstance(error, InvalidRequest):
        return problem(status, error.code, str(error), error.flaws)
    if isinstance(error, InputError):
        return problem(status, error.code, str(error), [Flaw(error.pointer, error.code, str(error))])
    if isinstance(error, StoreError) and not isinstance(error, StoreFull | StoreContended):
        return problem(status, error.code, "the store does not answer; nothing was accepted, please send it again")
    return problem(status, error.code, str(error))


async def _ours(_: Request, error: Exception) -> Response:
    return answer_to(error) if isinstance(error, RihlaError) else _unexpected(error)


async def _invalid(_: Request, error: Exception) -> Response:
    errors = error.errors() if isinstance(error, RequestValidationError) else ()
    flaws = tuple(Flaw(pointer_of(each["loc"]), each["type"], each["msg"]) for each in errors)
    return problem(422, InvalidRequest.code, flaws[0].detail, flaws)


def http_problem(error: HTTPException) -> Response:
    """The problem that tells a caller about an error of the framework's."""
    title = _TITLES.get(error.status_code, "Error")
    return problem(error.status_code, title.lower().replace(" ", "_"), error.detail or title)


async def _http(_: Request, error: Exception) -> Response:
    return http_problem(error) if isinstance(error, HTTPException) else _unexpected(error)


async def _failed(_: Request, error: Exception) -> Response:
    return _unexpected(error)


def _unexpected(error: Exception) -> Response:
    """A fault of ours: the log gets its kind and place, not its text, which may carry what was sent."""
    log.error("request_failed", error=type(error).__name__, places=places_of(error))
    return problem(500, "internal_error", "something went wrong on our side")


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""
    app.add_exception_handler(RihlaError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(TooLargeAsProblem)


class TooLargeAsProblem:
    """The framework's body limit answers 413 in plain text; this says it as a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_too_large = False

        async def sent(message: Message) -> None:
            nonlocal is_too_large
            if message["type"] == "http.response.start" and message["status"] == 413:
                is_too_large = True
                await answer_to(BodyTooLarge())(scope, receive, send)
            elif not is_too_large:
                await send(message)

        await self._app(scope, receive, sent)


class Refusal(Protocol):
    """One member of a request that cannot be taken."""

    @property
    def place(self) -> int: ...
    @property
    def pointer(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def error(self) -> RihlaError: ...


def rejections(refused: Iterable[Refusal], *, is_one: bool) -> list[dict[str, Any]]:
    """The refused members as an answer lists them.

    Raises
    ------
    RihlaError
        The error itself, where the member was sent alone.
    """
    refused = list(refused)
    if is_one and refused:
        raise refused[0].error
    return [
        {"index": each.place, "pointer": each.pointer, "code": each.code, "detail": str(each.error)} for each in refused
    ]
