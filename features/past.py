"""What the log knows of one identity: what a lost record is made of again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from features.consent import Consents
    from features.identity import Edges


class Past(NamedTuple):
    """One identity.

    Attributes
    ----------
    state
        Of the schema in use: all lines that count, late ones of before the rebuild among them.
    seen : tuple of (str, int)
        Ids of the latest events, with when each was received (microseconds).
    """

    customer_id: str
    state: Any
    consents: Consents
    edges: Edges
    seen: tuple[tuple[str, int], ...]
