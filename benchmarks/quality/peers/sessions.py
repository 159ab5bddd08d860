"""VSTAN: nearest sessions, with time and position (Ludewig, Latifi, Mauro and Jannach 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from benchmarks.quality.peers.base import Peer, some_of
from features.events import DAY_US

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.quality.events import Events, Past, Queries
    from benchmarks.quality.lists import Model, Scores

MAX_LENGTH: Final = 50
"""Events of a sequence that are kept, its latest."""


class Vstan(NamedTuple):
    """VSTAN: the paper's names.

    ``k`` neighbours out of the ``sample`` most recent sessions that share an item; decays ``spw`` of positions in the
    query, ``snh`` of a session's age (days), ``inh`` of the distance to the shared item and ``ipw`` of how far back in
    the query that lies; ``idf`` strengthens rare items; ``per_session`` ends sequences at sessions.
    """

    k: int = 200
    sample: int = 5_000
    spw: float = 1.81
    snh: float = 40.0
    inh: float = 0.905
    ipw: float = 0.905
    idf: float = 0.0
    per_session: bool = True


class Index(NamedTuple):
    """Sessions in order of their end, and for each item the sessions that hold it, latest first."""

    indptr: NDArray[np.int64]
    items: NDArray[np.int64]
    end: NDArray[np.int64]
    item_indptr: NDArray[np.int64]
    item_sessions: NDArray[np.int64]
    idf: NDArray[np.float64]


def fit_vstan(past: Past, setting: Vstan) -> Model:
    """Index the past sequences; a query compares its own with them."""
    index = index_of(past.events, per_session=setting.per_session)
    size = (setting.k, setting.sample)
    decays = (setting.spw, setting.snh * DAY_US, setting.inh, setting.ipw, setting.idf)
    scratch = (np.full(past.n_items, -1), np.zeros(len(index.end)))

    def score(queries: Queries) -> Scores:
        sequence = _sequences(queries.events, per_session=setting.per_session)
        scores = np.zeros((len(queries), past.n_items), np.float32)
        for row, (first, last, now) in enumerate(zip(queries.first, queries.last, queries.as_of, strict=True)):
            start = max(first, last - MAX_LENGTH, int(np.searchsorted(sequence, sequence[last - 1])))
            _score(index, queries.events.item_idx[start:last], now, size, decays, *scratch, scores[row])
        return scores

    return score


def _sequences(events: Events, *, per_session: bool) -> NDArray[np.int64]:
    return events.sessions() if per_session else events.customer_idx


def index_of(events: Events, *, per_session: bool) -> Index:
    """Index of all sequences."""
    sequence = _sequences(events, per_session=per_session)
    _, number, length = np.unique(sequence, return_inverse=True, return_counts=True)
    lasts = np.cumsum(length) - 1
    from_end = lasts[number] - np.arange(len(events))
    keep = from_end < MAX_LENGTH
    rank = np.argsort(np.argsort(events.at[lasts], kind="stable"), kind="stable")
    order = np.lexsort((-from_end[keep], rank[number[keep]]))
    items, session = events.item_idx[keep][order], rank[number[keep]][order]
    indptr = np.searchsorted(session, np.arange(len(length) + 1)).astype(np.int64)
    pairs = np.unique(np.stack([items, -session]), axis=1)
    item_indptr = np.searchsorted(pairs[0], np.arange(events.n_items + 1)).astype(np.int64)
    frequency = np.maximum(1, np.diff(item_indptr))
    return Index(indptr, items, np.sort(events.at[lasts]), item_indptr, -pairs[1], np.log(len(length) / frequency))


@njit
def _score(  # type: ignore[no-untyped-def]  # noqa: ANN202, PLR0913, PLR0917
    index: Index,
    query: NDArray[np.int64],
    now: int,
    size: tuple[int, int],
    decays: tuple[float, ...],
    place: NDArray[np.int64],
    shared: NDArray[np.float64],
    out: NDArray[np.float32],
):
    """Add to ``out``; ``place`` (-1 an item) and ``shared`` (0 a session) are scratch, left as they came."""
    n_sample = size[1]
    n = len(query)
    for i in range(n):
        place[query[i]] = i
    norm = 0.0
    found = [0 for _ in range(0)]
    for i in range(n):
        if place[query[i]] != i:
            continue
        weight = np.exp((i + 1 - n) / decays[0])
        norm += weight * weight
        a = index.item_indptr[query[i]]
        for at in range(a, min(a + n_sample, index.item_indptr[query[i] + 1])):
            session = index.item_sessions[at]
            if shared[session] == 0:
                found.append(session)
            shared[session] += weight
    if len(found) > 0:
        _add_neighbours(index, np.array(found), np.sqrt(norm), n, now, size, decays, place, shared, out)
    for session in found:
        shared[session] = 0
    for item in query:
        place[item] = -1


@njit
def _add_neighbours(  # type: ignore[no-untyped-def]  # noqa: ANN202, PLR0913, PLR0917
    index: Index,
    sessions: NDArray[np.int64],
    norm: float,
    n: int,
    now: int,
    size: tuple[int, int],
    decays: tuple[float, ...],
    place: NDArray[np.int64],
    shared: NDArray[np.float64],
    out: NDArray[np.float32],
):
    _, snh, inh, ipw, idf = decays
    # Sessions are numbered in order of their end.
    sessions = np.sort(sessions)[max(0, len(sessions) - size[1]) :]
    similarity = np.empty(len(sessions))
    for i, session in enumerate(sessions):
        length = index.indptr[session + 1] - index.indptr[session]
        age = max(0, now - index.end[session])
        similarity[i] = shared[session] / (norm * np.sqrt(length)) * np.exp(-age / snh)
    for i in np.argsort(-similarity)[: size[0]]:
        first, last = index.indptr[sessions[i]], index.indptr[sessions[i] + 1]
        match, where = -1, 0
        for at in range(first, last):
            if place[index.items[at]] >= max(match, 0):
                match, where = place[index.items[at]], at
        depth = similarity[i] * np.exp((match + 1 - n) / ipw)
        for at in range(first, last):
            item = index.items[at]
            out[item] += depth * np.exp(-abs(at - where) / inh) * (1 + idf * index.idf[item])


VSTAN: Final = Peer(
    "VSTAN",
    fit_vstan,
    (
        Vstan(),
        Vstan(per_session=False),
        Vstan(k=1_500, sample=2_500, spw=0.905, snh=100.0, inh=0.4525),
        Vstan(k=1_500, spw=4.9, inh=4.9, ipw=1.225, idf=10.0),
        *some_of(
            Vstan(k=500, inh=3.62, idf=5.0),
            n=8,
            seed=1,
            k=(100, 500, 1_500),
            sample=(1_000, 5_000),
            spw=(0.905, 1.81, 4.9),
            snh=(5.0, 40.0, 10_000.0),
            inh=(0.905, 3.62),
            ipw=(0.905, 3.62),
            idf=(0.0, 1.0, 5.0),
            per_session=(True, False),
        ),
    ),
)
