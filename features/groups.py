"""Records of many customers laid out one by one, and what is summed over them in integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.state_fields import Recent

if TYPE_CHECKING:
    from features.state_table import LongMatrix, LongVector, StateTable

BoolVector = NDArray[np.bool_]


class FlatRecords:
    """Records of ``n`` customers: one ``owner`` in ``[0, n)`` a record, ascending, and the columns by name."""

    def __init__(self, n: int, owner: LongVector, rows: LongMatrix, names: tuple[str, ...]) -> None:
        self.n = n
        self.owner = owner
        self._rows = rows
        self._names = names
        self._bounds = np.searchsorted(owner, np.arange(n + 1))

    @classmethod
    def of(cls, table: StateTable, name: str) -> FlatRecords:
        """All records of one field."""
        field = next(f for f in table.schema.fields if f.name == name)
        assert isinstance(field, Recent)
        owner, rows = table.recents[name].flat()
        return cls(len(table), owner, rows, (*field.by, *(total for total, _, _ in field.sums)))

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, name: str) -> LongVector:
        column: LongVector = self._rows[:, self._names.index(name)]
        return column

    def where(self, mask: BoolVector) -> FlatRecords:
        """Some of the records, of the same customers."""
        return FlatRecords(self.n, self.owner[mask], self._rows[mask], self._names)

    def count(self) -> LongVector:
        """Records of each customer, shape (n,)."""
        return np.diff(self._bounds)

    def sum(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums of each customer, shape (n, ...), of a value a record, shape (m, ...)."""
        sums = np.zeros((len(self) + 1, *values.shape[1:]), np.int64)
        np.cumsum(values, axis=0, out=sums[1:])
        return sums[self._bounds[1:]] - sums[self._bounds[:-1]]

    def first(self, values: LongVector) -> LongVector:
        """Value of each customer's first record, shape (n,); 0 where there is none."""
        return self._at(self._bounds[:-1], values)

    def last(self, values: LongVector) -> LongVector:
        """Value of each customer's last record, shape (n,); 0 where there is none."""
        return self._at(self._bounds[1:] - 1, values)

    def by(self, name: str) -> Groups:
        """Records grouped by customer and one column."""
        return Groups(self, self[name])

    def _at(self, at: LongVector, values: LongVector) -> LongVector:
        found = np.zeros(self.n, np.int64)
        has_records = self._bounds[1:] > self._bounds[:-1]
        found[has_records] = values[at[has_records]]
        return found


class Groups:
    """Records grouped by customer and a key, in the order of the records inside a group."""

    def __init__(self, records: FlatRecords, key: LongVector) -> None:
        self.n = records.n
        self._order = np.lexsort((key, records.owner))
        owner, key = records.owner[self._order], key[self._order]
        is_new = np.ones(len(key), np.bool_)
        is_new[1:] = (owner[1:] != owner[:-1]) | (key[1:] != key[:-1])
        self._starts = np.flatnonzero(is_new)
        self.owner = owner[self._starts]

    def sum(self, values: LongVector) -> LongVector:
        """Sum of each group, of a value a record."""
        sums: LongVector = np.add.reduceat(values[self._order], self._starts) if len(values) else values
        return sums

    def greatest(self, values: LongVector) -> LongVector:
        """Greatest value of each group, of a value a record."""
        greatest: LongVector = np.maximum.reduceat(values[self._order], self._starts) if len(values) else values
        return greatest

    def least(self, values: LongVector) -> LongVector:
        """Least value of each group, of a value a record."""
        return -self.greatest(-values)

    def count(self, mask: BoolVector | None = None) -> LongVector:
        """Groups of each customer, those of a mask only where one is given; shape (n,)."""
        return np.bincount(self.owner if mask is None else self.owner[mask], minlength=self.n)

    def most(self, values: NDArray[np.float64] | LongVector) -> NDArray[np.float64]:
        """Greatest value >= 0 over each customer's groups, shape (n,); 0 where there are none."""
        most = np.zeros(self.n)
        np.maximum.at(most, self.owner, values)
        return most
