"""What is asked for and what is answered: a slate request, its items, their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from recommender.items import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.journey import Standing

Task = str
"""``any`` (reminders allowed) or ``new`` (only what the customer never touched)."""


@dataclass(frozen=True)
class SlateRequest:
    """What a caller wants, in the shop's own ids.

    ``apply_rules`` off gives the bare ranking; ``unseen_only`` leaves out what the customer touched.
    ``categories`` are path prefixes; ``candidates`` limits the answer to some items. ``with_moves`` asks for the
    chances of the next moves as well.
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
    with_moves: bool = False


class Reason(NamedTuple):
    """One part of a sum: of an item's score by source, or of a move's logit by what the customer did."""

    code: str
    text: str
    weight: float


class SlateItem(NamedTuple):
    """One slot of a slate; ``source`` is the code of its greatest reason, ``rank`` starts at 1.

    ``score`` is on one scale for all kinds: log-odds of a touch, where the model was calibrated.
    """

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


class Move(NamedTuple):
    """The chance of one move within a horizon; the weights of its reasons, the base among them, sum to its logit."""

    move: str
    horizon_days: int
    probability: float
    reasons: tuple[Reason, ...]


class Suppressed(NamedTuple):
    """An item that ranked high enough and was held back."""

    item_id: str
    why: str


class Faded(NamedTuple):
    """A candidate that was shown before without a reaction, and what that took from its score (< 0)."""

    item_id: str
    weight: float


@dataclass(frozen=True)
class Slate:
    """The ordered answer, with where the customer stands and how it was made.

    ``strategy`` is what really happened: ``personal``, ``related`` (to the page, nothing is known of the
    customer), ``popular`` or ``empty``. ``moves`` is empty unless they were asked for.
    """

    items: tuple[SlateItem, ...]
    suppressed: tuple[Suppressed, ...]
    standing: Standing
    strategy: str
    n_candidates: int
    moves: tuple[Move, ...] = ()
    faded: tuple[Faded, ...] = ()


REASON_TEXTS = {
    "popular": "Popular with other customers now",
    "trending": "Rising now",
    "fresh": "New",
    "category": "Popular in categories you look at",
    "recent": "You looked at this recently",
    "frequent": "You come back to this",
    "repeat": "Time to buy this again",
    "tifu": "In your basket and in others like it",
    "viewed_next": "Others looked at this next",
    "viewed_bought": "Others bought this after what you looked at",
    "bought_together": "Goes with what you bought",
    "read_next": "Others read this next",
    "read_bought": "Others chose this after what you read",
    "kindred": "What customers like you are at now",
    "vstan": "Fits what you are looking at now",
    "cosine": "Liked by customers with the same items",
    "rp3beta": "Leads on from items you like",
    "ease": "Goes with the items you like",
    "als": "Fits your taste",
    "content": "Similar to what you looked at",
    "own": "You have been here before",
    "due": "It may be time for it again",
    "taste": "From what you usually look at",
    "price": "In your price range",
    "converts": "Those who look at it often take it",
    "kind": "The kind of thing that helps now",
    "stage": "Fits where you are on your way",
    "moment": "Fits this moment",
    "base": "What any item starts from",
    "faded": "Shown before, without a reaction",
}
UNSPOKEN: Final = frozenset({"base", "stage", "moment", "kind", "faded"})
"""Reasons that say nothing of an item by themselves: none of them is a slot's source while there is another."""


def reasons_of(codes: Sequence[str], weights: Sequence[float]) -> tuple[Reason, ...]:
    """What speaks for an item and what speaks against it, the greatest first."""
    told = [(-abs(weight), code, weight) for code, weight in zip(codes, weights, strict=True) if weight]
    told.sort()
    return tuple([Reason(code, REASON_TEXTS[code], weight) for _, code, weight in told])


def source_of(reasons: Sequence[Reason]) -> str:
    """Code of what speaks loudest for an item, of its reasons in their order."""
    for code, _, weight in reasons:
        if weight > 0 and code not in UNSPOKEN:
            return code
    return max(reasons, key=lambda reason: reason.weight).code if reasons else "base"
