"""The decision record: what was decided, for whom, on what grounds. Every slate leaves one, from the first day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICY: Final = "blend-1"


class Slot(NamedTuple):
    """One slot, in order. ``propensity`` is P(item | earlier slots, context) under the policy, in (0, 1]."""

    item_key: int
    score: float
    source: str
    propensity: float


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """One slate as the log keeps it; ``decided_at`` in microseconds. New fields go to the end."""

    slate_id: str
    customer_id: str | None
    decided_at: int
    placement: str
    channel: str
    stage: str
    phase: str | None
    at_risk: bool
    definition_version: str
    policy: str
    model: str
    model_version: str
    model_digest: str
    seed: int
    level: int
    reason: str | None
    strategy: str
    slots: tuple[Slot, ...]
    personalised: bool = True


COLUMNS: Final[Mapping[str, str]] = {
    "slate_id": "string",
    "customer_id": "string",
    "decided_at": "timestamp[us, UTC]",
    "placement": "string",
    "channel": "string",
    "stage": "string",
    "phase": "string",
    "at_risk": "bool",
    "definition_version": "string",
    "policy": "string",
    "model": "string",
    "model_version": "string",
    "model_digest": "string",
    "seed": "int64",
    "level": "int32",
    "reason": "string",
    "strategy": "string",
    "slots": "list<item_key: int64, score: double, source: string, propensity: double>",
    "personalised": "bool",
}
"""Columns of ``decisions/YYYY-MM-DD/*.parquet``, a row a slate, in the order of :class:`Decision`."""

encode_decision = msgspec.msgpack.Encoder().encode
decode_decision = msgspec.msgpack.Decoder(Decision).decode
