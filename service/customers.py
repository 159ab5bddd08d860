"""What is known of one customer, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from features.errors import StoreError
from service.answers import stage_answer
from service.clock import moment_of
from service.ladder import Degraded, Level
from service.problems import NotFound

if TYPE_CHECKING:
    from service.clock import Clock
    from service.serving import Serving
    from service.store.customers import Customers

COUNTS: Final = {
    "events": "n_touch",
    "views": "n_view",
    "reads": "n_read",
    "searches": "n_search",
    "likes": "n_like",
    "cart_adds": "n_cart",
    "orders": "n_order",
    "units": "n_units",
    "refunds": "n_return",
    "reviews": "n_review",
    "support_requests": "n_support",
}
MOMENTS: Final = ("first_touch", "last_touch", "last_view", "last_read", "last_cart", "first_order", "last_order")
CHANNELS: Final = ("web", "app", "email", "social", "phone", "store")


class DescribeCustomer:
    """The use case behind ``GET /v1/customers/{id}``."""

    def __init__(self, customers: Customers, serving: Serving, clock: Clock) -> None:
        self._customers, self._serving, self._clock = customers, serving, clock

    async def __call__(self, customer_id: str) -> dict[str, Any]:
        """Stage, the chances of what may come next, and what is known.

        Raises
        ------
        NotFound
            Nothing is known of the customer.
        StoreUnavailable
            The store does not answer and this worker has not seen the customer lately.
        """
        where = self._customers.keys_of(customer_id)
        degraded = Degraded(Level.FULL, None)
        try:
            state = await self._customers.read(where, customer_id)
        except StoreError as error:
            state, degraded = self._customers.stale(where), Degraded(Level.STALE, error.reason)
            if state is None:
                raise
        if state is self._customers.empty:
            raise NotFound("nothing is known of this customer")
        return self._described(customer_id, state, degraded)

    def _described(self, customer_id: str, state: Any, degraded: Degraded) -> dict[str, Any]:
        journey = self._customers.journey
        now = self._clock()
        standing = journey.stage_of(state, now)
        moves = self._serving.engine.moves.of(state, standing, now)
        changes_at = standing.changes_at
        return {
            "customer_id": customer_id,
            "stage": stage_answer(standing, journey, moves)
            | {"changes_at": None if changes_at is None else moment_of(changes_at)},
            "known": {
                "counts": {name: getattr(state, field) for name, field in COUNTS.items()},
                "channels": {name: getattr(state, f"n_{name}") for name in CHANNELS},
                "moments": {name: _moment(getattr(state, name)) for name in MOMENTS},
                "spend_minor": state.spend,
                "returned_minor": state.returned,
                "active_days": len(state.days),
                "items_seen": len({record[1] for record in state.seen}),
                "items_bought": len({record[1] for record in state.bought}),
                "locale": _declared(state.locale),
                "segment": _declared(state.segment),
            },
            "degraded": {"level": int(degraded.level), "reason": degraded.reason},
        }


def _moment(at: int | None) -> Any:
    return None if at is None else moment_of(at)


def _declared(fact: tuple[int, str, str] | None) -> str | None:
    return None if fact is None else fact[2]
