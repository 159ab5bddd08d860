"""Rows of a catalog file into items."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from features.catalog import MAX_TEXT_BYTES, Item, check_item
from features.errors import InputError, InvalidData
from training.importers import loose
from training.importers.cells import Cells, tuples
from training.importers.columns import ITEM_NAMES, columns_of, recognised
from training.importers.dates import read_dates
from training.importers.sheet import read_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from training.importers.rejects import Rejects
    from training.importers.sheet import Sheet

MAX_ATTRIBUTE: Final = 256
"""Longest text of a column of its own that is kept as an attribute, characters."""


def read_items(path: Path, rejects: Rejects) -> list[Item]:
    """Items of a catalog file; columns that are no field of ours become attributes.

    Raises
    ------
    InvalidData
        No file that can be read, or no column for the item's id.
    """
    if not path.is_file():
        raise InvalidData(f"{path}: expected a catalog file, got {'a directory' if path.exists() else 'nothing'}")
    sheet = read_sheet(path, rejects)
    columns: dict[str, Cells] = {}
    left = dict(sheet.columns)
    for field in ITEM_NAMES:
        if name := recognised(left, field, ITEM_NAMES):
            columns[field] = left.pop(name)
    if "published_at" in columns:
        columns["published_at"] = read_dates(columns["published_at"]).cells
    if "item_id" not in columns:
        raise InvalidData(f"{path}: expected a column item_id; it has {columns_of(sheet)}")
    if left and "attributes" not in columns:
        columns["attributes"] = _attributes(left)
    return items_of(sheet.having(columns), rejects)


def items_of(sheet: Sheet, rejects: Rejects) -> list[Item]:
    """Items of a sheet by the catalog's field names; rows that are none go to the rejects."""
    columns = {field: cells for field, cells in sheet.columns.items() if field in PARSERS}
    parsed = {field: cells.parsed(PARSERS[field]) for field, cells in columns.items()}
    items: list[Item] = []
    for place, row in enumerate(sheet.rows.tolist()):
        codes = {field: int(column.raw.codes[place]) for field, column in parsed.items()}
        found = {field: parsed[field].distinct[code] for field, code in codes.items() if code >= 0}
        refused = [(f, parsed[f].reasons[code]) for f, code in codes.items() if code in parsed[f].reasons]
        try:
            if refused:
                raise InputError(refused[0][1], pointer=f"/{refused[0][0]}")
            items.append(check_item(found))
        except InputError as error:
            field = error.pointer.split("/")[1]
            value = columns[field].distinct[codes[field]] if codes.get(field, -1) >= 0 else None
            rejects.add(sheet.file, field, [(row, value, str(error))])
    return items


def _attributes(columns: Mapping[str, Cells]) -> Cells:
    names = [re.sub(r"[^A-Za-z0-9_.\-]", "_", name)[:64] for name in columns]
    rows = tuples([cells.map(_attribute) for cells in columns.values()])
    return rows.map(lambda row: {n: v for n, v in zip(names, row, strict=True) if v is not None} or None)


def _attribute(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return None if isinstance(value, str) and len(value) > MAX_ATTRIBUTE else value


def _cut(value: Any) -> Any:
    """Text within the catalog's limit: the beginning of a long article says what it is about."""
    if not isinstance(value, str) or len(value) * 4 <= MAX_TEXT_BYTES:
        return value
    return value.encode("utf-8", "replace")[:MAX_TEXT_BYTES].decode("utf-8", "ignore")


def _same(value: Any) -> Any:
    return value


PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "item_id": loose.an_id,
    "kind": _same,
    "title": _same,
    "text": _cut,
    "category": loose.a_category,
    "price": loose.a_number,
    "price_minor": loose.a_rank,
    "currency": loose.a_currency,
    "available": loose.a_flag,
    "locale": _same,
    "published_at": loose.a_moment,
    "attributes": _same,
}
