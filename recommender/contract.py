"""What every retriever is asked and what it answers.

A retriever reads its arrays from the bundle and proposes items for one query. All of them answer the
same call, so evaluation, blending and serving treat them alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recommender.kernels import EVERYTHING, best_of, first_of, summed_by_item

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommender.items import Items

FloatVector = NDArray[np.float32]
FloatMatrix = NDArray[np.float32]
IntVector = NDArray[np.int32]
LongVector = NDArray[np.int64]

TOUCHES = ("views", "reads", "likes", "carts", "uncarts", "buys")
"""Columns of :attr:`Query.touch_counts`, as ``seen`` of the customer state sums them."""


class ArraySpec(NamedTuple):
    """Declared form of one bundle array: NumPy dtype name and number of dimensions."""

    dtype: str
    ndim: int


class Candidates(NamedTuple):
    """Proposed items, best first.

    ``item_idx`` int32, shape (m,), unique; ``score`` float32, shape (m,), finite, > 0, descending, ties by
    ascending ``item_idx``.
    """

    item_idx: IntVector
    score: FloatVector


NOTHING = Candidates(np.empty(0, np.int32), np.empty(0, np.float32))


@dataclass(frozen=True)
class Query:
    """One customer at one moment, in rows of the bundle's vocabulary; items it does not know are left out.

    Attributes
    ----------
    now : int
        Moment of the decision, microseconds.
    touch_idx : int32, shape (m,)
        Item of each kept touch (one item at one time), oldest first; repeats allowed.
    touch_at : int64, shape (m,)
        Its time in microseconds, ascending, < ``now``.
    touch_counts : int32, shape (m, 6)
        How often viewed, read, liked, carted, taken out of the cart, bought (``TOUCHES``).
    bought_idx, bought_day, bought_n : int32, shape (b,)
        Item, UTC day and order lines of each kept purchase record, oldest first.
    anchor_idx : int32, shape (a,)
        Items that the page is about (the product shown, the cart), most important first.
    locale : str or None
        Declared locale of the customer or the request.
    kinds : tuple of str
        Kinds wanted, of product, content and action; never empty.
    text : str or None
        Free text to match (search words), when the caller has some.
    is_allowed : bool, shape (n_items,), or None
        Items that may be proposed at all; None for all of them. It contains what ``kinds`` says.
    is_unseen_only : bool
        Whether only what the customer never touched may be proposed; ``is_allowed`` contains that too.
    """

    now: int
    touch_idx: IntVector = field(default_factory=lambda: np.empty(0, np.int32))
    touch_at: LongVector = field(default_factory=lambda: np.empty(0, np.int64))
    touch_counts: IntVector = field(default_factory=lambda: np.empty((0, len(TOUCHES)), np.int32))
    bought_idx: IntVector = field(default_factory=lambda: np.empty(0, np.int32))
    bought_day: IntVector = field(default_factory=lambda: np.empty(0, np.int32))
    bought_n: IntVector = field(default_factory=lambda: np.empty(0, np.int32))
    anchor_idx: IntVector = field(default_factory=lambda: np.empty(0, np.int32))
    locale: str | None = None
    kinds: tuple[str, ...] = ("product", "content", "action")
    text: str | None = None
    is_allowed: NDArray[np.bool_] | None = None
    is_unseen_only: bool = False

    @property
    def has_past(self) -> bool:
        """Whether any touch or purchase is known."""
        return bool(len(self.touch_idx) or len(self.bought_idx))

    @property
    def has_page(self) -> bool:
        """Whether the request itself tells what it is about."""
        return bool(len(self.anchor_idx) or self.text)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """``is_allowed`` as the compiled loops take it."""
        return EVERYTHING if self.is_allowed is None else self.is_allowed

    def allow(self, item_idx: IntVector, score: FloatVector) -> tuple[IntVector, FloatVector]:
        """Those of some scored items that may be proposed."""
        if self.is_allowed is None:
            return item_idx, score
        keep = self.is_allowed[item_idx]
        return item_idx[keep], score[keep]

    @property
    def is_cold(self) -> bool:
        """Whether there is nothing personal to go by."""
        return not (len(self.touch_idx) or len(self.bought_idx) or len(self.anchor_idx) or self.text)


class Retriever(Protocol):
    """Proposes items for a query. Constructed from bundle arrays only; holds no mutable state."""

    name: ClassVar[str]
    """Source name, as it appears in blend weights and reasons."""

    arrays: ClassVar[Mapping[str, ArraySpec]]
    """The bundle arrays it reads; each name starts with ``name + "."``."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None: ...

    def retrieve(self, query: Query, n: int) -> Candidates:
        """At most ``n`` candidates; :data:`NOTHING` where the query carries nothing for this source."""
        ...


def best(item_idx: IntVector, score: FloatVector, n: int) -> Candidates:
    """The ``n`` best of unique items by score, positive and finite ones only; ties by ascending item.

    Parameters
    ----------
    item_idx : int32, shape (m,)
    score : float32, shape (m,)
    """
    return Candidates(*best_of(item_idx, np.ascontiguousarray(score, np.float32), n))


def first(item_idx: IntVector, score: FloatVector, query: Query, n: int) -> Candidates:
    """The first ``n`` of some ranked items that may be proposed."""
    if query.is_allowed is None:
        return Candidates(item_idx[:n], score[:n])
    return Candidates(*first_of(item_idx, score, query.is_allowed, n))


def summed(item_idx: IntVector, score: FloatVector) -> tuple[IntVector, FloatVector]:
    """Scores of equal items added up: unique ``item_idx`` ascending, and their sums."""
    return summed_by_item(item_idx, np.ascontiguousarray(score, np.float32))
