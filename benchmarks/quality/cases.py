"""Cases of a task, and those of an inner split of its past on which baselines are tuned."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from benchmarks.quality.events import SESSION_GAP_US, Events, Past, Queries
from benchmarks.quality.lists import NOTHING
from recommender.contract import TOUCHES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.quality.sources import Held
    from benchmarks.quality.tasks import Task

    Ints = NDArray[np.int64]

MAX_VALIDATION: Final = 2_000
INNER_SHARE: Final = 0.2
"""Share of the past's time, or of a customer's items, that validation takes at most."""

_UNCARTS: Final = TOUCHES.index("uncarts")


@dataclass(frozen=True)
class Cases:
    """Histories to answer, and the item keys that are right.

    Attributes
    ----------
    targets : sequence of int64 arrays
        Distinct item keys.
    """

    queries: Queries
    targets: Sequence[Ints]

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def customer_ids(self) -> list[str]:
        """Customer of each case."""
        return [str(text) for text in self.queries.events.customer_ids[self.queries.customer_idx]]

    def take(self, rows: Ints) -> Cases:
        """Some of the cases."""
        return Cases(self.queries.take(rows), [self.targets[row] for row in rows])

    def sample(self, n: int) -> Cases:
        """At most ``n`` of them, drawn at random, in their order."""
        if len(self) <= n:
            return self
        return self.take(np.sort(np.random.default_rng(0).choice(len(self), n, replace=False)))

    def digest(self) -> str:
        """Name of exactly these cases."""
        made = blake2b(digest_size=8)
        made.update("\n".join(self.customer_ids).encode())
        made.update(self.queries.as_of.tobytes())
        for targets in self.targets:
            made.update(targets.tobytes())
        return made.hexdigest()

    def is_new_in_session(self) -> NDArray[np.bool_]:
        """Whether the (only) target was not touched before in the running session."""
        query, key = self._in_session()
        target = np.array([keys[0] for keys in self.targets])
        return np.asarray(np.bincount(query[key == target[query]], minlength=len(self)) == 0)

    def without_session(self, lists: Ints) -> Ints:
        """Lists of item keys, shape (n_cases, n), less what the running session holds; ``NOTHING`` at their ends."""
        query, key = self._in_session()
        bounds = np.searchsorted(query, np.arange(len(self) + 1))
        left = np.full_like(lists, NOTHING)
        for case, row in enumerate(lists):
            kept = row[~np.isin(row, key[bounds[case] : bounds[case + 1]])]
            left[case, : len(kept)] = kept
        return left

    def _in_session(self) -> tuple[Ints, Ints]:
        """Each case's items of the running session: number of the case, ascending, and item key."""
        queries = self.queries
        session = queries.events.sessions()
        query, row = queries.rows()
        is_running = session[row] == session[queries.last[query] - 1]
        return query[is_running], queries.events.item_keys[queries.events.item_idx[row[is_running]]]


class Split(NamedTuple):
    """What may be fitted on, and what is asked."""

    past: Past
    cases: Cases


def outer_split(task: Task, events: Events, held: Held | None) -> Split:
    """The cases that are reported."""
    cut = task.cut.of(events)
    split = _held_cases(events, held) if held is not None else _timed(task, events, cut, cut + task.horizon_us())
    return Split(split.past, split.cases.sample(task.max_cases))


def inner_split(task: Task, past: Past) -> Split:
    """Validation cases made of the past alone, at most ``MAX_VALIDATION``."""
    if task.protocol == "last":
        split = _held_events(past.events, _is_last(past.events))
    elif task.protocol == "split":
        split = _held_events(past.events, np.random.default_rng(1).random(len(past.events)) < INNER_SHARE)
    else:
        length = int(INNER_SHARE * (past.now - int(past.events.at.min())))
        length = min(length, task.horizon_us() or length)
        split = _timed(task, past.events, past.now - length, past.now)
    return Split(split.past, split.cases.sample(MAX_VALIDATION))


def _timed(task: Task, events: Events, cut: int, end: int) -> Split:
    past = Past(events.where(events.at < cut), cut)
    known = np.bincount(past.events.item_idx, minlength=events.n_items) > 0
    if task.protocol == "next":
        return Split(past, _next_items(events, cut, known))
    return Split(past, _later_items(events, cut, end, known, hide_seen=task.hide_seen))


def _next_items(events: Events, cut: int, known: NDArray[np.bool_]) -> Cases:
    """Every event from the cut on that follows another of its session."""
    follows = np.zeros(len(events), np.bool_)
    gap = np.diff(events.at)
    follows[1:] = (np.diff(events.customer_idx) == 0) & (gap > 0) & (gap <= SESSION_GAP_US)
    follows &= (events.at >= cut) & known[events.item_idx] & (events.touch != _UNCARTS)
    rows = np.flatnonzero(follows)
    customer = events.customer_idx[rows]
    queries = Queries(events, events.bounds[customer], rows, events.at[rows], customer)
    return Cases(queries, [events.item_keys[[item]] for item in events.item_idx[rows]])


def _later_items(events: Events, cut: int, end: int, known: NDArray[np.bool_], *, hide_seen: bool) -> Cases:
    """Every customer with a history who touches an item known at the cut before the end."""
    bounds = events.bounds
    drawn: list[tuple[int, int, Ints]] = []
    for customer in range(events.n_customers):
        first, end_row = bounds[customer], bounds[customer + 1]
        at, item = events.at[first:end_row], events.item_idx[first:end_row]
        n_before = int(np.searchsorted(at, cut))
        inside = (at >= cut) & (at < end) & known[item] & (events.touch[first:end_row] != _UNCARTS)
        targets = np.unique(item[inside])
        targets = np.setdiff1d(targets, item[:n_before]) if hide_seen else targets
        if n_before and len(targets):
            drawn.append((customer, n_before, events.item_keys[targets]))
    customers = np.array([customer for customer, _, _ in drawn], np.int64)
    n_before_each = np.array([n for _, n, _ in drawn], np.int64)
    first_rows = bounds[customers]
    queries = Queries(events, first_rows, first_rows + n_before_each, np.full(len(drawn), cut), customers)
    return Cases(queries, [targets for _, _, targets in drawn])


def _held_cases(events: Events, held: Held) -> Split:
    """Each customer whose items a dataset holds out, with all of their events as the history."""
    order = np.argsort(held.customer_ids, kind="stable")
    ids, starts = np.unique(held.customer_ids[order], return_index=True)
    place = np.minimum(np.searchsorted(events.customer_ids, ids), events.n_customers - 1)
    targets = np.split(held.item_keys[order], starts[1:])
    known = np.flatnonzero(events.customer_ids[place] == ids)
    return Split(
        Past(events, events.until), _whole_histories(events, place[known], [np.unique(targets[i]) for i in known])
    )


def _held_events(events: Events, is_held: NDArray[np.bool_]) -> Split:
    past = events.where(~is_held)
    held = events.where(is_held)
    customers = np.intersect1d(held.customer_idx, past.customer_idx)
    bounds = held.bounds
    targets = [events.item_keys[np.unique(held.item_idx[bounds[c] : bounds[c + 1]])] for c in customers]
    return Split(Past(past, past.until), _whole_histories(past, customers, targets))


def _whole_histories(events: Events, customers: Ints, targets: Sequence[Ints]) -> Cases:
    bounds = events.bounds
    now = np.full(len(customers), events.until)
    return Cases(Queries(events, bounds[customers], bounds[customers + 1], now, customers), targets)


def _is_last(events: Events) -> NDArray[np.bool_]:
    return np.append(np.diff(events.customer_idx) != 0, [True])
