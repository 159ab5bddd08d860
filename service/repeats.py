"""Slates given again under their key, as their items were last encoded: most repeats follow within seconds.

What a kept slate shows is a function of it, of the engine and of the catalogue changes. As long as none of them is
another one, its items need not be looked up and encoded again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from service.answers import encode, items_answer
from service.keyed import repeated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recommender.engine import Engine
    from recommender.overlay import CatalogOverlay
    from service.ask import Ask
    from service.keyed import Repeated
    from service.serving import Serving
    from service.store.kept import Kept

MAX_REPEATS: Final = 1_024


class Shown(NamedTuple):
    """A kept slate as of now, its items encoded, and what they were made from."""

    again: Repeated
    items: msgspec.Raw
    kept: Kept
    explain: str
    engine: Engine
    overlay: CatalogOverlay


class Repeats:
    """The slates that were given again last, by customer key and field, the least recently used given up first."""

    def __init__(self, serving: Serving, max_repeats: int = MAX_REPEATS) -> None:
        self._serving, self._max = serving, max_repeats
        self._shown: OrderedDict[tuple[str, bytes], Shown] = OrderedDict()

    def of(self, ask: Ask, field: bytes, kept: Kept) -> Shown:
        """A kept slate as an answer shows it; ``field`` is of the key under which it is kept."""
        place = (ask.where.member, field)
        shown = self._shown.get(place)
        if shown is None or not self._is_still_so(shown, kept, ask.options.explain):
            shown = self._shown[place] = self._made(kept, ask.options.explain)
        self._shown.move_to_end(place)
        if len(self._shown) > self._max:
            self._shown.popitem(last=False)
        return shown

    def forget(self, members: Iterable[str]) -> None:
        """Forget some customers: they were erased."""
        gone = set(members)
        for each in [each for each in self._shown if each[0] in gone]:
            del self._shown[each]

    def clear(self) -> None:
        """Forget everybody."""
        self._shown.clear()

    def _is_still_so(self, shown: Shown, kept: Kept, explain: str) -> bool:
        is_current = shown.engine is self._serving.engine and shown.overlay is self._serving.overlay
        return is_current and shown.explain == explain and shown.kept == kept

    def _made(self, kept: Kept, explain: str) -> Shown:
        serving = self._serving
        again = repeated(kept, serving)
        items = msgspec.Raw(encode(items_answer(again.slate, serving, explain)))
        return Shown(again, items, kept, explain, serving.engine, serving.overlay)
