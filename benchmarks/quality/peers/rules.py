"""Sequential rules: what follows an item within a few steps (Ludewig and Jannach 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse

from benchmarks.quality.events import Queries, weights
from benchmarks.quality.peers.base import NEVER, Peer, some_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.quality.events import Past
    from benchmarks.quality.lists import Model, Scores


class Rules(NamedTuple):
    """Sequential rules.

    ``n_steps`` is the furthest distance of a pair, whose weight is ``1 / distance ** power``; ``half_life`` of a pair
    in days; ``per_session`` ends sequences at sessions, otherwise they run through all of a customer's past; ``n_last``
    items of the history speak, the ``i``-th last with weight ``1 / i ** power``; ``with_self`` keeps an item's own
    return.
    """

    n_steps: int = 10
    power: float = 1.0
    half_life: float = NEVER
    per_session: bool = True
    n_last: int = 1
    with_self: bool = True


def fit_rules(past: Past, setting: Rules) -> Model:
    """Weighted counts of ordered pairs; a history's last items look up theirs."""
    rules = _rules(past, setting)

    def score(queries: Queries) -> Scores:
        return np.asarray((_last_items(queries, setting) @ rules).toarray(), np.float32)

    return score


def _rules(past: Past, setting: Rules) -> sparse.csr_array:
    events = past.events
    sequence = events.sessions() if setting.per_session else events.customer_idx
    total = sparse.csr_array((past.n_items, past.n_items), dtype=np.float64)
    for step in range(1, min(setting.n_steps, len(events) - 1) + 1):
        total = total + _pairs(past, sequence, step, setting)
    return total.tocsr()


def _pairs(past: Past, sequence: NDArray[np.int64], step: int, setting: Rules) -> sparse.csr_array:
    events = past.events
    before, after = events.item_idx[:-step], events.item_idx[step:]
    keep = sequence[:-step] == sequence[step:]
    if not setting.with_self:
        keep &= before != after
    age = past.now - events.at[step:][keep]
    value = weights(events.touch[step:][keep], age, setting.half_life, is_graded=False) / step**setting.power
    shape = (past.n_items, past.n_items)
    return sparse.coo_array((value, (before[keep], after[keep])), shape=shape).tocsr()


def _last_items(queries: Queries, setting: Rules) -> sparse.csr_array:
    query, row = queries.rows()
    back = queries.steps_back()
    keep = back < setting.n_last
    value = 1 / (1.0 + back[keep]) ** setting.power
    shape = (len(queries), queries.events.n_items)
    return sparse.coo_array((value, (query[keep], queries.events.item_idx[row[keep]])), shape=shape).tocsr()


RULES: Final = Peer(
    "sequential rules",
    fit_rules,
    (
        Rules(),
        Rules(per_session=False),
        Rules(per_session=False, n_last=3),
        Rules(per_session=False, n_last=10, power=2.0),
        *some_of(
            Rules(power=2.0),
            n=8,
            n_steps=(3, 10, 20),
            power=(1.0, 2.0),
            half_life=(7.0, NEVER),
            per_session=(True, False),
            n_last=(1, 3, 10),
            with_self=(True, False),
        ),
    ),
)
