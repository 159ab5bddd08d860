"""µs per step of one slate, in this process: the parts that the service puts together, each called alone."""

from __future__ import annotations

import asyncio
import copy
import gc
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.budgets import Row, Step, top
from benchmarks.slates import patient_customers
from features.settings import load_settings
from recommender.allowance import allowance_of
from recommender.blend import N_CANDIDATES, pool_of
from recommender.caps import Caps
from recommender.compose import mixed
from recommender.exposure_codec import pack_exposure, unpack_exposure
from recommender.overlay import NO_OVERLAY
from recommender.query import query_of
from recommender.rules import Rules, held_back
from service.answers import Consented, encode
from service.bootstrap import assemble
from service.deadline import Floors
from service.deciding import Deciding, request_of
from service.grounds import Given
from service.ladder import Degraded, Level
from service.logs import configure_logs
from service.models import SlateOptions
from service.offers import Offers
from service.reserving import reservation_of
from service.store.exposures import exposure_of
from service.store.reservations import Reservations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.shop import Shop
    from recommender.blend import Pool
    from recommender.contract import Candidates, FloatVector, Query, Retriever
    from recommender.slate import SlateRequest
    from service.bootstrap import Program

BUDGET_US = 1_200
OPTIONS = SlateOptions()


class Found(NamedTuple):
    """A retriever whose answer is known: what is left of pooling is the blend itself."""

    answer: Candidates

    def retrieve(self, query: Query, n: int) -> Candidates:
        return self.answer


class Timed:
    """A retriever that adds up its processor time, ns, where it is really called: its caches are as cold as there."""

    def __init__(self, retriever: Retriever) -> None:
        self.name, self._retriever, self.spent_ns = retriever.name, retriever, 0

    def retrieve(self, query: Query, n: int) -> Candidates:
        begun = time.thread_time_ns()
        found = self._retriever.retrieve(query, n)
        self.spent_ns += time.thread_time_ns() - begun
        return found


def deciding(shop: Shop) -> tuple[list[Row], list[Step]]:
    """The whole of ``Engine.decide`` on one core, with the ranker and by the blend alone, and its steps."""
    request = request_of(OPTIONS)
    gc.collect()
    gc.freeze()  # as a worker does: what the benchmark holds is not looked through while slates are decided
    whole = mean_us(lambda state: shop.engine.decide(state, request, shop.now), shop.states)
    blended = mean_us(lambda state: shop.blended.decide(state, request, shop.now), shop.states)
    steps = decide_steps(shop, request)
    rest = max(0.0, blended - sum(step.us for step in steps))
    steps.append(Step("rank: features and trees of 200 candidates", max(0.0, whole - blended)))
    steps.append(Step("items with their reasons, and the rest of deciding", rest))
    note = f"{len(shop.engine.items):,} items, {len(shop.states):,} states"
    return [
        _budget_row("deciding one slate, full", whole, f"{note}; {top(steps)}"),
        _budget_row("deciding one slate, blend only", blended, note),
    ], steps


def _budget_row(name: str, us: float, note: str) -> Row:
    return Row(name, "≤ 1.2 ms of one core", f"{us / 1000:.2f} ms", us <= BUDGET_US, note)


def decide_steps(shop: Shop, request: SlateRequest) -> list[Step]:
    engine, now, states = shop.engine, shop.now, shop.states
    standings = [engine.journey.stage_of(state, now) for state in states]
    queries = [query_of(state, request, engine.items, now, s.stage) for state, s in zip(states, standings, strict=True)]
    steps = [
        Step("stage", mean_us(lambda state: engine.journey.stage_of(state, now), states)),
        Step("query", _mean2(lambda state, s: query_of(state, request, engine.items, now, s.stage), states, standings)),
        *retrieving(shop, request),
    ]
    found: list[list[Retriever]] = [[Found(r.retrieve(q, N_CANDIDATES)) for r in engine.retrievers] for q in queries]  # type: ignore[misc]
    weights, n_items = engine.blend.of("any", "engagement/live"), len(engine.items)
    pools = [pool_of(known, query, n_items) for known, query in zip(found, queries, strict=True)]
    scores = [pool.parts @ weights for pool in pools]
    rules, shares = Rules(), engine.mean_mix()

    def hold(query: Query, pool: Pool) -> object:
        return held_back(query, pool.item_idx, request, engine.items, NO_OVERLAY, rules)

    def order(pool: Pool, score: FloatVector) -> object:
        return mixed(score, pool.item_idx, engine.items.kind[pool.item_idx], shares, request.limit)

    return [
        *steps,
        Step(
            "blend",
            _mean2(lambda known, query: pool_of(known, query, n_items).parts @ weights, found, queries),
        ),
        Step("rules", _mean2(hold, queries, pools)),
        Step("compose: order", _mean2(order, pools, scores)),
    ]


def retrieving(shop: Shop, request: SlateRequest, rounds: int = 3) -> list[Step]:
    """Every retriever within whole decisions; the best of some rounds."""

    def one_round() -> list[Step]:
        engine = copy.copy(shop.engine)
        timed = [Timed(retriever) for retriever in engine.retrievers]
        engine.retrievers = tuple(timed)  # type: ignore[arg-type]
        for state in shop.states:
            engine.asked(state, request, shop.now)
        return [Step(f"retrieve: {one.name}", one.spent_ns / 1_000 / len(shop.states)) for one in timed]

    return min((one_round() for _ in range(rounds)), key=lambda steps: sum(step.us for step in steps))


def around(shop: Shop, redis_url: str) -> list[Step]:
    """What the service does beside deciding, over a store that runs."""
    configure_logs("warning", "benchmarks")
    settings = load_settings(home=shop.home, redis_url=redis_url)
    program = assemble(settings, lambda: shop.now)
    return asyncio.run(_around(shop, program))


async def _around(shop: Shop, program: Program) -> list[Step]:
    await program.serving.look()
    customers, codec = patient_customers(program), program.customers.codec
    floors, caps = Floors(), Caps()
    deciding = Deciding(program.serving, customers.empty, lambda: shop.now, floors, caps=caps, slate_ttl_s=1_800)
    reservations, offers = Reservations(program.calls), Offers(program.serving)
    request, engine = request_of(OPTIONS), program.serving.engine
    full, consented = Degraded(Level.FULL, None), Consented(personalised=True, channel=True)
    known = [await customers.read(name) for name in shop.customer_ids]
    given = [Given(one.state, full, consented, one) for one in known]
    pairs = _pairs(shop.customer_ids, given)
    read_us = await _mean_us(customers.read, shop.customer_ids)
    decode_us = mean_us(codec.unpack, [codec.pack(one.state) for one in given])
    decided = [deciding.slate(name, request, one, "short") for name, one in pairs]
    decided_us = mean_us(lambda p: deciding.slate(p[0], request, p[1], "short"), pairs)
    engine_us = mean_us(lambda one: engine.decide(one.state, request, shop.now), given)
    answers = [offers.plain(one, "short") for one in decided]
    slates = _pairs([one.head for one in known], [reservation_of(one, deciding.record(one)) for one in decided])
    reserve_us = await _mean_us(lambda pair: reservations.reserve(*pair), slates)
    shown = [exposure_of(await customers.read(name)) for name in shop.customer_ids]
    await program.decisions.aclose()
    await program.clients.aclose()
    return [
        Step("read (one round trip, alone)", read_us),
        Step("decode the state", decode_us),
        Step("decode a memory of one slate", mean_us(unpack_exposure, [pack_exposure(one) for one in shown])),
        Step("caps and fading", mean_us(lambda one: allowance_of(one, caps, "web", shop.now), shown)),
        Step("items as values", max(0.0, decided_us - engine_us)),
        Step("decision record", mean_us(deciding.record, decided)),
        Step("answer as values", mean_us(lambda one: offers.plain(one, "short"), decided)),
        Step("encode", mean_us(encode, answers)),
        Step("reserve (one round trip, alone)", reserve_us),
    ]


def mean_us(call: Callable[[Any], object], values: Sequence[Any], rounds: int = 3) -> float:
    """Mean processor time of a call over some values, µs; the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.thread_time_ns()
        for value in values:
            call(value)
        best = min(best, time.thread_time_ns() - begun)
    return best / 1_000 / max(1, len(values))


def _mean2(call: Callable[[Any, Any], object], first: Sequence[Any], second: Sequence[Any]) -> float:
    return mean_us(lambda pair: call(*pair), _pairs(first, second))


async def _mean_us(call: Callable[[Any], Any], values: Sequence[Any]) -> float:
    begun = time.perf_counter_ns()
    for value in values:
        await call(value)
    return (time.perf_counter_ns() - begun) / 1_000 / max(1, len(values))


def _pairs(*columns: Sequence[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*columns, strict=True))
