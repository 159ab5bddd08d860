"""What is asked for and what is answered: a slate request, its items, their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from recommender.items import KINDS

if TYPE_CHECKING:
    from features.journey import Standing
    from recommender.reasons import Reason, Reasons

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
    reasons: Reasons


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
