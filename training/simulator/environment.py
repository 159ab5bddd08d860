"""The shop as an environment: visitors come, a policy shows each a slate, and the latent truth answers.

The value of a slate is known exactly, so policies are compared without the noise of clicks.
"""

from __future__ import annotations

import copy
import dataclasses
import heapq
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.errors import InputError
from features.events import DAY_US, EventType
from features.state import CHANNELS
from training.simulator import life, value
from training.simulator.crowds import crowds
from training.simulator.customer import joined, make_people, new_state
from training.simulator.days import who_comes
from training.simulator.journal import KNOWN, VISITOR, Journal
from training.simulator.stocking import make_world
from training.simulator.storefront import Storefront
from training.simulator.table import Names, customer_ids, to_lines
from training.simulator.truth import Truth
from training.simulator.visits import EMAIL, PHONE, begin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

    from features.events import Line
    from training.simulator.life import Crowd
    from training.simulator.visits import Visits
    from training.simulator.world import Ints

HORIZON_DAYS: Final = 60
NEWCOMERS_FROM: Final = 5_000_000
"""Numbers of the people whom the log has never seen."""
ACCOUNT_SHARE: Final = 0.2
_VISITORS, _NEWCOMERS, _ARRIVES, _RESPONDS = range(4)
"""What a stream of random numbers is for."""


class Visit(NamedTuple):
    """Someone comes: who, when (microseconds), by which way, and where a slate will be shown."""

    customer_id: str
    now: int
    channel: str
    placement: str


class Environment:
    """People at the end of a log, who go on living and answer slates.

    Parameters
    ----------
    crowd : Crowd
        As :func:`training.simulator.days.live` leaves it; it is not changed.
    seed : int
        Who comes, and every answer, depend on this, the customer and the moment alone: two policies meet
        the same visitors with the same luck.

    Attributes
    ----------
    world : World
    customer_ids : tuple of str
        The id under which each person acts at first, row by row.
    """

    def __init__(self, crowd: Crowd, seed: int = 0) -> None:
        self.world, self.seed = crowd.truth.world, seed
        truth = _with_newcomers(crowd.truth, np.random.default_rng([seed, _NEWCOMERS]))
        rng, end = np.random.default_rng([seed, _NEWCOMERS, 1]), self.world.n_days
        self._crowd = life.Crowd(truth, crowd.agenda.copy(), Journal())
        life.plan_needs(self.world, truth.people, self._crowd.agenda, rng, end, end + HORIZON_DAYS)
        ids = customer_ids(truth.people)
        self._who = {name: (row, alias) for alias, names in enumerate(ids) for row, name in enumerate(names)}
        first = np.where(truth.state.is_registered, KNOWN, VISITOR)
        self.customer_ids = tuple(ids[alias][row] for row, alias in enumerate(first))
        self._names = Names(self.world, truth.people, f"{self.world.seed}-env{seed}")
        self._later: list[tuple[int, str, int, Line]] = []
        self._inside: dict[int, Visits] = {}
        self._day = end - 1
        self.advance(self.world.end)

    @classmethod
    def after(cls, *, events: int, seed: int = 0, days: int = 180, end: int) -> Environment:
        """The environment that goes on where :func:`simulate` with the same arguments ends.

        Of a log of more than about 1.5 million events only the first group of people goes on.

        Raises
        ------
        InputError
            No events, so nobody is there.
        """
        world = make_world(n_events=events, seed=seed, days=days, end=end)
        part = next(crowds(world, events), None)
        if part is None:
            raise InputError("expected a log of at least one event")
        return cls(part.crowd, seed)

    @property
    def truth(self) -> Truth:
        """The people and what is true of them now."""
        return self._crowd.truth

    def fresh(self) -> Environment:
        """The same environment as it stands now, to be changed on its own."""
        truth, agenda, journal = self._crowd
        state = dataclasses.replace(truth.state, **{name: column.copy() for name, column in vars(truth.state).items()})
        own = Truth(self.world, truth.people, state)
        twin = copy.copy(self)
        vars(twin).update(
            _crowd=life.Crowd(own, agenda.copy(), Journal(journal.counters.copy())),
            _later=self._later.copy(),
            _inside=copy.deepcopy(self._inside),
        )
        return twin

    def advance(self, now: int) -> None:
        """Let the days up to ``now`` pass: needs arise, parcels come, memory fades."""
        for day in range(self._day + 1, int(self.world.day_of(now)) + 1):
            life.pass_a_day(self._crowd.truth)
            life.happen(self._crowd.truth, self._crowd.agenda.due(day))
            self._day, self._heat = day, self.world.heat(day)

    def visitors(self, n: int) -> list[Visit]:
        """The next ``n`` visits in order of time, as they would be if nobody showed anything.

        Fewer where ``HORIZON_DAYS`` have no more.
        """
        shadow, rng = self.fresh(), np.random.default_rng([self.seed, _VISITORS])
        visits: list[Visit] = []
        for day in range(self._day, self.world.n_days + HORIZON_DAYS):
            if len(visits) >= n:
                break
            shadow.advance(self.world.start + day * DAY_US)
            visits.extend(shadow.visits_of_day(day, rng))
        return visits[:n]

    def arrive(self, visit: Visit) -> list[Line]:
        """What a visitor does before the slate is shown; the visit goes on with :meth:`respond`."""
        front, visits = self._enter(visit.customer_id, visit.now, visit.channel, _ARRIVES)
        online = np.zeros(1, np.int32)
        front.land(visits, online)
        front.browse(visits, online)
        self._inside[int(visits.who[0])] = visits
        return self._told(front.journal)

    def respond(self, customer_id: str, slate: Sequence[str], now: int, channel: str = "web") -> list[Line]:
        """What a customer does with a slate: impressions, and silence or a click and all that follows from it.

        Advances the latent state. What happens days later is told by :meth:`due`.

        Raises
        ------
        InputError
            An item or a customer that is not of this shop.
        """
        items = self._rows(slate)
        front, visits = self._enter(customer_id, now, channel, _RESPONDS)
        at, number = np.zeros(1, np.int32), front.journal.number("slate", 1)
        for slot, item in enumerate(items):
            columns = {"item": item, "slate": number, "rank": slot + 1}
            front.teller.tell(EventType.IMPRESSION, visits, at, seconds=0.1, **columns)
        if len(items):
            front.answer(visits, at, items[None], number)
        front.check_out(visits, at)
        self._inside.pop(int(visits.who[0]), None)
        return self._told(front.journal)

    def due(self, now: int) -> list[Line]:
        """What happened up to ``now`` after earlier visits: parcels, returns, reviews, support."""
        lines = []
        while self._later and self._later[0][0] <= now:
            lines.append(heapq.heappop(self._later)[-1])
        return lines

    def true_value(self, customer_id: str, slate: Sequence[str], now: int | None = None) -> float:
        """Expected worth of a slate to the shop in minor units, without sampling noise; see ``value.py``.

        Raises
        ------
        InputError
            An item or a customer that is not of this shop.
        """
        if not slate:
            return 0.0
        who, day = np.array([self._person(customer_id)[0]], np.int32), self._day_of(now)
        return float(value.slate_value(self._crowd.truth, who, self._rows(slate)[None], self._heat, day)[0])

    def oracle_slate(self, customer_id: str, n: int, now: int | None = None) -> list[str]:
        """The slate of greatest true value, as far as greedy search and exchange find it."""
        rows = value.best_slate(self._crowd.truth, self._person(customer_id)[0], n, self._heat, self._day_of(now))
        return [self.world.items[row].item_id for row in rows]

    def popular(self, n: int) -> list[str]:
        """What is chosen most at the moment, the same for everyone."""
        return [self.world.items[row].item_id for row in np.argsort(-self.world.renown(self._heat), kind="stable")[:n]]

    def offered(self) -> list[str]:
        """Items that are published and not retired at the moment."""
        return [self.world.items[row].item_id for row in np.flatnonzero(np.isfinite(self._heat))]

    def visits_of_day(self, day: int, rng: Generator) -> list[Visit]:
        """Visits of a sim-day that has begun; those at a desk see no slate."""
        truth = self._crowd.truth
        who, clock, channel = who_comes(truth, rng, day)
        truth.state.awareness[who] = 1.0
        is_account = rng.random(len(who)) < ACCOUNT_SHARE
        place = np.where(channel == EMAIL, "email", np.where(is_account, "account", "home"))
        order = [row for row in np.argsort(clock, kind="stable") if channel[row] < PHONE]
        return [Visit(self.customer_ids[who[r]], int(clock[r]), CHANNELS[channel[r]], str(place[r])) for r in order]

    def _enter(self, customer_id: str, now: int, channel: str, what: int) -> tuple[Storefront, Visits]:
        """The shop at that moment, and the visit that is going on or begins."""
        self.advance(now)
        row, alias = self._person(customer_id)
        rng = np.random.default_rng([self.seed, what, row, now])
        crowd = self._crowd._replace(journal=Journal(self._crowd.journal.counters))
        front = Storefront(crowd, rng, self._day_of(now), self._heat)
        if row in self._inside:
            visits = self._inside[row]
            visits.clock = np.maximum(visits.clock, now)
            return front, visits
        who, clock = np.array([row], np.int32), np.array([now], np.int64)
        code, session = np.array([CHANNELS.index(channel)], np.int8), front.journal.number("session", 1)
        visits = begin(crowd.truth, who, clock, code, session, rng)
        visits.alias[:] = alias
        front.enter(visits)
        return front, visits

    def _told(self, journal: Journal) -> list[Line]:
        """Lines of the visit; what comes later waits for :meth:`due`."""
        records = journal.lines()
        is_now = records["session"] >= 0
        for place, line in enumerate(to_lines(records[~is_now], journal.texts, self._names)):
            heapq.heappush(self._later, (line.occurred_at, line.event_id, place, line))
        return to_lines(np.sort(records[is_now], order=["at", "event", "line_no"]), journal.texts, self._names)

    def _person(self, customer_id: str) -> tuple[int, int]:
        if customer_id not in self._who:
            raise InputError("expected a customer of the simulated shop")
        return self._who[customer_id]

    def _rows(self, slate: Sequence[str]) -> Ints:
        unknown = [item_id for item_id in slate if item_id not in self.world.row_of]
        if unknown:
            raise InputError(f"expected items of the simulated shop, got {unknown[0]!r}")
        return np.array([self.world.row_of[item_id] for item_id in slate], np.int32)

    def _day_of(self, now: int | None) -> float:
        return self.world.day_of(self.world.end if now is None else now)


def _with_newcomers(truth: Truth, rng: Generator) -> Truth:
    """A copy of the truth with the people who will hear of the shop after the log ends."""
    world, people = truth.world, truth.people
    n = max(1, round((people.arrival >= 0).mean() * len(people) * HORIZON_DAYS / world.n_days))
    newcomers = make_people(world, rng, NEWCOMERS_FROM, n, days=HORIZON_DAYS)
    arrival = world.n_days + rng.uniform(0, HORIZON_DAYS, n).astype(np.float32)
    newcomers = dataclasses.replace(newcomers, arrival=arrival)
    state = joined([truth.state, new_state(world, newcomers, rng)])
    return Truth(world, joined([people, newcomers]), state)
