"""What the exposure memory leaves to a slate: items shown enough, room by kind and channel, what has faded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recommender.exposure import (
    CHANNEL,
    CHANNELS,
    F_COUNT,
    F_HOUR,
    F_ITEM,
    F_PLACE,
    HOUR_MS,
    ITEM,
    KIND,
    MINUTE_MS,
    NO_REACTION,
    REACTION,
    SEEN,
)
from recommender.items import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from recommender.caps import Caps
    from recommender.contract import IntVector, LongVector
    from recommender.exposure import Exposure
    from recommender.items import Items

SHOWN_ENOUGH: Final = "shown_enough"
DAY_MS: Final = 86_400_000


class Allowance(NamedTuple):
    """What may be shown on one channel now.

    ``capped`` int64, item keys by why they are held back, ascending; ``room`` how many items of some kinds may be on
    the slate; ``slots`` how many items at all, None for any number; ``faded_key`` int64, ascending, and ``fading``
    float64, > 0: the log-odds that items have lost.
    """

    capped: Mapping[str, LongVector]
    room: Mapping[str, int]
    slots: int | None
    faded_key: LongVector
    fading: NDArray[np.float64]

    def limit(self, asked: int) -> int:
        """How many items a slate may hold of those that were asked for."""
        return asked if self.slots is None else min(asked, self.slots)

    def held(self, item_idx: IntVector, items: Items, channel: str) -> dict[int, str]:
        """Which of some candidates were shown enough, alone, as a kind or on the channel, and which of these."""
        if self.slots == 0:
            return dict.fromkeys(item_idx.tolist(), f"{SHOWN_ENOUGH}_{channel}")
        held: dict[int, str] = {}
        for kind, left in self.room.items():
            if left == 0:
                rows = item_idx[items.kind[item_idx] == KINDS.index(kind)]
                held |= dict.fromkeys(rows.tolist(), f"{SHOWN_ENOUGH}_{kind}")
        for why, item_key in self.capped.items():
            held |= dict.fromkeys(item_idx[np.isin(items.item_key[item_idx], item_key)].tolist(), why)
        return held

    def lost(self, item_key: LongVector) -> NDArray[np.float64]:
        """Log-odds that each of some items has lost, >= 0."""
        if not len(self.faded_key):
            return np.zeros(len(item_key))
        rows = np.minimum(np.searchsorted(self.faded_key, item_key), len(self.faded_key) - 1)
        return np.where(self.faded_key[rows] == item_key, self.fading[rows], 0.0)


class _Counted(NamedTuple):
    """The shows that count, one row each or several alike: item, milliseconds, channel, kind + 1, how many."""

    item: LongVector
    at: LongVector
    channel: LongVector
    kind: LongVector
    n: LongVector


def allowance_of(memory: Exposure, caps: Caps, channel: str, now: int) -> Allowance | None:
    """What a memory leaves to a slate on a channel at ``now`` (microseconds); None where nothing was shown."""
    if memory.is_empty:
        return None
    now_ms = now // 1_000
    counted = _counted(memory, now_ms)
    faded_key, fading = _fading(memory, caps, now_ms)
    return Allowance(
        _capped(counted, caps, channel, now_ms),
        _room(counted, caps, now_ms),
        min(_left(counted, caps, channel, now_ms), default=None),
        faded_key,
        fading,
    )


def _counted(memory: Exposure, now: int) -> _Counted:
    is_counting = memory.counting(now)
    shows, folded = memory.shows[is_counting], memory.folded
    kind, channel = np.divmod(folded[:, F_PLACE], len(CHANNELS))
    return _Counted(
        np.concatenate([shows[:, ITEM], folded[:, F_ITEM]]),
        np.concatenate([memory.shown_at[is_counting], folded[:, F_HOUR] * HOUR_MS]),
        np.concatenate([shows[:, CHANNEL], channel]),
        np.concatenate([shows[:, KIND], kind]),
        np.concatenate([np.ones(len(shows), np.int64), folded[:, F_COUNT]]),
    )


def _capped(counted: _Counted, caps: Caps, channel: str, now: int) -> dict[str, LongVector]:
    capped: dict[str, LongVector] = {}
    for cap in caps.caps:
        if cap.of != "item" or cap.name not in {None, channel}:
            continue
        is_in = counted.at > now - cap.window_ms
        if cap.name is not None:
            is_in &= counted.channel == CHANNELS.index(cap.name)
        item, group = np.unique(counted.item[is_in], return_inverse=True)
        n = np.bincount(group, counted.n[is_in], len(item))
        why = SHOWN_ENOUGH if cap.name is None else f"{SHOWN_ENOUGH}_{cap.name}"
        if (n >= cap.most).any():
            capped[why] = item[n >= cap.most]
    return capped


def _room(counted: _Counted, caps: Caps, now: int) -> dict[str, int]:
    room: dict[str, int] = {}
    for cap in caps.caps:
        if cap.of == "kind" and cap.name is not None:
            is_in = (counted.at > now - cap.window_ms) & (counted.kind == KINDS.index(cap.name) + 1)
            left = max(0, cap.most - int(counted.n[is_in].sum()))
            room[cap.name] = min(left, room.get(cap.name, left))
    return room


def _left(counted: _Counted, caps: Caps, channel: str, now: int) -> Iterable[int]:
    for cap in caps.caps:
        if cap.of == "channel" and cap.name == channel:
            is_in = (counted.at > now - cap.window_ms) & (counted.channel == CHANNELS.index(channel))
            yield max(0, cap.most - int(counted.n[is_in].sum()))


def _fading(memory: Exposure, caps: Caps, now: int) -> tuple[LongVector, NDArray[np.float64]]:
    """Log-odds lost by items that were shown since their last reaction, half as much a half-life later.

    The shape is the exponential discount of Lee et al. 2014, "Modeling impression discounting in large-scale
    recommender systems".
    """
    is_counting = memory.counting(now)
    shows, at = memory.shows[is_counting], memory.shown_at[is_counting]
    item, group = np.unique(shows[:, ITEM], return_inverse=True)
    reacted_at = np.full(len(item), -1, np.int64)
    has = shows[:, REACTION] > NO_REACTION
    np.maximum.at(reacted_at, group[has], at[has] + shows[has, SEEN] * MINUTE_MS)
    age_days = np.maximum(now - at, 0) / DAY_MS
    weight = np.where(at > reacted_at[group], np.exp2(-age_days / caps.half_life_days), 0.0)
    lost = (caps.fade_per_show * np.bincount(group, weight, len(item))).astype(np.float64)
    return item[lost > 0], lost[lost > 0]
