"""The people of a log of a given number of events, simulated in groups, and their part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from training.simulator.days import live
from training.simulator.journal import NOBODY
from training.simulator.talk import talk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from training.simulator.customer import People
    from training.simulator.life import Crowd
    from training.simulator.world import World

MAX_PEOPLE: Final = 60_000
"""Simulated at once; bounds memory."""
TALK_SHARE: Final = 0.012
MARGIN: Final = 1.03


@dataclass(frozen=True)
class Part:
    """Lines of one group of people, all up to the end of the simulated time; see :mod:`training.simulator.journal`."""

    crowd: Crowd
    lines: NDArray[Any]
    n_events: int

    @property
    def people(self) -> People:
        return self.crowd.truth.people

    @property
    def texts(self) -> list[str]:
        return self.crowd.journal.texts


def crowds(world: World, n_events: int, progress: Callable[[float], None] | None = None) -> Iterator[Part]:
    """Groups of people until their events are ``n_events``; those of the last are cut off where it is reached."""
    n_talk, n_people, rate = int(TALK_SHARE * n_events), 0, _events_a_person(world.n_days)
    missing, group = n_events - n_talk, 0
    while missing > 0:
        n = int(np.clip(np.ceil(MARGIN * missing / rate) + 2, 2, MAX_PEOPLE))
        rng = np.random.default_rng([world.seed, 1, group])
        crowd = live(world, rng, n_people, n, _scaled(progress, n_events, missing, n * rate))
        if group == 0:
            talk(world, rng, crowd.journal, n_talk)
        part = _cut(crowd, missing, max(5, n_events // 10))
        missing -= part.n_events
        n_people, group, rate = n_people + n, group + 1, max(part.n_events / n, 0.2)
        yield part


def _events_a_person(days: int) -> float:
    """A first guess, as measured; the next group knows better."""
    return 4.0 + 0.125 * days


def _scaled(
    progress: Callable[[float], None] | None, n_events: int, missing: int, expected: float
) -> Callable[[float], None] | None:
    if progress is None:
        return None
    done, share = 1 - missing / n_events, min(expected, missing) / n_events
    return lambda fraction: progress(done + share * fraction)


def _cut(crowd: Crowd, missing: int, most: int) -> Part:
    """The first people whose events are ``missing``, each with at most ``most`` events.

    In a small log one person could have all the events otherwise.
    """
    lines = crowd.journal.lines()
    lines = lines[lines["at"] <= crowd.truth.world.end]
    lines = lines[np.lexsort((lines["line_no"], lines["event"], lines["at"], lines["who"]))]
    nobody, lines = lines[lines["who"] == NOBODY], lines[lines["who"] != NOBODY]
    is_first = lines["line_no"] == 0
    n_of = np.minimum(np.bincount(lines["who"][is_first], minlength=len(crowd.truth.people)), most)
    quota = np.clip(missing - (np.cumsum(n_of) - n_of), 0, n_of)
    number = np.cumsum(is_first) - 1
    start = np.searchsorted(lines["who"], np.arange(len(n_of)))
    first = np.append(number, 0)[start]
    kept = number - first[lines["who"]] < quota[lines["who"]]
    return Part(crowd, np.concatenate([nobody, lines[kept]]), int(quota.sum()))
