"""Split: windows of time, and the cases that they are judged on.

A case is a customer at a moment, with what they touched afterwards. There are two protocols:

* ``window``   the customer at the start of the window; targets are all items touched within it (an e-mail)
* ``session``  a moment within the window just before an event; targets are the rest of that session (a page view)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import ibis
import numpy as np
import pyarrow as pa

from features.events import DAY_US
from recommender.contract import TOUCHES, LongVector
from recommender.query import SESSION_GAP_US
from training.base import with_base
from training.people import under_heads
from training.relational import state_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from features.state import Schema
    from features.state_table import StateTable
    from training.load import Data
    from training.touches import Touches

PROTOCOLS: Final = ("window", "session")
MAX_WINDOW_DAYS: Final = 30
WINDOW_SHARE: Final = 1 / 6
STEP_SHARE: Final = 0.05
"""Part of a customer's steps that a window holds where times are ranks."""
_UNCARTS: Final = TOUCHES.index("uncarts")


LEVELS: Final[NDArray[np.uint8]] = np.array([1, 1, 2, 2, 0, 3], np.uint8)
"""Relevance of a target by its strongest touch (``TOUCHES``); what comes next in a session counts one more."""
GAINS: Final = (0.0, 1.0, 1.5, 2.0, 3.0)
"""Gain of each relevance level, in blends and in the ranker."""


class Windows(NamedTuple):
    """Cut-offs, microseconds: tune on ``[validation, test)``, report on ``[test, until)``."""

    validation: int
    test: int
    until: int

    def earlier(self, start: int, n: int) -> list[int]:
        """At most ``n`` cut-offs before ``validation``, a window apart and ascending, at least two after ``start``."""
        length = self.test - self.validation
        cuts = [self.validation - k * length for k in range(n, 0, -1)]
        return [cut for cut in cuts if cut - start >= length]


@dataclass(frozen=True)
class Cases:
    """Cases of one window.

    Attributes
    ----------
    protocol : uint8, shape (n,)
        Index into ``PROTOCOLS``.
    customer_ids : list of str
    as_of : int64, shape (n,)
    targets : list of int64 arrays
        Item keys touched afterwards, distinct, in order of time.
    touched : list of int64 arrays
        Item keys touched before, distinct.
    levels : list of uint8 arrays
        Relevance of each target, an index into ``GAINS``.
    states : StateTable
        What was known strictly before ``as_of``.
    """

    protocol: NDArray[np.uint8]
    customer_ids: Sequence[str]
    as_of: LongVector
    targets: Sequence[LongVector]
    touched: Sequence[LongVector]
    levels: Sequence[NDArray[np.uint8]]
    states: StateTable

    def __len__(self) -> int:
        return len(self.as_of)


def windows_of(data: Data) -> Windows:
    """The last sixth of the time, at most 30 days, for the test; as much before it for validation.

    Where times are ranks, as many days as most customers' last steps take.
    """
    if data.is_by_rank:
        length = max(1, round(STEP_SHARE * _median_steps(data))) * DAY_US
        return Windows(data.until - 2 * length, data.until - length, data.until)
    return windows_between(data.start, data.until)


def windows_between(start: int, until: int) -> Windows:
    """The same for any span of time, microseconds."""
    length = min(int((until - start) * WINDOW_SHARE), MAX_WINDOW_DAYS * DAY_US)
    return Windows(until - 2 * length, until - length, until)


def _median_steps(data: Data) -> float:
    own = data.touches.of_customers()
    is_first = np.ones(len(own), np.bool_)
    is_first[1:] = np.diff(own.customer_idx) > 0
    return float(np.median((data.until - own.at[is_first]) / DAY_US + 1)) if len(own) else 1.0


def cases_of(data: Data, start: int, end: int, schema: Schema, *, n: int, seed: int) -> Cases:
    """At most ``n`` cases of ``[start, end)``, half of each protocol, drawn without replacement.

    Parameters
    ----------
    start, end : int
        Microseconds, ``start < end <= data.until``.
    """
    touches = data.touches.of_customers()
    rng = np.random.default_rng(seed)
    drawn = [
        *_window_cases(touches, start, end, n // 2, rng),
        *_session_cases(touches, start, end, n - n // 2, rng),
    ]
    columns = [list(column) for column in zip(*drawn, strict=True)] if drawn else [[]] * 6
    protocol, customer_idx, as_of, targets, touched, levels = columns
    customer_ids = [data.touches.customer_ids[c] for c in customer_idx]
    return Cases(
        np.array(protocol, np.uint8),
        customer_ids,
        np.array(as_of, np.int64),
        targets,
        touched,
        levels,
        states_of(data, customer_ids, np.array(as_of, np.int64), schema),
    )


def states_of(data: Data, customer_ids: Sequence[str], as_of: LongVector, schema: Schema) -> StateTable:
    """States of customers, each as of a moment of its own, whichever of their identities is named."""
    heads = under_heads(customer_ids, data.heads)
    cases = pa.table(
        {
            "case_idx": pa.array(np.arange(len(as_of), dtype=np.int64)),
            "customer_id": pa.array(heads, pa.string()),
            "as_of": pa.array(as_of, pa.int64()).cast(pa.timestamp("us", "UTC")),
        }
    )
    table = state_table(data.lines, ibis.memtable(cases), schema)
    return with_base(table, heads, as_of, data.base(schema))


_Case = tuple[int, int, int, LongVector, LongVector, "NDArray[np.uint8]"]


def _window_cases(touches: Touches, start: int, end: int, n: int, rng: np.random.Generator) -> list[_Case]:
    inside = (touches.at >= start) & (touches.at < end) & (touches.touch != _UNCARTS)
    customers = np.unique(touches.customer_idx[inside])
    bounds = _bounds(touches)
    has_past = np.isin(customers, touches.customer_idx[touches.at < start])
    # Whoever comes for the first time can be told apart by nothing: a quarter of them are enough.
    known = _drawn(customers[has_past], max(n - n // 4, n - int((~has_past).sum())), rng)
    chosen = np.sort(np.concatenate([known, _drawn(customers[~has_past], n - len(known), rng)]))
    return [(0, int(c), start, *_split(touches, bounds[c], bounds[c + 1], start, end)) for c in chosen]


def _drawn(rows: NDArray[np.integer], n: int, rng: np.random.Generator) -> NDArray[np.integer]:
    return rng.choice(rows, min(n, len(rows)), replace=False)


def _session_cases(touches: Touches, start: int, end: int, n: int, rng: np.random.Generator) -> list[_Case]:
    inside = np.flatnonzero((touches.at >= start) & (touches.at < end) & (touches.touch != _UNCARTS))
    chosen = np.sort(_drawn(inside, n, rng))
    bounds, ends = _bounds(touches), _session_ends(touches)
    drawn = []
    for row in chosen.tolist():
        customer, as_of = int(touches.customer_idx[row]), int(touches.at[row])
        last = min(end, int(touches.at[ends[row]]) + 1)
        targets, touched, levels = _split(touches, bounds[customer], bounds[customer + 1], as_of, last)
        levels[0] += 1
        drawn.append((1, customer, as_of, targets, touched, levels))
    return drawn


def _bounds(touches: Touches) -> NDArray[np.int64]:
    """First row of each customer; one more at the end."""
    return np.searchsorted(touches.customer_idx, np.arange(len(touches.customer_ids) + 1)).astype(np.int64)


def _session_ends(touches: Touches) -> NDArray[np.int64]:
    """Last row of the session that each row belongs to."""
    is_last = np.ones(len(touches), np.bool_)
    same = touches.customer_idx[1:] == touches.customer_idx[:-1]
    is_last[:-1] = ~(same & (np.diff(touches.at) <= SESSION_GAP_US))
    lasts = np.flatnonzero(is_last)
    return lasts[np.searchsorted(lasts, np.arange(len(touches)))]


def _split(
    touches: Touches, first: int, last: int, as_of: int, end: int
) -> tuple[LongVector, LongVector, NDArray[np.uint8]]:
    """Targets and what was touched before, as distinct item keys, and the level of each target."""
    at, item, touch = touches.at[first:last], touches.item_idx[first:last], touches.touch[first:last]
    is_after = (at >= as_of) & (at < end) & (touch != _UNCARTS)
    after, level = item[is_after], LEVELS[touch[is_after]]
    _, order, which = np.unique(after, return_index=True, return_inverse=True)
    strongest = np.zeros(len(order), np.uint8)
    np.maximum.at(strongest, which, level)
    by_time = np.argsort(order)
    return touches.item_keys[after[order[by_time]]], touches.item_keys[np.unique(item[at < as_of])], strongest[by_time]
