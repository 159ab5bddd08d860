"""How often something may be shown: caps per item, kind and channel over sliding windows, and how shows fade.

Written as text, one cap after the other: ``item=10/7d, item.email=2/7d, kind.action=12/1d, channel.email=60/1d``.
``item`` counts an item's shows on all channels, ``item.CHANNEL`` those on one; ``kind.KIND`` counts the shows of all
items of a kind, ``channel.CHANNEL`` all shows on a channel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.errors import InputError
from recommender.exposure import CHANNELS, KEEP_MS
from recommender.items import KINDS
from recommender.kernels_exposure import ANY

if TYPE_CHECKING:
    from recommender.contract import LongVector

_UNITS_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_CAP: Final = re.compile(r"(item|kind|channel)(?:\.([a-z]+))?=([1-9]\d{0,3})/([1-9]\d{0,3})([mhd])")
_EXPECTED: Final = "item[.CHANNEL]=N/WINDOW, kind.KIND=N/WINDOW or channel.CHANNEL=N/WINDOW, a window like 30m, 12h, 7d"


class Cap(NamedTuple):
    """At most ``most`` shows within ``window_ms``; ``of`` is ``item``, ``kind`` or ``channel``, ``name`` which one."""

    of: str
    name: str | None
    most: int
    window_ms: int


@dataclass(frozen=True)
class Caps:
    """What may be shown how often.

    Attributes
    ----------
    caps : tuple of Cap
    fade_per_show : float
        Log-odds that an item loses by every show without a reaction, as it happens.
    half_life_days : float
        After this long a show fades its item half as much.
    """

    caps: tuple[Cap, ...] = (
        Cap("item", None, 10, 7 * _UNITS_MS["d"]),
        Cap("item", "email", 2, 7 * _UNITS_MS["d"]),
        Cap("kind", "action", 24, _UNITS_MS["d"]),
        Cap("channel", "email", 60, _UNITS_MS["d"]),
    )
    fade_per_show: float = 0.15
    half_life_days: float = 3.0

    @cached_property
    def columns(self) -> tuple[LongVector, LongVector, LongVector]:
        """The caps as the compiled loop counts for them: of what, of which, within how many milliseconds."""
        of = [("item", "kind", "channel").index(cap.of) for cap in self.caps]
        which = [ANY if cap.name is None else _number(cap.of, cap.name) for cap in self.caps]
        window = [cap.window_ms for cap in self.caps]
        return np.array(of, np.int64), np.array(which, np.int64), np.array(window, np.int64)

    @classmethod
    def of_text(cls, text: str) -> Caps:
        """Caps as a setting writes them, with the fading of the default; an empty text for no caps.

        Raises
        ------
        InputError
        """
        return cls(tuple(_cap(part.strip()) for part in text.split(",") if part.strip()))


def _number(of: str, name: str) -> int:
    """A kind or channel as the memory holds it; kinds are counted from 1."""
    return KINDS.index(name) + 1 if of == "kind" else CHANNELS.index(name)


def _cap(text: str) -> Cap:
    match = _CAP.fullmatch(text)
    if match is None:
        raise InputError(f"expected caps like {_EXPECTED}, got one that is not", pointer="/caps")
    of, name, most, number, unit = match.groups()
    known = {"item": (None, *CHANNELS), "kind": KINDS, "channel": CHANNELS}[of]
    if name not in known:
        names = ", ".join(each for each in known if each)
        raise InputError(f"expected {of}. and one of {names} in a cap", pointer="/caps")
    window_ms = int(number) * _UNITS_MS[unit]
    if window_ms > KEEP_MS:
        raise InputError("expected windows of at most 30 days in caps", pointer="/caps")
    return Cap(of, name, int(most), window_ms)
