"""Everything that a worker itself remembers of customers: where an erasure has to be heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from service.offers import Offers
    from service.reserving import Reserving
    from service.store.customers import Customers


class Memories:
    """The memories of one worker."""

    def __init__(self, customers: Customers, reserving: Reserving, offers: Offers) -> None:
        self._customers, self._reserving, self._offers = customers, reserving, offers

    def forget(self, members: Collection[str]) -> None:
        """Forget some customers, by their keys."""
        self._customers.forget_recent(members)
        self._reserving.forget(members)
        self._offers.forget(members)

    def forget_everybody(self) -> None:
        """Forget what was last seen of everybody, since some of them may have been erased unheard."""
        self._customers.forget_all_recent()
        self._reserving.forget_all_lately()
        self._offers.forget_all()
