"""What is due again: how likely the customer's own items are bought again now.

Repeat consumption depends on the item's own interval (Wang et al., "Modeling item-specific temporal dynamics
of repeat consumption for recommender systems", WWW 2019). Here the chance is a discrete-time logit hazard
(Singer and Willett 1993) of four terms of the customer and the item, and a lift of the item alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from features.events import DAY_US
from recommender.contract import NOTHING, ArraySpec, Candidates, FloatMatrix, FloatVector, IntVector, Query, best
from recommender.kernels_repeat import owned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.items import Items

TRUST: Final = 2.0
"""So many intervals of the customer's own with an item count as much as the item's interval."""
NEVER: Final = -200.0
"""Lift of an item that is not bought again: its chance is 0 in single precision."""


class Repeat:
    """Own items by the chance that they are bought within the next weeks, if the customer buys at all.

    ``logit = repeat.lift[item] + repeat.hazard . terms`` with the terms of :func:`hazard_terms`.

    Attributes
    ----------
    gap_days : float32, shape (n_items,)
        Usual interval between two purchases of the item by one customer, days.
    """

    name: ClassVar[str] = "repeat"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "repeat.gap_days": ArraySpec("float32", 1),
        "repeat.lift": ArraySpec("float32", 1),
        "repeat.hazard": ArraySpec("float32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self.gap_days: FloatVector = arrays["repeat.gap_days"]  # type: ignore[assignment]
        self._lift: FloatVector = arrays["repeat.lift"]  # type: ignore[assignment]
        self._hazard: FloatVector = arrays["repeat.hazard"]  # type: ignore[assignment]

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Distinct items bought, the most due first."""
        if not len(query.bought_idx):
            return NOTHING
        item_idx, n_days, first_day, last_day = owned(query.bought_idx, query.bought_day)
        terms = hazard_terms(n_days, first_day, last_day, query.now // DAY_US, self.gap_days[item_idx])
        logit = terms.astype(np.float64) @ self._hazard + self._lift[item_idx]
        chance = 1 / (1 + np.exp(-logit))
        return best(*query.allow(item_idx, chance.astype(np.float32)), n)


def hazard_terms(
    n_days: IntVector, first_day: IntVector, last_day: IntVector, today: int | IntVector, gap_days: FloatVector
) -> FloatMatrix:
    """What the chance of buying an item again depends on beside the item, float32, shape (m, 4).

    Logarithms of the days on which it was bought, of the days since, of the latter over the customer's own
    interval, and the square of that. The own interval is the mean of those seen and of ``TRUST`` usual ones.

    Parameters
    ----------
    n_days, first_day, last_day : int32, shape (m,)
        As :func:`recommender.kernels_repeat.owned`.
    today : int, or int32 of shape (m,)
        UTC day.
    gap_days : float32, shape (m,)
        The items' usual intervals, > 0.
    """
    since = np.maximum(today - last_day, 0) + 1
    own_gap = (TRUST * gap_days + (last_day - first_day)) / (TRUST + n_days - 1)
    due = np.log(since / (1 + own_gap))
    terms: FloatMatrix = np.stack([np.log(n_days), np.log(since), due, due * due], axis=1).astype(np.float32)
    return terms
