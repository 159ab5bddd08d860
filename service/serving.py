"""What a worker serves right now: one engine and one catalogue overlay, each swapped as a whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog

from features.errors import BundleError, InputError
from features.ids import key64
from recommender.engine import Engine
from recommender.overlay import CatalogOverlay
from service.current import POINTER, REPORT, Current, bundle_path, read_current, read_earlier, read_report, signature
from service.fallback import FallbackSlate
from service.metrics import BUNDLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from features.catalog import Item
    from features.journey import Journey

LOOK_EVERY_S: Final = 0.25
UNUSABLE: Final = (BundleError, InputError, LookupError, TypeError, ValueError)
"""What opening a bundle may raise; the last three come of one that is whole and holds documents without sense."""

log = structlog.get_logger()


class Serving:
    """The engine in use, and why it may not be the newest.

    Attributes
    ----------
    engine : Engine
        Before the first bundle one without a catalogue.
    overlay : CatalogOverlay
        Catalogue changes on top of the bundle.
    fallback : FallbackSlate
        What is shown before the first bundle.
    current : Current or None
        What the engine was opened from; None before the first bundle.
    """

    def __init__(
        self, home: Path, journey: Journey, verify_key: bytes | None = None, fallback: FallbackSlate | None = None
    ) -> None:
        self.journey = journey
        self.engine = Engine.empty(journey)
        self.overlay = CatalogOverlay()
        self.fallback = fallback or FallbackSlate(())
        self.current: Current | None = None
        self._home, self._verify_key = home, verify_key
        self._looked_at: tuple[object, object] = (None, None)
        self._flaw: str | None = None
        self._report_flaw: str | None = None

    @property
    def reason(self) -> str | None:
        """Why the newest model may not be the one that answers; None when all is well."""
        return self._flaw or self._report_flaw

    @property
    def has_bundle(self) -> bool:
        """Whether a bundle was ever opened."""
        return self.current is not None

    async def watch(self) -> None:
        """Follow the pointer and the follower's report for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Open what the pointer names, if that changed; a bundle that is refused leaves the old one in use."""
        pointer, report = signature(self._home / POINTER), signature(self._home / REPORT)
        if (pointer, report) == self._looked_at:
            return
        self._report_flaw = self._reported()
        current = read_current(self._home)
        if pointer != self._looked_at[0] and current is not None and current != self.current:
            await self._change_to(current)
        self._looked_at = (pointer, report)

    async def _change_to(self, current: Current) -> None:
        """Serve what is pointed to; a worker that has nothing yet turns to what was served before."""
        if await self._open(current):
            self._flaw = None
            return
        self._flaw = "bundle_refused"
        for earlier in read_earlier(self._home):
            if self.current is not None or await self._open(earlier):
                return

    async def _open(self, current: Current) -> bool:
        try:
            engine = await asyncio.to_thread(
                Engine.open,
                bundle_path(self._home, current),
                schema_hash=self.journey.schema.hash,
                verify_key=self._verify_key,
            )
        except UNUSABLE as error:
            BUNDLES.labels("refused").inc()
            log.warning("bundle_refused", error=type(error).__name__, why=str(error), version=current.version)
            return False
        self.engine, self.current = engine, current
        BUNDLES.labels("opened").inc()
        log.info("bundle_opened", version=current.version, digest=current.digest[:12], n_items=len(engine.items))
        return True

    def _reported(self) -> str | None:
        report = read_report(self._home)
        if report is None:
            return None
        if not report.registry_answers:
            return "registry_unavailable"
        return "bundle_refused" if report.refused else None

    def changed(self, item_key: int) -> Item | None:
        """An item as the catalogue changes have it, or the fallback slate while there is no bundle."""
        return self.overlay.items.get(item_key) or (None if self.has_bundle else self.fallback.items.get(item_key))

    def knows_item(self, item_id: str) -> bool:
        """Whether the bundle or the overlay has an item."""
        return key64(item_id) in self.overlay.items or self.row_of(item_id) >= 0

    def row_of(self, item_id: str) -> int:
        """Row of an item in the bundle; -1 where it is not known."""
        return self.engine.items.row_of(key64(item_id))

    def rows_of_keys(self, item_keys: Sequence[int]) -> list[int]:
        """As :meth:`row_of`, of several items by their keys."""
        rows: list[int] = self.engine.items.rows_of(np.array(item_keys, np.int64)).tolist()
        return rows

    def category_of(self, item_id: str) -> str | None:
        """Category path of an item, as the catalogue has it."""
        item_key = key64(item_id)
        item = self.overlay.items.get(item_key)
        if item is not None:
            return item.category
        row = self.engine.items.row_of(item_key)
        return None if row < 0 else self.engine.items.category_of(row)
