"""What a record holds beside the state, in words: for whoever asks what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from features.consent import PURPOSES
from recommender.exposure import BOUGHT, CHANNEL, CHANNELS, CLICKED, HI, ITEM, LO, REACTION, SEEN, slate_id_of
from service.clock import moment_of
from service.store.exposures import memory_in
from service.store.kept import unpack_kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from service.serving import Serving
    from service.store.record import Record

REACTIONS: Final = {CLICKED: "clicked", BOUGHT: "bought"}


def consent_part(record: Record) -> list[dict[str, Any]]:
    """Every change of consent that is remembered."""
    changes = ((purpose, change) for purpose in PURPOSES for change in getattr(record.consents, purpose))
    return [
        {"purpose": purpose, "is_given": is_given, "at": moment_of(at), "event_id": event_id}
        for purpose, (at, event_id, is_given) in changes
    ]


def links_part(record: Record) -> list[dict[str, Any]]:
    """What is remembered of links to other identities."""
    return [
        {"to": other, "is_linked": edge.is_linked, "at": moment_of(edge.occurred_at), "event_id": edge.event_id}
        for other, edge in record.edges.items()
    ]


def exposure_part(record: Record, serving: Serving) -> list[dict[str, Any]]:
    """What was shown lately, on every channel, and what came of it; older shows are counts an item."""
    memory = memory_in(record.exposure)
    shows = [
        {
            "slate_id": slate_id_of(row[HI], row[LO]),
            "item_id": item_id_of(row[ITEM], serving),
            "channel": CHANNELS[row[CHANNEL]],
            "was_seen": row[SEEN] > 0,
            "reaction": REACTIONS.get(row[REACTION]),
        }
        for row in memory.shows.tolist()
    ]
    return [*shows, *({"item_id": item_id_of(row[0], serving), "times": row[-1]} for row in memory.folded.tolist())]


def keyed_part(found: Mapping[bytes, bytes], serving: Serving) -> list[dict[str, Any]]:
    """Slates that are kept under a key; of the key itself only a digest is known."""
    kept = ((digest, unpack_kept(raw)) for digest, raw in found.items())
    return [
        {
            "key_digest": digest.hex(),
            "slate_id": each.slate_id,
            "decided_at": moment_of(each.decided_at),
            "items": _items((slot.item_key for slot in each.slots), serving),
        }
        for digest, each in kept
        if each is not None
    ]


def _items(item_keys: Iterable[int], serving: Serving) -> list[str | int]:
    return [item_id_of(key, serving) for key in item_keys]


def item_id_of(item_key: int, serving: Serving) -> str | int:
    """Id of an item; its key where the catalogue has it no more."""
    if (item := serving.overlay.items.get(item_key)) is not None:
        return item.item_id
    row = serving.rows_of_keys([item_key])[0]
    return item_key if row < 0 else serving.engine.items.item_id(row)
