"""The exposure memory: what one customer was shown, over all channels, and what came of it.

A value: a change makes a new one. Shows are the rows of one slate each; what does not fit any more is folded into
counts, which are never too low, so that a cap holds however much is shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.events import Channel
from recommender.items import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from recommender.contract import LongVector

    LongMatrix = NDArray[np.int64]

HI, LO, ITEM, TTL_S, CHANNEL, KIND, SEEN, REACTION = range(8)
"""Columns of :attr:`Exposure.shows`; the first three are a show's key, the others only ever grow."""
F_ITEM, F_HOUR, F_ORIGIN, F_PLACE, F_COUNT = range(5)
"""Columns of :attr:`Exposure.folded`; the last one only ever grows."""

CHANNELS: Final = tuple(channel.value for channel in Channel)
NO_REACTION, CLICKED, BOUGHT = range(3)
KEEP_MS: Final = 30 * 86_400_000
MAX_SHOWS: Final = 320
MAX_FOLDED: Final = 2_048
MAX_COUNT: Final = 255
HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
MAX_SEEN: Final = 0xFFFF
MAX_SLATES: Final = 256
"""Whose shows are made once."""
_SLATE_ID: Final = re.compile(r"0[0-9a-f]{31}")
_WRAP: Final = 1 << 64


class Sign(NamedTuple):
    """What a customer's event says of a slate: it was shown, and maybe that an item was clicked or bought.

    ``item_key`` None stands for every item of the slate; ``at`` in milliseconds; ``channel`` as in ``CHANNELS``.
    """

    slate_id: str
    item_key: int | None
    at: int
    reaction: int
    channel: str


def _no_rows(width: int) -> LongMatrix:
    return np.empty((0, width), np.int64)


@dataclass(frozen=True)
class Exposure:
    """What was shown.

    Attributes
    ----------
    shows : int64, shape (n, 8)
        A row an item of a slate, unique and ascending by slate and item: slate id (two halves), item key, time to live
        in seconds, channel, kind + 1 (0 unknown), minutes to the last sign that it was seen + 1 (0 none), reaction.
    folded : int64, shape (m, 5)
        Older shows that count: item key, hour since 1970, origin (whose memory folded them), place, how often.
    """

    shows: LongMatrix = field(default_factory=lambda: _no_rows(8))
    folded: LongMatrix = field(default_factory=lambda: _no_rows(5))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever shown."""
        return not (len(self.shows) or len(self.folded))

    @property
    def shown_at(self) -> LongVector:
        """When each show was reserved, milliseconds; it is part of the slate's id."""
        return self.shows[:, HI] >> 16

    def counting(self, now: int) -> NDArray[np.bool_]:
        """Which shows count at ``now`` (milliseconds): those that were seen, and reservations that have not expired."""
        return (self.shows[:, SEEN] > 0) | (self.shown_at + self.shows[:, TTL_S] * 1_000 > now)

    def merged(self, other: Exposure) -> Exposure:
        """Both memories: commutative, associative, idempotent."""
        if other.is_empty or self.is_empty:
            return self if other.is_empty else other
        return Exposure(_merged(self.shows, other.shows, 3), _merged(self.folded, other.folded, 4))

    def with_slate(self, slate_id: str, items: Sequence[tuple[int, str]], ttl_s: int, channel: str) -> Exposure:
        """The memory with a slate reserved; ``items`` are item keys and kinds."""
        slate = _shows_of(tuple(items), ttl_s, CHANNELS.index(channel)).copy()
        slate[:, HI], slate[:, LO] = halves(slate_id)
        if not len(self.shows):
            return Exposure(slate, self.folded)
        if len(slate) and self.shows[-1, HI] >= slate[0, HI]:
            return self.merged(Exposure(slate))
        return Exposure(np.concatenate([self.shows, slate]), self.folded)

    def with_sign(self, sign: Sign) -> Exposure:
        """The memory after a sign; itself where that says nothing new.

        A show that is not remembered any more comes back by its sign, as long as it is of the last 30 days.
        """
        if not is_slate_id(sign.slate_id):
            return self
        hi, lo = halves(sign.slate_id)
        is_slate = (self.shows[:, HI] == hi) & (self.shows[:, LO] == lo)
        is_meant = is_slate if sign.item_key is None else is_slate & (self.shows[:, ITEM] == sign.item_key)
        seen = min(max(0, sign.at - (hi >> 16)) // MINUTE_MS + 1, MAX_SEEN)
        if is_meant.any():
            shows = self.shows.copy()
            shows[is_meant, SEEN] = np.maximum(shows[is_meant, SEEN], seen)
            shows[is_meant, REACTION] = np.maximum(shows[is_meant, REACTION], sign.reaction)
            return self if np.array_equal(shows, self.shows) else Exposure(shows, self.folded)
        if sign.item_key is None or not -KEEP_MS < (hi >> 16) - sign.at < HOUR_MS:
            return self
        others = self.shows[is_slate, TTL_S : CHANNEL + 1]
        ttl_s, channel = others[0].tolist() if len(others) else (0, CHANNELS.index(sign.channel))
        row = (hi, lo, sign.item_key, ttl_s, channel, 0, seen, sign.reaction)
        return self.merged(Exposure(np.array([row], np.int64)))

    def of_slate(self, slate_id: str) -> Exposure:
        """The shows of one slate alone."""
        hi, lo = halves(slate_id)
        return Exposure(self.shows[(self.shows[:, HI] == hi) & (self.shows[:, LO] == lo)])

    def shown_lately(self, item_key: int, at: int, within_ms: int) -> str | None:
        """Id of the last slate that showed an item in the time before ``at`` (milliseconds); None for none."""
        shown_at = self.shown_at
        is_lately = (shown_at <= at + MINUTE_MS) & (shown_at > at - within_ms)  # clocks differ a little
        rows = np.flatnonzero((self.shows[:, ITEM] == item_key) & is_lately)
        return slate_id_of(*self.shows[rows[-1], :2].tolist()) if len(rows) else None

    def pruned(self, now: int, origin: int) -> Exposure:
        """The memory as it is kept at ``now`` (milliseconds) in the record ``origin`` (16 bits).

        What is older than 30 days goes. Of more than ``MAX_SHOWS`` rows the reservations that nobody saw go first,
        which count for nothing, then the oldest become counts by the hour.
        """
        shows, folded, oldest = self.shows, self.folded, now - KEEP_MS
        if len(shows) and shows[0, HI] >> 16 <= oldest:
            shows = shows[self.shown_at > oldest]
        if len(folded):
            folded = folded[folded[:, F_HOUR] * HOUR_MS > oldest]
        if len(shows) > MAX_SHOWS:
            shows = shows[Exposure(shows).counting(now)]
        if (n := len(shows) - MAX_SHOWS) > 0:
            # A slate is folded as a whole, so that no sign of it meets one half.
            n += int(np.searchsorted(shows[n:, HI], shows[n - 1, HI], "right"))
            folded = _summed(np.concatenate([folded, _counts(shows[:n], origin)]))
            shows = shows[n:]
        return Exposure(shows, _newest(folded))


NOTHING_SHOWN: Final = Exposure()


def is_slate_id(text: str) -> bool:
    """Whether a text has the form of our slate ids."""
    return _SLATE_ID.fullmatch(text) is not None


def halves(slate_id: str) -> tuple[int, int]:
    """A slate id as two signed 64-bit numbers; the first orders by time."""
    hi, lo = int(slate_id[:16], 16), int(slate_id[16:], 16)
    return hi, lo - _WRAP if lo >> 63 else lo


def slate_id_of(hi: int, lo: int) -> str:
    """Inverse of :func:`halves`."""
    return f"{hi:016x}{lo % _WRAP:016x}"


@lru_cache(MAX_SLATES)
def _shows_of(items: tuple[tuple[int, str], ...], ttl_s: int, place: int) -> LongMatrix:
    """Shows of a slate, less its id: many customers get the same one."""
    rows = sorted((0, 0, key, ttl_s, place, KINDS.index(kind) + 1, 0, 0) for key, kind in items)
    return np.array(rows, np.int64).reshape(-1, 8)


def _merged(a: LongMatrix, b: LongMatrix, n_keys: int) -> LongMatrix:
    """Rows of both, unique by their first columns, the greatest of every other column."""
    rows = np.concatenate([a, b])
    starts, rows = _grouped(rows, n_keys)
    return np.maximum.reduceat(rows, starts, axis=0) if len(rows) else rows


def _grouped(rows: LongMatrix, n_keys: int) -> tuple[LongVector, LongMatrix]:
    """Where each group of equal keys starts, and the rows in the order of their keys."""
    rows = rows[np.lexsort(rows[:, n_keys - 1 :: -1].T)]
    is_first = np.ones(len(rows), np.bool_)
    is_first[1:] = (rows[1:, :n_keys] != rows[:-1, :n_keys]).any(axis=1)
    return np.flatnonzero(is_first), rows


def _counts(shows: LongMatrix, origin: int) -> LongMatrix:
    """Shows as counts; each is dated to the end of its hour, so that it never leaves a window too early."""
    folded = np.ones((len(shows), 5), np.int64)
    folded[:, F_ITEM], folded[:, F_ORIGIN] = shows[:, ITEM], origin
    folded[:, F_HOUR] = (shows[:, HI] >> 16) // HOUR_MS + 1
    folded[:, F_PLACE] = shows[:, KIND] * len(CHANNELS) + shows[:, CHANNEL]
    return folded


def _summed(folded: LongMatrix) -> LongMatrix:
    """Counts of the same item, hour, origin and place added up: they count shows of different slates."""
    starts, rows = _grouped(folded, 4)
    counts = np.add.reduceat(rows[:, F_COUNT], starts)
    rows = rows[starts]
    rows[:, F_COUNT] = np.minimum(counts, MAX_COUNT)
    return rows


def _newest(folded: LongMatrix) -> LongMatrix:
    if len(folded) <= MAX_FOLDED:
        return folded
    newest = np.argsort(-folded[:, F_HOUR], kind="stable")[:MAX_FOLDED]
    return folded[np.sort(newest)]
