"""Numbers in sentences."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """``1 line``, ``2 lines``, ``1,200 lines``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
