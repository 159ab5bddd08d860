"""Why an item stands where it does: what each part adds to its score, told only when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final, NamedTuple, overload

import numpy as np

from recommender.kernels_rank import few_of, loudest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class Reason(NamedTuple):
    """One part of a sum: of an item's score by source, or of a move's logit by what the customer did."""

    code: str
    text: str
    weight: float


REASON_TEXTS: Final = {
    "popular": "Popular with other customers now",
    "trending": "Rising now",
    "fresh": "New",
    "category": "Popular in categories you look at",
    "recent": "You looked at this recently",
    "frequent": "You come back to this",
    "repeat": "Time to buy this again",
    "tifu": "In your basket and in others like it",
    "viewed_next": "Others looked at this next",
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
    "rest": "Everything else together",
}
UNSPOKEN: Final = frozenset({"base", "stage", "moment", "kind", "faded"})
"""Reasons that say nothing of an item by themselves: none of them is a slot's source while there is another."""
N_SHORT: Final = 3
"""Reasons that are told one by one where a short answer is asked for."""


@cache
def _speaks(codes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which of some reasons say something by themselves; a service knows few lists of them."""
    return np.array([code not in UNSPOKEN for code in codes], np.bool_)


@cache
def _named(codes: tuple[str, ...]) -> list[tuple[str, str]]:
    """Code and text of some reasons and of the rest; the blend's own part is divided among its sources and has none."""
    return [(code, REASON_TEXTS.get(code, "")) for code in (*codes, "rest")]


class Parts:
    """What each reason adds to the score of each item of a slate.

    Parameters
    ----------
    codes : tuple of str, n_codes of them
    weights : float64, shape (n_items, n_codes)
        They sum to the score; 0 where a reason has no part in it.
    """

    def __init__(self, codes: tuple[str, ...], weights: NDArray[np.float64]) -> None:
        self.codes, self.weights = codes, weights

    def scores(self) -> list[float]:
        """Each item's score."""
        scores: list[float] = self.weights.sum(axis=1).tolist()
        return scores

    def sources(self) -> list[str]:
        """Code of what speaks loudest for each item."""
        if not len(self.weights):
            return []
        heard: list[int] = loudest(self.weights, _speaks(self.codes)).tolist()
        return [self.codes[at] if at >= 0 else "base" for at in heard]

    def of(self, row: int) -> Reasons:
        """The reasons of one item."""
        return Reasons(self, row)

    @cached_property
    def told(self) -> list[tuple[Reason, ...]]:
        """All reasons of each item, the greatest first, whether they speak for it or against it."""
        order = np.argsort(-np.abs(self.weights), axis=1, kind="stable")
        weights = np.take_along_axis(self.weights, order, axis=1)
        named = _named(self.codes)
        return [
            tuple(
                [Reason(named[at][0], named[at][1], weight) for at, weight in zip(row, values, strict=True) if weight]
            )
            for row, values in zip(order.tolist(), weights.tolist(), strict=True)
        ]

    @cached_property
    def short(self) -> list[tuple[Reason, ...]]:
        """Of each item those that speak most for it, and the rest as one; all where that is no longer."""
        columns, weights = few_of(self.weights, _speaks(self.codes), N_SHORT)
        named = _named(self.codes)
        return [
            tuple(
                [Reason(named[at][0], named[at][1], weight) for at, weight in zip(row, values, strict=True) if at >= 0]
            )
            for row, values in zip(columns.tolist(), weights.tolist(), strict=True)
        ]


class Reasons(Sequence[Reason]):
    """The reasons of one item, the greatest first; made when they are looked at, since few are."""

    __slots__ = ("parts", "row")

    def __init__(self, parts: Parts, row: int) -> None:
        self.parts, self.row = parts, row

    @classmethod
    def only(cls, code: str, weight: float) -> Reasons:
        """One reason that is the whole score."""
        return cls(Parts((code,), np.array([[weight]], np.float64)), 0)

    @property
    def short(self) -> tuple[Reason, ...]:
        """Those that speak most for the item, and the rest as one: they sum to the score as all of them do."""
        return self.parts.short[self.row]

    def __iter__(self) -> Iterator[Reason]:
        return iter(self.parts.told[self.row])

    def __len__(self) -> int:
        return len(self.parts.told[self.row])

    @overload
    def __getitem__(self, at: int) -> Reason: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Reason, ...]: ...
    def __getitem__(self, at: int | slice) -> Reason | tuple[Reason, ...]:
        return self.parts.told[self.row][at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reasons) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))
