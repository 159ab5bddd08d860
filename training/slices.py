"""The states of slices of a customer's history, merged into the states at the moments between them.

The moments at which a customer is asked about cut their history into slices, numbered through all
customers: slot ``s`` holds what happened before moment ``s`` and not before the one ahead of it. The state
at a moment is the merge of the customer's slots up to it: ``features.state`` on arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from features.state import last_value
from features.state_table import NEVER, LastValue, LongMatrix, LongVector, Records, spans

if TYPE_CHECKING:
    from collections.abc import Sequence

_EARLIEST = np.iinfo(np.int64).min
_LATEST = np.iinfo(np.int64).max


class Moments(NamedTuple):
    """The different moments of each customer, and where each case finds its own.

    ``slices`` has a row a slot: ``customer_id``, ``slot`` int64, and the microseconds ``starts_at`` and
    ``ends_at`` between which it lies (the second excluded). ``first_slots`` int64, shape (n_customers,).
    ``first`` and ``slot``, int64, shape (n_cases,): the customer's first slot, the moment's own.
    """

    slices: pa.Table
    first_slots: LongVector
    first: LongVector
    slot: LongVector

    @classmethod
    def of(cls, customer_id: pa.ChunkedArray, as_of: LongVector) -> Moments:
        """Number the moments of the cases."""
        ids = customer_id.combine_chunks().dictionary_encode(null_encoding="encode")
        code = ids.indices.to_numpy().astype(np.int64)
        order = np.lexsort((as_of, code))
        is_new = _differs(np.column_stack([code, as_of])[order])
        slot = np.empty(len(code), np.int64)
        slot[order] = np.cumsum(is_new) - 1
        distinct = order[is_new]
        first = np.searchsorted(code[distinct], np.arange(len(ids.dictionary)))
        starts_at = np.roll(as_of[distinct], 1)
        starts_at[first] = _EARLIEST
        columns = {"slot": np.arange(len(distinct)), "starts_at": starts_at, "ends_at": as_of[distinct]}
        slices = pa.table({"customer_id": ids.dictionary.take(pa.array(code[distinct])), **columns})
        return cls(slices, first, first[code], slot)

    def spans(self, slots: LongVector) -> tuple[LongVector, LongVector]:
        """For each case the span of rows to merge, in rows that are sorted by their slot."""
        start: LongVector = np.searchsorted(slots, self.first, "left")
        return start, np.searchsorted(slots, self.slot, "right")


def merge_totals(moments: Moments, slots: LongVector, values: LongMatrix) -> LongMatrix:
    """Sums of each case, shape (n_cases, n_totals), of rows of slots, shape (m, n_totals)."""
    start, stop = moments.spans(slots)
    sums = np.zeros((len(values) + 1, values.shape[1]), np.int64)
    np.cumsum(values, axis=0, out=sums[1:])
    return sums[stop] - sums[start]


def merge_extremes(moments: Moments, slots: LongVector, values: LongMatrix, is_last: Sequence[bool]) -> LongMatrix:
    """First or last times of each case, shape (n_cases, n_extremes); ``NEVER`` where there is none."""
    start, stop = moments.spans(slots)
    merged = np.full((len(start), values.shape[1]), NEVER, np.int64)
    has_rows = stop > start
    if not has_rows.any():
        return merged
    at = np.column_stack([start[has_rows], stop[has_rows]]).ravel()
    for column, last in enumerate(is_last):
        times = np.append(values[:, column], NEVER)
        merged[has_rows, column] = _last_times(times, at) if last else _first_times(times, at)
    return merged


def merge_records(moments: Moments, slots: LongVector, rows: LongMatrix, n_key: int, keep: int) -> Records:
    """Records of each case from the records of slots, shape (m, k), which are sorted by slot and key."""
    start, stop = moments.spans(slots)
    customer = np.searchsorted(moments.first_slots, slots, "right")
    keys = np.column_stack([customer, rows[:, :n_key]])
    if _is_ascending(keys):
        # No key lies in two slices: what a case needs is one span, and cases can share the rows.
        return Records(np.maximum(start, stop - keep), stop, rows)
    owner, at = spans(start, stop)
    rank = _rank(keys)[at]
    order = np.argsort(owner * len(rows) + rank, kind="stable")
    owner, at, rank = owner[order], at[order], rank[order]
    firsts = np.flatnonzero(_differs(np.column_stack([owner, rank])))
    sums = np.add.reduceat(rows[at, n_key:], firsts, axis=0)
    merged = np.column_stack([rows[at[firsts], :n_key], sums])
    bounds = np.searchsorted(owner[firsts], np.arange(len(start) + 1))
    return Records(np.maximum(bounds[:-1], bounds[1:] - keep), bounds[1:], merged)


def merge_lasts(moments: Moments, name: str, found: pa.Table) -> list[LastValue]:
    """Latest value for each case, from the latest lines of slots: slot, occurred_at, event_id, properties."""
    columns = (found[column].to_pylist() for column in ("slot", "t", "event_id", "properties"))
    said = [(slot, last_value(name, *line)) for slot, *line in zip(*columns, strict=True)]
    slots = np.array([slot for slot, _ in said], np.int64)
    start, stop = moments.spans(slots)
    merged: list[LastValue] = [None] * len(start)
    for case in np.flatnonzero(stop > start).tolist():
        values = (value for _, value in said[start[case] : stop[case]])
        merged[case] = max((value for value in values if value is not None), default=None)
    return merged


def _last_times(times: LongVector, at: LongVector) -> LongVector:
    last: LongVector = np.maximum.reduceat(times, at)[::2]
    return last


def _first_times(times: LongVector, at: LongVector) -> LongVector:
    first: LongVector = np.minimum.reduceat(np.where(times == NEVER, _LATEST, times), at)[::2]
    return np.where(first == _LATEST, NEVER, first)


def _differs(rows: LongMatrix) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each row differs from the one before it, shape (m,); the first one does."""
    is_new = np.ones(len(rows), np.bool_)
    is_new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return is_new


def _is_ascending(keys: LongMatrix) -> bool:
    """Whether each key is greater than the one before it, by the first column in which they differ."""
    before, after = keys[:-1], keys[1:]
    is_greater = np.zeros(len(before), np.bool_)
    for column in reversed(range(keys.shape[1])):
        a, b = before[:, column], after[:, column]
        is_greater = (b > a) | ((b == a) & is_greater)
    return bool(is_greater.all())


def _rank(keys: LongMatrix) -> LongVector:
    """Dense rank of each key, shape (m,)."""
    order = np.lexsort(keys.T[::-1])
    rank = np.empty(len(keys), np.int64)
    rank[order] = np.cumsum(_differs(keys[order])) - 1
    return rank
