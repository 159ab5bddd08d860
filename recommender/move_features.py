"""What a move is scored on: the features it may use, which deeds stand behind each, and what each is for nobody.

A feature belongs to one reason. A reason of deeds counts events of some types and is measured from a customer
who did none of them; a reason of the clock has no events behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from features.events import DAY_US
from features.groups import FlatRecords
from features.plain import PlainFeatures, age_days, purchase_days
from features.state_fields import SIGNALS
from features.state_table import NEVER
from features.vector import FEATURE_NAMES, MAX_AGE_DAYS, vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from features.state_table import StateTable
    from recommender.contract import LongVector

    Floats = NDArray[np.float64]

RATE_DAYS: Final = 30.0
"""The order rate is of so many days."""


class Alive(NamedTuple):
    """Parameters of a BG/NBD model of orders, times in days: ``r``, ``alpha``, ``a``, ``b``, all > 0."""

    r: float
    alpha: float
    a: float
    b: float


class ReasonOf(NamedTuple):
    """A reason, its words, the features that add up to it and the types of the events behind it."""

    code: str
    text: str
    features: tuple[str, ...]
    events: tuple[str, ...] = ()


def _deeds(code: str, text: str, signals: tuple[str, ...], features: tuple[str, ...]) -> ReasonOf:
    events = sorted({event_type for signal in signals for event_type in SIGNALS[signal].types})
    return ReasonOf(code, text, features, tuple(events))


BASE: Final = ReasonOf("base", "Where everybody of this stage starts from", ())
REASONS: Final[tuple[ReasonOf, ...]] = (
    _deeds("pages", "Pages and lists they opened", ("page",), ("n_page",)),
    _deeds("searches", "What they searched for", ("search",), ("n_search", "last_search_age_days")),
    _deeds(
        "views",
        "Items they looked at",
        ("view",),
        ("view_h1d", "view_h7d", "view_h30d", "n_view", "last_view_age_days"),
    ),
    _deeds("reads", "Content they read", ("read",), ("read_h7d", "read_h30d", "n_read", "last_read_age_days")),
    _deeds("likes", "Items they liked, shared or followed", ("like",), ("n_like",)),
    _deeds(
        "carts",
        "What they put in the cart",
        ("cart",),
        ("cart_h1d", "cart_h7d", "cart_h30d", "n_cart", "last_cart_age_days"),
    ),
    _deeds("checkouts", "Checkouts they began", ("checkout",), ("n_checkout", "last_checkout_age_days")),
    _deeds(
        "orders",
        "How often and how lately they ordered",
        ("buy",),
        (
            *("purchase_days", "buy_h30d", "buy_h90d", "last_order_age_days", "mean_purchase_gap_days"),
            *("purchase_overdue_ratio", "spend", "n_units", "p_alive", "order_rate"),
        ),
    ),
    _deeds("returns", "Orders they returned", ("return",), ("return_share",)),
    _deeds("reviews", "Reviews they wrote", ("review",), ("n_review",)),
    _deeds("support", "Times they needed support", ("support",), ("n_support", "last_support_age_days")),
    _deeds("messages", "Messages they opened and followed", ("open", "click"), ("n_open", "n_click")),
    ReasonOf("delivery", "When their order arrived", ("fulfilled_age_days",), ("fulfilled",)),
    _deeds("visits", "Days on which they came", ("touch",), ("active_7d", "active_30d", "active_90d", "active_ever")),
    ReasonOf("silence", "How long nothing was heard of them", ("last_touch_age_days",)),
    ReasonOf("clock", "Time of day and day of the week", ("hour", "weekday")),
)
"""Every reason but ``BASE``."""

MOVE_FEATURES: Final = tuple(name for reason in REASONS for name in reason.features)
OWN: Final = ("p_alive", "order_rate", "fulfilled_age_days")
"""Features that :func:`features.vector.vectors` has not."""
REASON_OF: Final[Mapping[str, ReasonOf]] = {name: reason for reason in REASONS for name in reason.features}


def value_of_nobody(name: str) -> float:
    """Value of a feature for a customer who never did what it counts."""
    return MAX_AGE_DAYS if name.endswith("_age_days") else 0.0


def alive(n_days: Any, last: Any, age: Any, model: Alive) -> Any:
    """Chance that a customer still buys, in [0, 1]; 0 where there was no order.

    Parameters
    ----------
    n_days : int or int64, shape (n,)
        Days with an order.
    last, age : int or int64, shape (n,)
        Days from the first order to the last one, and to now.

    Notes
    -----
    ``1 / (1 + [x > 0] a / (b + x - 1) ((alpha + T) / (alpha + t_x))^(r + x))`` with ``x = n_days - 1``
    repeat orders. Fader, Hardie and Lee 2008, "Computing P(alive) using the BG/NBD model".
    """
    x = np.maximum(n_days - 1, 0)
    odds = np.exp((model.r + x) * (np.log(model.alpha + age) - np.log(model.alpha + last)))
    risk = np.where(x > 0, model.a / (model.b + np.maximum(x, 1) - 1) * odds, 0.0)
    return np.where(n_days > 0, 1.0 / (1.0 + risk), 0.0)


def order_rate(n_days: Any, age: Any, p_alive: Any, model: Alive) -> Any:
    """Orders expected in ``RATE_DAYS`` of a customer who stays as they are: the posterior mean rate times P(alive)."""
    return p_alive * (model.r + np.maximum(n_days - 1, 0)) / (model.alpha + age) * RATE_DAYS


class MoveFeatures:
    """Some features of one customer, as :func:`features_of` has them of many.

    Parameters
    ----------
    names : sequence of str
        Of ``MOVE_FEATURES``; anything else raises a KeyError.
    """

    def __init__(self, names: Sequence[str], model: Alive) -> None:
        self._plain = PlainFeatures([name for name in names if name not in OWN])
        at = {name: i for i, name in enumerate((*self._plain.names, *OWN))}
        self._order = [at[name] for name in names]
        self._needs_own = not set(OWN).isdisjoint(names)
        self._model = model

    def __call__(self, state: Any, now: int) -> list[float]:
        """Values in the order of the names."""
        values = self._plain(state, now)
        if self._needs_own:
            values += self._own(state, now)
        return [values[i] for i in self._order]

    def _own(self, state: Any, now: int) -> tuple[float, float, float]:
        n, first, last = purchase_days(state.days)
        p_alive, rate = _alive_of_one(n, last - first, now // DAY_US - first, self._model) if n else (0.0, 0.0)
        return p_alive, rate, age_days(state.last_fulfilled, now)


def _alive_of_one(n_days: int, last: int, age: int, model: Alive) -> tuple[float, float]:
    """As :func:`alive` and :func:`order_rate`, to the last few bits."""
    x, age = n_days - 1, max(age, last)
    risk = model.a / (model.b + x - 1) * ((model.alpha + age) / (model.alpha + last)) ** (model.r + x) if x else 0.0
    p_alive = 1.0 / (1.0 + risk)
    return p_alive, p_alive * (model.r + x) / (model.alpha + age) * RATE_DAYS


def has_intent(evidence: Sequence[tuple[int, ...]], since: int | None) -> bool:
    """Whether the evidence of a state holds an intent to buy since a stage began."""
    return since is not None and any(at >= since and intent for at, _, intent in evidence)


def features_of(table: StateTable, now: LongVector, model: Alive) -> Floats:
    """Features of many customers, float64, shape (n, len(MOVE_FEATURES)).

    Parameters
    ----------
    now : int64, shape (n,)
        Moments, microseconds.
    """
    known = vectors(table, now)
    own = dict(zip(OWN, _own(table, now, model), strict=True))
    columns = [own[name] if name in own else known[:, FEATURE_NAMES.index(name)] for name in MOVE_FEATURES]
    return np.column_stack(columns) if len(table) else np.empty((0, len(MOVE_FEATURES)))


def _own(table: StateTable, now: LongVector, model: Alive) -> list[Floats]:
    days = FlatRecords.of(table, "days")
    bought = days.where(days["buy"] > 0)
    n, first, last = bought.count(), bought.first(bought["day"]), bought.last(bought["day"])
    age = np.where(n > 0, np.maximum(now // DAY_US - first, last - first), 0)
    p_alive = alive(n, last - first, age, model)
    rate = np.where(n > 0, order_rate(n, age, p_alive, model), 0.0)
    return [p_alive, rate, _age_days(table.extreme("last_fulfilled"), now)]


def _age_days(at: LongVector, now: LongVector) -> Floats:
    since = np.clip(now - np.maximum(at, 0), 0, int(MAX_AGE_DAYS) * DAY_US) / DAY_US
    return np.where(at == NEVER, MAX_AGE_DAYS, since)
