"""What is known of one customer, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from features.consent import PURPOSES
from features.errors import StoreError
from service.answers import stage_answer
from service.clock import moment_of
from service.ladder import Degraded, Level
from service.problems import NotFound

if TYPE_CHECKING:
    from features.consent import Consents
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


class About(NamedTuple):
    """What there is to tell of a customer; ``identities`` None where only one of them was seen."""

    customer_id: str
    identities: tuple[str, ...] | None
    state: Any
    consents: Consents


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
        try:
            known = await self._customers.read(customer_id)
        except StoreError as error:
            return self._remembered(customer_id, error)
        if not known.exists:
            raise NotFound("nothing is known of this customer")
        about = About(customer_id, known.ids, known.state, known.consents)
        return self._described(about, Degraded(Level.FULL, None))

    def _remembered(self, customer_id: str, error: StoreError) -> dict[str, Any]:
        seen = self._customers.remembered(customer_id)
        if seen is None or not seen.raw_states:
            raise error
        about = About(customer_id, None, self._customers.state_of(seen), seen.consents)
        return self._described(about, Degraded(Level.STALE, error.reason))

    def _described(self, about: About, degraded: Degraded) -> dict[str, Any]:
        state = about.state
        journey = self._customers.journey
        now = self._clock()
        standing = journey.stage_of(state, now)
        moves = self._serving.engine.moves.of(state, standing, now)
        changes_at = standing.changes_at
        return {
            "customer_id": about.customer_id,
            "identities": about.identities,
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
            "consent": {purpose: self._agreed(about.consents, purpose) for purpose in PURPOSES},
            "degraded": {"level": int(degraded.level), "reason": degraded.reason},
        }

    def _agreed(self, consents: Consents, purpose: str) -> dict[str, Any]:
        """Whether a purpose is agreed to, and since when; of what nobody has said, what is taken for granted."""
        change = consents.last(purpose)
        is_given = consents.allows(purpose, self._customers.defaults)
        return {"is_given": is_given, "since": None if change is None else moment_of(change[0])}


def _moment(at: int | None) -> Any:
    return None if at is None else moment_of(at)


def _declared(fact: tuple[int, str, str] | None) -> str | None:
    return None if fact is None else fact[2]
