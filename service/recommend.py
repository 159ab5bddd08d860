"""Deciding one slate for one customer: read, decide, leave a record, answer.

Reads fail open: when the store is away the answer comes from further down the ladder and says so.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from features.errors import StoreError
from recommender.slate import SlateRequest
from service.answers import Made, items_answer, slate_answer
from service.deadline import NEVER, Floors, Step
from service.decisions import POLICY, Decision, Slot, encode_decision
from service.ladder import Degraded, Footing, Level, Reason
from service.live import Live
from service.metrics import DEGRADED, ITEMS_DROPPED, SLATES
from service.popular_slates import PopularSlates
from service.problems import NotFound
from service.store import keys

if TYPE_CHECKING:
    from recommender.slate import Slate
    from service.clock import Clock
    from service.deadline import Deadline
    from service.models import RelatedQuery, SlateOptions
    from service.serving import Serving
    from service.store.customers import Customers
    from service.store.decision_log import DecisionLog
    from service.store.keys import CustomerKeys

ENGINE_FAULTS: Final = (ArithmeticError, LookupError, TypeError, ValueError)
"""What an engine raises on numbers that its maker did not foresee."""
EMAIL_TTL_S: Final = 72 * 3600
"""An email is opened days after it was made."""

log = structlog.get_logger()


class Given(NamedTuple):
    """What a slate is decided on: the customer's state, and how good a source it came from."""

    state: Any
    degraded: Degraded


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
        self._floors = Floors()

    async def __call__(self, customer_id: str, options: SlateOptions, deadline: Deadline = NEVER) -> dict[str, Any]:
        """The answer for one customer who waits for it."""
        with self.live:
            given = await self.given(customer_id, options, deadline)
            async with self.live.turn():
                decided = self.decide(customer_id, options, self._in_time(given, deadline))
            if not options.dry_run:
                await self.leave_record(decided, deadline)
        return decided.answer

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
        given = Given(self._customers.empty, self._degraded(None, is_fresh=True))
        decided = self._decided(None, request, given, "short", keys.partition_of_nobody(item_id))
        await self.leave_record(decided, deadline)
        return decided.answer

    async def given(self, customer_id: str, options: SlateOptions, deadline: Deadline = NEVER) -> Given:
        """What one answer may stand on; with too little time left for it the store is not asked."""
        where = self._customers.keys_of(customer_id)
        if not self._floors.fits(deadline, Step.READ, Step.DECIDE):
            return self._below(where, options, Reason.DEADLINE)
        try:
            with self._floors.timed(Step.READ):
                async with deadline.within(reserve_s=self._floors[Step.DECIDE]):
                    state = await self._customers.read(where, customer_id)
        except StoreError as error:
            return self._below(where, options, error.reason)
        except TimeoutError:
            return self._below(where, options, Reason.DEADLINE)
        except (TypeError, ValueError):  # an answer of another form than was asked for
            return self._below(where, options, Reason.STORE_UNAVAILABLE)
        return Given(state, self._degraded(None, is_fresh=True))

    def _in_time(self, given: Given, deadline: Deadline) -> Given:
        """What there is still time to decide on: a popular slate takes next to none."""
        if self._floors.fits(deadline, Step.DECIDE):
            return given
        return Given(self._customers.empty, self._degraded(Reason.DEADLINE))

    def _below(self, where: CustomerKeys, options: SlateOptions, reason: str) -> Given:
        """What is left without the store: what this worker saw last, else what the request carries, else nothing."""
        stale = self._customers.stale(where)
        has_context = bool(options.anchor_items or options.context.cart or options.context.text)
        degraded = self._degraded(reason, is_remembered=stale is not None, has_context=has_context)
        return Given(self._customers.empty if stale is None else stale, degraded)

    def decide(self, customer_id: str, options: SlateOptions, given: Given) -> Decided:
        """The slate of a customer; no input or output, about a millisecond of one core."""
        request = request_of(options)
        partition = self._customers.keys_of(customer_id).partition
        return self._decided(customer_id, request, given, options.explain, partition)

    async def leave_record(self, decided: Decided, deadline: Deadline = NEVER) -> None:
        """Put the decision on the stream; what cannot be waited for is kept and sent later."""
        may_wait = decided.is_store_there and self._floors.fits(deadline, Step.RECORD)
        with self._floors.timed(Step.RECORD):
            await self._decisions.append(decided.partition, decided.record, deadline if may_wait else None)

    def _degraded(
        self, reason: str | None, *, is_fresh: bool = False, is_remembered: bool = False, has_context: bool = False
    ) -> Degraded:
        if not self._serving.has_bundle:
            return Degraded(Level.STATIC, self._serving.reason or Reason.NO_BUNDLE)
        level = Footing(is_fresh, is_remembered, has_context).level
        return Degraded(level, reason or self._serving.reason)

    def _decided(
        self, customer_id: str | None, request: SlateRequest, given: Given, explain: str, partition: int
    ) -> Decided:
        now = self._clock()
        with self._floors.timed(Step.DECIDE):
            slate, items, degraded = self._slate(request, given, explain, now)
        ttl_s = EMAIL_TTL_S if request.channel == "email" else self._slate_ttl_s
        made = Made(slate, new_slate_id(now), now, now + ttl_s * 1_000_000, degraded)
        _count(slate, degraded)
        return Decided(
            slate_answer(made, items, self._serving, explain),
            partition,
            encode_decision(self._record(customer_id, request, made)),
            degraded.is_store_there,
        )

    def _slate(self, request: SlateRequest, given: Given, explain: str, now: int) -> tuple[Slate, object, Degraded]:
        """A slate, its items as the answer shows them, and the level that it was really made on."""
        serving = self._serving
        if given.degraded.level == Level.STATIC:
            standing = serving.engine.journey.stage_of(given.state, now)
            slate = serving.fallback.slate(request, standing, serving.overlay)
            return slate, items_answer(slate, serving, explain), given.degraded
        if given.state is not self._customers.empty:
            try:
                slate = serving.engine.decide(given.state, request, now, overlay=serving.overlay)
                return slate, items_answer(slate, serving, explain), given.degraded
            except ENGINE_FAULTS as error:
                log.error("decision_failed", error=type(error).__name__)  # noqa: TRY400 - its text may carry values
                given = given._replace(degraded=Degraded(Level.POPULAR, Reason.DECISION_FAILED))
        return *self._popular.slate(request, explain, now), given.degraded

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


def new_slate_id(now: int) -> str:
    """32 hex digits: milliseconds, so that ids sort by time, then 80 random bits."""
    return f"{now // 1000:012x}{secrets.token_hex(10)}"


def _count(slate: Slate, degraded: Degraded) -> None:
    SLATES.labels(int(degraded.level), slate.strategy, slate.standing.stage).inc()
    for held in slate.suppressed:
        if held.why == "no_score":
            ITEMS_DROPPED.labels(held.why).inc()
    if degraded.reason is not None:
        DEGRADED.labels(int(degraded.level), degraded.reason).inc()
