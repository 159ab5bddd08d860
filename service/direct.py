"""The few routes that nearly every request takes, answered without the framework's way to them.

That way (matching, dependencies, exit stacks, wrappers for a body's limit) costs as much as a round trip to the
store. The routes are declared there as well, for their documentation and for every other method.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from features.errors import RihlaError
from service.problems import BodyTooLarge, answer_to, http_problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class Way(NamedTuple):
    """One method of one path, which metrics call it by, its endpoint, and of how many bytes a body may be."""

    method: str
    path: str
    endpoint: Endpoint
    max_body_size: int


class Direct:
    """Answers what goes one of these ways, errors of ours as problems; passes on whatever else comes."""

    def __init__(self, app: ASGIApp, ways: Sequence[Way]) -> None:
        self._app = app
        self._plain: Final = {(way.method, way.path): way for way in ways if "{" not in way.path}
        self._patterns: Final = [(compile_path(way.path)[0], way) for way in ways if "{" in way.path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = self._way_of(scope) if scope["type"] == "http" and not scope.get("root_path") else None
        if way is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = way
        try:
            response = await way.endpoint(Request(scope, _limited(scope, receive, way.max_body_size)))
        except RihlaError as error:
            response = answer_to(error)
        except HTTPException as error:
            response = http_problem(error)
        await response(scope, receive, send)

    def _way_of(self, scope: Scope) -> Way | None:
        """The way a request goes, its parameters noted; None for every other one."""
        method, path = scope["method"], scope["path"]
        way = self._plain.get((method, path))
        if way is not None:
            return way
        for pattern, way in self._patterns:
            if method == way.method and (found := pattern.match(path)):
                scope["path_params"] = found.groupdict()
                return way
        return None


def _limited(scope: Scope, receive: Receive, most: int) -> Receive:
    """The same, until more comes than is allowed or was announced to come.

    Raises
    ------
    BodyTooLarge
    """
    announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    n_bytes = 0

    async def received() -> Message:
        nonlocal n_bytes
        if announced.isdigit() and int(announced) > most:
            raise BodyTooLarge
        message = await receive()
        n_bytes += len(message.get("body", b""))
        if n_bytes > most:
            raise BodyTooLarge
        return message

    return received
