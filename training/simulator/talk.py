"""What is said about items on social media by people whom the shop cannot name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features.events import DAY_US, EventType
from training.simulator.journal import NOBODY
from training.simulator.visits import SOCIAL
from training.simulator.world import ACTION

if TYPE_CHECKING:
    from numpy.random import Generator

    from training.simulator.journal import Journal
    from training.simulator.world import World

KINDS: Final = ((EventType.LIKE, 0.6), (EventType.COMMENT, 0.25), (EventType.SHARE, 0.15))
LOUDER: Final = 1.5
"""How much more than views talk follows what is hot."""


def talk(world: World, rng: Generator, journal: Journal, n: int) -> None:
    """Tell ``n`` events without a customer, spread over the simulated days."""
    of_day = rng.multinomial(n, np.full(world.n_days, 1 / world.n_days))
    for day in np.flatnonzero(of_day).tolist():
        weight = np.exp(np.where(world.kind == ACTION, -np.inf, LOUDER * world.renown(world.heat(day))))
        item = rng.choice(world.n_items, of_day[day], p=weight / weight.sum())
        kind = rng.choice(len(KINDS), of_day[day], p=[share for _, share in KINDS])
        at = world.start + day * DAY_US + rng.integers(0, DAY_US, of_day[day])
        for code, (name, _) in enumerate(KINDS):
            told = kind == code
            columns = {"who": NOBODY, "item": item[told], "at": at[told], "channel": SOCIAL}
            journal.tell(name, int(told.sum()), **columns)
