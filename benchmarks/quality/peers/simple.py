"""Baselines without learning: what is popular, what one has already, what one saw last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse

from benchmarks.quality.events import Past, Queries, baskets, query_matrix, weights
from benchmarks.quality.peers.base import NEVER, Peer, some_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.quality.events import Events
    from benchmarks.quality.lists import Model, Scores


class Popular(NamedTuple):
    """``half_life`` in days; ``is_graded`` counts a purchase more than a view; ``once`` counts customers."""

    half_life: float = 7.0
    is_graded: bool = False
    once: bool = False


def fit_popular(past: Past, setting: Popular) -> Model:
    """Decayed counts of interactions, the same for everyone."""
    counted = Past(_lasts(past.events), past.now) if setting.once else past
    count = popularity(counted, setting.half_life, is_graded=setting.is_graded).astype(np.float32)
    return lambda queries: np.tile(count, (len(queries), 1))


def _lasts(events: Events) -> Events:
    """The last row of each item of each customer."""
    code = events.customer_idx * events.n_items + events.item_idx
    _, from_end = np.unique(code[::-1], return_index=True)
    keep = np.zeros(len(events), np.bool_)
    keep[len(events) - 1 - from_end] = True
    return events.where(keep)


def popularity(past: Past, half_life: float, *, is_graded: bool) -> NDArray[np.float64]:
    """Weight of each item's interactions, shape (n_items,), at most 1."""
    events = past.events
    value = weights(events.touch, past.now - events.at, half_life, is_graded=is_graded)
    count = np.bincount(events.item_idx, weights=value, minlength=past.n_items)
    return count / max(float(count.max()), 1e-30)


class Own(NamedTuple):
    """Half-lives in days; ``popular`` is the weight of the most popular item against one own interaction."""

    half_life: float = NEVER
    popular: float = 0.5
    popular_half_life: float = 30.0
    per_session: bool = True


def fit_own(past: Past, setting: Own) -> Model:
    """Personal frequency, popularity below it (GP-TopFreq, Li et al. 2023)."""
    base = popularity(past, setting.popular_half_life, is_graded=False) * setting.popular
    return lambda queries: np.asarray(_own_counts(queries, setting).toarray() + base, np.float32)


def _own_counts(queries: Queries, setting: Own) -> sparse.csr_array:
    if not setting.per_session:
        return query_matrix(queries, setting.half_life, is_graded=False, is_binary=False)
    events = queries.events
    query, row = baskets(queries, events.sessions())
    value = weights(events.touch[row], queries.as_of[query] - events.at[row], setting.half_life, is_graded=False)
    return sparse.coo_array((value, (query, events.item_idx[row])), shape=(len(queries), events.n_items)).tocsr()


class Recent(NamedTuple):
    """It has nothing to set."""


def fit_recent(past: Past, _: Recent) -> Model:
    """What was touched last, the latest first."""
    del past

    def score(queries: Queries) -> Scores:
        query, row = queries.rows()
        scores = np.zeros((len(queries), queries.events.n_items), np.float32)
        np.maximum.at(scores, (query, queries.events.item_idx[row]), 1 / (1 + queries.steps_back()))
        return scores

    return score


_FADING: Final = tuple(
    Popular(half_life, once=once) for half_life in (7.0, 0.25, 1.0, 30.0, NEVER) for once in (False, True)
)
POPULAR: Final = Peer(
    "popularity",
    fit_popular,
    (*_FADING, Popular(is_graded=True), Popular(NEVER, is_graded=True)),
)
OWN: Final = Peer(
    "own frequency",
    fit_own,
    some_of(
        Own(),
        half_life=(NEVER, 180.0, 60.0, 7.0),
        popular=(0.1, 0.5, 1.0, 2.0),
        popular_half_life=(7.0, 30.0, NEVER),
        per_session=(True, False),
    ),
)
RECENT: Final = Peer("last viewed", fit_recent, (Recent(),))
