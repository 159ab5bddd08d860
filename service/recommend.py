"""A slate for one customer: read, decide, reserve, answer.

A reservation holds only on top of the memory that the slate was decided on; when something came between, the customer
is read and the slate decided again. Reads fail open: a slate without a reservation is never of level 0, and says so.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from recommender.slate import SlateRequest
from service.answers import Reserved
from service.ask import Ask
from service.deadline import NEVER
from service.keyed import check_ask, overtaken_by, seeded
from service.ladder import Reason
from service.live import Live
from service.metrics import RESERVATIONS
from service.offers import NOT_ASKED_FOR, RESERVED, Offered, head_of, ids_of
from service.problems import NotFound
from service.store import keys
from service.store.kept import unpack_kept
from service.turns import BACK_OFF_S, TRIES

if TYPE_CHECKING:
    from service.ask import Batch
    from service.clock import Clock
    from service.deadline import Deadline
    from service.deciding import Decided, Deciding
    from service.grounds import Given, Grounds
    from service.keyed import Key
    from service.models import RelatedQuery, SlateOptions
    from service.offers import Offers
    from service.reserving import Reserving
    from service.serving import Serving
    from service.store.customers import Customers
    from service.store.kept import Kept
    from service.store.known import Known


class Recommend:
    """The use case behind every slate.

    Attributes
    ----------
    live : Live
        Who waits for a slate in this worker.
    """

    def __init__(
        self,
        serving: Serving,
        customers: Customers,
        grounds: Grounds,
        deciding: Deciding,
        reserving: Reserving,
        offers: Offers,
        clock: Clock,
    ) -> None:
        self._serving, self._customers, self._grounds = serving, customers, grounds
        self._deciding, self._reserving, self._offers, self._clock = deciding, reserving, offers, clock
        self.live = Live()

    async def __call__(self, customer_id: str, options: SlateOptions, deadline: Deadline = NEVER) -> dict[str, Any]:
        """The answer for one customer who waits for it.

        Raises
        ------
        DecisionKeyConflict
        """
        with self.live:
            return (await self.offer(customer_id, options, deadline)).answer

    async def related(self, item_id: str, query: RelatedQuery, deadline: Deadline = NEVER) -> dict[str, Any]:
        """What goes with one item, whoever looks at it.

        Raises
        ------
        NotFound
            Neither the bundle nor the catalogue changes have the item.
        """
        if not self._serving.knows_item(item_id):
            raise NotFound("expected an item of the catalogue")
        request = SlateRequest(
            placement="product", limit=query.limit, kinds=query.kinds, anchors=(item_id,), exclude=(item_id,)
        )
        decided = self._deciding.slate(None, request, self._grounds.of_nobody(), "short")
        await self._reserving.log(decided, keys.partition_of_nobody(item_id), deadline)
        return self._offers.plain(decided, "short")

    async def offer(
        self, customer_id: str, options: SlateOptions, deadline: Deadline = NEVER, batch: Batch | None = None
    ) -> Offered:
        """One slate, decided again as long as something comes between; at last without a reservation.

        Raises
        ------
        DecisionKeyConflict
        """
        ask = Ask.of(customer_id, self._customers.keys_of(customer_id), options, deadline, batch)
        if batch is None:
            return await self._offered(ask)
        async with batch.room(self.live):
            return await self._offered(ask)

    async def _offered(self, ask: Ask) -> Offered:
        # Too late for a turn is too late for the store: the ladder has an answer.
        async with self._reserving.turns.of(ask.customer_id, ask.deadline):
            offered = await self._attempt(ask)
            for attempt in range(1, TRIES):
                if isinstance(offered, Offered):
                    return offered
                RESERVATIONS.labels("again").inc()
                longest_s = min(BACK_OFF_S * 2**attempt, max(0.0, ask.deadline.remaining_s))
                await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311 - jitter, not a secret
                offered = await self._attempt(ask)
            if isinstance(offered, Offered):
                return offered
            return await self._unreserved(ask, offered.given, offered.decided, Reason.STORE_CONTENDED)

    async def _attempt(self, ask: Ask) -> Offered | Overtaken:
        """Read, decide and reserve once; what is kept under a key is given again."""
        given, found = await self._read(ask)
        if given.known is None:
            return await self._without_store(ask, given)
        if ask.key is None:
            return await self._fresh(ask, given, given.known)
        kept = None if found is None else unpack_kept(found)
        if kept is not None:
            check_ask(kept.asked, ask.key)
        replaces = overtaken_by(kept, given, self._clock())
        if kept is not None and replaces is None:
            return self._repeated(ask, given, ask.key, kept)
        return await self._fresh(ask, given, given.known, before=found or b"", replaces=replaces)

    async def _fresh(
        self, ask: Ask, given: Given, known: Known, *, before: bytes = b"", replaces: str | None = None
    ) -> Offered | Overtaken:
        """Decide and reserve; where another was first under the key, its slate is given."""
        decided = self._owed(ask) or await self._decided(ask, given)
        if ask.options.dry_run:
            return self._offers.fresh(ask, given, decided, NOT_ASKED_FOR, replaces=replaces)
        outcome = await self._reserving.reserve(ask, known, given.memory, decided, before)
        if outcome.failed is not None:
            return await self._unreserved(ask, given, decided, outcome.failed)
        if outcome.is_reserved:
            return self._offers.fresh(ask, given, decided, RESERVED, replaces=replaces)
        if ask.batch is not None:
            ask.batch.give_back(head_of(ask, given), ids_of(decided))
        if outcome.kept is None or ask.key is None:
            return Overtaken(given, decided)
        check_ask(outcome.kept.asked, ask.key)
        return self._repeated(ask, given, ask.key, outcome.kept)

    async def _read(self, ask: Ask) -> tuple[Given, bytes | None]:
        """What a slate stands on and what is kept under its key, in one round trip where nobody is linked."""
        if ask.key is None:
            return await self._grounds.of(ask), None
        asked = self._reserving.ask_kept(ask.where, ask.key)
        given = await self._grounds.of(ask)
        found = await self._reserving.kept(asked, ask.deadline)
        if given.known is not None and given.known.head is not given.known.asked:
            asked = self._reserving.ask_kept(given.known.head.keys, ask.key)
            found = await self._reserving.kept(asked, ask.deadline)
        if isinstance(found, Reason):  # nobody knows whether the key is new
            return self._grounds.without_profile(ask.options, given.consented, found), None
        return given, found

    async def _decided(self, ask: Ask, given: Given) -> Decided:
        if ask.batch is None:
            async with self.live.turn:
                return self._deciding.slate(ask.customer_id, ask.request, given, ask.options.explain)
        async with ask.batch.one_at_a_time:
            await asyncio.sleep(0)
            request = ask.batch.without_taken(ask.request, head_of(ask, given))
            decided = self._deciding.slate(ask.customer_id, request, given, ask.options.explain)
            ask.batch.take(head_of(ask, given), ids_of(decided))
            return decided

    def _owed(self, ask: Ask) -> Decided | None:
        """The slate that went out under a key while the store was away, and is not written yet."""
        owing = None if ask.key is None else self._reserving.owed.get(ask.where.member, ask.key)
        if owing is None or ask.key is None:
            return None
        check_ask(owing.key.asked, ask.key)
        return owing.decided

    def _repeated(self, ask: Ask, given: Given, key: Key, kept: Kept) -> Offered:
        self._reserving.remember(ask, kept)
        offered = self._offers.repeated(ask, given, key, kept, RESERVED)
        if ask.batch is not None:
            ask.batch.take(offered.customer_id, offered.item_ids)
        return offered

    async def _without_store(self, ask: Ask, given: Given) -> Offered:
        """A slate below level 0; one with a key is the one that was given before, else one that all workers make."""
        reason = given.degraded.reason or Reason.STORE_UNAVAILABLE
        unreserved = Reserved("unreserved", reason)
        if ask.key is None:
            return await self._unreserved(ask, given, await self._decided(ask, given), reason)
        if (kept := self._reserving.kept_lately(ask)) is not None:
            check_ask(kept.asked, ask.key)
            return self._offers.repeated(ask, given, ask.key, kept, RESERVED)
        if (owed := self._owed(ask)) is not None:
            return self._offers.fresh(ask, given, owed, unreserved, status="repeated")
        alike = self._grounds.without_profile(ask.options, given.consented, reason)
        made_of = seeded(ask.where.member, ask.key, self._clock())
        request = replace(ask.request, seed=int.from_bytes(ask.key.field[:4]))
        decided = self._deciding.slate(ask.customer_id, request, alike, ask.options.explain, made_of)
        return await self._unreserved(ask, alike, decided, reason)

    async def _unreserved(self, ask: Ask, given: Given, decided: Decided, reason: str) -> Offered:
        if ask.options.dry_run:
            return self._offers.fresh(ask, given, decided, NOT_ASKED_FOR)
        decided = decided.unreserved(reason)
        await self._reserving.give_up(ask, decided)
        return self._offers.fresh(ask, given, decided, Reserved("unreserved", reason))


class Overtaken(NamedTuple):
    """A slate that was decided on what is no longer so."""

    given: Given
    decided: Decided
