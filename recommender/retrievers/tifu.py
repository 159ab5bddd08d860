"""TIFU-KNN: the customer's own baskets, and those of customers with like ones.

Hu, He, Gao and Zhang, "Modeling personalized item frequency information for next-basket recommendation",
SIGIR 2020. The customer's vector comes from the state at request time; the neighbours are rows without ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from features.errors import BundleCorrupt
from recommender.contract import NOTHING, ArraySpec, Candidates, FloatVector, IntVector, LongVector, Query
from recommender.kernels_repeat import basket_vector, nearest_rows, voted_by_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from recommender.items import Items


SMALL: Final = 1e-12


class TifuParams(NamedTuple):
    """Settings, as ``tifu.params`` holds them in this order.

    ``group_size`` baskets (days with a purchase) make a group; a basket counts ``within`` times the newer
    one of its group, a group ``between`` times the newer one. By default every basket is a group.
    ``k`` neighbours give ``1 - alpha`` of a score.
    """

    k: int = 100
    group_size: int = 1
    within: float = 1.0
    between: float = 0.95
    alpha: float = 0.6


class Tifu:
    """Own items and those of the nearest rows, ``alpha * own + (1 - alpha) * mean of the neighbours``.

    ``tifu.rows.*`` are items of each row, ``tifu.row`` the rows of each item; weights of a row have length 1.
    """

    name: ClassVar[str] = "tifu"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "tifu.indptr": ArraySpec("int64", 1),
        "tifu.row": ArraySpec("int32", 1),
        "tifu.weight": ArraySpec("float32", 1),
        "tifu.rows.indptr": ArraySpec("int64", 1),
        "tifu.rows.item_idx": ArraySpec("int32", 1),
        "tifu.rows.weight": ArraySpec("float32", 1),
        "tifu.params": ArraySpec("float32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        self._n_items = len(items)
        self._indptr: LongVector = arrays["tifu.indptr"]  # type: ignore[assignment]
        self._row: IntVector = arrays["tifu.row"]  # type: ignore[assignment]
        self._weight: FloatVector = arrays["tifu.weight"]  # type: ignore[assignment]
        self._rows_indptr: LongVector = arrays["tifu.rows.indptr"]  # type: ignore[assignment]
        self._rows_item_idx: IntVector = arrays["tifu.rows.item_idx"]  # type: ignore[assignment]
        self._rows_weight: FloatVector = arrays["tifu.rows.weight"]  # type: ignore[assignment]
        k, group_size, within, between, alpha = arrays["tifu.params"].tolist()
        self._params = TifuParams(int(k), int(group_size), within, between, alpha)
        self._check()

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Items of the customer's baskets and of their neighbours'."""
        if not len(query.bought_idx):
            return NOTHING
        own_idx, own = basket_vector(query.bought_idx, query.bought_day, *self._params[1:4])
        n_rows, alpha = len(self._rows_indptr) - 1, self._params.alpha
        near, cosine = nearest_rows(own_idx, own, self._indptr, self._row, self._weight, n_rows, self._params.k)
        share = cosine * ((1 - alpha) / max(float(cosine.sum()), SMALL))
        rows = (self._rows_indptr, self._rows_item_idx, self._rows_weight)
        return Candidates(*voted_by_rows(own_idx, own * alpha, near, share, *rows, query.mask, self._n_items, n))

    def _check(self) -> None:
        """See that the loops stay within their arrays."""
        n_rows, ends = len(self._rows_indptr) - 1, (int(self._indptr[-1]), int(self._rows_indptr[-1]))
        is_row = (self._row >= 0) & (self._row < n_rows)
        lengths = {len(self._row), len(self._weight), ends[0]}, {len(self._rows_item_idx), len(self._rows_weight)}
        if len(self._indptr) != self._n_items + 1 or not is_row.all() or len(lengths[0]) > 1:
            raise BundleCorrupt(f"tifu.row: expected rows below {n_rows} for each of {self._n_items} items.")
        if lengths[1] != {ends[1]} or self._params.k < 1 or self._params.group_size < 1:
            raise BundleCorrupt("tifu.rows: expected as many items as weights, and positive sizes in tifu.params.")
