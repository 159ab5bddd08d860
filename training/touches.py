"""Interactions: what training learns taste from, as plain columns sorted by customer and time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.state import ITEM_SUMS, SIGNALS
from training.people import counts

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from recommender.contract import IntVector, LongVector

TOUCH_OF_TYPE: Final = {
    event_type: column for column, (_, signal, _) in enumerate(ITEM_SUMS) for event_type in SIGNALS[signal].types
}
"""Event type → column of ``recommender.contract.TOUCHES``."""


@dataclass(frozen=True)
class Touches:
    """Interactions of customers with items, strictly before ``until``.

    Attributes
    ----------
    until : int
        Microseconds.
    customer_ids : tuple of str
        Sorted; ``customer_idx`` is the row.
    locales : tuple of (str or None)
        Declared locale of each customer.
    item_keys : int64, shape (n_items,)
        Ascending keys of all items touched; ``item_idx`` of this object is the row here.
    customer_idx, item_idx : int32, shape (n,)
        Sorted by customer, time and item; customer -1 (nobody, item-level signals) comes first.
    at : int64, shape (n,)
    touch : uint8, shape (n,)
        Column of ``TOUCHES``.
    """

    until: int
    customer_ids: tuple[str, ...]
    locales: tuple[str | None, ...]
    item_keys: LongVector
    customer_idx: IntVector
    item_idx: IntVector
    at: LongVector
    touch: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.at)

    def before(self, until: int) -> Touches:
        """The same, of what happened strictly before an earlier moment; item rows stay as they are."""
        keep = self.at < until
        return replace(
            self,
            until=min(until, self.until),
            customer_idx=self.customer_idx[keep],
            item_idx=self.item_idx[keep],
            at=self.at[keep],
            touch=self.touch[keep],
        )

    def of_customers(self) -> Touches:
        """The same without item-level signals that belong to nobody."""
        return self.where(self.customer_idx >= 0)

    def where(self, keep: NDArray[np.bool_]) -> Touches:
        """Some of the rows."""
        columns = {name: getattr(self, name)[keep] for name in ("customer_idx", "item_idx", "at", "touch")}
        return replace(self, **columns)

    def in_rows_of(self, item_keys: LongVector) -> Touches:
        """The same with items as rows of another vocabulary (ascending keys); unknown items are dropped."""
        row = np.searchsorted(item_keys, self.item_keys)
        row = np.minimum(row, max(0, len(item_keys) - 1))
        known = item_keys[row] == self.item_keys if len(item_keys) else np.zeros(len(self.item_keys), np.bool_)
        kept = self.where(known[self.item_idx])
        return replace(kept, item_idx=row[kept.item_idx].astype(np.int32), item_keys=item_keys)


def read_touches(lines: ir.Table, until: int) -> Touches:
    """Read interactions from the log.

    Parameters
    ----------
    lines
        Lines of the log strictly before ``until``.
    """
    chosen = lines.filter(lines.type.isin(list(TOUCH_OF_TYPE)), lines.item_key.notnull(), counts(lines))
    table = chosen.select("customer_id", "item_key", "occurred_at", "type").to_pyarrow()
    customer_ids, customer_idx = _coded(table["customer_id"])
    item_keys, item_idx = np.unique(table["item_key"].to_numpy(), return_inverse=True)
    at = table["occurred_at"].cast(pa.int64()).to_numpy()
    touch = _touch_codes(table["type"])
    order = np.lexsort((touch, item_idx, at, customer_idx))
    return Touches(
        until=until,
        customer_ids=customer_ids,
        locales=_locales(lines, customer_ids),
        item_keys=item_keys.astype(np.int64),
        customer_idx=customer_idx[order],
        item_idx=item_idx[order].astype(np.int32),
        at=at[order],
        touch=touch[order],
    )


def _coded(column: pa.ChunkedArray) -> tuple[tuple[str, ...], IntVector]:
    """Sorted distinct values, and the row of each; -1 for null."""
    encoded = pc.dictionary_encode(column.combine_chunks())
    values = encoded.dictionary.to_pylist()
    order = sorted(range(len(values)), key=values.__getitem__)
    rank = np.empty(len(values) + 1, np.int32)
    rank[order] = np.arange(len(values), dtype=np.int32)
    rank[-1] = -1
    return tuple(values[i] for i in order), rank[encoded.indices.fill_null(-1).to_numpy()]


def _touch_codes(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    encoded = pc.dictionary_encode(column.combine_chunks())
    code = np.array([TOUCH_OF_TYPE[name] for name in encoded.dictionary.to_pylist()], np.uint8)
    return code[encoded.indices.to_numpy()] if len(code) else np.empty(0, np.uint8)


def _locales(lines: ir.Table, customer_ids: tuple[str, ...]) -> tuple[str | None, ...]:
    """Latest declared locale of each customer."""
    said = lines.filter(lines.type == "identify", lines.customer_id.notnull(), counts(lines))
    table = (
        said.select("customer_id", "occurred_at", "event_id", "properties")
        .order_by("occurred_at", "event_id")
        .to_pyarrow()
    )
    latest: dict[str, str] = {}
    for customer_id, properties in zip(table["customer_id"].to_pylist(), table["properties"].to_pylist(), strict=True):
        locale = msgspec.json.decode(properties).get("locale")
        if isinstance(locale, str):
            latest[customer_id] = locale
    return tuple(latest.get(customer_id) for customer_id in customer_ids)
