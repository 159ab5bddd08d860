"""The one route that nearly every request takes, answered without the framework's way to it.

That way (matching, dependencies, exit stacks, a body limit for a request without a body) costs as much as a round trip
to the store. The route is declared there as well, for its documentation and for every other method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.requests import Request
from starlette.routing import compile_path

from features.errors import RihlaError
from service.problems import answer_to

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send


class Place(NamedTuple):
    """What metrics call a route by."""

    path: str


class Direct:
    """Answers GET requests of one path with an endpoint, errors of ours as problems; passes on whatever else comes."""

    def __init__(self, app: ASGIApp, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self._app, self._endpoint, self._place = app, endpoint, Place(path)
        self._pattern: Final = compile_path(path)[0]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_get = scope["type"] == "http" and scope["method"] == "GET" and not scope.get("root_path")
        found = self._pattern.match(scope["path"]) if is_get else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = self._place, found.groupdict()
        try:
            response = await self._endpoint(Request(scope, receive))
        except RihlaError as error:
            response = answer_to(error)
        await response(scope, receive, send)
