"""How many customers stand where, as of a moment, and what chances they have of moving on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from features.journey import FACTS, STAGES
from recommender.move_features import features_of, has_intent
from training.picks import check_moments, everyone
from training.split import states_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from features.journey import Journey
    from recommender.engine import Engine
    from training.load import Data


@dataclass(frozen=True)
class StageCounts:
    """Customers by stage, by phase of the transaction, and those at risk; all of them known by at least one event."""

    n_customers: int
    by_stage: Mapping[str, int]
    by_phase: Mapping[str, int]
    n_at_risk: int


def stage_counts(data: Data, journey: Journey) -> StageCounts:
    """Count customers by where they stand at ``data.until``."""
    audience = everyone(data)
    table = states_of(data, audience.customer_ids, np.asarray(audience.as_of), journey.schema)
    standings = [journey.stage_of(facts, data.until) for facts in table.each(FACTS)]
    stages = Counter(standing.stage for standing in standings)
    phases = Counter(standing.phase for standing in standings if standing.phase)
    return StageCounts(
        n_customers=len(standings),
        by_stage={stage: stages[stage] for stage in STAGES},
        by_phase=dict(sorted(phases.items())),
        n_at_risk=sum(standing.at_risk for standing in standings),
    )


class MoveChance(NamedTuple):
    """Mean calibrated probability of a move over the customers of a stage who have it before them."""

    stage: str
    move: str
    horizon_days: int
    n_customers: int
    probability: float


def move_chances(data: Data, engine: Engine) -> list[MoveChance]:
    """Chances of the moves that a model knows, for everybody at ``data.until``.

    Raises
    ------
    ModelFromTheFuture
        The model has seen events after that moment.
    """
    audience = everyone(data)
    check_moments(engine, audience)
    now = np.asarray(audience.as_of)
    table = states_of(data, audience.customer_ids, now, engine.journey.schema)
    facts = list(table.each(FACTS))
    standings = [engine.journey.stage_of(fact, data.until) for fact in facts]
    features = features_of(table, now, engine.moves.alive)
    had_intent = np.array([has_intent(f.evidence, s.since) for f, s in zip(facts, standings, strict=True)], np.bool_)
    stage = np.array([s.stage for s in standings], object)
    found = []
    for model in engine.moves.models:
        rows = np.flatnonzero((stage == model.stage) & ~(had_intent & (model.move == "first_intent")))
        if len(rows):
            chance = float((1 / (1 + np.exp(-model.logits(features[rows])))).mean())
            found.append(MoveChance(model.stage, model.move, model.horizon_days, len(rows), chance))
    return found
