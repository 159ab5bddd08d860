"""Catalogue changes: taken in by one worker, heard by all, laid over the bundle until the next training."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from features.catalog import Item, check_item
from features.errors import InputError, InvalidCatalog, StoreError
from features.ids import key64
from recommender.overlay import CatalogOverlay
from service.store.clients import NONSENSE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from service.memories import Memories
    from service.serving import Serving
    from service.store.items import ItemStore

RETRY_S: Final = 0.5
log = structlog.get_logger()


class RefusedItem(NamedTuple):
    """A row that cannot be an item, and why."""

    place: int
    pointer: str
    code: str
    error: InputError


class PutItems:
    """The use case behind ``PUT /v1/items``."""

    def __init__(self, store: ItemStore, serving: Serving) -> None:
        self._store, self._serving = store, serving

    async def __call__(self, rows: Sequence[Any]) -> tuple[int, list[RefusedItem]]:
        """Keep the rows that are items; how many, and the others.

        Raises
        ------
        StoreError
            Nothing was kept.
        """
        items: dict[int, Item] = {}
        refused: list[RefusedItem] = []
        for place, row in enumerate(rows):
            try:
                item = check_item(row)
                self._check_key(item, items.get(key64(item.item_id)))
                items[key64(item.item_id)] = item
            except InputError as error:
                refused.append(RefusedItem(place, error.pointer, error.code, error))
        if items:
            for known in await self._store.with_keys(list(items)):
                self._check_key(known, items[key64(known.item_id)])
            await self._store.put(list(items.values()))
            apply(self._serving, items.values())
        return len(rows) - len(refused), refused

    def _check_key(self, item: Item, other: Item | None) -> None:
        """Two ids with one 64-bit key would be one item to every engine."""
        row = self._serving.row_of(item.item_id)
        in_bundle = item.item_id if row < 0 else self._serving.engine.items.item_id(row)
        if in_bundle != item.item_id or (other is not None and other.item_id != item.item_id):
            raise InvalidCatalog("expected an id whose key no other item has", pointer="/item_id")


async def follow_catalog(store: ItemStore, serving: Serving, memories: Memories) -> None:
    """Hear catalogue changes and erasures for ever.

    After the store was away all items are read again and what is remembered of customers is forgotten, since
    some of them may have been erased unheard.
    """
    was_away = False
    while True:
        try:
            place = await load_catalog(store, serving)
            if was_away:
                memories.forget_everybody()
            was_away = False
            while True:
                heard = await store.since(place)
                place = heard.place
                memories.forget(heard.erased)
                apply(serving, heard.items)
        except (StoreError, *NONSENSE) as error:
            if not was_away:
                log.warning("catalog_changes_unheard", error=type(error).__name__)
            was_away = True
            await asyncio.sleep(RETRY_S)


async def load_catalog(store: ItemStore, serving: Serving) -> str:
    """Lay everything that was put over the bundle; the place to listen from."""
    items, place = await store.everything()
    apply(serving, items)
    return place


def apply(serving: Serving, items: Iterable[Item]) -> None:
    """Swap the overlay for one with some more items, newest last."""
    changed = {key64(item.item_id): item for item in items}
    if changed:
        serving.overlay = CatalogOverlay({**serving.overlay.items, **changed})
