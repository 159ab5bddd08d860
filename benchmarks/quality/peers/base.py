"""What a baseline is: a fit, and the settings that are tried."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.quality.events import Past
    from benchmarks.quality.lists import Model

BUDGET: Final = 12
"""Settings that a baseline may try."""

NEVER: Final = float("inf")
"""Half-life of what does not age, days."""


@dataclass(frozen=True)
class Peer:
    """A baseline.

    Attributes
    ----------
    fit : callable
        ``fit(past, setting)``; one of ``parts`` gets their models as a third argument.
    settings : sequence of named tuples
        The default first.
    parts : tuple of str
        Baselines that this one blends, each with the setting that won for it alone.
    max_items : int
        It is left out where the catalogue is larger.
    """

    name: str
    fit: Callable[..., Model]
    settings: Sequence[Any]
    parts: tuple[str, ...] = ()
    max_items: int = 10**9

    @property
    def digest(self) -> str:
        """Name of exactly these settings."""
        return blake2b(repr(self.settings).encode(), digest_size=4).hexdigest()

    def fitted(self, past: Past, setting_no: int, parts: Sequence[Model] = ()) -> Model:
        """The model of one setting."""
        setting = self.settings[setting_no]
        return self.fit(past, setting, parts) if self.parts else self.fit(past, setting)


def some_of(default: Any, *, n: int = BUDGET, seed: int = 0, **choices: Sequence[Any]) -> tuple[Any, ...]:
    """The default and others drawn from the product of the choices, ``n`` in all."""
    every = [default._replace(**dict(zip(choices, values, strict=True))) for values in product(*choices.values())]
    others = [setting for setting in every if setting != default]
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(others), min(n - 1, len(others)), replace=False)
    return (default, *(others[i] for i in np.sort(drawn)))
