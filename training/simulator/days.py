"""Day after day: who comes, what happens to them, and what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.events import DAY_US
from training.simulator import life, mail
from training.simulator.customer import make_people, new_state
from training.simulator.journal import Journal
from training.simulator.orders import Orders
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
SECOND_VISIT: Final = 0.06
"""Share of visits that take place on the app or elsewhere instead of the usual channel."""


class Crowd(NamedTuple):
    """A group of people after the simulated days, and what is told of them."""

    truth: Truth
    journal: Journal


def live(world: World, rng: Generator, first: int, n: int, progress: Callable[[float], None] | None = None) -> Crowd:
    """The simulated days of ``n`` people, numbered from ``first``."""
    days = round((world.end - world.start) / DAY_US)
    people = make_people(world, rng, first, n, days=days)
    truth = Truth(world, people, new_state(world, people, rng))
    journal, agenda = Journal(), life.Agenda()
    life.plan_needs(world, people, agenda, rng, days)
    life.stock_up(truth, agenda, rng)
    front = Storefront(truth, journal, agenda, Orders(truth, journal, agenda, rng), rng)
    n_visits = 0
    for day in range(days):
        life.pass_a_day(truth)
        life.happen(truth, agenda.due(day))
        n_visits += _open_doors(front, day, n_visits)
        if progress is not None:
            progress((day + 1) / days)
    return Crowd(truth, journal)


def _open_doors(front: Storefront, day: int, n_visits: int) -> int:
    """One sim-day; returns the number of visits."""
    truth, rng = front.truth, front.rng
    base = truth.world.start + day * DAY_US
    front.open(day)
    clicks = mail.send(truth, front.journal, rng, base, day)
    by_mail = np.isin(np.arange(len(truth.people)), clicks.who)
    comes = (rng.random(len(truth.people)) < -np.expm1(-life.visits_a_day(truth, day))) & ~by_mail
    comes |= np.floor(truth.people.arrival) == day
    walk_in = np.flatnonzero(comes & ~by_mail).astype(np.int32)
    who = np.concatenate([walk_in, clicks.who])
    clock = np.concatenate([_times_of_day(rng, base, len(walk_in)), clicks.at])
    channel = np.concatenate([_channels(truth, walk_in, rng), np.full(len(clicks.who), EMAIL, np.int8)])
    front.receive(begin(truth, who, clock, channel, n_visits + np.arange(len(who)), rng))
    return len(who)


def _times_of_day(rng: Generator, base: int, n: int) -> Longs:
    """Moments within 24 hours from ``base``, at the busy hours of the UTC day."""
    hour = rng.choice(24, n, p=BUSY_HOURS / BUSY_HOURS.sum())
    of_day = ((hour + rng.random(n)) * mail.HOUR_US).astype(np.int64)
    return base + (of_day - base) % DAY_US


def _channels(truth: Truth, who: Ints, rng: Generator) -> Codes:
    """The usual channel; now and then another, and the store or the phone for those who know the shop."""
    usual, spot = truth.people.channel[who], rng.random(len(who))
    channel = np.where(spot < 0.08, APP, usual)
    at_desk = truth.state.is_registered[who] & (truth.state.n_orders[who] > 0) & (spot > 0.965)
    return np.where(at_desk, np.where(spot > 0.975, STORE, PHONE), channel).astype(np.int8)
