"""What the exposure memory leaves to a slate: items shown enough, room by kind and channel, what has faded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recommender.exposure import CHANNELS
from recommender.items import KINDS
from recommender.kernels_exposure import lost_by, tally
from recommender.kernels_query import places_of

if TYPE_CHECKING:
    from collections.abc import Mapping

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
            is_capped = places_of(item_key, items.item_key[item_idx]) >= 0
            held |= dict.fromkeys(item_idx[is_capped].tolist(), why)
        return held

    def rows_capped(self, items: Items) -> IntVector:
        """Rows of all items that were shown enough, candidates or not."""
        rows = [items.rows_of(item_key) for item_key in self.capped.values()]
        found: IntVector = np.concatenate(rows) if rows else np.empty(0, np.int32)
        return found[found >= 0]

    def lost(self, item_key: LongVector) -> NDArray[np.float64]:
        """Log-odds that each of some items has lost, >= 0; their keys ascending."""
        return lost_by(item_key, self.faded_key, self.fading)


def allowance_of(memory: Exposure, caps: Caps, channel: str, now: int) -> Allowance | None:
    """What a memory leaves to a slate on a channel at ``now`` (microseconds); None where nothing was shown.

    An item fades by log-odds for every show without a reaction, half as much a half-life later: the exponential
    discount of Lee et al. 2014, "Modeling impression discounting in large-scale recommender systems".
    """
    if memory.is_empty:
        return None
    item, count, most, total, faded_key, faded = tally(
        np.ascontiguousarray(memory.shows),
        np.ascontiguousarray(memory.folded),
        now // 1_000,
        *caps.columns,
        len(CHANNELS),
        caps.half_life_days * DAY_MS,
    )
    capped: dict[str, LongVector] = {}
    room: dict[str, int] = {}
    slots: int | None = None
    for cap, n_items, n_most, n_all in zip(caps.caps, count.T, most.tolist(), total.tolist(), strict=True):
        left = max(0, cap.most - n_all)
        if cap.of == "kind" and cap.name is not None:
            room[cap.name] = min(left, room.get(cap.name, left))
        elif cap.of == "channel" and cap.name == channel:
            slots = left if slots is None else min(left, slots)
        elif cap.of == "item" and cap.name in {None, channel} and n_most >= cap.most:
            capped[SHOWN_ENOUGH if cap.name is None else f"{SHOWN_ENOUGH}_{cap.name}"] = item[n_items >= cap.most]
    return Allowance(capped, room, slots, faded_key, caps.fade_per_show * faded)
