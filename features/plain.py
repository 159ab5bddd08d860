"""Features of one customer in plain Python: the same bits as :func:`features.vector.vectors`, a tenth of its time.

For one customer an array costs more to set up than to use, and a caller needs a few features, not all of them.
A property test holds this twin equal to the kernel. Features of the session, of what was seen and of what was
bought, which walk over items, are the kernel's alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from features.events import DAY_US
from features.state_fields import FIELDS, Recent
from features.vector import (
    AGES,
    CLOCK_NAMES,
    COUNTS,
    DAY_FEATURES,
    HOUR_US,
    MAX_AGE_DAYS,
    MAX_RATIO,
    MONEY_NAMES,
    PURCHASE_NAMES,
)
from features.weights import DAY_WEIGHT_NAMES, DAY_WEIGHTS, ONE
from features.weights import MAX_AGE_DAYS as MAX_WEIGHT_AGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Getter = Callable[[Any, int], float]

_MAX_AGE_US: Final = int(MAX_AGE_DAYS) * DAY_US
_DAYS: Final = next(f for f in FIELDS if isinstance(f, Recent) and f.name == "days")
_COLUMN: Final = {name: i for i, name in enumerate((*_DAYS.by, *(total for total, _, _ in _DAYS.sums)))}
_BUY: Final = _COLUMN["buy"]
_DAY_FEATURE: Final = {f"{source}_{weight}": (source, weight) for source, weight in DAY_FEATURES}

PLAIN_NAMES: Final = (
    *_DAY_FEATURE,
    *PURCHASE_NAMES,
    *(f"{name}_age_days" for name in AGES),
    *COUNTS,
    *MONEY_NAMES,
    *CLOCK_NAMES,
)
"""Features that there is a plain twin of."""


class PlainFeatures:
    """Some features, in the order asked for.

    Raises
    ------
    KeyError
        A name that is not in ``PLAIN_NAMES``.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._day_sums = _by_source(self.names)
        self._purchases = [(i, _OF_PURCHASES[name]) for i, name in enumerate(names) if name in _OF_PURCHASES]
        known = (*_DAY_FEATURE, *_OF_PURCHASES)
        self._getters = [(i, _getter(name)) for i, name in enumerate(names) if name not in known]

    def __call__(self, state: Any, now: int) -> list[float]:
        """Values at a moment, microseconds; a state of any journey's schema."""
        values = [0.0] * len(self.names)
        for i, get in self._getters:
            values[i] = get(state, now)
        if self._purchases:
            bought, today = purchase_days(state.days), now // DAY_US
            for i, of_purchases in self._purchases:
                values[i] = of_purchases(*bought, today)
        if self._day_sums:
            self._add_days(values, state.days, now // DAY_US)
        return values

    def _add_days(self, values: list[float], days: Sequence[tuple[int, ...]], today: int) -> None:
        for column, most, weighted in self._day_sums:
            counts = [(min(max(today - r[0], 0), MAX_WEIGHT_AGE), min(r[column], most)) for r in days if r[column]]
            for i, weights in weighted:
                values[i] = sum([weights[age] * count for age, count in counts]) / ONE


def purchase_days(days: Sequence[tuple[int, ...]]) -> tuple[int, int, int]:
    """Days with a purchase among the day records of a state: how many, the first and the last; 0 for none."""
    bought = [record[0] for record in days if record[_BUY] > 0]
    return (len(bought), bought[0], bought[-1]) if bought else (0, 0, 0)


def age_days(at: int | None, now: int) -> float:
    """Time since a moment, days; ``MAX_AGE_DAYS`` for a moment that never was, and at most that."""
    if at is None:
        return MAX_AGE_DAYS
    return min(max(now - max(at, 0), 0), _MAX_AGE_US) / DAY_US


def _by_source(names: Sequence[str]) -> list[tuple[int, int, list[tuple[int, list[int]]]]]:
    """For each source: its column of a day record, the most that counts of it, and places with weights by age."""
    found: dict[str, list[tuple[int, list[int]]]] = {}
    for i, name in enumerate(names):
        if name in _DAY_FEATURE:
            source, weight = _DAY_FEATURE[name]
            weights = DAY_WEIGHTS[:, DAY_WEIGHT_NAMES.index(weight)].tolist()
            found.setdefault(source, []).append((i, weights))
    return [
        (_COLUMN["touch"], 1, weighted) if source == "active" else (_COLUMN[source], 1 << 62, weighted)
        for source, weighted in found.items()
    ]


def _getter(name: str) -> Getter:
    if name in _FIXED:
        return _FIXED[name]
    return _count(name) if name in COUNTS else _age(name.removesuffix("_age_days"))


def _age(field: str) -> Getter:
    if field not in AGES:
        raise KeyError(field)
    return lambda state, now: age_days(getattr(state, field), now)


def _count(field: str) -> Getter:
    return lambda state, _now: float(getattr(state, field))


def _mean_gap(n: int, first: int, last: int, _today: int) -> float:
    return _ratio(last - first, n - 1, MAX_AGE_DAYS)


def _overdue(n: int, first: int, last: int, today: int) -> float:
    return _ratio(max(today - last, 0) * (n - 1), last - first if n > 1 else 0, MAX_RATIO)


def _ratio(part: int, whole: int, cap: float) -> float:
    """As :func:`features.vector._ratio`."""
    return min(max(part / whole, 0.0), cap) if whole > 0 else 0.0


_OF_PURCHASES: Final = {
    "purchase_days": lambda n, _first, _last, _today: float(n),
    "mean_purchase_gap_days": _mean_gap,
    "purchase_overdue_ratio": _overdue,
}
_FIXED: Final[dict[str, Getter]] = {
    "mean_order": lambda state, _now: _ratio(state.spend, state.n_buy, float("inf")),
    "return_share": lambda state, _now: _ratio(state.returned, state.spend, 1.0),
    "hour": lambda _state, now: float(now // HOUR_US % 24),
    "weekday": lambda _state, now: float((now // DAY_US + 3) % 7),
}
