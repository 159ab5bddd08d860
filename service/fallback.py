"""The fallback slate: what is shown while no bundle was ever opened. It needs nothing but a small file.

The first of these that there is: the shop's own (a setting), the popular items of the last bundle that was
served from this home (the follower keeps them beside ``CURRENT``), the one shipped here, which has no items:
nobody can know what a shop sells. An answer is then an empty slate that says ``no_bundle``, level 4.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from features.catalog import Item, check_item
from features.errors import InputError, InvalidData
from features.ids import key64
from recommender.reasons import Reasons
from recommender.slate import Slate, SlateItem, SlateRequest
from service.current import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from features.journey import Standing
    from recommender.engine import Engine
    from recommender.overlay import CatalogOverlay

FILE: Final = "fallback_slate.json"
SHIPPED: Final = Path(__file__).with_name(FILE)
MAX_ITEMS: Final = 100
MAX_BYTES: Final = 1 << 20
NOT_IN_BUNDLE: Final = -1
log = structlog.get_logger()


class FallbackSlate:
    """Items in the order in which they are shown.

    Attributes
    ----------
    items : mapping of item_key to Item
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.items: Mapping[int, Item] = {key64(item.item_id): item for item in items}

    @classmethod
    def load(cls, home: Path, configured: Path | None) -> FallbackSlate:
        """The shop's own, else the last popular one, else the one that is shipped.

        Raises
        ------
        InvalidData
            The shop's own cannot be read.
        """
        if configured is not None:
            return cls(read_items(configured))
        kept = home / FILE
        try:
            return cls(read_items(kept if kept.exists() else SHIPPED))
        except InvalidData as error:
            log.warning("fallback_slate_refused", why=str(error))
            return cls(read_items(SHIPPED))

    def slate(self, request: SlateRequest, standing: Standing, overlay: CatalogOverlay) -> Slate:
        """What fits a request, best first; the score is one over the place."""
        fitting = self._fitting(request, overlay)
        items = tuple(_slot(rank, key, item) for rank, (key, item) in enumerate(fitting, 1) if rank <= request.limit)
        return Slate(items, (), standing, "static" if items else "empty", len(self.items))

    def _fitting(self, request: SlateRequest, overlay: CatalogOverlay) -> Iterator[tuple[int, Item]]:
        held = {*request.exclude, *request.cart, *request.anchors}
        for key, known in self.items.items():
            item = overlay.items.get(key, known)
            is_asked = request.candidates is None or item.item_id in request.candidates
            is_speech = item.locale is None or request.locale is None or item.locale == request.locale
            is_filed = not request.categories or _is_under(item.category, request.categories)
            is_shown = item.available and item.kind in request.kinds and item.item_id not in held
            if is_shown and is_asked and is_speech and is_filed:
                yield key, item


def read_items(path: Path) -> list[Item]:
    """Items of a file ``{"items": [catalogue row, …]}``.

    Raises
    ------
    InvalidData
    """
    try:
        raw = path.read_bytes()
        document = msgspec.json.decode(raw, type=dict[str, list[dict[str, Any]]])
        if len(raw) > MAX_BYTES or set(document) != {"items"} or len(document["items"]) > MAX_ITEMS:
            raise InvalidData(f'{path}: expected {{"items": […]}} with at most {MAX_ITEMS} rows in at most 1 MiB.')
        return [check_item(row) for row in document["items"]]
    except (OSError, msgspec.MsgspecError) as error:
        raise InvalidData(f"{path}: expected a fallback slate in JSON ({type(error).__name__}).") from None
    except InputError as error:
        raise InvalidData(f"{path}: {error}", pointer=f"/items{error.pointer}") from None


def keep_fallback(home: Path, engine: Engine, now: int) -> None:
    """Keep the popular items of a bundle for the day when no bundle can be opened."""
    request = SlateRequest(limit=MAX_ITEMS, apply_rules=False)
    slate = engine.decide(engine.journey.schema.empty(), request, now)
    write_atomically(home / FILE, msgspec.json.encode({"items": [_row(item, engine) for item in slate.items]}))


def _row(item: SlateItem, engine: Engine) -> dict[str, Any]:
    """A slot as a row of the catalogue; without its price, which nothing would correct."""
    row: dict[str, Any] = {"item_id": item.item_id, "kind": item.kind, "title": item.title or None}
    return row | {"category": engine.items.category_of(item.item_idx) or None}


def _slot(rank: int, key: int, item: Item) -> SlateItem:
    score = 1 / rank
    return SlateItem(
        rank=rank,
        item_idx=NOT_IN_BUNDLE,
        item_id=item.item_id,
        item_key=key,
        kind=item.kind,
        title=item.title or "",
        score=score,
        propensity=1.0,
        source="popular",
        reasons=Reasons.only("popular", score),
    )


def _is_under(category: str | None, prefixes: tuple[str, ...]) -> bool:
    return category is not None and any(category == each or category.startswith(f"{each}/") for each in prefixes)
