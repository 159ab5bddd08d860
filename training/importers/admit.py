"""Rows of a sheet into lines of the log: what may enter enters, what may not goes to the rejects.

The vectorised twin of :func:`features.ingest.lines_of`; a property test holds them equal.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.catalog import KINDS, MAX_TITLE_BYTES, locale
from features.events import COLUMNS, DAY_US, MAX_LINES, MAX_SKEW_US, SCHEMA_VERSION, WITH_ITEM, Channel
from features.ids import MAX_ID_BYTES, key64
from features.ingest import COUNTED_ONCE, anonymous, properties_of
from features.money import minor_units
from features.values import Unreadable, text
from training.importers import loose
from training.importers.cells import Cells, Parsed, tuples
from training.log import ARROW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from training.importers.rejects import Rejects
    from training.importers.sheet import Sheet

    Mask = NDArray[np.bool_]

ORDERS: Final = frozenset({"purchase", "refund"})
"""Types whose rows with one order id are lines of one event."""

HELPERS: Final = pa.schema(
    [
        ("file", pa.string()),
        ("row", pa.int64()),
        ("has_id", pa.bool_()),
        ("category", pa.string()),
        ("title", pa.string()),
        ("kind", pa.string()),
        ("locale", pa.string()),
        ("unit_minor", pa.int64()),
    ]
)
"""Columns that travel beside those of the log until the catalog is made of them."""


@dataclass(frozen=True)
class Rules:
    """What one import takes for granted.

    Attributes
    ----------
    source : str
        Name of the source in the log.
    now : int
        Moment of the import, microseconds; what is later is in the future.
    needs_customer : bool
        Whether a row without a customer is a mistake. On social media it never is.
    types : mapping
        Event names of this source → ours, before all other names.
    part : str
        Tells the files of one source apart, where there are several.
    """

    source: str
    now: int
    needs_customer: bool = True
    allow_contact: bool = False
    types: Mapping[str, str] = field(default_factory=dict)
    part: str = ""

    @property
    def prefix(self) -> str:
        """What the event ids that are made here begin with."""
        return f"{self.source}:{self.part}" if self.part else self.source


def admit(sheet: Sheet, rules: Rules, rejects: Rejects) -> pa.Table:
    """Lines of the rows that may enter, with the columns of the log (``cat_key`` null) and ``HELPERS``."""
    parsed = _parsed(sheet, rules)
    bad = np.zeros(len(sheet), bool)
    for name in CHECKED:
        _refuse(sheet, name.removesuffix("_minor"), parsed[name], bad, rejects)
    for name, mask, reason in _demands(sheet, parsed, rules):
        new = mask & ~bad
        written = sheet.column(name)
        rejects.add(
            sheet.file, name, ((int(sheet.rows[n]), written.at(n), reason) for n in np.flatnonzero(new).tolist())
        )
        bad |= new
    keep = ~np.isin(sheet.rows, sheet.rows[bad])
    return _table(sheet, parsed, rules).filter(pa.array(keep))


def _parsed(sheet: Sheet, rules: Rules) -> dict[str, Parsed]:
    """Every field, checked; the amounts by the line's currency and quantity."""
    parsers: dict[str, Callable[[Any], Any]] = {
        **PARSERS,
        "customer_id": functools.partial(loose.an_id, allow_contact=rules.allow_contact),
        "anonymous_id": lambda value: anonymous(loose.an_id(value, allow_contact=rules.allow_contact)),
        "type": lambda value: rules.types.get(value) or loose.a_type(value),
    }
    parsed = {name: sheet.column(name).parsed(parse) for name, parse in parsers.items()}
    quantity = _clean(parsed["quantity"])
    currency = _clean(parsed["currency"])
    parsed["amount_minor"] = _money(_clean(parsed["amount"]), None, currency)
    parsed["properties"] = _properties(parsed)
    price = _clean(parsed["price"])
    unpriced = Cells(np.where(parsed["amount"].is_empty, price.codes, -1).astype(np.int32), price.distinct)
    parsed["price_minor"] = _money(unpriced, quantity, currency)
    parsed["unit_minor"] = _money(price, None, currency)
    return parsed


def _clean(column: Parsed) -> Cells:
    """The read values of a column as cells, empty where they were refused."""
    return Cells(column.raw.codes, column.distinct).dropping_none()


def _money(number: Cells, quantity: Cells | None, currency: Cells) -> Parsed:
    """Minor units of ``number`` times ``quantity``, by distinct triple."""
    if not len(number.distinct):
        return number.parsed(Decimal)
    counts = quantity or Cells.empty(len(number.codes))

    def minor(triple: tuple[Any, ...]) -> int:
        return minor_units(triple[0] * (triple[1] or 1), triple[2])

    triples = tuples([number, counts, currency]).map(lambda triple: None if triple[0] is None else triple)
    return triples.parsed(lambda triple: None if triple is None else minor(triple))


def _properties(parsed: Mapping[str, Parsed]) -> Parsed:
    """Properties by what is given, the visitor's id beside a customer's, and the type."""
    visitor = _clean(parsed["anonymous_id"])
    other = Cells(np.where(parsed["customer_id"].is_empty, -1, visitor.codes).astype(np.int32), visitor.distinct)
    given = _clean(parsed["properties"])
    if (given.codes < 0).all() and (other.codes < 0).all():
        return Cells.empty(len(given.codes)).parsed(str)
    triples = tuples([given, other, _clean(parsed["type"])])
    return triples.map(lambda triple: None if triple[:2] == (None, None) else triple).parsed(_logged)


def _logged(triple: tuple[Any, str | None, str | None] | None) -> str | None:
    if triple is None:
        return None
    given, other, event_type = triple
    return properties_of(event_type or "", {} if given is None else loose.an_object(given), other)


def _refuse(sheet: Sheet, name: str, column: Parsed, bad: Mask, rejects: Rejects) -> None:
    """Add the rows that ``column`` refuses to ``bad`` and to the rejects, unless they are there already."""
    new = column.is_bad & ~bad
    if new.any():
        written = sheet.column(name)
        found = ((int(sheet.rows[n]), written.at(n), column.reason(n)) for n in np.flatnonzero(new).tolist())
        rejects.add(sheet.file, name, found)
        bad |= new


def _demands(sheet: Sheet, parsed: Mapping[str, Parsed], rules: Rules) -> list[tuple[str, Mask, str]]:
    """What must hold between fields: the field to blame, the rows to blame it on, and why."""
    has_item = ~parsed["item_id"].is_empty
    nobody = parsed["customer_id"].is_empty & parsed["anonymous_id"].is_empty
    is_social = _is_one_of(parsed["channel"], {Channel.SOCIAL})
    future = parsed["occurred_at"].numbers(0) > rules.now + MAX_SKEW_US
    items = sheet.column("items")
    is_odd = np.array([value != [] for value in items.distinct] + [False], bool)[items.codes]
    return [
        ("type", parsed["type"].is_empty, "expected the name of an event"),
        ("occurred_at", parsed["occurred_at"].is_empty, "expected the time when it happened"),
        ("occurred_at", future, "expected a time in the past, got one in the future"),
        ("customer_id", nobody & ~is_social & rules.needs_customer, "expected a customer"),
        ("customer_id", nobody & ~has_item, "expected a customer where there is no item"),
        ("items", is_odd, f"expected a list of at most {MAX_LINES}, with what differs between them within each"),
        ("item_id", ~has_item & _is_one_of(parsed["type"], WITH_ITEM), "expected an item with this type of event"),
        ("event_id", parsed["event_id"].is_empty & (not parsed["event_id"].is_empty.all()), "expected an event_id"),
    ]


def _is_one_of(column: Parsed, wanted: set[Any] | frozenset[Any]) -> Mask:
    return np.array([value in wanted for value in column.distinct] + [False], bool)[column.raw.codes]


def _table(sheet: Sheet, parsed: Mapping[str, Parsed], rules: Rules) -> pa.Table:
    n_rows = len(sheet)
    event_id, line_no = _identify(sheet, parsed, rules.prefix)
    occurred_at = pa.array(parsed["occurred_at"].numbers(0))
    item_id = parsed["item_id"]
    keys = Parsed(item_id.raw, [None if v is None else key64(v) for v in item_id.distinct], {})
    columns: dict[str, Any] = {
        "event_id": event_id,
        "line_no": pa.array(line_no, pa.int32()),
        "customer_id": pc.coalesce(*(parsed[name].array(pa.string()) for name in ("customer_id", "anonymous_id"))),
        "type": pc.fill_null(parsed["type"].array(pa.string()), ""),
        "item_key": keys.array(pa.int64()),
        "cat_key": pa.nulls(n_rows, pa.int64()),
        "occurred_at": occurred_at,
        "received_at": occurred_at,
        "day": pc.divide(occurred_at, DAY_US),
        "channel": pc.fill_null(parsed["channel"].array(pa.string()), Channel.WEB.value),
        "amount_minor": pc.coalesce(*(parsed[name].array(pa.int64()) for name in ("amount_minor", "price_minor"))),
        "quantity": _quantities(parsed),
        "consent": pc.fill_null(parsed["consent"].array(pa.int32()), 0),
        "trust": np.ones(n_rows, np.int32),
        "late": np.zeros(n_rows, bool),
        "source": pa.array([rules.source]).take(pa.array(np.zeros(n_rows, np.int32))),
        "schema_version": np.full(n_rows, SCHEMA_VERSION, np.int32),
        "properties": pc.fill_null(parsed["properties"].array(pa.string()), "{}"),
        "file": pa.array([sheet.file]).take(pa.array(np.zeros(n_rows, np.int32))),
        "row": sheet.rows,
        "has_id": ~parsed["event_id"].is_empty,
    }
    kinds = {**{c.name: ARROW[c.arrow] for c in COLUMNS}, **dict(zip(HELPERS.names, HELPERS.types, strict=True))}
    arrays = {name: columns[name] if name in columns else parsed[name].array(kind) for name, kind in kinds.items()}
    return pa.table({name: pc.cast(pa.array(array), kinds[name]) for name, array in arrays.items()})


def _quantities(parsed: Mapping[str, Parsed]) -> pa.Array:
    """Given quantities, and 1 for what is put into a cart or bought without one."""
    is_one = _is_one_of(parsed["type"], COUNTED_ONCE) & ~parsed["item_id"].is_empty
    ones = pa.array(np.ones(len(is_one), np.int32), mask=~is_one)
    return pc.coalesce(parsed["quantity"].array(pa.int32()), ones)


def _identify(sheet: Sheet, parsed: Mapping[str, Parsed], prefix: str) -> tuple[pa.Array, NDArray[np.int32]]:
    """Event id and line number of every row: the file's own, else by order, else by row."""
    if not parsed["event_id"].is_empty.all():
        return pc.fill_null(parsed["event_id"].array(pa.string()), ""), sheet.line_no
    by_row = pc.binary_join_element_wise(prefix, pc.cast(pa.array(sheet.rows), pa.string()), ":")
    orders = parsed["order_id"]
    in_order = ~orders.is_empty & ~orders.is_bad & _is_one_of(parsed["type"], ORDERS)
    if not in_order.any():
        return by_row, sheet.line_no
    ids, line_no = _orders(parsed, np.flatnonzero(in_order), prefix)
    return pc.replace_with_mask(by_row, pa.array(in_order), ids), _replaced(sheet.line_no, in_order, line_no)


def _orders(parsed: Mapping[str, Parsed], rows: NDArray[np.int64], prefix: str) -> tuple[pa.Array, NDArray[np.int32]]:
    """Ids and line numbers of order lines; one order at two moments or of two customers is two events."""
    frame = pd.DataFrame({name: parsed[name].raw.codes[rows] for name in ("order_id", "customer_id", "occurred_at")})
    frame["type"] = parsed["type"].array(pa.string()).take(pa.array(rows)).to_pandas()
    event = ["order_id", "type", "customer_id", "occurred_at"]
    line_no = frame.groupby(event, sort=False).cumcount().to_numpy().astype(np.int32)
    events = frame.drop_duplicates(event)
    events = events.assign(part=events.groupby(["order_id", "type"], sort=False).cumcount())
    part = frame.merge(events, on=event, how="left")["part"].tolist()
    names = (parsed["order_id"].distinct[code] for code in frame["order_id"])
    ids = [_order_event(prefix, *which) for which in zip(names, frame["type"], part, strict=True)]
    return pa.array(ids, pa.string()), line_no


def _order_event(prefix: str, order_id: str, event_type: str, part: int) -> str:
    event_id = f"{prefix}:{order_id}:{event_type}{f':{part}' if part else ''}"
    if len(event_id.encode()) <= MAX_ID_BYTES:
        return event_id
    return f"{prefix}:{blake2b(event_id.encode(), digest_size=16).hexdigest()}"


def _replaced(values: NDArray[np.int32], where: Mask, by: NDArray[np.int32]) -> NDArray[np.int32]:
    result = values.copy()
    result[where] = by
    return result


def _a_kind(value: object) -> str:
    if value not in KINDS:
        raise Unreadable(f"expected one of {', '.join(KINDS)}")
    return str(value)


PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "event_id": loose.an_id,
    "order_id": loose.an_id,
    "type": loose.a_type,
    "occurred_at": loose.a_moment,
    "customer_id": loose.an_id,
    "anonymous_id": loose.an_id,
    "item_id": loose.an_id,
    "category": loose.a_category,
    "session_id": loose.an_id,
    "channel": loose.a_channel,
    "currency": loose.a_currency,
    "quantity": loose.a_quantity,
    "amount": loose.a_number,
    "price": loose.a_number,
    "slate_id": loose.an_id,
    "rank": loose.a_rank,
    "consent": loose.consents,
    "properties": lambda value: value,
    "title": lambda value: text(value, MAX_TITLE_BYTES),
    "kind": _a_kind,
    "locale": locale,
}
CHECKED: Final = (*(name for name in PARSERS if name not in {"title", "kind", "locale"}), "amount_minor", "price_minor")
"""Fields whose bad value costs the row; one about the item only is left out."""
