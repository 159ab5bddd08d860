"""Writing a slate down before it goes out: reserved in one step, or at least on the stream, or owed.

A slate without a key that cannot be reserved leaves its decision record. One with a key is owed: it is given again as
it went out and written when the store is back, unless something else is kept under its key by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from features.errors import StoreContended, StoreError
from service.deadline import NEVER, Step
from service.keyed import kept_of
from service.ladder import Reason
from service.owed import Owed, Owing
from service.store.kept import Kept, unpack_kept
from service.store.recently_kept import RecentlyKept
from service.store.reservations import Keep, Reservation
from service.turns import Turns

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from recommender.exposure import Exposure
    from service.ask import Ask
    from service.clock import Clock
    from service.deadline import Deadline, Floors
    from service.deciding import Decided, Deciding
    from service.keyed import Key
    from service.serving import Serving
    from service.store.customers import Customers
    from service.store.decision_log import DecisionLog
    from service.store.keys import CustomerKeys
    from service.store.known import Known
    from service.store.reservations import Reservations


class Outcome(NamedTuple):
    """What became of a reservation: it holds, something else is kept under its key, or it failed, and why.

    None of these: something came between, and the slate has to be decided again.
    """

    is_reserved: bool = False
    kept: Kept | None = None
    failed: str | None = None


class Reserving:
    """The writes behind a slate.

    Attributes
    ----------
    turns : Turns
        One slate of a customer at a time in this worker.
    """

    def __init__(
        self,
        serving: Serving,
        customers: Customers,
        reservations: Reservations,
        decisions: DecisionLog,
        deciding: Deciding,
        floors: Floors,
        clock: Clock,
    ) -> None:
        self._serving, self._customers, self._reservations = serving, customers, reservations
        self._decisions, self._deciding, self._floors = decisions, deciding, floors
        self._lately = RecentlyKept(clock)
        self.turns = Turns()
        self.owed = Owed(self._settle)

    def ask_kept(self, where: CustomerKeys, key: Key) -> asyncio.Future[Any]:
        """Ask what is kept under a key, in the round trip that reads the customer; for :meth:`kept`."""
        return self._reservations.ask_kept(where, key.field)

    async def kept(self, asked: asyncio.Future[Any], deadline: Deadline) -> bytes | Reason | None:
        """What is kept under a key; why, where that cannot be told."""
        try:
            if asked.done():
                return await self._reservations.kept(asked)
            async with deadline.within():
                return await self._reservations.kept(asked)
        except StoreError as error:
            return Reason(error.reason)
        except TimeoutError:
            return Reason.DEADLINE

    def kept_lately(self, ask: Ask) -> Kept | None:
        """What this worker knows to be kept under a key."""
        return None if ask.key is None else self._lately.get(ask.where.member, ask.key.field)

    def remember(self, ask: Ask, kept: Kept) -> None:
        """Know what is kept under a key."""
        if ask.key is not None:
            self._lately.put(ask.where.member, ask.key.field, kept)

    def forget(self, members: Iterable[str]) -> None:
        """Know and owe nothing of some customers: they were erased."""
        gone = tuple(members)
        self._lately.forget(gone)
        self.owed.forget(gone)

    def forget_all_lately(self) -> None:
        """Know no kept slate of anybody; what is owed stays owed."""
        self._lately.clear()

    async def reserve(self, ask: Ask, known: Known, memory: Exposure, decided: Decided, before: bytes = b"") -> Outcome:
        """Reserve a slate on top of what was read of its customer; ``before`` is what was kept under its key.

        ``memory`` is of all of the customer's identities.
        """
        if not self._floors.fits(ask.deadline, Step.RECORD):
            return Outcome(failed=Reason.DEADLINE)
        keep = None if ask.key is None else self._keep(decided, ask.key, before)
        own = memory if len(known.members) == 1 else None
        try:
            with self._floors.timed(Step.RECORD):
                async with ask.deadline.within():
                    found = await self._reservations.reserve(
                        known.head, reservation_of(decided, self._deciding.record(decided)), keep, own
                    )
        except StoreError as error:
            return Outcome(failed=error.reason)
        except TimeoutError:
            return Outcome(failed=Reason.DEADLINE)
        if isinstance(found, bytes):
            return Outcome(kept=unpack_kept(found))
        if found and keep is not None and ask.key is not None:
            self.owed.settled(ask.where.member, ask.key)
            if (kept := unpack_kept(keep.value)) is not None:
                self.remember(ask, kept)
        return Outcome(is_reserved=found)

    async def give_up(self, ask: Ask, decided: Decided) -> None:
        """Let a slate go out without a reservation."""
        if ask.key is not None:
            self.owed.put(ask.where.member, Owing(ask.customer_id, ask.key, decided))
        else:
            await self.log(decided, ask.where.partition, ask.deadline)

    async def log(self, decided: Decided, partition: int, deadline: Deadline = NEVER) -> None:
        """Put a decision on the stream alone; what cannot be waited for is kept and sent later."""
        may_wait = decided.made.degraded.is_store_there and self._floors.fits(deadline, Step.RECORD)
        with self._floors.timed(Step.RECORD):
            await self._decisions.append(partition, self._deciding.record(decided), deadline if may_wait else None)

    async def _settle(self, owing: Owing) -> None:
        """Write a slate that is owed.

        Raises
        ------
        StoreError
        """
        async with self.turns.of(owing.customer_id):
            known = await self._customers.read(owing.customer_id)
            keep = self._keep(owing.decided, owing.key, b"")
            found = await self._reservations.reserve(
                known.head, reservation_of(owing.decided, self._deciding.record(owing.decided)), keep
            )
        if found is False:
            raise StoreContended("a slate that is owed found a newer memory")
        if found is not True:
            await self.log(owing.decided, known.head.keys.partition)

    def _keep(self, decided: Decided, key: Key, before: bytes) -> Keep:
        return Keep(key.field, kept_of(decided, key, self._serving), before)


def reservation_of(decided: Decided, record: bytes) -> Reservation:
    """What is written of a slate."""
    made = decided.made
    return Reservation(
        slate_id=made.slate_id,
        items=[(item.item_key, item.kind) for item in made.slate.items],
        channel=decided.request.channel,
        ttl_s=decided.reserved_s,
        at=made.generated_at,
        record=record,
    )
