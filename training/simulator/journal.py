"""What happened, as it is collected: parts of one structured array, a record a line of the log."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.events import EventType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TYPES: Final = tuple(EventType)
CODE: Final = {kind: code for code, kind in enumerate(TYPES)}
NOBODY: Final = -1
VISITOR, KNOWN, SECOND_DEVICE = range(3)
"""Under which of their ids a person acts: the first anonymous one, their account, another device."""

LINE: Final = np.dtype(
    [
        *(("who", "i4"), ("alias", "i1"), ("type", "i1"), ("item", "i4"), ("at", "i8"), ("session", "i8")),
        *(("channel", "i1"), ("amount", "i8"), ("quantity", "i4"), ("slate", "i8"), ("rank", "i4")),
        *(("event", "i8"), ("line_no", "i4"), ("consent", "i1"), ("properties", "i4")),
    ]
)
"""``who``, ``item``, ``session``, ``amount``, ``slate`` and ``rank`` are -1 and ``quantity`` 0 for none."""

_BLANK: Final = np.array((NOBODY, 0, 0, -1, 0, -1, 0, -1, 0, -1, -1, -1, 0, 0, 0), LINE)


class Journal:
    """Lines in the order in which they were told, numbered by event.

    Parameters
    ----------
    counters : Counter, optional
        The numbers given out so far, where a journal goes on from another.

    Attributes
    ----------
    texts : list of str
        The property texts that lines point to; the first is the empty object.
    """

    def __init__(self, counters: Counter[str] | None = None) -> None:
        self.texts = ["{}"]
        self.counters: Counter[str] = Counter() if counters is None else counters
        self._parts: list[NDArray[Any]] = []

    def tell(self, kind: EventType, n: int, *, texts: str | Sequence[str] | None = None, **columns: Any) -> None:
        """Add ``n`` lines of a type; ``columns`` are fields of :data:`LINE`, each one value or ``n``.

        Every line is an event of its own unless ``event`` says otherwise; ``texts`` are the properties
        of all or of each.
        """
        if n == 0:
            return
        part = np.full(n, _BLANK)
        part["type"] = CODE[kind]
        for name, value in columns.items():
            part[name] = value
        if "event" not in columns:
            part["event"] = self.number("event", n)
        if texts is not None:
            part["properties"] = self._keep(texts)
        self._parts.append(part)

    def number(self, what: str, n: int) -> NDArray[np.int64]:
        """``n`` numbers of a kind (event, session, slate, order, ticket) that nobody has."""
        self.counters[what] += n
        return np.arange(self.counters[what] - n, self.counters[what])

    def lines(self) -> NDArray[Any]:
        """Everything told, a record a line."""
        return np.concatenate(self._parts) if self._parts else np.empty(0, LINE)

    def _keep(self, texts: str | Sequence[str]) -> NDArray[np.int32] | int:
        first = len(self.texts)
        if isinstance(texts, str):
            self.texts.append(texts)
            return first
        self.texts.extend(texts)
        return np.arange(first, len(self.texts), dtype=np.int32)
