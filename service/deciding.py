"""From what a slate is decided on to the slate, its answer and its decision record. No input or output."""

from __future__ import annotations

import secrets
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from recommender.allowance import allowance_of
from recommender.slate import SlateRequest
from service.answers import Made, items_answer
from service.deadline import Step
from service.decisions import POLICY, Decision, Slot, encode_decision
from service.ladder import Degraded, Level, Reason
from service.popular_slates import PopularSlates

if TYPE_CHECKING:
    from collections.abc import Callable

    from recommender.allowance import Allowance
    from recommender.caps import Caps
    from recommender.slate import Slate, SlateItem
    from service.clock import Clock
    from service.deadline import Floors
    from service.grounds import Given
    from service.models import SlateOptions
    from service.serving import Serving

ENGINE_FAULTS: Final = (ArithmeticError, LookupError, TypeError, ValueError)
"""What an engine raises on numbers that its maker did not foresee."""
EMAIL_TTL_S: Final = 72 * 3600
"""An email is opened days after it was made."""
WITHHELD: Final = "withheld"
"""The strategy of a slate that may not be offered in its channel."""

log = structlog.get_logger()
_slot_of: Final[Callable[[SlateItem], Any]] = attrgetter(*Slot._fields)
"""What a decision record says of an item: a slot less its names, which are not written."""


class Decided(NamedTuple):
    """A slate with what its answer needs; ``items`` are plain values or already encoded."""

    customer_id: str | None
    request: SlateRequest
    made: Made
    items: object

    @property
    def ttl_s(self) -> int:
        """How long it may be shown."""
        return (self.made.expires_at - self.made.generated_at) // 1_000_000

    @property
    def reserved_s(self) -> int:
        """How long its reservation holds without a sign, from the time in its id: of a seeded one that is earlier."""
        return (self.made.expires_at // 1_000 - int(self.made.slate_id[:12], 16)) // 1_000

    def unreserved(self, reason: str) -> Decided:
        """The same slate without a reservation, which no slate of level 0 is."""
        degraded = self.made.degraded
        level = max(degraded.level, Level.STALE)
        is_told = degraded.level > Level.FULL and degraded.reason is not None
        return self._replace(made=self.made._replace(degraded=Degraded(level, degraded.reason if is_told else reason)))


class Deciding:
    """Decides slates with the engine, the catalogue changes and the caps of a worker."""

    def __init__(
        self, serving: Serving, empty: Any, clock: Clock, floors: Floors, *, caps: Caps, slate_ttl_s: int
    ) -> None:
        self._serving, self._empty, self._clock, self._floors = serving, empty, clock, floors
        self._caps, self._slate_ttl_s = caps, slate_ttl_s
        self._popular = PopularSlates(serving, empty)

    def slate(
        self, customer_id: str | None, request: SlateRequest, given: Given, explain: str, seeded: Seeded | None = None
    ) -> Decided:
        """A slate of one customer, or of nobody; about a millisecond of one core."""
        now = self._clock()
        with self._floors.timed(Step.DECIDE):
            slate, items, degraded = self._slate(request, given, explain, now if seeded is None else seeded.at)
        if not given.consented.channel:
            slate, items = withheld(slate), []
        ttl_s = EMAIL_TTL_S if request.channel == "email" else self._slate_ttl_s
        slate_id = new_slate_id(now) if seeded is None else seeded.slate_id
        made = Made(slate, slate_id, now, now + ttl_s * 1_000_000, degraded, given.consented)
        return Decided(customer_id, request, made, items)

    def record(self, decided: Decided) -> bytes:
        """The decision record of a slate."""
        made, request = decided.made, decided.request
        engine, current, standing = self._serving.engine, self._serving.current, made.slate.standing
        return encode_decision(
            Decision(
                slate_id=made.slate_id,
                customer_id=decided.customer_id,
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
                slots=tuple(map(_slot_of, made.slate.items)),
                personalised=made.consented.personalised,
            )
        )

    def _slate(self, request: SlateRequest, given: Given, explain: str, now: int) -> tuple[Slate, object, Degraded]:
        """A slate, its items as the answer shows them, and the level that it was really made on."""
        serving = self._serving
        if given.degraded.level == Level.STATIC:
            standing = serving.engine.journey.stage_of(given.state, now)
            slate = serving.fallback.slate(request, standing, serving.overlay)
            return slate, items_answer(slate, serving, explain), given.degraded
        allowance = self._allowance(request, given, now)
        if given.state is not self._empty or allowance is not None:
            try:
                asked = self._popular.asked(request, explain, now) if given.state is self._empty else None
                slate = serving.engine.decide(
                    given.state,
                    request,
                    now,
                    overlay=serving.overlay,
                    allowance=allowance,
                    asked=asked,
                    with_faded=explain == "full",
                )
                return slate, items_answer(slate, serving, explain), given.degraded
            except ENGINE_FAULTS as error:
                log.error("decision_failed", error=type(error).__name__)  # noqa: TRY400 - its text may carry values
                given = given._replace(degraded=Degraded(Level.POPULAR, Reason.DECISION_FAILED))
        return *self._popular.slate(request, explain, now), given.degraded

    def _allowance(self, request: SlateRequest, given: Given, now: int) -> Allowance | None:
        """What caps leave; fading says what a customer did not react to, so it needs their consent."""
        allowance = allowance_of(given.memory, self._caps, request.channel, now)
        if allowance is None or given.consented.personalised:
            return allowance
        return allowance._replace(faded_key=allowance.faded_key[:0], fading=allowance.fading[:0])


class Seeded(NamedTuple):
    """Id and moment (microseconds) of a slate that every worker has to make alike."""

    slate_id: str
    at: int


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
    return replace(slate, items=(), suppressed=(), faded=(), strategy=WITHHELD)


def new_slate_id(now: int) -> str:
    """32 hex digits: milliseconds, so that ids sort by time, then 80 random bits."""
    return f"{now // 1000:012x}{secrets.token_hex(10)}"
