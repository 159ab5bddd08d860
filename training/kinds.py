"""Whether scores mean what they say: predicted chance of a touch against the share that was touched, by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import expit

from recommender.items import KINDS
from recommender.slate import SlateRequest
from training.pools import MIN_CASES_EACH
from training.report_data import Bin, KindRow
from training.spread import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from recommender.engine import Engine
    from training.split import Cases

N_SHOWN: Final = 20
MAX_CASES: Final = 500
N_BINS: Final = 10


def kind_rows(engine: Engine, cases: Cases) -> tuple[KindRow, ...]:
    """A row a kind, over the first items of cases that came after everything the scale was fitted on.

    Nothing where the scores of the model are not log-odds.
    """
    if not engine.scale.is_calibrated:
        return ()
    known = np.array([i for i in range(len(cases)) if len(cases.touched[i])], np.int64)
    drawn = known[:: max(1, len(known) // MAX_CASES)]
    parts = spread(
        lambda part: list(_shown(engine, cases, drawn[part.start : part.stop])), len(drawn), least=MIN_CASES_EACH
    )
    shown = np.array([one for part in parts for one in part], np.float64).reshape(-1, 3)
    rows = (_row(kind, shown[shown[:, 0] == code, 1:]) for code, kind in enumerate(KINDS))
    return tuple(row for row in rows if row.n)


def _shown(engine: Engine, cases: Cases, rows: NDArray[np.int64]) -> Iterator[tuple[int, float, bool]]:
    """Kind, score and whether it was touched, of every item shown."""
    request = SlateRequest(limit=N_SHOWN, apply_rules=False)
    for i in rows.tolist():
        targets = set(cases.targets[i].tolist())
        for item in engine.decide(cases.states.state(i), request, int(cases.as_of[i])).items:
            yield KINDS.index(item.kind), item.score, item.item_key in targets


def _row(kind: str, shown: NDArray[np.float64]) -> KindRow:
    chance, is_touched = expit(shown[:, 0]), shown[:, 1]
    if not len(shown):
        return KindRow(kind, 0, 0.0, 0.0)
    parts = [part for part in np.array_split(np.argsort(chance, kind="stable"), N_BINS) if len(part)]
    bins = tuple(Bin(float(chance[part].mean()), float(is_touched[part].mean()), len(part)) for part in parts)
    return KindRow(kind, len(shown), float(chance.mean()), float(is_touched.mean()), bins)
