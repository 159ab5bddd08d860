"""What models a log can carry, and what it cannot, before anybody waits for a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from features.events import DAY_US
from training.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb

FEW_EVENTS: Final = 1_000
FEW_CASES: Final = 100
RETENTION_DAYS: Final = 90

_FACTS: Final = """
WITH known AS (SELECT * FROM lines WHERE customer_id IS NOT NULL),
    per_customer AS (SELECT customer_id, count(DISTINCT event_id) AS n FROM known GROUP BY customer_id),
    per_item AS (
        SELECT customer_id, item_id, count(DISTINCT day) AS n FROM known
        WHERE type = 'purchase' GROUP BY customer_id, item_id),
    per_buyer AS (
        SELECT customer_id, count(DISTINCT event_id) AS n FROM known WHERE type = 'purchase' GROUP BY customer_id)
SELECT
    (SELECT count(*) FROM per_customer),
    (SELECT count(*) FROM per_customer WHERE n >= 2),
    (SELECT count(*) FROM per_buyer),
    (SELECT count(*) FROM per_buyer WHERE n >= 2),
    (SELECT count(*) FROM per_item WHERE n >= 2),
    (SELECT count(DISTINCT day) FROM lines),
    (SELECT max(t) - min(t) FROM lines),
    (SELECT avg(CAST(t % 86400000000 = 0 AS DOUBLE)) FROM lines),
    (SELECT avg(CAST(session_id IS NOT NULL AS DOUBLE)) FROM known),
    (SELECT avg(CAST(cat_key IS NOT NULL AS DOUBLE)) FROM lines WHERE item_id IS NOT NULL),
    (SELECT avg(CAST(title IS NOT NULL OR text IS NOT NULL AS DOUBLE)) FROM catalog),
    (SELECT count(DISTINCT kind) FROM catalog),
    (SELECT count(*) FROM lines WHERE slate_id IS NOT NULL)
"""


def promises(connection: duckdb.DuckDBPyConnection, events: Mapping[str, int]) -> Iterator[str]:
    """A sentence for each kind of model, from a connection with ``lines`` and ``catalog``.

    Parameters
    ----------
    events : mapping
        Number of events by type.
    """
    row = connection.execute(_FACTS).fetchone() or ()
    customers, returning, buyers, again, repeats, n_days, span, midnight, sessions, categories, texts, kinds, slates = (
        float(value or 0) for value in row
    )
    yield _popularity(sum(events.values()))
    yield _personal(customers, returning)
    yield _buying(events, buyers, again)
    yield _repurchase(events, repeats)
    yield _retention(span / DAY_US, n_days)
    yield _session(sessions, midnight)
    yield _categories(categories)
    yield _content(texts, kinds)
    yield _slates(slates)


def _popularity(n: int) -> str:
    if n < FEW_EVENTS:
        return f"no: only {counted(n, 'event')}; a model of these says little more than what is popular"
    return f"yes: popularity and co-visits, from {n:,} events"


def _personal(customers: float, returning: float) -> str:
    share = returning / customers if customers else 0.0
    word = "yes" if returning >= FEW_CASES else "no"
    return (
        f"{word}: personal taste; {returning:,.0f} of {customers:,.0f} customers ({share:.0%}) have two events or more"
    )


def _buying(events: Mapping[str, int], buyers: float, again: float) -> str:
    if not events.get("purchase"):
        return "no: there are no purchases, so no one reaches the transaction and retention stages"
    word = "yes" if buyers >= FEW_CASES else "no"
    return f"{word}: first and next orders; {buyers:,.0f} customers bought, {again:,.0f} of them again"


def _repurchase(events: Mapping[str, int], repeats: float) -> str:
    if not events.get("purchase"):
        return "no: repurchase; there are no purchases"
    word = "yes" if repeats >= FEW_CASES else "no"
    return f"{word}: repurchase; {repeats:,.0f} times a customer bought an item on more than one day"


def _retention(span_days: float, n_days: float) -> str:
    word = "yes" if span_days >= RETENTION_DAYS else "no"
    have = f"{span_days:,.0f} ({n_days:,.0f} with events)"
    return f"{word}: retention and lapse, which need {RETENTION_DAYS} days; there are {have}"


def _session(share: float, midnight: float) -> str:
    if midnight == 1:
        return "no: sessions; only the days of events are known"
    if not share:
        return "yes: sessions, from pauses of 30 minutes; the data names none"
    return f"yes: sessions; {share:.0%} of the lines name theirs, though pauses of 30 minutes decide"


def _categories(share: float) -> str:
    word = "yes" if share >= 0.5 else "no"
    return f"{word}: popularity by category; {share:.0%} of the lines with an item have one"


def _content(texts: float, kinds: float) -> str:
    word = "yes" if texts >= 0.5 else "no"
    also = "" if kinds > 1 else "; all items are of one kind"
    return f"{word}: similarity of content; {texts:.0%} of the items have a title or a text{also}"


def _slates(n: float) -> str:
    if not n:
        return "no: learning from slates; no event names one"
    return f"yes: learning from slates; {counted(int(n), 'line')} with one"
