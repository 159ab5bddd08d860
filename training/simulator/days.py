"""Day after day: who comes, what happens to them, and what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features.events import DAY_US
from training.simulator import life, mail
from training.simulator.customer import make_people, new_state
from training.simulator.journal import Journal
from training.simulator.storefront import Storefront
from training.simulator.truth import Truth
from training.simulator.visits import APP, EMAIL, PHONE, STORE, begin

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

    from training.simulator.world import Codes, Ints, Longs, World

BUSY_HOURS: Final = np.array(
    [1, 0.6, 0.4, 0.3, 0.4, 0.8, 1.6, 2.6, 3.6, 4.4, 4.8, 5, 5.2, 5, 4.8, 4.8, 5, 5.4, 6, 6.6, 6.4, 5.2, 3.4, 2]
)
"""How many visits begin in each hour of the day, UTC, up to scale."""


def live(
    world: World, rng: Generator, first: int, n: int, progress: Callable[[float], None] | None = None
) -> life.Crowd:
    """The simulated days of ``n`` people, numbered from ``first``."""
    people = make_people(world, rng, first, n, days=world.n_days)
    crowd = life.Crowd(Truth(world, people, new_state(world, people, rng)), life.Agenda(), Journal())
    life.plan_needs(world, people, crowd.agenda, rng, 0, world.n_days)
    life.stock_up(crowd.truth, crowd.agenda, rng)
    for day in range(world.n_days):
        live_a_day(crowd, rng, day)
        if progress is not None:
            progress((day + 1) / world.n_days)
    return crowd


def live_a_day(crowd: life.Crowd, rng: Generator, day: int) -> None:
    """What happens to everyone on a sim-day, in the shop and outside."""
    truth, journal = crowd.truth, crowd.journal
    life.pass_a_day(truth)
    life.happen(truth, crowd.agenda.due(day))
    clicks = mail.send(truth, journal, rng, day)
    who, clock, channel = who_comes(truth, rng, day)
    walks_in = ~np.isin(who, clicks.who)
    who = np.concatenate([who[walks_in], clicks.who])
    clock = np.concatenate([clock[walks_in], clicks.at])
    channel = np.concatenate([channel[walks_in], np.full(len(clicks.who), EMAIL, np.int8)])
    visits = begin(truth, who, clock, channel, journal.number("session", len(who)), rng)
    Storefront(crowd, rng, day, truth.world.heat(day)).receive(visits)


def who_comes(truth: Truth, rng: Generator, day: int) -> tuple[Ints, Longs, Codes]:
    """Who visits on their own account on a sim-day, when (microseconds) and by which channel."""
    people = truth.people
    comes = rng.random(len(people)) < -np.expm1(-life.visits_a_day(truth, day))
    comes |= np.floor(people.arrival) == day
    who = np.flatnonzero(comes).astype(np.int32)
    return who, _times_of_day(rng, truth.world.start + day * DAY_US, len(who)), _channels(truth, who, rng)


def _times_of_day(rng: Generator, base: int, n: int) -> Longs:
    """Moments within 24 hours from ``base``, at the busy hours of the UTC day."""
    hour = rng.choice(24, n, p=BUSY_HOURS / BUSY_HOURS.sum())
    of_day = ((hour + rng.random(n)) * mail.HOUR_US).astype(np.int64)
    return np.asarray(base + (of_day - base) % DAY_US)


def _channels(truth: Truth, who: Ints, rng: Generator) -> Codes:
    """The usual channel; now and then the app, and the store or the phone for those who know the shop."""
    usual, spot = truth.people.channel[who], rng.random(len(who))
    channel = np.where(spot < 0.08, APP, usual)
    at_desk = truth.state.is_registered[who] & (truth.state.n_orders[who] > 0) & (spot > 0.965)
    return np.where(at_desk, np.where(spot > 0.975, STORE, PHONE), channel).astype(np.int8)
