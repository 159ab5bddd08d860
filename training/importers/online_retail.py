"""UCI Online Retail: invoices of a British gift shop, 2010 and 2011.

Decisions, each counted: an invoice is an order at the time of its first line; a cancellation (``C…``)
is a refund; stock corrections, adjustments of debt, and postage, fees and other manual codes are no
events; lines without a customer stay as signals about their items. Times have no zone and are taken
as UTC. Ids stay as they are: ``85123a`` and ``85123A`` are two items.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from features.values import Unreadable
from training.importers import loose
from training.importers.batch import Batch, find, fitting
from training.importers.cells import Cells
from training.importers.sheet import read_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from training.importers.rejects import Rejects
    from training.importers.sheet import Sheet

    Mask = NDArray[np.bool_]

FILES: Final = ("online_retail.parquet", "online_retail.csv", "Online Retail.csv", "OnlineRetail.csv", "data.csv")
OURS: Final = ("order_id", "item_id", "title", "quantity", "occurred_at", "price", "customer_id")
STORED: Final = ("invoice_no", "stock_code", "description", "quantity", "invoice_date", "unit_price", "customer_id")
ORIGINAL: Final = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
SECOND: Final = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID")

_PRODUCT = re.compile(r"\d{5}[A-Za-z]{0,2}|DCGS\w+|SP\d+|gift_\d+_\d+")
_US_TIME = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d\d)")
NOTES: Final = (
    "Times have no zone and were taken as UTC.",
    "An invoice is one order, at the time of its first line; a cancellation (C…) is a refund.",
    "Lines without a customer were kept as signals about their items: they feed what is trending, no one's taste.",
    "An item's title is its most frequent description, its price the latest.",
)


def read(path: Path, rejects: Rejects) -> Batch:
    """The lines that are a sale or a refund of a product."""
    file = find(path, FILES)
    raw = read_sheet(file, rejects)
    shape = fitting(raw, [dict(zip(OURS, names, strict=True)) for names in (STORED, ORIGINAL, SECOND)], file)
    sheet = raw.having({field: raw.columns[name] for field, name in shape.items()})
    keep, left_out = _decided(sheet)
    return Batch([_events(sheet.take(keep))], needs_customer=False, left_out=left_out, notes=list(NOTES))


def _decided(sheet: Sheet) -> tuple[Mask, Counter[str]]:
    """Which rows are events, and how many of the others for which reason; a row counts for its first."""
    keep = np.ones(len(sheet), bool)
    left_out: Counter[str] = Counter()
    for reason, mask in _not_events(sheet):
        left_out[reason] = int((mask & keep).sum())
        keep &= ~mask
    return keep, left_out


def _not_events(sheet: Sheet) -> list[tuple[str, Mask]]:
    invoice, item = sheet.column("order_id"), sheet.column("item_id")
    quantity, price = (_numbers(sheet.column(name)) for name in ("quantity", "price"))
    is_cancelled = _where(invoice, _is_cancellation)
    is_nobody = sheet.column("customer_id").codes < 0
    return [
        ("adjustment of bad debt", _where(invoice, lambda code: str(code).startswith("A"))),
        (
            "postage, fee, discount or other manual stock code",
            _where(item, lambda code: not _PRODUCT.fullmatch(str(code))),
        ),
        ("stock correction: a negative quantity that is no cancellation", (quantity < 0) & ~is_cancelled),
        ("stock correction: no price and no customer", (price == 0) & is_nobody),
    ]


def _events(sheet: Sheet) -> Sheet:
    columns = dict(sheet.columns)
    columns["type"] = columns["order_id"].map(lambda code: "refund" if _is_cancellation(code) else "purchase")
    columns["customer_id"] = columns["customer_id"].map(_whole)
    columns["quantity"] = columns["quantity"].map(_size)
    columns["occurred_at"] = _first_of_order(columns["occurred_at"], columns["order_id"])
    columns["currency"] = Cells.constant("GBP", len(sheet))
    columns["title"] = _most_frequent(columns["title"].map(_title), columns["item_id"])
    return sheet.having(columns)


def _whole(customer: Any) -> Any:
    """Copies of the file write 17850.0 where the original has 17850."""
    return customer.removesuffix(".0") if isinstance(customer, str) else customer


def _is_cancellation(code: Any) -> bool:
    return str(code).startswith("C")


def _where(cells: Cells, holds: Any) -> Mask:
    return np.array([*(bool(holds(value)) for value in cells.distinct), False], bool)[cells.codes]


def _numbers(cells: Cells) -> NDArray[np.float64]:
    """The column as numbers, NaN where it is none: such a row is for the common checks to refuse."""
    return np.array([*(_number(value) for value in cells.distinct), np.nan])[cells.codes]


def _number(value: Any) -> float:
    try:
        return float(loose.a_number(value))
    except Unreadable:
        return float("nan")


def _size(quantity: Any) -> Any:
    number = _number(quantity)
    return quantity if np.isnan(number) else abs(number)


def _time(value: Any) -> Any:
    """The original file writes month/day/year; what is no time is left for the common checks to refuse."""
    if isinstance(value, str) and (match := _US_TIME.fullmatch(value.strip())):
        month, day, year, hour, minute = map(int, match.groups())
        value = f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}"
    try:
        return loose.a_moment(value)
    except Unreadable:
        return value


def _first_of_order(times: Cells, orders: Cells) -> Cells:
    """Of every row the earliest time of its invoice, where both can be read."""
    read = times.map(_time)
    is_time = np.array([*(isinstance(value, int) for value in read.distinct), False], bool)[read.codes]
    at = np.array([*(value if isinstance(value, int) else 0 for value in read.distinct), 0], np.int64)[read.codes]
    usable = is_time & (orders.codes >= 0)
    first = pd.Series(at[usable]).groupby(orders.codes[usable]).transform("min").to_numpy()
    moments, codes = np.unique(first, return_inverse=True)
    earliest = np.full(len(at), -1, np.int32)
    earliest[usable] = codes
    return Cells(earliest, moments.tolist()).or_else(read)


def _title(description: Any) -> str | None:
    """A description in capitals is a product's; the others (``damages``, ``?``) are notes of the stockroom."""
    text = " ".join(str(description).split())
    return text if text and any(sign.isupper() for sign in text) else None


def _most_frequent(titles: Cells, items: Cells) -> Cells:
    """Of every row the most frequent title of its item; of equally frequent ones the first by alphabet."""
    frame = pd.DataFrame({"item": items.codes, "title": titles.codes})
    frame = frame[(frame["title"] >= 0) & (frame["item"] >= 0)]
    counts = frame.value_counts(["item", "title"]).rename("n").reset_index()
    counts["text"] = [titles.distinct[code] for code in counts["title"]]
    best = counts.sort_values(["n", "text"], ascending=[False, True]).drop_duplicates("item")
    title_of = np.full(len(items.distinct) + 1, -1, np.int32)
    title_of[best["item"].to_numpy()] = best["title"].to_numpy()
    return Cells(title_of[items.codes], titles.distinct)
