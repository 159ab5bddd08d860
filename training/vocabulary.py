"""The catalogue of a model: which items were known at its cut-off, as the arrays of ``recommender/items.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from features.catalog import Item
from features.ids import key64
from recommender.contract import TOUCHES, LongVector
from recommender.items import KINDS, pack_text
from recommender.query import STAGE_BITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from features.catalog import Kind
    from training.touches import Touches

CONTENT_TOUCHES = tuple(TOUCHES.index(name) for name in ("reads", "likes"))


@dataclass(frozen=True)
class Vocabulary:
    """Items known at a cut-off, sorted by ``item_key``: their bundle arrays, and texts for the content fit."""

    item_keys: LongVector
    arrays: Mapping[str, NDArray[np.generic]]
    texts: tuple[tuple[str, str, str], ...]
    """Title, text and category path of each item."""


def vocabulary_of(catalog: Sequence[Item], seen_ids: Mapping[str, int], touches: Touches) -> Vocabulary:
    """Items that could be offered at the cut-off of ``touches``.

    Parameters
    ----------
    catalog
        Every catalogue row, whenever written.
    seen_ids
        Item id → first time in the whole log, microseconds. An item first seen at or after the cut-off
        was not known then, unless it says that it was published before.
    """
    until = touches.until
    known = {item.item_id: item for item in catalog if _was_known(item, seen_ids.get(item.item_id), until)}
    kinds = _kinds_by_touch(touches)
    for item_id, first in seen_ids.items():
        if first < until and item_id not in known:
            known[item_id] = _bare_item(item_id, kinds.get(key64(item_id), "product"))
    ordered = sorted(known.values(), key=lambda item: key64(item.item_id))
    keys = np.array([key64(item.item_id) for item in ordered], np.int64)
    texts = tuple((item.title or "", item.text or "", item.category or "") for item in ordered)
    return Vocabulary(keys, _arrays(ordered, keys), texts)


def _was_known(item: Item, first_seen: int | None, until: int) -> bool:
    if first_seen is not None and first_seen < until:
        return True
    return first_seen is None if item.published_at is None else item.published_at < until


def _kinds_by_touch(touches: Touches) -> dict[int, Kind]:
    """Kind of items without a catalogue row: content when only read and liked."""
    is_content = np.isin(touches.touch, CONTENT_TOUCHES)
    n_content = np.bincount(touches.item_idx, is_content, len(touches.item_keys))
    n_all = np.bincount(touches.item_idx, minlength=len(touches.item_keys))
    return {
        int(key): "content" if n and n == m else "product"
        for key, n, m in zip(touches.item_keys, n_content, n_all, strict=True)
    }


def _bare_item(item_id: str, kind: Kind) -> Item:
    return Item(item_id=item_id, kind=kind)


def _arrays(items: Sequence[Item], keys: LongVector) -> dict[str, NDArray[np.generic]]:
    categories, category = _coded([item.category for item in items])
    locales, locale = _coded([item.locale for item in items])
    arrays: dict[str, NDArray[np.generic]] = {
        "items.item_key": keys,
        "items.kind": np.array([KINDS.index(item.kind) for item in items], np.uint8),
        "items.category": category,
        "items.locale": locale,
        "items.is_available": np.array([item.available for item in items], np.bool_),
        "items.published_at": np.array([item.published_at or 0 for item in items], np.int64),
        "items.price_minor": np.array(
            [-1 if item.price_minor is None else item.price_minor for item in items], np.int64
        ),
        "items.stages": np.array([_stage_bits(item.attributes) for item in items], np.uint8),
    }
    texts = {
        "id": [item.item_id for item in items],
        "title": [item.title or "" for item in items],
        "categories": categories,
        "locales": locales,
    }
    for name, values in texts.items():
        arrays[f"items.{name}_bytes"], arrays[f"items.{name}_at"] = pack_text(values)
    return arrays


def _coded(values: Sequence[str | None]) -> tuple[list[str], NDArray[np.int32]]:
    names = sorted({value for value in values if value})
    code = {name: at for at, name in enumerate(names)}
    return names, np.array([code.get(value or "", -1) for value in values], np.int32)


def _stage_bits(attributes: str) -> int:
    """Stages that the catalogue limits an item to, from its attribute ``stages`` = "transaction,retention"."""
    stages = msgspec.json.decode(attributes).get("stages", "")
    return sum(STAGE_BITS.get(name, 0) for name in {name.strip() for name in str(stages).split(",")})
