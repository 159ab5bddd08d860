"""What is asked for and what is answered: a slate request, its items, their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from recommender.items import KINDS

if TYPE_CHECKING:
    from features.journey import Standing

Task = str
"""``any`` (reminders allowed) or ``new`` (only what the customer never touched)."""


@dataclass(frozen=True)
class SlateRequest:
    """What a caller wants, in the shop's own ids.

    ``apply_rules`` off gives the bare ranking; ``unseen_only`` leaves out what the customer touched.
    ``categories`` are path prefixes; ``candidates`` limits the answer to some items.
    """

    placement: str = "home"
    limit: int = 8
    kinds: tuple[str, ...] = KINDS
    channel: str = "web"
    anchors: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None
    locale: str | None = None
    cart: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    text: str | None = None
    unseen_only: bool = False
    apply_rules: bool = True
    seed: int = 0


class Reason(NamedTuple):
    """One source's part in an item's score; the weights of an item's reasons sum to its score."""

    code: str
    text: str
    weight: float


class SlateItem(NamedTuple):
    """One slot of a slate; ``source`` is the code of its greatest reason, ``rank`` starts at 1."""

    rank: int
    item_idx: int
    item_id: str
    item_key: int
    kind: str
    title: str
    score: float
    propensity: float
    source: str
    reasons: tuple[Reason, ...]


class Suppressed(NamedTuple):
    """An item that ranked high enough and was held back."""

    item_id: str
    why: str


@dataclass(frozen=True)
class Slate:
    """The ordered answer, with where the customer stands and how it was made.

    ``strategy`` is what really happened: ``personal``, ``related`` (to the page, nothing is known of the
    customer), ``popular`` or ``empty``.
    """

    items: tuple[SlateItem, ...]
    suppressed: tuple[Suppressed, ...]
    standing: Standing
    strategy: str
    n_candidates: int


REASON_TEXTS = {
    "popular": "Popular with other customers now",
    "category": "Popular in categories you look at",
    "recent": "You looked at this recently",
    "frequent": "You come back to this",
    "repeat": "Time to buy this again",
    "tifu": "In your basket and in others like it",
    "viewed_next": "Others looked at this next",
    "viewed_bought": "Others bought this after what you looked at",
    "bought_together": "Goes with what you bought",
    "read_next": "Others read this next",
    "neighbours": "Liked by customers with the same items",
    "als": "Fits your taste",
    "content": "Similar to what you looked at",
}
