"""Blends of tuned baselines: weighted sums of scores that are scaled to a largest value of 1 a query."""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from benchmarks.quality.peers.base import Peer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.quality.events import Past, Queries
    from benchmarks.quality.lists import Model, Scores


class Shares(NamedTuple):
    """Weights of the parts, in their order."""

    weights: tuple[float, ...]


def fit_blend(past: Past, setting: Shares, parts: Sequence[Model]) -> Model:
    """The weighted sum of the parts."""
    del past

    def score(queries: Queries) -> Scores:
        scaled = starmap(_scaled, zip(setting.weights, (part(queries) for part in parts), strict=True))
        return np.asarray(sum(scaled), np.float32)

    return score


def _scaled(weight: float, scores: Scores) -> Scores:
    largest = scores.max(axis=1, keepdims=True)
    return np.asarray(weight * np.maximum(scores, 0) / np.where(largest > 0, largest, 1), np.float32)


def _shares(*weights: tuple[float, ...]) -> tuple[Shares, ...]:
    return tuple(map(Shares, weights))


SESSION_BLEND: Final = Peer(
    "VSTAN + rules + last viewed",
    fit_blend,
    _shares(
        *((1.0, 0.3, 0.1), (1.0, 0.1, 0.0), (1.0, 0.3, 0.0), (1.0, 0.6, 0.0), (1.0, 0.0, 0.1), (1.0, 0.0, 0.3)),
        *((1.0, 0.1, 0.1), (1.0, 0.6, 0.1), (1.0, 0.3, 0.3), (1.0, 0.6, 0.3), (1.0, 1.0, 0.6), (1.0, 0.1, 0.6)),
    ),
    parts=("VSTAN", "sequential rules", "last viewed"),
)
PERSONAL_BLEND: Final = Peer(
    "RP3beta + ALS",
    fit_blend,
    _shares(*((1.0, weight) for weight in (0.5, 0.1, 0.2, 0.3, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0))),
    parts=("RP3beta", "ALS, tuned"),
)
