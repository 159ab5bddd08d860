"""``rebuilt.json`` of a data directory: up to when late events were folded into the online states.

Both engines count a late line when it was received at or before this mark, and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

REBUILT: Final = "rebuilt.json"


class Rebuilt(msgspec.Struct, frozen=True):
    """The mark, in microseconds."""

    rebuilt_at: int


def read_rebuilt_at(data: Path) -> int | None:
    """The mark of a data directory; None where nothing was rebuilt.

    Raises
    ------
    msgspec.MsgspecError
        The file is not ours.
    """
    try:
        return msgspec.json.decode((data / REBUILT).read_bytes(), type=Rebuilt).rebuilt_at
    except FileNotFoundError:
        return None


def counts(*, late: bool, received_at: int, rebuilt_at: int | None) -> bool:
    """Whether a line counts: in time, or late and folded in by a rebuild since. Times in microseconds."""
    return not late or (rebuilt_at is not None and received_at <= rebuilt_at)
