from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from features.settings import load_settings
from service.deadline import DEFAULT_MS, LEAST_MS, MOST_MS, NEVER, SENDING_MS, Deadline, Floors, Step
from service.gate import ROOMS, Gate, Room, Traffic
from service.ladder import LADDER, STORE_REASONS, Degraded, Footing, Level, Reason
from service.lag import LoopLag
from service.live import Live
from service.store.breaker import LEAST_CALLS, PROBE_EVERY_S, RUN, SUCCESSES, WINDOW_S, Breaker
from tests.service.conftest import calling
from tests.service.shop import event

DOCUMENT = Path(__file__).parents[2] / "docs/reliability.md"


@pytest.mark.parametrize(
    ("footing", "level"),
    [
        (Footing(is_fresh=True), Level.FULL),
        (Footing(is_remembered=True, has_context=True), Level.STALE),
        (Footing(has_context=True), Level.SESSION),
        (Footing(), Level.POPULAR),
    ],
)
def test_an_answer_stands_on_the_highest_rung_that_carries(footing, level):
    assert footing.level is level


def test_the_ladder_has_every_level_once_and_the_document_shows_it():
    assert [rung.level for rung in LADDER] == list(Level)
    rows = [f"| {rung.level.value} {rung.level.name.lower()} | {' | '.join(rung[1:])} |" for rung in LADDER]
    text = DOCUMENT.read_text(encoding="utf-8")
    assert "\n".join(rows) in text, "\n".join(rows)
    assert all(f"`{reason}`" in text for reason in Reason)


def test_a_store_that_is_away_is_not_asked_again_in_the_same_request():
    assert not any(Degraded(Level.STALE, reason).is_store_there for reason in (*STORE_REASONS, Reason.DEADLINE))
    assert Degraded(Level.FULL, Reason.REGISTRY_UNAVAILABLE).is_store_there
    assert Degraded(Level.FULL, None).is_store_there


@pytest.mark.parametrize(("asked_ms", "given_ms"), [(0, LEAST_MS), (10, 10), (200, 200), (10**8, MOST_MS)])
def test_a_deadline_is_clamped_and_leaves_time_to_answer(asked_ms, given_ms):
    deadline = Deadline.after_ms(asked_ms, since=time.monotonic())
    waits_s = (given_ms - SENDING_MS) / 1000
    assert waits_s - 0.005 < deadline.remaining_s <= waits_s


def test_a_step_that_does_not_fit_is_not_started():
    floors = Floors()
    for _ in range(200):
        floors.saw(Step.READ, 0.03)
    assert floors[Step.READ] >= 0.03
    assert not floors.fits(Deadline.after_ms(LEAST_MS), Step.READ)
    assert floors.fits(Deadline.after_ms(DEFAULT_MS), Step.READ, Step.DECIDE)
    assert floors.fits(NEVER, Step.READ)


def test_a_floor_is_a_high_quantile_and_comes_down_while_it_keeps_a_step_from_being_tried():
    floors = Floors()
    for n in range(4_000):
        floors.saw(Step.DECIDE, 0.001 * (1 + n % 10))
    assert 0.007 <= floors[Step.DECIDE] <= 0.013
    gone = Deadline(time.monotonic() - 1)
    for _ in range(2_000):
        floors.fits(gone, Step.DECIDE)
    assert floors[Step.DECIDE] == Floors.LEAST_S


def test_a_request_with_no_time_left_gets_a_lower_level_and_says_why(with_service):
    async def body(caller):
        await caller.send(event("e-1"))
        for _ in range(100):
            caller.program.recommend._grounds._floors.saw(Step.READ, 0.04)
        await caller.slate("c-1")
        path = "/v1/customers/c-1/recommendations"
        short = await caller.http.get(path, headers={"x-deadline-ms": "1"})
        odd = await caller.http.get(path, headers={"x-deadline-ms": "soon"})
        return short.json()["served_by"]["degraded"], odd

    degraded, odd = with_service(body)
    assert degraded == {"level": 1, "reason": "deadline"}
    assert (odd.status_code, odd.json()["pointer"]) == (422, "/headers/x-deadline-ms")


def breaker_at(now):
    return Breaker("reads", lambda: now[0], seed=1)


def test_a_breaker_opens_after_a_run_and_closes_after_three_calls_that_succeed():
    now = [0.0]
    breaker = breaker_at(now)
    for _ in range(RUN - 1):
        breaker.failed()
    breaker.succeeded()
    assert breaker.allows()
    for _ in range(RUN):
        breaker.failed(Reason.STORE_LOADING)
    assert (breaker.is_open, breaker.reason) == (True, Reason.STORE_LOADING)
    now[0] += 0.99 * PROBE_EVERY_S
    assert not breaker.allows()
    now[0] += 0.5 * PROBE_EVERY_S
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    for _ in range(SUCCESSES):
        assert breaker.is_open
        breaker.succeeded()
        assert all(breaker.allows() for _ in range(3))
    assert not breaker.is_open


def test_a_breaker_whose_probe_succeeded_is_opened_for_a_whole_pause_by_the_next_failure():
    now = [0.0]
    breaker = breaker_at(now)
    for _ in range(RUN):
        breaker.failed()
    now[0] += 1.25 * PROBE_EVERY_S
    assert breaker.allows()
    breaker.succeeded()
    breaker.failed()
    assert (breaker.bars, breaker.allows()) == (True, False)
    now[0] += 1.25 * PROBE_EVERY_S
    assert [breaker.allows() for _ in range(2)] == [True, False]


def test_a_breaker_opens_when_half_of_enough_calls_failed_and_forgets_after_ten_seconds():
    now = [0.0]
    breaker = breaker_at(now)
    for n in range(LEAST_CALLS - 1):
        breaker.failed() if n % 2 else breaker.succeeded()
    assert not breaker.is_open
    now[0] += WINDOW_S + 1
    breaker.succeeded()
    breaker.failed()
    assert not breaker.is_open
    for _ in range(LEAST_CALLS):
        breaker.succeeded()
        breaker.failed()
    assert breaker.is_open


def test_a_probe_that_fails_waits_the_whole_pause_again():
    now = [0.0]
    breaker = breaker_at(now)
    for _ in range(RUN):
        breaker.failed()
    asked = 0
    while now[0] < 20:
        now[0] += 0.01
        if breaker.allows():
            asked += 1
            breaker.failed()
    assert 20 / (PROBE_EVERY_S * 1.25) - 1 <= asked <= 20 / PROBE_EVERY_S


def test_a_loop_that_is_held_up_is_told_of():
    async def body():
        lag = LoopLag()
        watching = asyncio.create_task(lag.watch())
        await asyncio.sleep(0.03)
        started = time.monotonic()
        time.sleep(0.08)  # noqa: ASYNC251 - this is the fault
        seen = lag.since(started)
        watching.cancel()
        return seen

    assert asyncio.run(body()) >= 0.05


ROOM = {traffic: Room(2, 1, 0.05, 1.0, 1.0) for traffic in Traffic} | {Traffic.LIVE: Room(2, 0, 0.0, 1.0, 1.0)}


def test_a_gate_lets_in_what_it_has_room_for_and_hands_turns_on_by_priority():
    async def body():
        gate = Gate(Live(), LoopLag(), ROOM)
        inside = [await gate.enter(Traffic.EVENTS), await gate.enter(Traffic.EVENTS)]
        waiting = asyncio.create_task(gate.enter(Traffic.EVENTS))
        await asyncio.sleep(0)
        refused = await gate.enter(Traffic.EVENTS)
        gate.leave(Traffic.EVENTS)
        return inside, await waiting, refused

    assert asyncio.run(body()) == ([True, True], True, False)


def test_whoever_waits_too_long_or_leaves_gives_the_place_up():
    async def body():
        gate = Gate(Live(), LoopLag(), ROOM)
        for _ in range(2):
            await gate.enter(Traffic.BULK)
        gave_up = await gate.enter(Traffic.BULK)
        left = asyncio.create_task(gate.enter(Traffic.BULK))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        gate.leave(Traffic.BULK)
        gate.leave(Traffic.BULK)
        return gave_up, [await gate.enter(Traffic.BULK) for _ in range(2)]

    assert asyncio.run(body()) == (False, [True, True])


def test_nobody_waits_for_a_store_that_is_away():
    async def body():
        away = [False]
        gate = Gate(Live(), LoopLag(), ROOM, is_away=lambda: away[0])
        for _ in range(2):
            await gate.enter(Traffic.EVENTS)
        waiting = asyncio.create_task(gate.enter(Traffic.EVENTS))
        await asyncio.sleep(0)
        away[0] = True
        gate.leave(Traffic.EVENTS)
        sent_away = await waiting
        at_once = [await gate.enter(each) for each in (Traffic.EVENTS, Traffic.LIVE, Traffic.BULK)]
        away[0] = False
        return sent_away, at_once, await gate.enter(Traffic.EVENTS)

    assert asyncio.run(body()) == (False, [False, True, True], True)


def test_an_open_breaker_bars_until_its_next_probe_is_due():
    now = [0.0]
    breaker = breaker_at(now)
    seen = [breaker.bars]
    for _ in range(RUN):
        breaker.failed()
    seen.append(breaker.bars)
    now[0] += PROBE_EVERY_S * 1.25
    seen.append(breaker.bars)
    assert breaker.allows()
    seen.append(breaker.bars)  # the probe is under way
    breaker.succeeded()
    assert [*seen, breaker.bars] == [False, True, False, True, False]


def test_an_event_is_refused_unread_while_the_store_is_away(tmp_path):
    async def body():
        async with calling(load_settings(home=tmp_path, redis_url=f"unix://{tmp_path}/nobody.sock")) as caller:
            asked = [await caller.http.post("/v1/events", json=event(f"e-{n}")) for n in range(RUN + 2)]
            return [*asked, await caller.http.post("/v1/events", content=b"no JSON")]

    answers = asyncio.run(body())
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["code"] for answer in answers} == {"store_unavailable"}
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    assert len({answer.content for answer in answers}) == 1


def test_bulk_gives_way_first_and_live_last():
    lags = [ROOMS[traffic].lag_s for traffic in Traffic]
    assert lags == sorted(lags, reverse=True)

    async def body():
        live = Live()
        gate = Gate(live, LoopLag())
        live.turn.pace_s = 0.001
        n = 0
        while await gate.enter(Traffic.LIVE):
            n += 1
        return n, live

    n, live = asyncio.run(body())
    assert n == int(ROOMS[Traffic.LIVE].backlog_s / live.turn.pace_s) + 1


def test_probes_are_let_in_whatever_there_is_to_do(settings):
    async def body():
        async with calling(settings) as caller:
            caller.program.recommend.live.turn.pace_s = 10.0
            return [(await caller.http.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")]

    assert asyncio.run(body()) == [200, 200, 200]
