"""Letters to subscribers: some are opened, some clicked, and too many cost trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from features.events import DAY_US, Consent, EventType, canonical
from training.simulator.journal import KNOWN
from training.simulator.truth import sigmoid
from training.simulator.visits import EMAIL

if TYPE_CHECKING:
    from numpy.random import Generator

    from training.simulator.journal import Journal
    from training.simulator.truth import Truth
    from training.simulator.world import Ints, Longs

LETTERS_A_DAY: Final = 1 / 14
SEND_HOUR: Final = 7
HOUR_US: Final = 3_600_000_000


class Clicks(NamedTuple):
    """Who came through a letter, and when (microseconds)."""

    who: Ints
    at: Longs


def send(truth: Truth, journal: Journal, rng: Generator, day: int) -> Clicks:
    """The letters of a sim-day; returns the clicks that lead to the shop."""
    state = truth.state
    who = np.flatnonzero(state.is_subscribed & (rng.random(len(state)) < LETTERS_A_DAY)).astype(np.int32)
    base = truth.world.start + day * DAY_US
    at = base + (SEND_HOUR * HOUR_US - base) % DAY_US + rng.integers(0, HOUR_US, len(who))
    bounces = rng.random(len(who)) < 0.004
    text = canonical({"campaign": f"letter-{day:03d}"})
    _tell(truth, journal, EventType.MESSAGE_BOUNCE, who[bounces], at[bounces], text)
    who, at = who[~bounces], at[~bounces]
    _tell(truth, journal, EventType.MESSAGE_DELIVERED, who, at, text)
    state.fatigue[who] += 1
    state.trust[who] *= 1 - 0.004 * state.fatigue[who]
    return _open(truth, journal, rng, Clicks(who, at), text)


def _open(truth: Truth, journal: Journal, rng: Generator, letters: Clicks, text: str) -> Clicks:
    state, who = truth.state, letters.who
    opened = rng.random(len(who)) < sigmoid(-1.6 + 2.5 * state.trust[who] - 0.5 * (state.fatigue[who] - 1))
    leaves = rng.random(len(who)) < 0.003 * state.fatigue[who]
    who, at, leaves = who[opened], letters.at[opened] + _hours(rng, int(opened.sum())), leaves[opened]
    _tell(truth, journal, EventType.MESSAGE_OPEN, who, at, text)
    state.awareness[who] = np.maximum(state.awareness[who], 0.7)
    _unsubscribe(truth, journal, who[leaves], at[leaves] + 5_000_000, text)
    clicked = ~leaves & (rng.random(len(who)) < sigmoid(-1.8 + 0.9 * state.urge[who]))
    who, at = who[clicked], at[clicked] + 15_000_000
    _tell(truth, journal, EventType.MESSAGE_CLICK, who, at, text)
    return Clicks(who, at + 2_000_000)


def _unsubscribe(truth: Truth, journal: Journal, who: Ints, at: Longs, text: str) -> None:
    _tell(truth, journal, EventType.MESSAGE_UNSUBSCRIBE, who, at, text)
    truth.state.is_subscribed[who] = False
    truth.state.consent[who] &= ~int(Consent.EMAIL)


def _tell(truth: Truth, journal: Journal, kind: EventType, who: Ints, at: Any, text: str) -> None:
    columns = {"who": who, "at": at, "alias": KNOWN, "channel": EMAIL, "consent": truth.state.consent[who]}
    journal.tell(kind, len(who), texts=text, **columns)


def _hours(rng: Generator, n: int) -> Longs:
    # Opened on the sim-day or a little later, so that what is offered then is still what a click finds.
    return np.asarray(np.minimum(rng.exponential(1.5, n), 4) * HOUR_US, np.int64)
