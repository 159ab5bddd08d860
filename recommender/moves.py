"""Moves: the calibrated chance that a customer takes the next step of their stage in time, with exact reasons.

A model is a base and one step function a feature; their sum is the calibrated logit. A reason is the sum of the
features that count the same deeds, measured from a customer who did none of them, so that without the events
behind it the logit is lower by just its weight.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np

from features.errors import BundleCorrupt
from features.ids import key64
from features.journey import STAGES
from recommender.contract import ArraySpec
from recommender.move_features import BASE, MOVE_FEATURES, REASON_OF, REASONS, Alive, MoveFeatures, has_intent
from recommender.reasons import Reason
from recommender.slate import Move

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from features.journey import Stage, Standing
    from recommender.move_features import ReasonOf

    Arrays = Mapping[str, NDArray[np.generic]]

MOVES: Final = ("first_intent", "first_order", "review", "next_order", "lapse")
MAX_LOGIT: Final = 30.0
"""Probabilities are kept within 1e-13 of certainty."""


class Term(NamedTuple):
    """A step function of one feature: the value of the first step whose upper end is not below it."""

    feature: str
    upper: list[float]
    value: list[float]

    def of_many(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values at ``x``, shape (n,)."""
        found: NDArray[np.float64] = np.array(self.value)[np.searchsorted(self.upper, x)]
        return found


class MoveModel(NamedTuple):
    """The calibrated model of one move from one stage; its logit is ``base`` plus every term."""

    move: str
    stage: Stage
    horizon_days: int
    base: float
    terms: tuple[Term, ...]

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logits of many customers from ``features_of``, float64, shape (n,)."""
        logit = np.full(len(features), self.base)
        for term in self.terms:
            logit += term.of_many(features[:, MOVE_FEATURES.index(term.feature)])
        kept: NDArray[np.float64] = np.clip(logit, -MAX_LOGIT, MAX_LOGIT)
        return kept


class Moves:
    """The moves that a bundle carries.

    Attributes
    ----------
    models : tuple of MoveModel
    alive : Alive
        Parameters behind the feature ``p_alive``, in days.

    Raises
    ------
    BundleCorrupt
        Arrays that do not fit together.
    """

    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "moves.move": ArraySpec("int64", 1),
        "moves.stage": ArraySpec("int64", 1),
        "moves.horizon_days": ArraySpec("int32", 1),
        "moves.base": ArraySpec("float64", 1),
        "moves.terms_at": ArraySpec("int64", 1),
        "moves.feature": ArraySpec("int64", 1),
        "moves.steps_at": ArraySpec("int64", 1),
        "moves.upper": ArraySpec("float64", 1),
        "moves.value": ArraySpec("float64", 1),
        "moves.alive": ArraySpec("float64", 1),
    }
    """Names of moves, stages and features are their 64-bit keys. Model ``i`` has the terms ``terms_at[i]`` to
    ``terms_at[i + 1]``, term ``j`` the steps ``steps_at[j]`` to ``steps_at[j + 1]``."""

    def __init__(self, arrays: Arrays) -> None:
        try:
            self.models, self.alive = _read(arrays) if set(self.arrays) <= set(arrays) else ((), _NOBODY)
        except (IndexError, KeyError, ValueError, TypeError) as error:
            raise BundleCorrupt(f"moves: expected models of moves ({error}).") from None
        self._of_stage = {stage: _Scorer([m for m in self.models if m.stage == stage], self.alive) for stage in STAGES}

    def of(self, state: Any, standing: Standing, now: int) -> tuple[Move, ...]:
        """Moves open to a customer, in the order of ``MOVES``; none where the bundle has none for the stage."""
        return self._of_stage[standing.stage](state, standing, now)


class _Scorer:
    """All models of one stage, which share their features."""

    def __init__(self, models: list[MoveModel], alive: Alive) -> None:
        names = sorted({term.feature for model in models for term in model.terms})
        self._features = MoveFeatures(names, alive)
        place = {name: i for i, name in enumerate(names)}
        self._models = [(model, _grouped(model, place)) for model in models]

    def __call__(self, state: Any, standing: Standing, now: int) -> tuple[Move, ...]:
        open_models = [(m, groups) for m, groups in self._models if _is_open(m.move, state, standing)]
        if not open_models:
            return ()
        x = self._features(state, now)
        return tuple(_scored(model, groups, x) for model, groups in open_models)


_Steps = tuple[int, list[float], list[float]]
_Group = tuple["ReasonOf", list[_Steps]]


def _grouped(model: MoveModel, place: Mapping[str, int]) -> list[_Group]:
    """Terms by their reason: which feature, upper ends, values."""
    groups: list[_Group] = []
    for reason in REASONS:
        found = [(place[t.feature], t.upper, t.value) for t in model.terms if REASON_OF[t.feature] is reason]
        if found:
            groups.append((reason, found))
    return groups


def _scored(model: MoveModel, groups: list[_Group], x: list[float]) -> Move:
    found = [
        Reason(reason.code, reason.text, weight)
        for reason, terms in groups
        if (weight := sum(value[bisect_left(upper, x[i])] for i, upper, value in terms))
    ]
    found.sort(key=lambda reason: -abs(reason.weight))
    reasons = (Reason(BASE.code, BASE.text, model.base), *found)
    logit = min(max(sum(reason.weight for reason in reasons), -MAX_LOGIT), MAX_LOGIT)
    return Move(model.move, model.horizon_days, 1.0 / (1.0 + math.exp(-logit)), reasons)


def _is_open(move: str, state: Any, standing: Standing) -> bool:
    """Whether a customer has a move still before them: the first intent of a stage happens once."""
    return move != "first_intent" or not has_intent(state.evidence, standing.since)


_NOBODY: Final = Alive(1.0, 30.0, 1.0, 1.0)
_MOVE_OF: Final = {key64(name): name for name in MOVES}
_STAGE_OF: Final = {key64(name): name for name in STAGES}
_FEATURE_OF: Final = {key64(name): name for name in MOVE_FEATURES}


def _read(arrays: Arrays) -> tuple[tuple[MoveModel, ...], Alive]:
    column = {name.removeprefix("moves."): arrays[name].tolist() for name in Moves.arrays}
    _check_offsets(column["terms_at"], len(column["move"]), len(column["feature"]))
    _check_offsets(column["steps_at"], len(column["feature"]), len(column["upper"]))
    models = []
    for i in range(len(column["move"])):
        first, last = column["terms_at"][i], column["terms_at"][i + 1]
        models.append(
            MoveModel(
                _MOVE_OF[column["move"][i]],
                _STAGE_OF[column["stage"][i]],
                column["horizon_days"][i],
                column["base"][i],
                tuple(_term(column, j) for j in range(first, last)),
            )
        )
    alive = Alive(*column["alive"])
    if min(alive) <= 0:
        raise ValueError("parameters of orders above 0")
    return tuple(sorted(models, key=lambda model: MOVES.index(model.move))), alive


def _check_offsets(at: list[int], n: int, end: int) -> None:
    if len(at) != n + 1 or at[0] != 0 or at[-1] != end or at != sorted(at):
        raise ValueError(f"{n} spans over {end}")


def _term(column: Mapping[str, list[Any]], j: int) -> Term:
    first, last = column["steps_at"][j], column["steps_at"][j + 1]
    upper, value = column["upper"][first:last], column["value"][first:last]
    if not upper or len(upper) != len(value) or upper != sorted(upper) or upper[-1] < TOP:
        raise ValueError("steps that rise to the greatest number")
    return Term(_FEATURE_OF[column["feature"][j]], upper, value)


TOP: Final = float(np.finfo(np.float64).max)
"""Upper end of the last step of every term."""


def pack_moves(models: tuple[MoveModel, ...], alive: Alive) -> dict[str, NDArray[np.generic]]:
    """The arrays that :class:`Moves` reads."""
    terms = [term for model in models for term in model.terms]
    return {
        "moves.move": np.array([key64(model.move) for model in models], np.int64),
        "moves.stage": np.array([key64(model.stage) for model in models], np.int64),
        "moves.horizon_days": np.array([model.horizon_days for model in models], np.int32),
        "moves.base": np.array([model.base for model in models], np.float64),
        "moves.terms_at": np.cumsum([0, *(len(model.terms) for model in models)]).astype(np.int64),
        "moves.feature": np.array([key64(term.feature) for term in terms], np.int64),
        "moves.steps_at": np.cumsum([0, *(len(term.upper) for term in terms)]).astype(np.int64),
        "moves.upper": np.array([end for term in terms for end in term.upper], np.float64),
        "moves.value": np.array([value for term in terms for value in term.value], np.float64),
        "moves.alive": np.array(alive, np.float64),
    }
