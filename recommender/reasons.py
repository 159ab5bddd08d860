"""Why an item stands where it does: what each part adds to its score, told only when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final, NamedTuple, overload

import numpy as np

from recommender.kernels_rank import loudest

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
        return self._in_order(order, (self.weights != 0).sum(axis=1))

    @cached_property
    def short(self) -> list[tuple[Reason, ...]]:
        """Of each item those that speak most for it, and the rest as one; all where that is no longer."""
        n_told = (self.weights != 0).sum(axis=1)
        if (n_told <= N_SHORT + 1).all():
            return self.told
        order = np.argsort(-self._for_whom(), axis=1, kind="stable")[:, :N_SHORT]
        rest = self.weights.sum(axis=1) - np.take_along_axis(self.weights, order, axis=1).sum(axis=1)
        few = self._in_order(order, np.minimum(n_told, N_SHORT))
        return [
            (*reasons, Reason("rest", REASON_TEXTS["rest"], weight)) if n > N_SHORT + 1 else self.told[row]
            for row, (reasons, weight, n) in enumerate(zip(few, rest.tolist(), n_told.tolist(), strict=True))
        ]

    def _for_whom(self) -> NDArray[np.float64]:
        """How much each part speaks for its item: what says something of it first, then all others."""
        speaks = _speaks(self.codes)
        below = 2 * np.abs(self.weights).max(initial=0) + 1
        heard: NDArray[np.float64] = np.where(speaks & (self.weights > 0), self.weights, self.weights - below)
        heard[self.weights == 0] = -np.inf
        return heard

    def _in_order(self, order: NDArray[np.int64], n: NDArray[np.int64]) -> list[tuple[Reason, ...]]:
        weights = np.take_along_axis(self.weights, order, axis=1).tolist()
        codes = self.codes
        return [
            tuple(
                [
                    Reason(codes[at], REASON_TEXTS[codes[at]], weight)
                    for at, weight in zip(row[:k], values, strict=False)
                ]
            )
            for row, values, k in zip(order.tolist(), weights, n.tolist(), strict=True)
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
