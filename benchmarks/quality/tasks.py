"""Tasks: which cut, who is asked about, when, and what counts as right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from features.events import DAY_US
from features.moments import moment

if TYPE_CHECKING:
    from benchmarks.quality.events import Events

EVERYTHING: Final = (
    *("popularity", "own frequency", "last viewed", "sequential rules", "VSTAN", "item-kNN", "RP3beta", "TIFU-KNN"),
    *("ALS, library defaults", "ALS, tuned", "VSTAN + rules + last viewed", "RP3beta + ALS", "EASE"),
)
UNSEEN: Final = tuple(name for name in EVERYTHING if name not in {"own frequency", "last viewed"})
TIMELESS: Final = (
    *("popularity", "item-kNN", "RP3beta", "ALS, library defaults", "ALS, tuned", "RP3beta + ALS", "EASE"),
)


@dataclass(frozen=True)
class Cut:
    """Where the past ends: a moment, a share of the time, or a share of the events; nowhere where all are None."""

    at: str | None = None
    time: float | None = None
    events: float | None = None

    def of(self, events: Events) -> int:
        """The cut in microseconds; just after the last event where there is none."""
        if self.at is not None:
            return moment(self.at)
        start, end = int(events.at.min()), int(events.at.max())
        if self.time is not None:
            return int(start + self.time * (end - start))
        if self.events is not None:
            return int(sorted(events.at.tolist())[int(self.events * len(events))])
        return events.until


@dataclass(frozen=True)
class Task:
    """A question asked of every system.

    Attributes
    ----------
    protocol : str
        ``next``: every event of a session after its first, as of just before it; ``later``: whatever is touched between
        the cut and ``days`` later; ``last``: a customer's last item, held out by the dataset; ``split``: a random part
        of a customer's items, held out by the dataset.
    hide_seen : bool
        Neither asked for nor listed: what the customer touched before.
    metrics : tuple of (str, int)
        Names of ``training.metrics.METRICS`` without their rank, and the rank; the first is tuned on and judged.
    max_cases : int
        Drawn at random where there are more.
    """

    name: str
    dataset: str
    protocol: str
    metrics: tuple[tuple[str, int], ...]
    cut: Cut = Cut()
    days: float = 0.0
    hide_seen: bool = False
    peers: tuple[str, ...] = EVERYTHING
    max_cases: int = 10**9

    @property
    def slug(self) -> str:
        """Name of its directory."""
        return self.name.replace(": ", ".").replace(" ", "-")

    def horizon_us(self) -> int:
        """Length of the window after the cut, microseconds."""
        return int(self.days * DAY_US)


_RETAILROCKET = Cut(at="2015-09-16T00:00:00Z")
_ONLINE_RETAIL = Cut(at="2011-11-09T00:00:00Z")
_LATER: Final = (("ndcg", 10), ("recall", 20))
_PURCHASES = Task(
    "online retail: purchases in 30 days",
    "online-retail",
    "later",
    (("ndcg", 10), ("recall", 10)),
    _ONLINE_RETAIL,
    days=30,
)
_SEQUENCE = Task("", "", "last", (("ndcg", 10), ("hit_rate", 10)), hide_seen=True, peers=UNSEEN)
_SPLIT = Task("", "", "split", (("ndcg", 20), ("recall", 20)), hide_seen=True, peers=TIMELESS, max_cases=12_000)

TASKS: Final = (
    Task(
        "retailrocket: next item of a session", "retailrocket", "next", (("mrr", 20), ("hit_rate", 20)), _RETAILROCKET
    ),
    Task("retailrocket: any later item", "retailrocket", "later", _LATER, _RETAILROCKET, days=8),
    _PURCHASES,
    replace(_PURCHASES, name="online retail: first purchases in 30 days", hide_seen=True, peers=UNSEEN),
    Task(
        "deskdrop: unread articles, by time",
        *("deskdrop", "later", _LATER, Cut(time=0.8), 400, True, UNSEEN),
    ),
    Task(
        "deskdrop: unread articles, by events",
        *("deskdrop", "later", _LATER, Cut(events=0.8), 400, True, UNSEEN),
    ),
    replace(_SEQUENCE, name="amazon beauty: last item", dataset="amazon-beauty"),
    replace(_SPLIT, name="amazon book: held-out items", dataset="amazon-book"),
    replace(_SEQUENCE, name="amazon toys: last item", dataset="amazon-toys"),
    replace(_SPLIT, name="movielens 1m: held-out films", dataset="movielens-1m"),
    Task(
        "complete journey: purchases in 30 days",
        *("complete-journey", "later", (("ndcg", 10), ("recall", 10)), Cut(at="2017-12-02T00:00:00Z"), 31),
    ),
    replace(_SPLIT, name="citeulike: held-out articles", dataset="citeulike"),
    Task(
        "movielens 100k: later films",
        *("movielens-100k", "later", _LATER, Cut(events=0.8), 400, True, UNSEEN),
    ),
    Task(
        "remade: next item of a nameless session",
        *("nameless-sessions", "next", (("mrr", 20), ("hit_rate", 20)), Cut(at="2015-09-15T00:00:00Z")),
    ),
    replace(
        _PURCHASES,
        name="remade: groceries by day",
        dataset="dated-baskets",
        cut=Cut(at="2017-11-02T00:00:00Z"),
        days=31,
    ),
    replace(_PURCHASES, name="remade: purchases by day", dataset="dated-purchases", cut=Cut(at="2011-10-10T00:00:00Z")),
    replace(_SPLIT, name="remade: articles at no known time", dataset="timeless-articles"),
    Task(
        "remade: articles that age fast",
        *("fast-articles", "later", _LATER, Cut(events=0.8), 400, True, UNSEEN),
    ),
)
