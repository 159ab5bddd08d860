"""Decisions asked for under a key: the same subject and key get the same slate for 7 days.

A kept slate stands whatever has become of the customer's state or the model. It gives way to an erasure, and to a
consent that was taken back; what has sold out is left out. The answer says which.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from recommender.items import KINDS
from recommender.reasons import Reasons
from recommender.slate import Slate, SlateItem
from service.deciding import Seeded
from service.problems import DecisionKeyConflict
from service.store.kept import KEEP_S, Kept, KeptSlot, digest_of_ask, digest_of_key, pack_kept, pack_slots

if TYPE_CHECKING:
    from recommender.slate import SlateRequest
    from service.deciding import Decided
    from service.grounds import Given
    from service.serving import Serving

HOUR_US: Final = 3_600_000_000
NOT_IN_BUNDLE: Final = -1
ERASED: Final = "erased"
WITHDRAWN: Final = "consent_withdrawn"


class Key(NamedTuple):
    """A decision key: where it is kept, and a digest of what was asked under it."""

    field: bytes
    asked: bytes


class Missing(NamedTuple):
    """A slot of a kept slate that is not shown any more; ``item_id`` None where nothing knows the item."""

    rank: int
    item_id: str | None
    why: str


class Repeated(NamedTuple):
    """A kept slate as of now."""

    slate: Slate
    missing: tuple[Missing, ...]


def key_of(decision_key: str | None, request: SlateRequest) -> Key | None:
    """The key of a request, if it has one. How an answer is explained is no part of what was asked."""
    if decision_key is None:
        return None
    return Key(digest_of_key(decision_key), digest_of_ask(replace(request, with_moves=False)))


def check_ask(kept: bytes, key: Key) -> None:
    """See that a kept slate was asked for with the same parameters.

    Raises
    ------
    DecisionKeyConflict
    """
    if kept != key.asked:
        raise DecisionKeyConflict("expected the parameters that came with this decision_key before, got others")


def overtaken_by(kept: Kept | None, given: Given, now: int) -> str | None:
    """What keeps a kept slate from being given again; of an erased one nothing but the erasure is left."""
    members = () if given.known is None else given.known.members
    erased_at = max((each.erased_at or 0 for each in members), default=0)
    if kept is None:
        return ERASED if erased_at > now - KEEP_S * 1_000_000 else None
    if kept.decided_at <= erased_at:
        return ERASED
    is_withdrawn = kept.is_personalised and not given.consented.personalised
    return WITHDRAWN if is_withdrawn or (kept.packed and not given.consented.channel) else None


def kept_of(decided: Decided, key: Key, serving: Serving) -> bytes:
    """A slate as it is kept."""
    made, current = decided.made, serving.current
    slots = (KeptSlot(each.item_key, each.score, each.propensity, each.source) for each in made.slate.items)
    return pack_kept(
        Kept(
            slate_id=made.slate_id,
            asked=key.asked,
            decided_at=made.generated_at,
            ttl_s=decided.ttl_s,
            standing=made.slate.standing,
            strategy=made.slate.strategy,
            version=current.version if current else serving.engine.model.version,
            is_personalised=made.consented.personalised,
            packed=pack_slots(slots),
        )
    )


def repeated(kept: Kept, serving: Serving) -> Repeated:
    """A kept slate with what is still there of it; items keep their ranks.

    Of an item's reasons only the greatest was kept: it stands for the whole score.
    """
    items: list[SlateItem] = []
    missing: list[Missing] = []
    slots = kept.slots
    rows = serving.rows_of_keys([slot.item_key for slot in slots])
    for rank, (slot, row) in enumerate(zip(slots, rows, strict=True), 1):
        found = _slot(rank, slot, row, serving)
        if isinstance(found, Missing):
            missing.append(found)
        else:
            items.append(found)
    slate = Slate(tuple(items), (), kept.standing, kept.strategy, len(slots))
    return Repeated(slate, tuple(missing))


def seeded(member: str, key: Key, now: int) -> Seeded:
    """Id and moment of a slate made without the store: the same in every worker, within an hour."""
    hour = now - now % HOUR_US
    digest = blake2b(member.encode() + key.field + key.asked, digest_size=10).hexdigest()
    return Seeded(f"{hour // 1_000:012x}{digest}", hour)


def key_answer(status: str, replaces: str | None, missing: tuple[Missing, ...] = ()) -> dict[str, Any]:
    """What an answer says of its decision key."""
    return {"status": status, "replaces": replaces, "missing": [each._asdict() for each in missing]}


def _slot(rank: int, slot: KeptSlot, row: int, serving: Serving) -> SlateItem | Missing:
    items, changed = serving.engine.items, serving.changed(slot.item_key)
    kind: str
    if changed is not None:
        item_id, kind, title, is_available = changed.item_id, changed.kind, changed.title or "", changed.available
    elif row >= 0:
        item_id, kind = items.item_id(row), KINDS[int(items.kind[row])]
        title, is_available = items.title(row), bool(items.is_available[row])
    else:
        return Missing(rank, None, "withdrawn")
    if not is_available:
        return Missing(rank, item_id, "sold_out")
    reasons = Reasons.only(slot.source, slot.score)
    return SlateItem(rank, row, item_id, slot.item_key, kind, title, slot.score, slot.propensity, slot.source, reasons)
