"""The policy that chose the slates of the log: a mixture of popular and random with known propensities.

Each slot is drawn without the earlier ones: with chance ``EXPLORED`` evenly, else by popularity, so
P(item | earlier slots) = e / |rest| + (1 - e) w_item / sum of w over the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.simulator.world import Floats, Ints

EXPLORED: Final = 0.4
NAME: Final = "popular-random"


class Slates(NamedTuple):
    """``items`` int32 and ``propensity`` float64, shape (n, n_slots)."""

    items: Ints
    propensity: NDArray[np.float64]


def choose(renown: Floats, n: int, n_slots: int, rng: Generator) -> Slates:
    """``n`` slates of distinct items; ``renown`` is log-popularity, -inf for what is not offered."""
    offered = np.flatnonzero(np.isfinite(renown)).astype(np.int32)
    n_slots = min(n_slots, len(offered))
    weight = np.exp(renown[offered].astype(np.float64))
    chosen = np.empty((n, n_slots), np.int64)
    propensity = np.empty((n, n_slots))
    for slot in range(n_slots):
        earlier = chosen[:, :slot]
        chosen[:, slot] = _draw(weight, earlier, rng)
        rest = weight.sum() - weight[earlier].sum(axis=1)
        even = EXPLORED / (len(offered) - slot)
        propensity[:, slot] = even + (1 - EXPLORED) * weight[chosen[:, slot]] / rest
    return Slates(offered[chosen], propensity)


def _draw(weight: NDArray[np.float64], earlier: NDArray[np.int64], rng: Generator) -> NDArray[np.int64]:
    """An item for each slate; one that is in it already is drawn again within its half of the mixture."""
    n, total = len(earlier), np.cumsum(weight)
    is_even = rng.random(n) < EXPLORED
    drawn, again = np.empty(n, np.int64), np.arange(n)
    while len(again):
        spot = rng.random(len(again))
        by_weight = np.minimum(np.searchsorted(total, spot * total[-1], side="right"), len(weight) - 1)
        drawn[again] = np.where(is_even[again], (spot * len(weight)).astype(np.int64), by_weight)
        again = again[(earlier[again] == drawn[again, None]).any(axis=1)]
    return drawn
