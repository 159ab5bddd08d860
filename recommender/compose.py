"""From ranked candidates of several kinds to one ordered slate.

Scores say what is likely to be touched, whatever its kind, and products are touched most. What a slate is made of is
another question, which the journey definition answers for each stage: at every rank the kind that lags most behind its
share gives its best remaining item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recommender.items import KINDS
from recommender.kernels_compose import best_places, mixed_places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.contract import IntVector


def in_order(score: NDArray[np.floating], item_idx: IntVector, limit: int) -> IntVector:
    """Positions of the ``limit`` best candidates, by score and then by item."""
    return best_places(np.asarray(score, np.float64), np.asarray(item_idx, np.int32), limit)


def mixed(
    score: NDArray[np.floating], item_idx: IntVector, kind: NDArray[np.uint8], shares: NDArray[np.float64], limit: int
) -> IntVector:
    """Positions of ``limit`` candidates with some shares of ``KINDS``; a kind that runs out is passed over."""
    return mixed_places(np.asarray(score, np.float64), item_idx, np.asarray(kind, np.uint8), shares, limit)


def within_room(order: IntVector, kind: NDArray[np.uint8], room: Mapping[str, int], limit: int) -> IntVector:
    """The first ``limit`` of some ordered candidates with at most ``room`` of each kind that it names."""
    left = {KINDS.index(name): n for name, n in room.items()}
    chosen: list[int] = []
    for place in order.tolist():
        of_kind = int(kind[place])
        if left.get(of_kind, limit) > 0 and len(chosen) < limit:
            chosen.append(place)
            left[of_kind] = left.get(of_kind, limit) - 1
    return np.array(chosen, np.int32)
