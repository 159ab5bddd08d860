"""How many customers stand where, as of a moment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.journey import FACTS, STAGES
from training.picks import everyone
from training.split import states_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from features.journey import Journey
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
