"""The present beside the past: what came into the streams after the log was read, by identity."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from features.events import Line
from features.identity import Edges, edge_of, merge_edges
from service.store.erasures import decode_erasure

if TYPE_CHECKING:
    from service.store.drain import DrainStore, Entry

_decode_lines: Final = msgspec.msgpack.Decoder(tuple[Line, ...]).decode


class Present:
    """What the streams hold after the places up to which the log was read, by identity."""

    def __init__(self, places: dict[int, str]) -> None:
        self._places = places
        self._lines: dict[str, list[Line]] = defaultdict(list)
        self._edges: dict[str, Edges] = defaultdict(dict)
        self._erased: set[str] = set()

    async def catch_up(self, store: DrainStore) -> None:
        """Read on to the end of the streams."""
        for partition, entry in await store.since(self._places):
            self._places[partition] = entry.id
            self._take(entry)

    def is_erased(self, customer_id: str) -> bool:
        """Whether somebody was erased after the log was read: what is in their record then is all there is."""
        return customer_id in self._erased

    def lines_of(self, customer_id: str) -> list[Line]:
        """Lines of an identity."""
        return self._lines.get(customer_id, [])

    def edges_of(self, customer_id: str) -> Edges:
        """Edges of an identity, told at either end."""
        return self._edges.get(customer_id, {})

    def _take(self, entry: Entry) -> None:
        try:
            if entry.kind == "x":
                self._erased.add(decode_erasure(entry.body).customer_id)
            elif entry.kind == "e":
                self._tell(_decode_lines(entry.body))
        except msgspec.MsgspecError:
            return  # the drainer keeps it aside

    def _tell(self, lines: tuple[Line, ...]) -> None:
        if (one := lines[0].customer_id) is None:
            return
        self._lines[one].extend(lines)
        if (told := edge_of(lines[0])) is not None:
            other, edge = told
            self._edges[one] = merge_edges(self._edges[one], {other: edge})
            self._edges[other] = merge_edges(self._edges[other], {one: edge})
