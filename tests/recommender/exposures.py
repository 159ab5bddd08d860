"""Slates and memories for the tests of exposure."""

from __future__ import annotations

from hypothesis import strategies as st

from recommender.exposure import CHANNELS, NOTHING_SHOWN, Exposure, Sign
from recommender.items import KINDS
from tests.recommender.small import NOW

NOW_MS = NOW // 1_000
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def slate_id(at_ms: int, number: int = 0) -> str:
    return f"{at_ms:012x}{number:020x}"


def shown(
    *slates: tuple[int, tuple[int, ...]], channel: str = "web", ttl_s: int = 1_800, seen: bool = True
) -> Exposure:
    """A memory of slates given as milliseconds and item keys."""
    memory = NOTHING_SHOWN
    for number, (at, keys) in enumerate(slates):
        memory = memory.with_slate(slate_id(at, number), [(key, "product") for key in keys], ttl_s, channel)
        if seen:
            memory = memory.with_sign(Sign(slate_id(at, number), None, at, 0, channel))
    return memory


@st.composite
def memories(draw) -> Exposure:
    """Memories of a few slates, which may share slates with each other, with signs of all sorts."""
    memory = NOTHING_SHOWN
    for number in draw(st.lists(st.integers(0, 5), max_size=4)):
        keys = [number * 10 + n for n in range(3)]
        slate = slate_id(NOW_MS - number * HOUR, number)
        kind, channel = KINDS[number % 3], CHANNELS[number % 4]
        memory = memory.with_slate(slate, [(key, kind) for key in keys], 600 * (number + 1), channel)
        if draw(st.booleans()):
            item = draw(st.sampled_from([None, *keys]))
            at = NOW_MS - draw(st.integers(0, 5)) * HOUR
            memory = memory.with_sign(Sign(slate, item, at, draw(st.integers(0, 2)), channel))
    if draw(st.booleans()):
        return Exposure(memory.shows, draw(folds()))
    return memory


@st.composite
def folds(draw):
    many = shown(*((NOW_MS - DAY + n * MINUTE, tuple(range(8))) for n in range(draw(st.integers(40, 60)))))
    return many.pruned(NOW_MS, draw(st.integers(0, 3))).folded
