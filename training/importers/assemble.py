"""Lines of all files of one import put together: without duplicates, in order of time, with their catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.ids import key64
from training.log import CATALOG_SCHEMA, catalog_table, latest_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from features.catalog import Item
    from training.importers.rejects import Rejects

CONTENT_TYPES: Final = frozenset({"content_read", "like", "bookmark", "comment", "follow", "share"})
"""An item whose every event is one of these is content; any other is a product, unless the source says."""


def without_duplicates(lines: pa.Table, rejects: Rejects) -> tuple[pa.Table, int]:
    """Lines with each event once, the first time it comes, and how many rows were the same again.

    Only ids that the files themselves give can come twice. A row with the id of an earlier event and
    other content is no duplicate but a mistake: it goes to the rejects.
    """
    if not pc.any(lines["has_id"]).as_py():
        return lines, 0
    event = _codes(lines, ["event_id"])
    row = _codes(lines, ["file", "row"])
    _, first_line = np.unique(event, return_index=True)
    is_again = (row != row[first_line[event]]) & lines["has_id"].to_numpy()
    content = _codes(lines, ["event_id", "line_no", "customer_id", "type", "item_id", "occurred_at"])
    is_odd = is_again & ~np.isin(content, content[~is_again])
    again, odd = np.unique(row[is_again]), np.unique(row[is_odd])
    _reject_conflicts(lines.take(np.unique(row, return_index=True)[1][odd]), rejects)
    return lines.filter(pa.array(~is_again)), len(again) - len(odd)


def _reject_conflicts(lines: pa.Table, rejects: Rejects) -> None:
    reason = "expected an event_id of its own, got that of an earlier row with other content"
    for line in lines.select(["file", "row", "event_id"]).to_pylist():
        rejects.add(line["file"], "event_id", [(line["row"], line["event_id"], reason)])


def in_order(lines: pa.Table) -> pa.Table:
    """Lines by time; what happened at once stays in the order of the files."""
    return lines.take(pc.sort_indices(lines, [("occurred_at", "ascending")]))


def catalog_of(lines: pa.Table, kept: pa.Table, given: Iterable[Item]) -> pa.Table:
    """The catalog after an import.

    Parameters
    ----------
    lines : pa.Table
        By time, so that the latest word about an item counts.
    kept : pa.Table
        Rows that were there before; they win over what events only let us guess.
    given : iterable of Item
        Rows that the source states; they win over both.
    """
    return latest_rows(pa.concat_tables([_guessed(lines), kept, catalog_table(given)]))


def with_category_keys(lines: pa.Table, catalog: pa.Table) -> pa.Table:
    """``cat_key`` of every line: of its item's category in the catalog, else of the event's own."""
    known = catalog.filter(pc.is_valid(catalog["category"]))
    where = pc.index_in(lines["item_id"], known["item_id"])
    category = pc.coalesce(known["category"].take(where), lines["category"]).combine_chunks()
    encoded = pc.dictionary_encode(category)
    keys = pa.array([key64(path) for path in encoded.dictionary.to_pylist()], pa.int64())
    return lines.set_column(lines.schema.get_field_index("cat_key"), "cat_key", keys.take(encoded.indices))


def _guessed(lines: pa.Table) -> pa.Table:
    """A row for every item that events are about."""
    about = lines.filter(pc.is_valid(lines["item_id"]))
    is_content = pc.is_in(about["type"], pa.array(sorted(CONTENT_TYPES)))
    about = about.append_column("is_content", is_content)
    last = ["category", "title", "kind", "locale", "unit_minor", "currency"]
    found = about.group_by("item_id", use_threads=False).aggregate(
        [*((name, "last") for name in last), ("is_content", "min")]
    )
    kind = pc.if_else(found["is_content_min"], "content", "product")
    n_items = found.num_rows
    columns: dict[str, Any] = {
        "item_id": found["item_id"],
        "kind": pc.coalesce(found["kind_last"], kind),
        "title": found["title_last"],
        "text": pa.nulls(n_items, pa.string()),
        "category": found["category_last"],
        "price_minor": found["unit_minor_last"],
        "currency": found["currency_last"],
        "available": pa.array(np.ones(n_items, bool)),
        "locale": found["locale_last"],
        "published_at": pa.nulls(n_items, pa.timestamp("us", "UTC")),
        "attributes": pa.array(["{}"] * n_items, pa.string()),
    }
    return pa.table(columns).cast(CATALOG_SCHEMA)


def _codes(table: pa.Table, names: Sequence[str]) -> NDArray[np.int64]:
    """Dense number of the distinct tuple of some columns, by row."""
    codes = np.zeros(table.num_rows, np.int64)
    for name in names:
        encoded = pc.dictionary_encode(table[name].combine_chunks(), null_encoding="encode")
        width = len(encoded.dictionary) + 1
        codes = np.unique(codes * width + encoded.indices.to_numpy(), return_inverse=True)[1]
    return codes
