"""Slates of customers of whom nothing is known: the same for all who ask the same, so decided once a second.

Without a state the engine's answer is a function of the request alone (while exploration is off), and on
a website most first page views are such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from service.answers import encode, items_answer

if TYPE_CHECKING:
    from recommender.engine import Asked, Engine
    from recommender.overlay import CatalogOverlay
    from recommender.slate import Slate, SlateRequest
    from service.serving import Serving

MAX_AGE_US: Final = 1_000_000
MAX_SLATES: Final = 1_024


class Kept(NamedTuple):
    """A slate, its items encoded, and what it was made from and when."""

    slate: Slate
    items: msgspec.Raw
    asked: Asked
    engine: Engine
    overlay: CatalogOverlay
    at: int


class PopularSlates:
    """The last slates by request; ``empty`` is the state of a customer nobody knows."""

    def __init__(self, serving: Serving, empty: Any) -> None:
        self._serving, self._empty = serving, empty
        self._kept: dict[tuple[SlateRequest, str], Kept] = {}

    def slate(self, request: SlateRequest, explain: str, now: int) -> tuple[Slate, msgspec.Raw]:
        """A slate of at most a second ago (``now`` in microseconds), of the engine and overlay in use."""
        kept = self._kept_or_made(request, explain, now)
        return kept.slate, kept.items

    def asked(self, request: SlateRequest, explain: str, now: int) -> Asked:
        """What the sources proposed for it: where slates differ only by what was shown before, that is the same."""
        return self._kept_or_made(request, explain, now).asked

    def _kept_or_made(self, request: SlateRequest, explain: str, now: int) -> Kept:
        kept = self._kept.get((request, explain))
        if kept is None or not self._is_fresh(kept, now):
            kept = self._made(request, explain, now)
            if len(self._kept) >= MAX_SLATES:
                self._kept.clear()
            self._kept[request, explain] = kept
        return kept

    def _is_fresh(self, kept: Kept, now: int) -> bool:
        is_current = kept.engine is self._serving.engine and kept.overlay is self._serving.overlay
        return is_current and 0 <= now - kept.at < MAX_AGE_US

    def _made(self, request: SlateRequest, explain: str, now: int) -> Kept:
        engine, overlay = self._serving.engine, self._serving.overlay
        asked = engine.asked(self._empty, request, now)
        slate = engine.decide(self._empty, request, now, overlay=overlay, asked=asked)
        items = msgspec.Raw(encode(items_answer(slate, self._serving, explain)))
        return Kept(slate, items, asked, engine, overlay, now)
