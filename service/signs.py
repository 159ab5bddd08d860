"""What events say of slates: that they were seen, and which of their items were clicked or bought.

A click or a purchase needs only the slate's id and the item's. One without a slate id is joined to the last slate of 24
hours that showed the item to the customer, and its line says so: ``slate_id`` is that slate's and the properties have
``slate_inferred``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from features.errors import InvalidEvent
from features.events import Consent, canonical
from recommender.exposure import BOUGHT, CLICKED, NO_REACTION, Sign, is_slate_id
from service.store.exposures import exposure_of, memory_in, origin_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from features.events import Line
    from recommender.exposure import Exposure
    from service.store.known import Known

REACTIONS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("impression", "message_delivered", "message_open"), NO_REACTION),
    **dict.fromkeys(("slate_click", "message_click", "item_click", "item_view", "content_read"), CLICKED),
    **dict.fromkeys(("wishlist", "share", "like", "bookmark", "comment", "follow", "cart_add"), CLICKED),
    "purchase": BOUGHT,
}
"""What an event with a slate's id says of the item it names, or of the whole slate."""
JOINED: Final = frozenset(
    {"slate_click", "message_click", "item_click", "item_view", "content_read", "cart_add", "purchase"}
)
"""Types that are joined to what was shown where they carry no slate id."""
WITHIN_MS: Final = 86_400_000
INFERRED: Final = "slate_inferred"


def after_events(
    known: Known, events: Sequence[tuple[Line, ...]], now: int
) -> tuple[list[tuple[Line, ...]], Exposure | None]:
    """Events joined to slates, and the exposure memory of the identity asked about after them.

    Parameters
    ----------
    now : int
        Microseconds.

    Returns
    -------
    events, memory
        The memory is None where the events say nothing new of any slate.
    """
    told = [line for lines in events for line in lines if _tells(line)]
    if not told or not (known.exposures or any(line.slate_id for line in told)):
        return list(events), None
    memory = exposure_of(known)
    joined = [tuple(_joined(line, memory) for line in lines) for lines in events]
    own = memory_in(known.asked.exposure)
    after = own
    for sign in signs_of(line for lines in joined for line in lines):
        memory = memory.with_sign(sign)
        after = after.merged(memory.of_slate(sign.slate_id))
    is_same = after is own or (len(after.shows) == len(own.shows) and bool((after.shows == own.shows).all()))
    return joined, None if is_same else after.pruned(now // 1_000, origin_of(known.asked.keys))


def signs_of(lines: Iterable[Line]) -> Iterable[Sign]:
    """What some lines say of slates of ours; of a reaction nothing is kept without consent to a profile."""
    for line in lines:
        if line.slate_id is not None and line.type in REACTIONS and is_slate_id(line.slate_id):
            is_kept = line.item_key is not None and _may_know(line)
            reaction = REACTIONS[line.type] if is_kept else NO_REACTION
            yield Sign(line.slate_id, line.item_key, line.occurred_at // 1_000, reaction, line.channel)


def _tells(line: Line) -> bool:
    return line.type in REACTIONS and (line.slate_id is not None or line.type in JOINED)


def _joined(line: Line, memory: Exposure) -> Line:
    if line.slate_id is not None or line.item_key is None or line.type not in JOINED or not _may_know(line):
        return line
    slate_id = memory.shown_lately(line.item_key, line.occurred_at // 1_000, WITHIN_MS)
    if slate_id is None:
        return line
    try:
        properties = canonical(msgspec.json.decode(line.properties) | {INFERRED: True})
    except InvalidEvent:  # it is as large as it may be
        return line
    return msgspec.structs.replace(line, slate_id=slate_id, properties=properties)


def _may_know(line: Line) -> bool:
    return not line.consent & Consent.KNOWN or bool(line.consent & Consent.PERSONALISATION)
