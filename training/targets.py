"""What is known of items and of targets, beside whether they were found: touched before, new in the shop, kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from features.events import DAY_US
from features.ids import key64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from recommender.contract import IntVector, LongVector
    from training.load import Data
    from training.split import Cases

COLD_DAYS: Final = 7
"""An item is cold for that long after it is first seen, and before."""
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ItemFacts:
    """Items of a whole log, with what customers had made of them by the moment of an evaluation.

    Attributes
    ----------
    item_key : int64, shape (n_items,)
        Ascending.
    first_seen_at : int64, shape (n_items,)
        Microseconds of the first event that names the item; the end of time where none does.
    kind : uint8, shape (n_items,)
        Index into ``recommender.items.KINDS``.
    n_customers_of : int64, shape (n_items,)
        Customers who had touched it.
    n_customers : int
        Customers who had touched anything.
    """

    item_key: LongVector
    first_seen_at: LongVector
    kind: NDArray[np.uint8]
    n_customers_of: LongVector
    n_customers: int

    def rows_of(self, item_key: LongVector) -> IntVector:
        """Row of each key, all of which the log names."""
        return np.searchsorted(self.item_key, item_key).astype(np.int32)


@dataclass(frozen=True)
class Targets:
    """All targets of all cases, one after the other.

    Attributes
    ----------
    case : int64, shape (m,)
        Row of the case, ascending.
    item_key : int64, shape (m,)
    is_touched : bool, shape (m,)
        Touched by the customer before.
    is_cold : bool, shape (m,)
        First seen in the shop less than ``COLD_DAYS`` before the case, or after.
    kind : uint8, shape (m,)
    """

    case: LongVector
    item_key: LongVector
    is_touched: NDArray[np.bool_]
    is_cold: NDArray[np.bool_]
    kind: NDArray[np.uint8]


def facts_of(data: Data, until: int) -> ItemFacts:
    """Facts of every item that ``data`` knows, with popularity as it was at ``until`` (microseconds)."""
    vocabulary = data.material(data.until).vocabulary
    keys = vocabulary.item_keys
    first_seen_at = np.full(len(keys), _NEVER, np.int64)
    seen_keys = np.array([key64(item_id) for item_id in data.first_seen], np.int64)
    is_known = np.isin(seen_keys, keys)
    moments = np.array(list(data.first_seen.values()), np.int64)
    first_seen_at[np.searchsorted(keys, seen_keys[is_known])] = moments[is_known]
    touches = data.touches.of_customers().before(until).in_rows_of(keys)
    pairs = np.unique(touches.customer_idx.astype(np.int64) * max(1, len(keys)) + touches.item_idx)
    return ItemFacts(
        item_key=keys,
        first_seen_at=first_seen_at,
        kind=np.asarray(vocabulary.arrays["items.kind"], np.uint8),
        n_customers_of=np.bincount(pairs % max(1, len(keys)), minlength=len(keys)),
        n_customers=len(np.unique(touches.customer_idx)),
    )


def targets_of(cases: Cases, facts: ItemFacts) -> Targets:
    """Every target with what is known of it."""
    case, item_key = flattened(cases.targets)
    row = facts.rows_of(item_key)
    touched = [np.isin(targets, before) for targets, before in zip(cases.targets, cases.touched, strict=True)]
    return Targets(
        case=case,
        item_key=item_key,
        is_touched=np.concatenate(touched) if touched else np.zeros(0, np.bool_),
        is_cold=facts.first_seen_at[row] > cases.as_of[case] - COLD_DAYS * DAY_US,
        kind=facts.kind[row],
    )


def flattened(keys: Sequence[LongVector]) -> tuple[LongVector, LongVector]:
    """Keys of all cases one after the other, and the case of each, both shape (m,): (case, key)."""
    case = np.repeat(np.arange(len(keys)), [len(own) for own in keys])
    return case, np.concatenate([*keys, np.empty(0, np.int64)]).astype(np.int64)
