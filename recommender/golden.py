"""Golden requests: a few answers of the model's maker that every loader must be able to give again."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from features.errors import BundleCorrupt, BundleIncompatible
from recommender.slate import SlateRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recommender.engine import Engine

SCORE_TOLERANCE: Final = 1e-4
"""Across kinds of CPU the same items come out, with scores that differ by less than this."""
N_GOLDEN: Final = 20
_LIMIT: Final = 10


class GoldenRequest(msgspec.Struct, frozen=True):
    """A state (MessagePack in base64), a moment, and the item keys and scores that were answered."""

    state: str
    now: int
    item_keys: list[int]
    scores: list[float]


def golden_of(engine: Engine, cases: Iterable[tuple[Any, int]]) -> list[object]:
    """Golden requests of some states and moments, as plain JSON."""
    return [msgspec.to_builtins(_answer(engine, state, now)) for state, now in cases]


def check_golden(engine: Engine, document: Sequence[object]) -> None:
    """See that an engine answers as its maker did.

    Raises
    ------
    BundleCorrupt
        The document is of another shape.
    BundleIncompatible
        An answer has other items, or a score that is more than 1e-4 away.
    """
    try:
        wanted = msgspec.convert(document, list[GoldenRequest])
        states = [engine.journey.schema.decode(base64.b64decode(golden.state)) for golden in wanted]
    except (msgspec.MsgspecError, ValueError):
        raise BundleCorrupt("golden.json: expected golden requests of this schema.") from None
    for number, (golden, state) in enumerate(zip(wanted, states, strict=True)):
        if not _agree(golden, _answer(engine, state, golden.now)):
            raise BundleIncompatible(f"golden.json: request {number} is not answered as by the maker of the bundle.")


def _answer(engine: Engine, state: Any, now: int) -> GoldenRequest:
    slate = engine.decide(state, SlateRequest(limit=_LIMIT), now)
    encoded = base64.b64encode(engine.journey.schema.encode(state)).decode()
    return GoldenRequest(encoded, now, [item.item_key for item in slate.items], [item.score for item in slate.items])


def _agree(a: GoldenRequest, b: GoldenRequest) -> bool:
    """Same items with scores that agree; items whose scores tie within the tolerance may change places."""
    if len(a.scores) != len(b.scores):
        return False
    close = all(math.isclose(x, y, abs_tol=SCORE_TOLERANCE) for x, y in zip(a.scores, b.scores, strict=True))
    return close and set(a.item_keys) == set(b.item_keys)
