"""What happens to people outside the shop: needs arise, stock is used up, parcels come, memory fades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from training.simulator.customer import FAR_OFF, NEEDS_A_DAY, NOWHERE

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.simulator.customer import People
    from training.simulator.journal import Journal
    from training.simulator.truth import Truth
    from training.simulator.world import Floats, Ints, World

NEED, GOOD_DELIVERY, BAD_DELIVERY, HELP = range(4)
NEWS: Final = np.dtype([("day", "f4"), ("kind", "i1"), ("who", "i4"), ("leaf", "i4"), ("level", "f4")])
"""Something that will happen to a person on a sim-day; ``leaf`` and ``level`` belong to needs."""

PLEASED: Final = 0.12
LET_DOWN: Final = 0.3
HELPED: Final = 0.1
"""What a good delivery, a bad one and help do to trust, as a share of what there is to gain or lose."""
REPLENISH_LEVEL: Final = 1.5
COMPLEMENT_LEVEL: Final = 2.6
LEAD_DAYS: Final = 2.5
AWARENESS_HALF_LIFE_DAYS: Final = 22.0
N_STAPLES: Final = 2
LASTING_DAYS: Final = 90.0
"""So long a lasting thing keeps its owner from needing another of its category."""


class Crowd(NamedTuple):
    """A group of people at a moment, what will happen to them, and what is told of them so far."""

    truth: Truth
    agenda: Agenda
    journal: Journal


class Agenda:
    """What is going to happen, by sim-day."""

    def __init__(self) -> None:
        self._days: dict[int, list[NDArray[Any]]] = {}

    def plan(self, kind: int, day: NDArray[Any], who: Ints, leaf: Ints | int = 0, level: Floats | float = 0.0) -> None:
        """Something of one kind for each of ``who``, on the sim-days ``day``."""
        news = np.empty(len(who), NEWS)
        news["day"], news["kind"], news["who"], news["leaf"], news["level"] = day, kind, who, leaf, level
        news = news[np.argsort(news["day"], kind="stable")]
        days = np.floor(news["day"]).astype(np.int64)
        for first, last in _runs(days):
            self._days.setdefault(int(days[first]), []).append(news[first:last])

    def copy(self) -> Agenda:
        """The same agenda, to be worked off on its own."""
        twin = Agenda()
        twin._days = {day: parts.copy() for day, parts in self._days.items()}
        return twin

    def due(self, day: int) -> NDArray[Any]:
        """What happens on a sim-day or was left from an earlier one; it is taken off the agenda."""
        parts = [part for key in sorted(k for k in self._days if k <= day) for part in self._days.pop(key)]
        return np.concatenate(parts) if parts else np.empty(0, NEWS)


def _runs(sorted_values: NDArray[np.int64]) -> list[tuple[int, int]]:
    if not len(sorted_values):
        return []
    cuts = np.flatnonzero(np.diff(sorted_values)) + 1
    return list(zip([0, *cuts], [*cuts, len(sorted_values)], strict=True))


def happen(truth: Truth, news: NDArray[Any]) -> None:
    """Let what is due change the people it happens to."""
    state = truth.state
    kind, who = news["kind"], news["who"]
    wake(truth, news[kind == NEED])
    good, bad, helped = (who[kind == k] for k in (GOOD_DELIVERY, BAD_DELIVERY, HELP))
    state.trust[good] += PLEASED * (1 - state.trust[good])
    state.trust[bad] *= 1 - LET_DOWN
    state.trust[helped] += HELPED * (1 - state.trust[helped])
    state.is_in_trouble[bad] = True
    state.is_in_trouble[helped] = False
    came = np.concatenate([good, bad])
    state.delivered_at[came] = np.concatenate([news["day"][kind == GOOD_DELIVERY], news["day"][kind == BAD_DELIVERY]])
    state.urge[came] = np.maximum(state.urge[came], 0.4)


def wake(truth: Truth, needs: NDArray[Any]) -> None:
    """Needs arise, or grow where they are there already."""
    if not len(needs):
        return
    state, who, leaf = truth.state, needs["who"], needs["leaf"]
    day = float(needs["day"].max())
    level = needs["level"] * _used(truth, who, leaf, day)
    state.need[who, leaf] = np.maximum(truth.need(who, leaf, day), level)
    state.need_at[who, leaf] = day
    np.maximum.at(state.urge, who, level)


def wake_now(truth: Truth, who: Ints, leaf: Ints, day: float) -> None:
    """What goes with something in the cart is wanted at once."""
    needs = np.zeros(len(who), NEWS)
    needs["day"], needs["who"], needs["leaf"], needs["level"] = day, who, leaf, COMPLEMENT_LEVEL
    wake(truth, needs)


def _used(truth: Truth, who: Ints, leaf: Ints, day: float) -> Floats:
    """In [0, 1]: how little of what is at home is left to keep a need in a category from arising."""
    home_at, runs_out = truth.state.home_at[who, leaf], truth.state.runs_out[who, leaf]
    ends = np.where(runs_out < FAR_OFF, runs_out - LEAD_DAYS, home_at + LASTING_DAYS)
    left = np.clip((ends - day) / np.maximum(ends - home_at, 1), 0, 1)
    return np.asarray((1 - left) ** 2, np.float32)


def pass_a_day(truth: Truth) -> None:
    """Memory of the shop, the pull of needs and the annoyance of messages fade."""
    state = truth.state
    state.awareness *= np.float32(0.5 ** (1 / AWARENESS_HALF_LIFE_DAYS))
    state.urge *= np.float32(0.87)
    state.fatigue *= np.float32(0.9)


def visits_a_day(truth: Truth, day: float) -> Floats:
    """Expected visits of everyone who knows the shop; shape (n,)."""
    people, state = truth.people, truth.state
    season = 1 + 0.25 * (int(truth.world.start // 86_400_000_000 + day + 3) % 7 >= 5)
    pull = state.awareness * (0.4 + state.trust) * (0.3 + state.urge)
    return np.where(people.arrival < day, people.activity * pull * season, 0).astype(np.float32)


def plan_needs(world: World, people: People, agenda: Agenda, rng: Generator, first: float, last: float) -> None:
    """Needs arise by chance from one sim-day to another, more often in what people like and in its season.

    Most of those who come for the first time have one.
    """
    since = np.maximum(people.arrival, first)
    per_day = np.asarray(NEEDS_A_DAY)[people.habit]
    n = rng.poisson(per_day * np.maximum(last - since, 0))
    who = np.repeat(np.arange(len(people), dtype=np.int32), n)
    day = rng.uniform(since[who], last)
    newly = np.flatnonzero((people.arrival >= first) & (rng.random(len(people)) < 0.6)).astype(np.int32)
    who, day = np.concatenate([who, newly]), np.concatenate([day, since[newly]])
    leaf = liked_leaf(people, who, rng)
    out_of_season = rng.random(len(who)) > _season(world, leaf, day)
    leaf = np.where(out_of_season, liked_leaf(people, who, rng), leaf)
    agenda.plan(NEED, day, who, leaf, rng.uniform(0.3, 1.25, len(who)).astype(np.float32))


def stock_up(truth: Truth, agenda: Agenda, rng: Generator) -> None:
    """Those who know the shop have things at home that will be used up."""
    world, people, state = truth.world, truth.people, truth.state
    old = np.flatnonzero(people.arrival < 0).astype(np.int32)
    who = np.repeat(old, N_STAPLES)
    leaf = liked_leaf(people, who, rng)
    shelf = world.shelves[0][leaf]
    item = shelf[np.arange(len(who)), (rng.random(len(who)) * (shelf >= 0).sum(axis=1)).astype(np.int64)]
    lasts = world.cycle[item]
    keep = (lasts > 0) & (item != NOWHERE)
    who, leaf, item, lasts = who[keep], leaf[keep], item[keep], lasts[keep]
    state.home[who, leaf] = item
    use_up(truth, agenda, who, leaf, (lasts * rng.random(len(who))).astype(np.float32), rng)


def use_up(truth: Truth, agenda: Agenda, who: Ints, leaf: Ints, runs_out: Floats, rng: Generator) -> None:
    """Note the sim-day on which something at home is used up, and the need that comes a little before.

    Those who trust the shop little get the next one elsewhere.
    """
    truth.state.runs_out[who, leaf] = runs_out
    returns = rng.random(len(who)) < 0.15 + 0.8 * truth.state.trust[who]
    level = np.full(int(returns.sum()), REPLENISH_LEVEL, np.float32)
    agenda.plan(NEED, np.maximum(runs_out[returns] - LEAD_DAYS, 0), who[returns], leaf[returns], level)


def liked_leaf(people: People, who: Ints, rng: Generator) -> Ints:
    """A category for each, by how much they like it."""
    return draw(np.exp(people.liking[who]), rng)


def draw(weights: NDArray[Any], rng: Generator) -> Ints:
    """A column for each row, with chances in proportion to the weights; shape (n,). Weights may be 0, not all."""
    total = np.cumsum(weights, axis=1)
    spot = rng.random((len(weights), 1)) * total[:, -1:]
    return np.asarray(np.minimum((total <= spot).sum(axis=1), weights.shape[1] - 1), np.int32)


def _season(world: World, leaf: Ints, day: NDArray[Any]) -> NDArray[np.float64]:
    """Chance that a need for the category arises on that sim-day, over that at its height."""
    of_year = (world.start / 86_400_000_000 + day) % 365.25
    swing = 0.65 + 0.35 * np.cos(2 * np.pi * (of_year - world.season[leaf]) / 365.25)
    return np.where(np.isnan(swing), 0.75, swing)
