"""From a score an item to the one list of ``recommender/retrievers/ranked.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector
    from recommender.items import Items

N_KEPT: Final = 400
"""Items a kind."""


def ranked_of(name: str, score: FloatVector, items: Items) -> dict[str, NDArray[np.generic]]:
    """The best of each kind that can be had, in one order.

    Parameters
    ----------
    score : float32, shape (n_items,)
        Items of 0 and less are left out.
    """
    rows = np.flatnonzero((score > 0) & items.is_available)
    order = rows[np.lexsort((rows, -score[rows]))].astype(np.int32)
    place = np.empty(len(order), np.int64)
    for kind in np.unique(items.kind[order]):
        of_kind = np.flatnonzero(items.kind[order] == kind)
        place[of_kind] = np.arange(len(of_kind))
    kept = order[place < N_KEPT]
    return {f"{name}.item_idx": kept, f"{name}.score": score[kept].astype(np.float32)}
