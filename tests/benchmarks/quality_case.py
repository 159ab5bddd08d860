"""A small event table written as customer, item, hour."""

from __future__ import annotations

import numpy as np

from benchmarks.quality.events import Events, Past, Queries

HOUR_US = 3_600_000_000
VIEW, BUY = 0, 5


def events_of(rows, *, n_items=None, touch=VIEW):
    """Events of ``(customer, item, hour)`` rows, already sorted; item keys are 100 and up."""
    customer, item, hour = (np.array(column) for column in zip(*rows, strict=True))
    n_items = n_items or int(item.max()) + 1
    return Events(
        customer_ids=np.array([f"c{i}" for i in range(customer.max() + 1)]),
        item_keys=np.arange(100, 100 + n_items),
        customer_idx=customer.astype(np.int64),
        item_idx=item.astype(np.int64),
        at=(hour * HOUR_US).astype(np.int64),
        touch=np.full(len(customer), touch, np.int64),
    )


def past_of(rows, **options):
    """All of the rows as the past, up to an hour after the last."""
    events = events_of(rows, **options)
    return Past(events, int(events.at.max()) + HOUR_US)


def query_of(past, customer=0):
    """The whole history of one customer, as of the end of the past."""
    bounds = past.events.bounds
    one = np.array([customer])
    return Queries(past.events, bounds[one], bounds[one + 1], np.array([past.now]), one)
