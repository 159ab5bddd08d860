"""Sessions for VSTAN: cut by pauses, without customers, at day resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features.events import DAY_US
from recommender.contract import TOUCHES
from recommender.kernels_session import MAX_SESSION_ITEMS
from recommender.retrievers.vstan import MINUTE_US, OFF, VstanParams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import IntVector, LongVector
    from training.touches import Touches

__all__ = ["MAX_DAYS", "MAX_SESSIONS", "VSTAN_GRID", "VstanParams", "fit_vstan"]

MAX_SESSIONS: Final = 500_000
"""The newest so many sessions are kept."""
MAX_DAYS: Final = 400
"""Sessions that ended longer ago are left out."""


WHOLE_HISTORY_MINUTES: Final = 1e8
"""A pause so long that all a customer touched is one session."""

_HISTORY: Final = VstanParams(gap_minutes=WHOLE_HISTORY_MINUTES, k=200, extend=0)
VSTAN_GRID: Final = (
    VstanParams(),
    VstanParams(k=200, lambda_inh=0.905, lambda_ipw=0.905, extend=3, carry=0.5),
    VstanParams(lambda_spw=4.9, lambda_idf=2.0),
    VstanParams(gap_minutes=1440.0),
    VstanParams(gap_minutes=1440.0, lambda_snh=5.0),
    _HISTORY._replace(lambda_spw=0.905, lambda_snh=OFF, lambda_inh=4.9, lambda_ipw=4.9, length_power=0.25),
    _HISTORY._replace(lambda_spw=1.81, lambda_snh=OFF, lambda_inh=4.9, lambda_ipw=OFF, length_power=0.0),
    _HISTORY._replace(
        lambda_spw=9.8, lambda_snh=20.0, lambda_inh=9.8, lambda_ipw=9.8, lambda_idf=5.0, length_power=0.0
    ),
    _HISTORY._replace(lambda_spw=30.0, lambda_snh=20.0, lambda_inh=30.0, lambda_ipw=30.0, lambda_idf=1.0),
)
"""Browsing sessions, days, and whole histories from the last steps alone to all of them."""


def fit_vstan(touches: Touches, n_items: int, params: VstanParams) -> dict[str, NDArray[np.generic]]:
    """Sessions of at least two items, oldest first, and those of each item, newest first; empty where there is none.

    A session lists its distinct items by their last touch. An item lists no more sessions than a query samples.
    """
    own = touches.of_customers()
    own = own.where((own.touch != TOUCHES.index("uncarts")) & (own.at >= touches.until - MAX_DAYS * DAY_US))
    item_idx, session, end = _kept(*_distinct(own, _sessions(own, int(params.gap_minutes * MINUTE_US))))
    if not len(end):
        return {}
    indptr, by_item = _sessions_of_items(item_idx, session, n_items, params.sample_size)
    n_with = np.bincount(item_idx, minlength=n_items)
    return {
        "vstan.indptr": indptr,
        "vstan.session": by_item,
        "vstan.sessions.indptr": np.searchsorted(session, np.arange(len(end) + 1)).astype(np.int64),
        "vstan.sessions.item_idx": item_idx,
        "vstan.sessions.day": (end // DAY_US).astype(np.int32),
        "vstan.idf": np.log(len(end) / np.maximum(1, n_with)).astype(np.float32),
        "vstan.params": np.array(params, np.float32),
    }


def _sessions(own: Touches, gap_us: int) -> LongVector:
    """Number of the session of each row, ascending."""
    is_new = (np.diff(own.customer_idx) != 0) | (np.diff(own.at) > gap_us)
    return np.concatenate([np.zeros(min(1, len(own)), np.int64), np.cumsum(is_new)])


def _distinct(own: Touches, session: LongVector) -> tuple[Touches, LongVector]:
    """The last touch of each item of a session, of at most the last ``MAX_SESSION_ITEMS`` items."""
    order = np.lexsort((np.arange(len(own)), own.item_idx, session))
    is_repeated = (np.diff(session[order]) == 0) & (np.diff(own.item_idx[order]) == 0)
    is_last = np.ones(len(own), np.bool_)
    is_last[order[:-1][is_repeated]] = False
    own, session = own.where(is_last), session[is_last]
    from_end = np.searchsorted(session, session, side="right") - np.arange(len(own))
    is_late = from_end <= MAX_SESSION_ITEMS
    return own.where(is_late), session[is_late]


def _kept(own: Touches, session: LongVector) -> tuple[IntVector, LongVector, LongVector]:
    """Items of the newest sessions of two items or more, session numbers in order of their end, and the ends."""
    _, first, length = np.unique(session, return_index=True, return_counts=True)
    first, length = first[length > 1], length[length > 1]
    end = own.at[first + length - 1]
    newest = np.argsort(end, kind="stable")[-MAX_SESSIONS:]
    first, length = first[newest], length[newest]
    rows = np.arange(length.sum()) + np.repeat(first - np.cumsum(length) + length, length)
    return own.item_idx[rows], np.repeat(np.arange(len(newest)), length), end[newest]


def _sessions_of_items(item_idx: IntVector, session: LongVector, n_items: int, n: int) -> tuple[LongVector, IntVector]:
    """Row pointers, and the newest ``n`` sessions of each item."""
    order = np.lexsort((-session, item_idx))
    by_item = item_idx[order]
    place = np.arange(len(order)) - np.searchsorted(by_item, by_item)
    kept = order[place < n]
    indptr = np.searchsorted(item_idx[kept], np.arange(n_items + 1)).astype(np.int64)
    return indptr, session[kept].astype(np.int32)
