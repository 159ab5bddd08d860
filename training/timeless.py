"""Logs whose clock means nothing: positions or one date for all, written where times should be.

Public sets for collaborative filtering often have no times, and whoever imports them makes some up. A window
of time then holds nobody, or only those with the longest histories. Such a log is read by ranks instead:
every customer's last step falls on the last day before the cut-off, the step before on the day before, and
the windows of training hold the last steps of everybody. Where not even an order is known, each customer's items are
spread in any order over the same days, so that a window holds the same share of everybody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.events import DAY_US
from training.log import SCHEMA

if TYPE_CHECKING:
    from recommender.contract import LongVector
    from training.touches import Touches

EDGE: Final = 0.02
"""Share of the span at whose edge customers of a made-up clock all begin, or all end."""
MOST: Final = 0.6
FEW: Final = 0.2
MIN_CUSTOMERS: Final = 20
SPREAD_DAYS: Final = 30
"""Days over which the items of each customer are spread where nobody's have an order."""


def is_made_up(touches: Touches) -> bool:
    """Whether the times of a log say nothing about when things happened.

    They do where all are one, where most customers begin at the very start and few are there at the end, or
    the other way round. In a log of real times customers come and go all the time, or are there throughout.
    """
    own = touches.of_customers()
    n = len(np.unique(own.customer_idx))
    if n < MIN_CUSTOMERS:
        return False
    is_first = np.ones(len(own), np.bool_)
    is_first[1:] = np.diff(own.customer_idx) > 0
    first, last = own.at[is_first], own.at[np.roll(is_first, -1)]
    start, end = int(first.min()), int(last.max())
    if start == end:
        return True
    begun, ended = (first - start) / (end - start), (last - start) / (end - start)
    from_start = (begun <= EDGE).mean() >= MOST and (ended >= 1 - FEW).mean() < FEW
    to_end = (ended >= 1 - EDGE).mean() >= MOST and (begun <= FEW).mean() < FEW
    return bool(from_start or to_end)


def by_rank(lines: pa.Table, until: int) -> pa.Table:
    """The same lines, each a whole number of days before ``until``: none for a customer's last step.

    A step is a moment of the customer; where all of theirs are one, each line is a step, in the order of the
    event ids' hashes, since any order is as good. Where that is so of every customer, steps are spread over
    ``SPREAD_DAYS``, whatever their number.
    """
    customer = pc.dictionary_encode(lines["customer_id"].combine_chunks(), null_encoding="encode")
    code = customer.indices.to_numpy().astype(np.int64)
    at = lines["occurred_at"].cast(pa.int64()).to_numpy()
    tie = pc.dictionary_encode(lines["event_id"].combine_chunks()).indices.to_numpy().astype(np.int64)
    steps = _steps_to_last(code, at, _shuffled(tie))
    moments = pa.array(until - 1 - steps * DAY_US)
    columns = {
        "occurred_at": moments.cast(pa.timestamp("us", "UTC")),
        "day": pc.divide(moments, DAY_US).cast(pa.int32()),
    }
    for name, column in columns.items():
        lines = lines.set_column(lines.column_names.index(name), SCHEMA.field(name), column)
    return lines


def _steps_to_last(code: LongVector, at: LongVector, tie: LongVector) -> LongVector:
    order = np.lexsort((tie, at, code))
    customer, moment = code[order], at[order]
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = customer[1:] != customer[:-1]
    first = np.flatnonzero(is_new)
    moves_on = np.zeros(len(order), np.bool_)
    moves_on[1:] = ~is_new[1:] & (moment[1:] != moment[:-1])
    stands_still = np.bitwise_or.reduceat(moves_on, first) == 0 if len(first) else moves_on
    owner = np.cumsum(is_new) - 1
    step = np.cumsum(~is_new & (moves_on | stands_still[owner]))
    last = np.append(first[1:], len(order)) - 1
    back = step[last][owner] - step
    if stands_still.all():
        back = _spread(back, owner)
    steps = np.empty(len(order), np.int64)
    steps[order] = back
    return steps


def _spread(back: LongVector, owner: LongVector) -> LongVector:
    """Each customer's steps at even distances over the same days, from a beginning of the customer's own."""
    n = np.bincount(owner)
    begin = np.random.default_rng(0).random(len(n))
    days: LongVector = ((back + begin[owner]) * SPREAD_DAYS / n[owner]).astype(np.int64)
    return days


def _shuffled(tie: LongVector) -> LongVector:
    """A fixed order of the events that has nothing to do with how they were numbered."""
    return np.random.default_rng(0).permutation(int(tie.max(initial=-1)) + 1)[tie]
