"""What a worker has just read or written of its customers: answers from it when the store is away."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from service.store.known import Remembered

if TYPE_CHECKING:
    from features.consent import Consents
    from service.clock import Clock

MAX_CUSTOMERS: Final = 4_096
MAX_AGE_US: Final = 60 * 1_000_000
"""A state is read together with its customer's consent, and no profile is used on a consent older than this."""


class Recently:
    """Customers as stored, by the key of the identity asked about; the least recently used is given up first."""

    def __init__(self, clock: Clock, max_customers: int = MAX_CUSTOMERS) -> None:
        self._clock, self._max = clock, max_customers
        self._seen: OrderedDict[str, Remembered] = OrderedDict()

    def put(self, member: str, raw_states: tuple[bytes, ...], consents: Consents) -> None:
        """Remember a customer: the states of all identities as stored, and what was agreed to."""
        self.forget(member)
        self._seen[member] = Remembered(raw_states, consents, self._clock())
        if len(self._seen) > self._max:
            self._seen.popitem(last=False)

    def clear(self) -> None:
        """Forget everybody."""
        self._seen.clear()

    def forget(self, member: str) -> None:
        """Forget a customer."""
        self._seen.pop(member, None)

    def get(self, member: str) -> Remembered | None:
        """A customer as of the last minute."""
        seen = self._seen.get(member)
        return seen if seen is not None and self._clock() - seen.at <= MAX_AGE_US else None
