"""RetailRocket: view, addtocart and transaction of anonymous visitors.

Reads ``events.parquet`` of eight days with categories and sessions, and the original ``events.csv``.
Transactions of one visitor in one second are lines of one order, where the file has no order ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from training.importers.batch import Batch, find, fitting
from training.importers.cells import Cells, tuples
from training.importers.columns import pick
from training.importers.sheet import read_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from training.importers.rejects import Rejects
    from training.importers.sheet import Sheet

FILES: Final = ("events.parquet", "events.csv")
EIGHT_DAYS: Final = {
    "occurred_at": "timestamp_s",
    "customer_id": "user_id",
    "type": "event_type",
    "item_id": "item_id",
    "category": "category_id",
}
ORIGINAL: Final = {
    "occurred_at": "timestamp",
    "customer_id": "visitorid",
    "type": "event",
    "item_id": "itemid",
    "order_id": "transactionid",
}
TYPES: Final = {"view": "item_view", "addtocart": "cart_add", "transaction": "purchase"}


def read(path: Path, rejects: Rejects) -> Batch:
    """All events of the file; session numbers of its two windows are kept apart."""
    file = find(path, FILES)
    raw = read_sheet(file, rejects)
    shape = fitting(raw, (EIGHT_DAYS, ORIGINAL), file)
    sheet, _ = pick(raw, shape)
    columns = dict(sheet.columns)
    columns["session_id"] = _sessions(raw)
    columns.setdefault("order_id", tuples([sheet.column("customer_id"), sheet.column("occurred_at")]).map(_order))
    notes = ["There is no catalog in this source: items are known by id and, where given, by category."]
    return Batch([sheet.having(columns)], types=TYPES, notes=notes)


def _sessions(raw: Sheet) -> Cells:
    first, second = (raw.column(f"session_id_{window}") for window in ("valid", "test"))
    return first.map(lambda number: f"v{number}").or_else(second.map(lambda number: f"t{number}"))


def _order(pair: tuple[Any, Any]) -> str | None:
    return None if None in pair else f"{pair[0]}.{pair[1]}"
