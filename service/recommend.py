"""Deciding one slate for one customer: read, decide, leave a record, answer.

Reads fail open: when the store is away the answer comes from further down the ladder and says so.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from features.consent import NOTHING_SAID, may_be_sent
from features.errors import StoreError
from recommender.slate import SlateRequest
from service.answers import Consented, Degraded, Level, Made, items_answer, slate_answer
from service.decisions import POLICY, Decision, Slot, encode_decision
from service.live import Live
from service.metrics import DEGRADED, SLATES
from service.popular_slates import PopularSlates
from service.problems import NotFound
from service.store import keys

if TYPE_CHECKING:
    from recommender.slate import Slate
    from service.clock import Clock
    from service.models import RelatedQuery, SlateOptions
    from service.serving import Serving
    from service.store.customers import Customers
    from service.store.decision_log import DecisionLog
    from service.store.known import Known

EMAIL_TTL_S: Final = 72 * 3600
"""An email is opened days after it was made."""


CONSENT_FRESH_US: Final = 60_000_000
"""Below level 0 a profile may be used for this long after its consent was last seen."""


class Given(NamedTuple):
    """What a slate is decided on: the customer's state, how good a source it came from, and what they agreed to.

    ``known`` is None below level 0. Where the customer does not agree to personalisation, or it is not known, the
    state is the empty one.
    """

    state: Any
    degraded: Degraded
    consented: Consented
    known: Known | None = None


NOBODY_ASKED: Final = Consented(personalised=False, channel=True)
"""For a slate that is of no customer."""
WITHHELD: Final = "withheld"
"""The strategy of a slate that may not be offered in its channel."""


class Decided(NamedTuple):
    """An answer as plain values, and the record that has to be on the stream before it goes out."""

    answer: dict[str, Any]
    partition: int
    record: bytes
    is_store_there: bool


class Recommend:
    """The use case behind every slate.

    Attributes
    ----------
    live : Live
        Who waits for a slate in this worker.
    """

    def __init__(
        self, serving: Serving, customers: Customers, decisions: DecisionLog, clock: Clock, slate_ttl_s: int
    ) -> None:
        self._serving, self._customers, self._decisions = serving, customers, decisions
        self._clock, self._slate_ttl_s = clock, slate_ttl_s
        self.live = Live()
        self._popular = PopularSlates(serving, customers.empty)

    async def __call__(self, customer_id: str, options: SlateOptions) -> dict[str, Any]:
        """The answer for one customer who waits for it."""
        with self.live:
            given = await self.given(customer_id, options)
            decided = self.decide(customer_id, options, given)
            if not options.dry_run:
                await self.leave_record(decided)
        return decided.answer

    async def related(self, item_id: str, query: RelatedQuery) -> dict[str, Any]:
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
        given = Given(self._customers.empty, self._degraded(Level.FULL, None), NOBODY_ASKED)
        decided = self._decided(None, request, given, "short", keys.partition_of_nobody(item_id))
        await self.leave_record(decided)
        return decided.answer

    async def given(self, customer_id: str, options: SlateOptions) -> Given:
        """State of a customer: the stored one, else what this worker saw last, else none."""
        try:
            known = await self._customers.read(customer_id)
        except StoreError as error:
            return self._given_without_store(customer_id, options, error.code)
        consented = Consented(known.is_personalised, known.may_be_sent(options.channel))
        state = known.state if consented.personalised else self._customers.empty
        return Given(state, self._degraded(Level.FULL, None), consented, known)

    def _given_without_store(self, customer_id: str, options: SlateOptions, reason: str) -> Given:
        """As the customer was last seen here; the profile only while its consent was seen of late."""
        seen = self._customers.remembered(customer_id)
        consents = NOTHING_SAID if seen is None else seen.consents
        may_send = may_be_sent(consents, options.channel, self._customers.defaults)
        if seen is not None and seen.raw_states and self._clock() - seen.at <= CONSENT_FRESH_US:
            state = self._customers.state_of(seen)
            return Given(state, self._degraded(Level.STALE, reason), Consented(True, may_send))
        has_context = options.anchor_items or options.context.cart or options.context.text
        level = Level.SESSION if has_context else Level.POPULAR
        return Given(self._customers.empty, self._degraded(level, reason), Consented(False, may_send))

    def decide(self, customer_id: str, options: SlateOptions, given: Given) -> Decided:
        """The slate of a customer; no input or output, about a millisecond of one core."""
        request = request_of(options)
        partition = self._customers.keys_of(customer_id).partition
        return self._decided(customer_id, request, given, options.explain, partition)

    async def leave_record(self, decided: Decided) -> None:
        """Put the decision on the stream; a store that is known to be away is not waited for."""
        await self._decisions.append(decided.partition, decided.record, may_wait=decided.is_store_there)

    def _degraded(self, level: Level, reason: str | None) -> Degraded:
        if not self._serving.has_bundle:
            return Degraded(Level.STATIC, self._serving.reason or "no_bundle")
        return Degraded(level, reason or self._serving.reason)

    def _decided(
        self, customer_id: str | None, request: SlateRequest, given: Given, explain: str, partition: int
    ) -> Decided:
        now = self._clock()
        slate, items = self._slate(request, given, explain, now)
        ttl_s = EMAIL_TTL_S if request.channel == "email" else self._slate_ttl_s
        expires_at = now + ttl_s * 1_000_000
        made = Made(slate, new_slate_id(now), now, expires_at, given.degraded, given.consented)
        _count(slate, given.degraded)
        return Decided(
            slate_answer(made, items, self._serving, explain),
            partition,
            encode_decision(self._record(customer_id, request, made)),
            given.degraded.reason != "store_unavailable",
        )

    def _slate(self, request: SlateRequest, given: Given, explain: str, now: int) -> tuple[Slate, object]:
        """What is offered, and its items as the answer has them."""
        if given.state is self._customers.empty:
            slate, items = self._popular.slate(request, explain, now)
            return (slate, items) if given.consented.channel else (withheld(slate), [])
        slate = self._serving.engine.decide(given.state, request, now, overlay=self._serving.overlay)
        slate = slate if given.consented.channel else withheld(slate)
        return slate, items_answer(slate, self._serving, explain)

    def _record(self, customer_id: str | None, request: SlateRequest, made: Made) -> Decision:
        engine, current, standing = self._serving.engine, self._serving.current, made.slate.standing
        return Decision(
            slate_id=made.slate_id,
            customer_id=customer_id,
            decided_at=made.generated_at,
            placement=request.placement,
            channel=request.channel,
            stage=standing.stage,
            phase=standing.phase,
            at_risk=standing.at_risk,
            definition_version=engine.journey.version,
            policy=POLICY,
            model=engine.model.name,
            model_version=current.version if current else engine.model.version,
            model_digest=engine.model.digest,
            seed=request.seed,
            level=int(made.degraded.level),
            reason=made.degraded.reason,
            strategy=made.slate.strategy,
            slots=tuple(Slot(item.item_key, item.score, item.source, item.propensity) for item in made.slate.items),
            personalised=made.consented.personalised,
        )


def request_of(options: SlateOptions) -> SlateRequest:
    """What the engine is asked, from what the caller asked."""
    return SlateRequest(
        placement=options.placement,
        limit=options.limit,
        kinds=options.kinds,
        channel=options.channel.value,
        anchors=options.anchor_items,
        candidates=options.candidates,
        locale=options.context.locale,
        cart=options.context.cart,
        exclude=options.exclude_ids,
        categories=options.filter.categories,
        text=options.context.text,
        unseen_only=options.filter.unseen_only,
        with_moves=options.explain != "none",
    )


def withheld(slate: Slate) -> Slate:
    """A slate that says where the customer stands and offers nothing."""
    return replace(slate, items=(), suppressed=(), strategy=WITHHELD)


def new_slate_id(now: int) -> str:
    """32 hex digits: milliseconds, so that ids sort by time, then 80 random bits."""
    return f"{now // 1000:012x}{secrets.token_hex(10)}"


def _count(slate: Slate, degraded: Degraded) -> None:
    SLATES.labels(int(degraded.level), slate.strategy, slate.standing.stage).inc()
    if degraded.reason is not None:
        DEGRADED.labels(int(degraded.level), degraded.reason).inc()
