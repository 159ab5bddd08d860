"""What clients did and what the store holds, compared afterwards by pure functions (Jepsen's method, small).

An operation ends as ``ok``, ``fail`` (surely not done) or ``unknown`` (a time-out, a broken connection): the
last may or may not have happened and is never counted as lost or as stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

Outcome = Literal["ok", "fail", "unknown"]


class Op(NamedTuple):
    """One operation of one client; times are monotonic seconds."""

    event_id: str
    outcome: Outcome
    began_at: float
    ended_at: float
    status: int = 0


class Verdict(NamedTuple):
    """What is wrong with a history; all of it is empty when nothing is."""

    lost: frozenset[str]
    doubled: frozenset[str]
    unasked: frozenset[str]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.unasked)


def judge(history: Iterable[Op], stored: Collection[str]) -> Verdict:
    """Accepted ⊆ stored, each once, and nothing that was never asked for."""
    history, counts = list(history), Counter(stored)
    accepted = {op.event_id for op in history if op.outcome == "ok"}
    asked = {op.event_id for op in history}
    return Verdict(
        lost=frozenset(accepted - set(counts)),
        doubled=frozenset(event_id for event_id, n in counts.items() if n > 1),
        unasked=frozenset(set(counts) - asked),
    )
