"""TIFU-KNN: decayed basket frequency, one's own and that of similar customers (Hu et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse

from benchmarks.quality.events import Queries, baskets
from benchmarks.quality.peers.base import Peer, some_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.quality.events import Events, Past
    from benchmarks.quality.lists import Model, Scores


class Tifu(NamedTuple):
    """``k`` neighbours; groups of ``m`` baskets; decays within and between groups; ``alpha`` is one's own share."""

    k: int = 300
    m: int = 7
    within: float = 0.9
    between: float = 0.7
    alpha: float = 0.7


def fit_tifu(past: Past, setting: Tifu) -> Model:
    """Vectors of all customers; a query blends its own with the mean of its nearest."""
    known = vectors(everyone(past.events), setting)
    square = np.asarray(known.power(2).sum(axis=1))
    is_empty = np.diff(known.indptr) == 0

    def score(queries: Queries) -> Scores:
        own = vectors(queries, setting)
        distance = square - 2 * (own @ known.T).toarray()
        distance[:, is_empty] = np.inf
        distance[np.arange(len(queries)), queries.customer_idx] = np.inf
        near = _mean_of(_nearest(distance, setting.k), known)
        return np.asarray((setting.alpha * own + (1 - setting.alpha) * near).toarray(), np.float32)

    return score


def everyone(events: Events) -> Queries:
    """The whole history of each customer."""
    bounds = events.bounds
    n = events.n_customers
    return Queries(events, bounds[:-1], bounds[1:], np.full(n, events.until), np.arange(n))


def vectors(queries: Queries, setting: Tifu) -> sparse.csr_array:
    """Decayed frequency of each history's items, shape (n, n_items); a session is a basket."""
    events = queries.events
    session = events.sessions()
    query, row = baskets(queries, session)
    basket, item = session[row], events.item_idx[row]
    last = session[np.maximum(queries.last - 1, 0)]
    first = session[np.minimum(queries.first, len(session) - 1)]
    age = last[query] - basket
    n_baskets = (last - first + 1)[query]
    value = setting.within ** (age % setting.m) * setting.between ** (age // setting.m)
    size = np.minimum(setting.m, n_baskets - age // setting.m * setting.m)
    value = value / size / -(-n_baskets // setting.m)
    return sparse.coo_array((value, (query, item)), shape=(len(queries), events.n_items)).tocsr()


def _nearest(distance: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    k = min(k, distance.shape[1])
    return np.argpartition(distance, k - 1, axis=1)[:, :k]


def _mean_of(chosen: NDArray[np.int64], known: sparse.csr_array) -> sparse.csr_array:
    n, k = chosen.shape
    rows = np.repeat(np.arange(n), k)
    picked = sparse.coo_array((np.full(n * k, 1 / k), (rows, chosen.ravel())), shape=(n, known.shape[0])).tocsr()
    return picked @ known


TIFU: Final = Peer(
    "TIFU-KNN",
    fit_tifu,
    some_of(
        Tifu(),
        k=(100, 300, 900),
        m=(3, 7),
        within=(0.9, 1.0),
        between=(0.6, 0.8, 1.0),
        alpha=(0.2, 0.5, 0.7, 0.9),
    ),
)
