"""What customers did, as far as moves are concerned: one row an event, sorted by customer and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import ibis
import numpy as np

from features.events import DAY_US
from training.people import counts
from training.relational import holds, microseconds

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from features.state import Schema
    from recommender.contract import LongVector

SIGNALS: Final = ("touch", "intent", "order", "review")
NEVER_AGAIN: Final = np.iinfo(np.int64).max


class Deeds(NamedTuple):
    """Events of customers.

    ``customer_ids`` sorted; ``customer`` int64, shape (n,), rows of it, and ``at`` int64, microseconds, both
    ascending together; ``is_a`` bool, shape (n,), by the names of ``SIGNALS``.
    """

    customer_ids: NDArray[np.object_]
    customer: LongVector
    at: LongVector
    is_a: dict[str, NDArray[np.bool_]]

    @property
    def first_at(self) -> LongVector:
        """Time of each customer's first event, shape (n_customers,)."""
        return self.at[np.searchsorted(self.customer, np.arange(len(self.customer_ids)))]

    def next_at(self, signal: str, customer: LongVector, as_of: LongVector) -> LongVector:
        """Time of each case's first event of a signal at or after its moment; ``NEVER_AGAIN`` for none."""
        of, at = self._of(signal)
        place = _places(of, at, customer, as_of)
        found = np.full(len(as_of), NEVER_AGAIN)
        inside = np.flatnonzero(place < len(of))
        inside = inside[of[place[inside]] == customer[inside]]
        found[inside] = at[place[inside]]
        return found

    def last_at(self, signal: str, customer: LongVector, as_of: LongVector) -> LongVector:
        """Time of each case's last event of a signal strictly before its moment; the least integer for none."""
        of, at = self._of(signal)
        place = _places(of, at, customer, as_of) - 1
        found = np.full(len(as_of), -NEVER_AGAIN)
        inside = np.flatnonzero(place >= 0)
        inside = inside[of[place[inside]] == customer[inside]]
        found[inside] = at[place[inside]]
        return found

    def order_days(self, until: int) -> tuple[LongVector, LongVector, LongVector]:
        """Of each customer who ordered before ``until``: days with an order, the first such day, the last one."""
        of, at = self._of("order")
        seen = np.unique(np.column_stack([of, at // DAY_US])[at < until], axis=0)
        _, start, n = np.unique(seen[:, 0], return_index=True, return_counts=True)
        return n, seen[start, 1], seen[start + n - 1, 1]

    def _of(self, signal: str) -> tuple[LongVector, LongVector]:
        return self.customer[self.is_a[signal]], self.at[self.is_a[signal]]


def read_deeds(lines: ir.Table, schema: Schema) -> Deeds:
    """Events of customers that belong to any of ``SIGNALS``, less what may not count and further lines of an event."""
    known = lines.filter(counts(lines), lines.customer_id.notnull(), lines.line_no == 0)
    flags = {name: holds(known, schema.signals[name]) for name in SIGNALS}
    flagged = known.select("customer_id", at=microseconds(known.occurred_at), **flags)
    told = flagged.filter(ibis.or_(*(flagged[name] for name in SIGNALS))).to_pyarrow()
    coded = told["customer_id"].combine_chunks().dictionary_encode()
    ids = coded.dictionary.to_numpy(zero_copy_only=False)
    rank = np.argsort(np.argsort(ids.astype(str), kind="stable"), kind="stable")
    customer = rank[coded.indices.to_numpy()] if len(told) else np.empty(0, np.int64)
    at = told["at"].to_numpy()
    order = np.lexsort((at, customer))
    is_a = {name: told[name].to_numpy()[order] for name in SIGNALS}
    return Deeds(np.array(sorted(ids.tolist()), object), customer[order], at[order], is_a)


def _places(of: LongVector, at: LongVector, customer: LongVector, as_of: LongVector) -> LongVector:
    """For each case how many rows, sorted by customer and time, come before its customer and moment."""
    order = np.lexsort(
        (
            np.append(np.ones(len(of), np.int8), np.zeros(len(as_of), np.int8)),
            np.append(at, as_of),
            np.append(of, customer),
        )
    )
    is_row = order < len(of)
    place = np.empty(len(as_of), np.int64)
    place[order[~is_row] - len(of)] = np.cumsum(is_row)[~is_row]
    return place
