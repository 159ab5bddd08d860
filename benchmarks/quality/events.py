"""The event table that baselines read, and the histories that they are asked about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from features.events import DAY_US
from recommender.contract import TOUCHES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from training.touches import Touches

    Ints = NDArray[np.int64]

SESSION_GAP_US: Final = DAY_US // 48
"""Half an hour without an event ends a session."""

GRADED: Final = np.array([{"carts": 3.0, "uncarts": 0.0, "buys": 5.0, "likes": 2.0}.get(name, 1.0) for name in TOUCHES])
FLAT: Final = np.array([float(name != "uncarts") for name in TOUCHES])


@dataclass(frozen=True)
class Events:
    """Interactions sorted by customer, time and item.

    Attributes
    ----------
    customer_ids : str, shape (n_customers,)
    item_keys : int64, shape (n_items,)
        Ascending.
    customer_idx, item_idx : int64, shape (n,)
    at : int64, shape (n,)
        Microseconds.
    touch : int64, shape (n,)
        Column of ``TOUCHES``.
    """

    customer_ids: NDArray[np.str_]
    item_keys: Ints
    customer_idx: Ints
    item_idx: Ints
    at: Ints
    touch: Ints

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of_touches(cls, touches: Touches) -> Events:
        """The rows that belong to a customer."""
        rows = touches.of_customers()
        columns = (np.asarray(column, np.int64) for column in (rows.customer_idx, rows.item_idx, rows.at, rows.touch))
        return cls(np.array(rows.customer_ids, np.str_), rows.item_keys, *columns)

    @classmethod
    def load(cls, path: Path) -> Events:
        """Read what :meth:`save` wrote."""
        with np.load(path) as stored:
            return cls(**stored)

    def save(self, path: Path) -> None:
        """Write all columns to one ``.npz`` file."""
        np.savez(path, **vars(self))

    @property
    def n_items(self) -> int:
        return len(self.item_keys)

    @property
    def n_customers(self) -> int:
        return len(self.customer_ids)

    @property
    def until(self) -> int:
        """Just after the last event, microseconds."""
        return int(self.at.max()) + 1

    @property
    def bounds(self) -> Ints:
        """First row of each customer, and one more at the end."""
        return np.searchsorted(self.customer_idx, np.arange(self.n_customers + 1)).astype(np.int64)

    def where(self, keep: NDArray[np.bool_]) -> Events:
        """Some of the rows; customers and items keep their numbers."""
        columns = {name: getattr(self, name)[keep] for name in ("customer_idx", "item_idx", "at", "touch")}
        return replace(self, **columns)

    def sessions(self) -> Ints:
        """Ascending number of the session that each row belongs to."""
        same = (np.diff(self.customer_idx) == 0) & (np.diff(self.at) <= SESSION_GAP_US)
        return np.concatenate([[0], np.cumsum(~same)])[: len(self)].astype(np.int64)


@dataclass(frozen=True)
class Past:
    """What a baseline may be fitted on: everything strictly before ``now``."""

    events: Events
    now: int

    @property
    def n_items(self) -> int:
        return self.events.n_items


@dataclass(frozen=True)
class Queries:
    """Histories to recommend for: rows ``[first, last)`` of an event table, each as of a moment.

    Attributes
    ----------
    first, last, as_of, customer_idx : int64, shape (n,)
    """

    events: Events
    first: Ints
    last: Ints
    as_of: Ints
    customer_idx: Ints

    def __len__(self) -> int:
        return len(self.first)

    def take(self, rows: slice | Ints) -> Queries:
        """Some of the queries."""
        return Queries(
            self.events, *(column[rows] for column in (self.first, self.last, self.as_of, self.customer_idx))
        )

    def rows(self) -> tuple[Ints, Ints]:
        """Query and event row of every event of every history."""
        n = self.last - self.first
        query = np.repeat(np.arange(len(self)), n)
        offset = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        return query, self.first[query] + offset

    def steps_back(self) -> Ints:
        """Of every event of :meth:`rows`, how many events of the history came after it."""
        query, row = self.rows()
        return self.last[query] - 1 - row


def baskets(queries: Queries, session: Ints) -> tuple[Ints, Ints]:
    """Query and event row of each item of each session of each history, once: its last row there."""
    query, row = queries.rows()
    n_items = queries.events.n_items
    code = (query * (int(session.max(initial=0)) + 1) + session[row]) * n_items + queries.events.item_idx[row]
    _, from_end = np.unique(code[::-1], return_index=True)
    chosen = len(code) - 1 - from_end
    return query[chosen], row[chosen]


def weights(touch: Ints, age_us: Ints, half_life: float, *, is_graded: bool) -> NDArray[np.float64]:
    """Weight of interactions by what they are and how old they are.

    Parameters
    ----------
    age_us : int64
        Microseconds, >= 0.
    half_life : float
        Days; infinite for no decay.
    """
    decay: NDArray[np.float64] = np.exp2(-age_us / (half_life * DAY_US))
    graded: NDArray[np.float64] = (GRADED if is_graded else FLAT)[touch]
    return graded * decay


def past_matrix(past: Past, half_life: float, *, is_graded: bool, is_binary: bool) -> sparse.csr_array:
    """Customers by items, float32, shape (n_customers, n_items)."""
    events = past.events
    value = weights(events.touch, past.now - events.at, half_life, is_graded=is_graded)
    shape = (events.n_customers, events.n_items)
    return _matrix(value, events.customer_idx, events.item_idx, shape, is_binary=is_binary)


def query_matrix(queries: Queries, half_life: float, *, is_graded: bool, is_binary: bool) -> sparse.csr_array:
    """Queries by items, float32, shape (n, n_items)."""
    events = queries.events
    query, row = queries.rows()
    age = queries.as_of[query] - events.at[row]
    value = weights(events.touch[row], age, half_life, is_graded=is_graded)
    shape = (len(queries), events.n_items)
    return _matrix(value, query, events.item_idx[row], shape, is_binary=is_binary)


def _matrix(
    value: NDArray[np.float64], row: Ints, column: Ints, shape: tuple[int, int], *, is_binary: bool
) -> sparse.csr_array:
    matrix = sparse.coo_array((value, (row, column)), shape=shape).tocsr().astype(np.float32)
    matrix.eliminate_zeros()
    if is_binary:
        matrix.data[:] = 1
    return matrix
