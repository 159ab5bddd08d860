"""Which column of a file is which field of ours: as the user says, else by the names that shops use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from features.errors import InvalidData
from features.ingest import LINE_FIELDS
from training.importers.cells import Cells, tuples
from training.importers.sheet import MEMBER, Sheet

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "event_id": ("eventid", "messageid", "eventuuid"),
    "order_id": ("orderid", "transactionid", "invoiceno", "invoice", "invoiceid", "basketid"),
    "customer_id": (
        *("customerid", "customer", "userid", "user", "visitorid", "personid", "householdid", "clientid", "memberid"),
        *("accountid", "shopperid", "buyerid", "reviewerid", "readerid", "uid"),
    ),
    "anonymous_id": ("anonymousid", "anonymous", "cookieid", "deviceid"),
    "type": ("type", "eventtype", "event", "eventname", "action", "activity", "behavior", "behaviour"),
    "occurred_at": (
        *("occurredat", "timestamp", "timestamps", "timestampms", "ts", "eventtime", "time", "datetime"),
        *("eventtimestamp", "unixtimestamp", "unixtime", "unixreviewtime", "createdat", "date", "transactiontimestamp"),
        *("transactiondate", "transactiondt", "invoicedate", "orderdate", "purchasedate", "eventdate"),
    ),
    "item_id": (
        *("itemid", "item", "productid", "product", "sku", "contentid", "articleid", "stockcode", "movieid", "asin"),
        *("postid", "songid", "trackid", "bookid", "newsid", "videoid", "gameid", "courseid", "recipeid"),
    ),
    "items": ("items",),
    "session_id": ("sessionid", "session", "usersession", "visitid"),
    "channel": ("channel",),
    "category": ("category", "categorypath", "categorycode", "categoryid", "productcategory", "itemcategory"),
    "amount": ("amount", "revenue", "linetotal", "salesvalue"),
    "price": ("price", "unitprice", "itemprice", "productprice"),
    "currency": ("currency", "currencycode"),
    "quantity": ("quantity", "qty", "units"),
    "slate_id": ("slateid",),
    "rank": ("rank",),
    "consent": ("consent",),
    "properties": ("properties",),
}
"""Names of columns that are recognised, small letters and digits only, the likeliest first."""

ITEM_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "item_id": (*NAMES["item_id"], "id"),
    "kind": ("kind", "itemkind"),
    "title": ("title", "producttitle", "itemtitle", "productname", "itemname", "name", "headline"),
    "text": ("text", "description", "body", "content"),
    "category": NAMES["category"],
    "price": NAMES["price"],
    "price_minor": ("priceminor",),
    "currency": NAMES["currency"],
    "available": ("available", "isavailable", "instock"),
    "locale": ("locale", "lang", "language"),
    "published_at": ("publishedat", "published", "createdat", "timestamp", "releasedate"),
    "attributes": ("attributes",),
}

ABOUT_ITEM: Final = ("kind", "title", "locale")
"""What an event may say about its item beside what the log keeps."""

PROPERTY: Final = "properties."
NOTHING: Final = ":"
TYPE_WORD: Final = "type:"


def plain(name: str) -> str:
    """A column name in small letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def pick(sheet: Sheet, mapping: Mapping[str, str]) -> tuple[Sheet, list[str]]:
    """The sheet by our field names, and the columns of the file that nobody asked for.

    Parameters
    ----------
    mapping
        Our field → column or ``:constant``; ``:`` alone for none. ``properties.NAME`` keeps a column
        as a property.

    Raises
    ------
    InvalidData
        The mapping names a field or a column that does not exist.
    """
    known = {**NAMES, **{name: ITEM_NAMES[name] for name in ABOUT_ITEM}}
    _check(sheet, mapping, known)
    chosen = dict(_chosen(sheet, mapping, known))
    columns = {field: _cells(sheet, source) for field, source in chosen.items()}
    for field in sorted(LINE_FIELDS):
        columns.update(_with_members(sheet, field, columns.get(field), mapping))
    extra = {field: source for field, source in chosen.items() if field.startswith(PROPERTY)}
    if extra:
        columns["properties"] = _properties(columns.pop("properties", None), {f: columns.pop(f) for f in extra})
    within = tuple(f"{name}." for name in ("items", *chosen.values()))
    unused = [name for name in sheet.columns if name not in chosen.values() and not name.startswith(within)]
    return sheet.having(columns), unused


def recognised(columns: Collection[str], field: str, names: Mapping[str, tuple[str, ...]]) -> str | None:
    """The column that most likely holds a field; None where no name is known."""
    by_plain = {plain(name): name for name in reversed(list(columns))}
    return next((by_plain[alias] for alias in (plain(field), *names[field]) if alias in by_plain), None)


def _check(sheet: Sheet, mapping: Mapping[str, str], known: Collection[str]) -> None:
    for field, source in mapping.items():
        if field not in known and not field.startswith((PROPERTY, TYPE_WORD)):
            raise InvalidData(f"--map: expected one of {', '.join(sorted(known))}, got {field!r}")
        if not source.startswith(":") and not field.startswith(TYPE_WORD) and source not in sheet.columns:
            raise InvalidData(f"{sheet.file}: expected a column {source!r} for {field}; it has {columns_of(sheet)}")


def columns_of(sheet: Sheet) -> str:
    """The column names of a file, for a message."""
    names = ", ".join(sheet.columns)
    return names if len(names) <= 300 else names[:300] + " …"


def _chosen(sheet: Sheet, mapping: Mapping[str, str], known: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    taken = set(mapping.values())
    found = [
        (field, source) for field, source in mapping.items() if source != NOTHING and not field.startswith(TYPE_WORD)
    ]
    for field in known:
        free = [name for name in sheet.columns if name not in taken and not name.startswith((MEMBER, PROPERTY))]
        if field not in mapping and (name := recognised(free, field, known)):
            found.append((field, name))
            taken.add(name)
    return found


def _cells(sheet: Sheet, source: str) -> Cells:
    if source.startswith(":"):
        return Cells.constant(source[1:], len(sheet))
    return sheet.columns[source]


def _with_members(sheet: Sheet, field: str, plain_cells: Cells | None, mapping: Mapping[str, str]) -> dict[str, Cells]:
    """A field of an order's lines; what the order itself says stands only where it has no lines."""
    within = {name.removeprefix(MEMBER): name for name in sheet.columns if name.startswith(MEMBER)}
    name = None if field in mapping else recognised(within, field, NAMES)
    if name is None:
        return {} if plain_cells is None else {field: plain_cells}
    member = sheet.columns[within[name]]
    return {field: member if plain_cells is None else member.or_else(plain_cells)}


def _properties(given: Cells | None, extra: Mapping[str, Cells]) -> Cells:
    names = [field.removeprefix(PROPERTY) for field in extra]
    found = tuples(list(extra.values()))
    stated = found.map(lambda values: {n: v for n, v in zip(names, values, strict=True) if v is not None})
    return stated if given is None else given.or_else(stated)
