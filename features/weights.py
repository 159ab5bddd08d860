"""Decay and window weights: multiples of 2^-16, so that integer counts times weights add up exactly in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALF_LIVES_DAYS: Final = (1, 3, 7, 14, 30, 90)
WINDOWS_DAYS: Final = (1, 7, 30, 90)
ONE: Final = 1 << 16
"""Weight of an event of today."""

MAX_AGE_DAYS: Final = 17 * max(HALF_LIVES_DAYS) + 1
"""From here on every decayed weight is 0: 2^16 halved 17 times is a half, and that still counts as 1."""


def decay_table(half_lives_days: tuple[int, ...] = HALF_LIVES_DAYS) -> NDArray[np.int64]:
    """``floor(2^16 * 2^(-age / h) + 0.5)`` in units of 2^-16, shape (MAX_AGE_DAYS + 1, n_half_lives).

    Never ``round``: engines and NumPy round a half differently.
    """
    ages = np.arange(MAX_AGE_DAYS + 1, dtype=np.float64)
    weights = ONE * 2.0 ** (-ages[:, None] / np.array(half_lives_days))
    table: NDArray[np.int64] = np.floor(weights + 0.5).astype(np.int64)
    return table


def window_table(windows_days: tuple[int, ...] = WINDOWS_DAYS) -> NDArray[np.int64]:
    """1 in units of 2^-16 for the last ``w`` days, today included, else 0; shape (MAX_AGE_DAYS + 1, n_windows)."""
    ages = np.arange(MAX_AGE_DAYS + 1)
    return np.where(ages[:, None] < np.array(windows_days), ONE, 0).astype(np.int64)


DAY_WEIGHTS: Final = np.hstack([decay_table(), window_table(), np.full((MAX_AGE_DAYS + 1, 1), ONE)])
"""One column a half-life, one a window and one for all time, shape (MAX_AGE_DAYS + 1, 11)."""

DAY_WEIGHT_NAMES: Final = (*(f"h{h}d" for h in HALF_LIVES_DAYS), *(f"{w}d" for w in WINDOWS_DAYS), "ever")
