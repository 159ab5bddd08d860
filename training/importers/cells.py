"""One column of a file as its distinct values and a code a row.

Every value is checked once by the function that checks it online, so a million rows cost as much as
their distinct values.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import InputError
from features.values import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

MISSING_TEXTS = frozenset({"", "NULL", "null", "None", "\\N", "NA", "<NA>"})
"""What files write where there is nothing. Not NaN: a number that is not one is a mistake, and is named."""


class Cells(NamedTuple):
    """``codes`` int32, shape (n_rows,), index into ``distinct``; -1 where the cell is empty."""

    codes: NDArray[np.int32]
    distinct: Sequence[Any]

    @classmethod
    def of_arrow(cls, column: pa.ChunkedArray) -> Cells:
        """Cells of a column that is not nested."""
        if pa.types.is_timestamp(column.type):
            column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
        encoded = column.combine_chunks()
        if not pa.types.is_dictionary(encoded.type):
            encoded = pc.dictionary_encode(encoded)
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
        return cls(codes, [_decoded(value) for value in encoded.dictionary.to_pylist()]).without_missing()

    @classmethod
    def constant(cls, value: object, n_rows: int) -> Cells:
        """The same value in every row."""
        return cls(np.zeros(n_rows, np.int32), [value])

    @classmethod
    def empty(cls, n_rows: int) -> Cells:
        """Nothing in any row."""
        return cls(np.full(n_rows, -1, np.int32), [])

    def without_missing(self) -> Cells:
        """The same with texts such as NULL taken for empty cells."""
        gone = [code for code, value in enumerate(self.distinct) if isinstance(value, str) and value in MISSING_TEXTS]
        if not gone:
            return self
        return Cells(np.where(np.isin(self.codes, gone), -1, self.codes).astype(np.int32), self.distinct)

    def at(self, row: int) -> Any:
        """Value of one row; None where it is empty."""
        code = int(self.codes[row])
        return None if code < 0 else self.distinct[code]

    def take(self, rows: NDArray[Any]) -> Cells:
        """Cells of some rows, given by index or mask."""
        return Cells(self.codes[rows], self.distinct)

    def or_else(self, other: Cells) -> Cells:
        """These cells, and where they are empty those of ``other``."""
        moved = np.where(other.codes < 0, -1, other.codes + len(self.distinct))
        return Cells(np.where(self.codes < 0, moved, self.codes).astype(np.int32), [*self.distinct, *other.distinct])

    def map(self, change: Callable[[Any], Any]) -> Cells:
        """``change`` of every distinct value; None empties its cells."""
        return Cells(self.codes, [change(value) for value in self.distinct]).dropping_none()

    def dropping_none(self) -> Cells:
        """The same with None among them taken for empty cells."""
        gone = [code for code, value in enumerate(self.distinct) if value is None]
        return (
            Cells(np.where(np.isin(self.codes, gone), -1, self.codes).astype(np.int32), self.distinct) if gone else self
        )

    def parsed(self, parse: Callable[[Any], Any]) -> Parsed:
        """Every distinct value as ``parse`` reads it; what it refuses is empty, with the reason kept."""
        values: list[Any] = []
        reasons: dict[int, str] = {}
        for code, value in enumerate(self.distinct):
            try:
                values.append(parse(value))
            except (Unreadable, InputError) as error:
                values.append(None)
                reasons[code] = str(error)
        return Parsed(self, values, reasons)


class Coder:
    """Builds :class:`Cells` a value at a time; True, 1 and 1.0 stay apart."""

    def __init__(self) -> None:
        self._rows = array("q")
        self._codes = array("i")
        self._code_of: dict[Any, int] = {}
        self._values: list[Any] = []

    def add(self, row: int, value: Any) -> None:
        """Put a value into a row."""
        key = (type(value), value if value.__hash__ else repr(value))
        code = self._code_of.setdefault(key, len(self._values))
        if code == len(self._values):
            self._values.append(value)
        self._rows.append(row)
        self._codes.append(code)

    def cells(self, n_rows: int) -> Cells:
        """Everything added, in a column of ``n_rows``."""
        codes = np.full(n_rows, -1, np.int32)
        codes[np.array(self._rows, np.int64)] = np.array(self._codes, np.int32)
        return Cells(codes, self._values).without_missing()


class Parsed(NamedTuple):
    """A checked column: ``distinct`` by code, and ``reasons`` of the codes that were refused."""

    raw: Cells
    distinct: list[Any]
    reasons: dict[int, str]

    @property
    def is_bad(self) -> NDArray[np.bool_]:
        """Rows with a refused value."""
        return np.isin(self.raw.codes, list(self.reasons))

    @property
    def is_empty(self) -> NDArray[np.bool_]:
        """Rows without a value."""
        return self.raw.codes < 0

    def array(self, kind: pa.DataType) -> pa.Array:
        """The column as Arrow, null where it is empty or refused."""
        return pa.array(self.distinct, kind).take(pa.array(self.raw.codes, mask=self.is_empty))

    def numbers(self, empty: int) -> NDArray[np.int64]:
        """The column as int64, with ``empty`` where it is empty or refused."""
        by_code = np.array([*(empty if value is None else value for value in self.distinct), empty], np.int64)
        return by_code[self.raw.codes]

    def reason(self, row: int) -> str:
        """Why the value of a bad row was refused."""
        return self.reasons[int(self.raw.codes[row])]


def tuples(columns: Sequence[Cells]) -> Cells:
    """Cells of tuples, one member a column, None where that is empty; never empty themselves."""
    codes = np.zeros(len(columns[0].codes), np.int64)
    found: list[tuple[Any, ...]] = [()]
    for cells in columns:
        width = len(cells.distinct) + 1
        pairs, codes = np.unique(codes * width + cells.codes + 1, return_inverse=True)
        ends = (None, *cells.distinct)
        found = [(*found[pair // width], ends[pair % width]) for pair in pairs.tolist()]
    return Cells(codes.astype(np.int32), found)


def _decoded(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
