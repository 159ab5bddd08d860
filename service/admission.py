"""Admission control: level 5 of the ladder and the only place where it is entered.

Plain ASGI, so that a refusal costs next to nothing. Only requests count, never connections: an idle
one holds no turn. Probes and metrics are always let in, or an overload could not be seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from features.errors import StoreUnavailable
from service.deadline import mark_arrival
from service.gate import Traffic
from service.ladder import Reason
from service.problems import answer_to, problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from service.gate import Gate

REFUSAL: Final = problem(503, Reason.OVERLOAD, "there is more to do than can be done; please come again")
AWAY: Final = answer_to(StoreUnavailable(""))
BULK_ENDS: Final = (":batch", "/export")
BULK_STARTS: Final = ("/v1/audiences", "/v1/stage-changes")
READS: Final = frozenset({"GET", "HEAD"})


class Admission:
    """Lets requests in by class, refuses with 503 and ``Retry-After`` what would only wait.

    While the store is away, what is to be kept is refused here, before its body is read: many writers that come again
    and again would else hold up those who read.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        traffic = class_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if traffic is None:
            await self._app(scope, receive, send)
            return
        mark_arrival(scope)
        if not await self._gate.enter(traffic):
            await (AWAY if self._gate.is_in_vain(traffic) else REFUSAL)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._gate.leave(traffic)


def class_of(method: str, path: str) -> Traffic | None:
    """Class of a request; None for probes, metrics and documentation."""
    if not path.startswith("/v1/"):
        return None
    if path.endswith(BULK_ENDS) or path.startswith(BULK_STARTS):
        return Traffic.BULK
    is_slate = method in READS or path == "/v1/recommendations"
    return Traffic.LIVE if is_slate else Traffic.EVENTS
