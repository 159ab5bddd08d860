"""Catalogue changes since the bundle was made: what sold out, what is back, new prices and titles.

An overlay is a value: a change makes a new one, so a worker swaps one reference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from features.ids import key64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from features.catalog import Item


@dataclass(frozen=True)
class CatalogOverlay:
    """Items by ``item_key``, newer than the bundle. Items that the bundle does not know wait for the next training."""

    items: Mapping[int, Item] = field(default_factory=dict)

    def with_item(self, item: Item) -> CatalogOverlay:
        """The same overlay with one item put in, or put anew."""
        return CatalogOverlay({**self.items, key64(item.item_id): item})

    def title(self, item_key: int, in_bundle: str) -> str:
        """Title of an item now, given what the bundle says."""
        item = self.items.get(item_key)
        return in_bundle if item is None else item.title or ""


NO_OVERLAY = CatalogOverlay()
