"""Who comes to the shop: what never changes about a person, and what their life and the shop change.

Everything here is latent: a policy sees events only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import numpy as np

from features.events import Consent
from training.simulator.world import N_INTEREST, N_STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.simulator.world import Codes, Flags, Floats, Ints, Longs, World

SEGMENTS: Final = ("budget", "regular", "premium")
LOCALE_SHARE: Final = (0.46, 0.32, 0.22)
HABITS: Final = ("passer-by", "occasional", "regular")
HABIT_SHARE: Final = (0.64, 0.24, 0.12)
ACTIVITY: Final = (0.02, 0.14, 0.42)
"""Median visits a day of someone with a fresh memory of the shop and a need."""
NEEDS_A_DAY: Final = (0.006, 0.014, 0.03)
EXISTING_SHARE: Final = (0.0, 0.25, 0.5)
"""Share of each habit that knows the shop before the simulated time begins."""
NEED_HALF_LIFE_DAYS: Final = 6.0
N_REMEMBERED: Final = 8
NOWHERE: Final = -1
LONG_AGO: Final = np.float32(-1e6)
FAR_OFF: Final = np.float32(1e6)

Columns = TypeVar("Columns", bound="_Columns")


@dataclass
class _Columns:
    """Arrays with a row a person."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def take(self, rows: NDArray[Any]) -> Self:
        """The same columns of some rows, as copies."""
        return type(self)(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass
class People(_Columns):
    """What does not change about each person.

    Attributes
    ----------
    number : int64, shape (n,)
        Unique over the whole log; their ids are made of it.
    habit, locale, segment, channel : int8, shape (n,)
        Rows of ``HABITS``, ``LOCALES``, ``SEGMENTS`` and ``features.state.CHANNELS`` (the usual one).
    taste : float32, shape (n, N_STYLE)
    liking : float32, shape (n, n_leaves)
        Log-affinity to each category.
    thrift : float32, shape (n,)
        Loss of utility a unit of dearness.
    activity : float32, shape (n,)
        Visits a day at full awareness, trust and need.
    reading, curiosity, voice : float32, shape (n,)
        In [0, 1]: share of reading, length of visits, readiness to speak up.
    arrival : float32, shape (n,)
        Sim-day of the first visit; negative for those who know the shop already.
    """

    number: Longs
    habit: Codes
    locale: Codes
    segment: Codes
    channel: Codes
    taste: Floats
    liking: Floats
    thrift: Floats
    activity: Floats
    reading: Floats
    curiosity: Floats
    voice: Floats
    arrival: Floats


@dataclass
class State(_Columns):
    """What changes about each person.

    Attributes
    ----------
    trust, awareness, urge, fatigue : float32, shape (n,)
        Trust and memory of the shop in [0, 1]; pull of open needs; messages of late, decayed.
    need, need_at, knowledge : float32, shape (n, n_leaves)
        Level of a need and the sim-day it arose; what was learned, in [0, 1].
    home, home_at, runs_out : int32, float32, float32, shape (n, n_leaves)
        Item last bought in each category, the sim-day, and the sim-day it is used up.
    has_read : int32, shape (n, N_REMEMBERED)
        Content read last.
    parked : int32, shape (n,)
        Item left in the cart.
    n_orders : int32, shape (n,)
    delivered_at : float32, shape (n,)
        Sim-day of the last delivery that nobody has reviewed.
    is_met, is_in_trouble, is_registered, is_subscribed, has_profile, is_linked : bool, shape (n,)
        ``is_met`` says that they were here before, ``is_linked`` that the second device is known as theirs.
    consent : int8, shape (n,)
        Bits of :class:`features.events.Consent`.
    """

    trust: Floats
    awareness: Floats
    urge: Floats
    fatigue: Floats
    need: Floats
    need_at: Floats
    knowledge: Floats
    home: Ints
    home_at: Floats
    runs_out: Floats
    has_read: Ints
    parked: Ints
    n_orders: Ints
    delivered_at: Floats
    is_met: Flags
    is_in_trouble: Flags
    is_registered: Flags
    is_subscribed: Flags
    has_profile: Flags
    is_linked: Flags
    consent: Codes


def joined(parts: Sequence[Columns]) -> Columns:
    """Columns of several groups of people, one after the other."""
    first = parts[0]
    return type(first)(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(first)})


def make_people(world: World, rng: Generator, first: int, n: int, *, days: float) -> People:
    """``n`` people numbered from ``first`` who arrive within ``days``."""
    habit = rng.choice(len(HABITS), n, p=HABIT_SHARE)
    segment = rng.choice(len(SEGMENTS), n, p=(0.35, 0.45, 0.2))
    interest = rng.normal(size=(n, N_INTEREST)).astype(np.float32)
    return People(
        number=np.arange(first, first + n, dtype=np.int64),
        habit=habit.astype(np.int8),
        locale=rng.choice(len(LOCALE_SHARE), n, p=LOCALE_SHARE).astype(np.int8),
        segment=segment.astype(np.int8),
        channel=rng.choice(4, n, p=(0.62, 0.26, 0.02, 0.10)).astype(np.int8),
        taste=rng.normal(size=(n, N_STYLE)).astype(np.float32),
        liking=interest @ world.topic + np.log(world.leaf_weight),
        thrift=_float(np.array([1.2, 0.65, 0.2])[segment] * rng.lognormal(0, 0.25, n)),
        activity=_float(np.array(ACTIVITY)[habit] * rng.lognormal(0, 0.4, n)),
        reading=_float(rng.beta(1.2, 4.5, n)),
        curiosity=_float(rng.beta(2, 2, n) * np.array([0.6, 0.85, 1.0])[habit]),
        voice=_float(rng.beta(1.2, 4, n)),
        arrival=_float(np.where(rng.random(n) < np.array(EXISTING_SHARE)[habit], -1.0, rng.uniform(0, days, n))),
    )


def new_state(world: World, people: People, rng: Generator) -> State:
    """Where everyone stands before the first visit; those who know the shop have bought there before."""
    n, shape = len(people), (len(people), world.n_leaves)
    is_old = people.arrival < 0
    return State(
        trust=_float(np.where(is_old, rng.uniform(0.45, 0.85, n), rng.uniform(0.2, 0.55, n))),
        awareness=_float(np.where(is_old, rng.uniform(0.3, 1.0, n), 0.0)),
        urge=np.zeros(n, np.float32),
        fatigue=np.zeros(n, np.float32),
        need=np.zeros(shape, np.float32),
        need_at=np.full(shape, LONG_AGO),
        knowledge=_float(rng.uniform(0, 0.3, shape)),
        home=np.full(shape, NOWHERE, np.int32),
        home_at=np.full(shape, LONG_AGO),
        runs_out=np.full(shape, FAR_OFF),
        has_read=np.full((n, N_REMEMBERED), NOWHERE, np.int32),
        parked=np.full(n, NOWHERE, np.int32),
        n_orders=is_old.astype(np.int32),
        delivered_at=np.full(n, LONG_AGO),
        is_met=np.zeros(n, np.bool_),
        is_in_trouble=np.zeros(n, np.bool_),
        is_registered=is_old | (rng.random(n) < 0.05),
        is_subscribed=is_old & (rng.random(n) < 0.7),
        has_profile=is_old & (rng.random(n) < 0.4),
        is_linked=np.zeros(n, np.bool_),
        consent=_first_consent(rng, n, is_old),
    )


def _first_consent(rng: Generator, n: int, is_old: Flags) -> Codes:
    """Most accept the banner, some refuse, some never answer."""
    answer = rng.choice([int(Consent.KNOWN | Consent.PERSONALISATION), int(Consent.KNOWN), 0], n, p=(0.86, 0.06, 0.08))
    mail = np.where(is_old & (answer > Consent.KNOWN), Consent.EMAIL, 0)
    return (answer | mail).astype(np.int8)


def _float(values: NDArray[Any]) -> Floats:
    return np.asarray(values, np.float32)
