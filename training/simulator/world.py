"""The simulated shop: its items as everyone sees them, and what is true of them.

The truth of an item is a place in a space of style, a lasting appeal, how long a unit lasts and how
fast interest in it fades. Nothing here knows of journey stages.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from features.events import DAY_US
from features.ids import key64

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.catalog import Item

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Longs = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Codes = NDArray[np.int8]

PRODUCT, CONTENT, ACTION = range(3)
GUIDE, TUTORIAL, POST, EBOOK = range(4)
REVIEW, SUPPORT, SUBSCRIBE, PROFILE, REFER, REORDER = range(6)
"""Rows of the actions in ``shop.toml``."""

N_STYLE: Final = 8
N_INTEREST: Final = 6
NEVER: Final = np.int64(2**62)
EVERYWHERE: Final = -1


@dataclass(frozen=True)
class World:
    """Items in rows, products first, then content, then actions; leaves in the order of ``shop.toml``.

    Attributes
    ----------
    start, end : int
        First and last moment of the simulated time, microseconds; a sim-day is 24 hours from ``start``.
    items : tuple of Item
        As the catalog shows them at ``end``.
    kind, form : int8, shape (n_items,)
        Row of ``KINDS``; row of ``FORMS`` for content, of the actions for actions.
    leaf : int32, shape (n_items,)
        Category; 0 for actions, where it means nothing.
    locale : int8, shape (n_items,)
        Row of ``LOCALES``, or ``EVERYWHERE``.
    style : float32, shape (n_items, N_STYLE)
        Unit length.
    appeal : float32, shape (n_items,)
        Log of how often it is chosen on its shelf, all else equal.
    half_life : float32, shape (n_items,)
        Days in which interest halves; infinite for products and actions.
    price, margin : int64, shape (n_items,)
        Minor units; 0 for what is not sold.
    dearness : float32, shape (n_items,)
        Place of the price in its category, about standard normal.
    cycle : float32, shape (n_items,)
        Days that a unit lasts at home; 0 for what lasts.
    published_at, retired_at : int64, shape (n_items,)
        Microseconds; ``NEVER`` for what is still offered.
    buzz : float32, shape (n_bursts, 3)
        Item row, sim-day and strength of bursts of talk.
    topic : float32, shape (N_INTEREST, n_leaves)
    complement : float32, shape (n_leaves, n_leaves)
        Chance that a purchase in the row makes a need in the column.
    season : float32, shape (n_leaves,)
        Day of the year of the greatest need; NaN for none.
    leaf_weight : float32, shape (n_leaves,)
    shelves : two int32 arrays, shape (n_leaves, width)
        Rows of the leaf's products and of its content; -1 fills up.
    """

    seed: int
    start: int
    end: int
    items: tuple[Item, ...]
    kind: Codes
    form: Codes
    leaf: Ints
    locale: Codes
    style: Floats
    appeal: Floats
    half_life: Floats
    price: Longs
    margin: Longs
    dearness: Floats
    cycle: Floats
    published_at: Longs
    retired_at: Longs
    buzz: Floats
    topic: Floats
    complement: Floats
    season: Floats
    leaf_weight: Floats
    shelves: tuple[Ints, Ints]

    @property
    def n_items(self) -> int:
        return len(self.items)

    @property
    def n_leaves(self) -> int:
        return len(self.leaf_weight)

    @property
    def n_days(self) -> int:
        """Length of the simulated time."""
        return round((self.end - self.start) / DAY_US)

    @property
    def currency(self) -> str:
        """The one currency of every price."""
        return self.items[0].currency or ""

    @functools.cached_property
    def leaf_margin(self) -> Floats:
        """Mean margin of the products of each category, minor units; shape (n_leaves,)."""
        goods = self.kind == PRODUCT
        total = np.bincount(self.leaf[goods], self.margin[goods], self.n_leaves)
        return np.asarray(total / np.bincount(self.leaf[goods], minlength=self.n_leaves), np.float32)

    @functools.cached_property
    def item_keys(self) -> Longs:
        """``item_key`` of each item."""
        return np.array([key64(item.item_id) for item in self.items], np.int64)

    @functools.cached_property
    def cat_keys(self) -> Longs:
        """``cat_key`` of each item's category."""
        return np.array([key64(item.category or "") for item in self.items], np.int64)

    @functools.cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each item id."""
        return {item.item_id: row for row, item in enumerate(self.items)}

    def day_of(self, at: int) -> float:
        """Sim-days since ``start``, with their fraction."""
        return (at - self.start) / DAY_US

    def is_offered(self, first: int, last: int) -> Flags:
        """Whether each item is published and not retired from ``first`` to ``last``, microseconds."""
        return (self.published_at <= first) & (last < self.retired_at)

    def heat(self, day: float) -> Floats:
        """Log-appeal of each item on a sim-day, -inf for what is not offered on it; shape (n_items,).

        A new product is tried for a week, content fades, talk makes an item hot for days.
        """
        at = self.start + int(day * DAY_US)
        age = np.maximum(at - self.published_at, 0).astype(np.float32) / DAY_US
        heat = self.appeal - np.float32(np.log(2)) * age / self.half_life
        heat += np.where(self.kind == PRODUCT, np.exp2(-age / 7), 0).astype(np.float32)
        heat += self._talk(day)
        is_offered = self.is_offered(at, at + DAY_US + DAY_US // 4)
        return np.where(is_offered, heat, -np.inf).astype(np.float32)

    def renown(self, heat: Floats) -> Floats:
        """Log of how often each item is chosen over the whole shop: what a list of bestsellers is made of."""
        weight = np.where(self.kind == ACTION, 1, self.leaf_weight[self.leaf])
        return np.asarray(heat + np.log(weight) + np.array((0.0, -0.3, -1.2))[self.kind], np.float32)

    def _talk(self, day: float) -> Floats:
        item, since, strength = self.buzz.T
        age = np.float32(day) - since
        now = np.where((age >= 0) & (age < 14), strength * np.exp2(-np.maximum(age, 0) / 3), 0)
        return np.bincount(item.astype(np.int64), now, self.n_items).astype(np.float32)
