"""Many customer states as arrays: what training reads and what the feature kernel works on.

A state table is the same thing whether it was stacked from states that were built event by event or made
by an engine from the log: same fields, same integers, same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.state_fields import Extreme, Last, Recent, Total

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from features.state import Schema

LongVector = NDArray[np.int64]
LongMatrix = NDArray[np.int64]
LastValue = tuple[int, str, str] | None

NEVER: Final = np.iinfo(np.int64).min
"""Stands for a time that there is none of, in ``extremes``."""


class Records(NamedTuple):
    """Records of many customers, one below the other.

    ``rows`` int64, shape (m, k): key columns, then sums, as the field declares them. Those of customer ``i``
    are ``rows[start[i]:stop[i]]``, ascending by key. Spans may overlap: two moments of one customer share
    what happened before both.
    """

    start: LongVector
    stop: LongVector
    rows: LongMatrix

    def take(self, idx: NDArray[np.integer]) -> Records:
        """Records of some of the customers; the rows themselves are shared."""
        return Records(self.start[idx], self.stop[idx], self.rows)

    def flat(self) -> tuple[LongVector, LongMatrix]:
        """Owner of each record, int64, shape (m,), and the records, shape (m, k), spans laid out one by one."""
        owner, at = spans(self.start, self.stop)
        return owner, self.rows[at]


class StateTable:
    """States of ``n`` customers, or of one customer at ``n`` moments.

    Attributes
    ----------
    schema : Schema
    totals : int64, shape (n, n_totals)
        In the order of ``total_names``.
    extremes : int64, shape (n, n_extremes)
        Microseconds, in the order of ``extreme_names``; ``NEVER`` where there is none.
    recents : dict of str to Records
    lasts : dict of str to list
        For each customer ``(occurred_at, event_id, value)`` or None.
    """

    def __init__(
        self,
        schema: Schema,
        totals: LongMatrix,
        extremes: LongMatrix,
        recents: Mapping[str, Records],
        lasts: Mapping[str, Sequence[LastValue]],
    ) -> None:
        self.schema = schema
        self.total_names = names_of(schema, Total)
        self.extreme_names = names_of(schema, Extreme)
        self.totals = totals
        self.extremes = extremes
        self.recents = dict(recents)
        self.lasts = dict(lasts)

    @classmethod
    def from_states(cls, schema: Schema, states: Sequence[Any]) -> StateTable:
        """Stack states, whatever engine built them."""
        columns = dict(zip((f.name for f in schema.fields), _transposed(schema, states), strict=True))
        extremes = [[NEVER if x is None else x for x in columns[name]] for name in names_of(schema, Extreme)]
        return cls(
            schema,
            _matrix([columns[name] for name in names_of(schema, Total)], len(states)),
            _matrix(extremes, len(states)),
            {f.name: _stacked(f, columns[f.name]) for f in schema.fields if isinstance(f, Recent)},
            {name: columns[name] for name in names_of(schema, Last)},
        )

    def __len__(self) -> int:
        return len(self.totals)

    def total(self, name: str) -> LongVector:
        """One total of every customer, shape (n,)."""
        return self.totals[:, self.total_names.index(name)]

    def extreme(self, name: str) -> LongVector:
        """One first or last time of every customer, shape (n,); ``NEVER`` where there is none."""
        return self.extremes[:, self.extreme_names.index(name)]

    def take(self, idx: NDArray[np.integer]) -> StateTable:
        """The states of some rows, in their order; records are shared, not copied."""
        recents = {name: records.take(idx) for name, records in self.recents.items()}
        lasts = {name: [values[i] for i in idx.tolist()] for name, values in self.lasts.items()}
        return StateTable(self.schema, self.totals[idx], self.extremes[idx], recents, lasts)

    def state(self, i: int) -> Any:
        """One row as a state of the schema, equal to the one that :meth:`from_states` was given."""
        values: dict[str, Any] = dict(zip(self.total_names, self.totals[i].tolist(), strict=True))
        for name, at in zip(self.extreme_names, self.extremes[i].tolist(), strict=True):
            values[name] = None if at == NEVER else at
        for name, records in self.recents.items():
            values[name] = _records(records, i)
        for name, last in self.lasts.items():
            values[name] = last[i]
        return self.schema.State(**values)

    def each(self, names: Sequence[str]) -> Iterator[Any]:
        """Every row with the named fields only, for a function that reads few of them, such as a stage."""
        row = msgspec.defstruct("Facts", list(names))
        for values in zip(*(self._values(name) for name in names), strict=True):
            yield row(*values)

    def _values(self, name: str) -> Iterator[Any]:
        if name in self.total_names:
            return iter(self.total(name).tolist())
        if name in self.extreme_names:
            return (None if at == NEVER else at for at in self.extreme(name).tolist())
        if name in self.recents:
            return (_records(self.recents[name], i) for i in range(len(self)))
        return iter(self.lasts[name])


def names_of(schema: Schema, kind: type) -> tuple[str, ...]:
    """Names of the fields of one kind, in the order of the schema."""
    return tuple(field.name for field in schema.fields if isinstance(field, kind))


def spans(start: LongVector, stop: LongVector) -> tuple[LongVector, LongVector]:
    """Spans laid out one by one: owner of each element and its position, both int64, shape (sum of lengths,)."""
    length = stop - start
    owner = np.repeat(np.arange(len(start), dtype=np.int64), length)
    before = np.cumsum(length) - length
    return owner, np.arange(len(owner), dtype=np.int64) + (start - before)[owner]


def _records(records: Records, i: int) -> tuple[tuple[int, ...], ...]:
    rows = records.rows[records.start[i] : records.stop[i]]
    return tuple(map(tuple, rows.tolist())) if len(rows) else ()


def _transposed(schema: Schema, states: Sequence[Any]) -> Sequence[Sequence[Any]]:
    if not states:
        return [[] for _ in schema.fields]
    return list(zip(*map(msgspec.structs.astuple, states), strict=True))


def _matrix(columns: Sequence[Sequence[int]], n: int) -> LongMatrix:
    return np.array(columns, np.int64).reshape(len(columns), n).T.copy()


def _stacked(field: Recent, values: Sequence[Sequence[tuple[int, ...]]]) -> Records:
    stop = np.cumsum([len(records) for records in values], dtype=np.int64)
    start = np.concatenate([np.zeros(min(1, len(stop)), np.int64), stop[:-1]])
    flat = [record for records in values for record in records]
    return Records(start, stop, np.array(flat, np.int64).reshape(len(flat), len(field.by) + len(field.sums)))
