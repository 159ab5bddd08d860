"""Who is one person: identities joined by links, at most eight of them.

A link and an unlink are entries of one pair of identities, of which the greatest moment wins. The links
that hold, oldest first, join identities into groups; one that would make a group of more than
``MAX_GROUP`` does not count, as it would have been refused where it was seen. Who hangs together with
more than ``MAX_REACH`` identities is no person but a shared device, and stays alone. All of it depends on
what the log holds and not on the order in which it came, so both engines find the same groups.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from features.events import ANONYMOUS, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from features.events import Line

LINKING: Final = frozenset({EventType.LINK, EventType.UNLINK})
"""Types that are about two identities."""
MAX_GROUP: Final = 8
MAX_REACH: Final = 64
MAX_EDGES: Final = MAX_REACH + 1
"""Edges kept an identity: one more than its group could reach, so that a tangle is still seen as one."""


class Edge(NamedTuple):
    """What was last said of two identities: when (microseconds), by which event, and whether they are one."""

    occurred_at: int
    event_id: str
    is_linked: bool


class Link(NamedTuple):
    """A link that holds; compared by its moment, so that the oldest come first."""

    occurred_at: int
    event_id: str
    one: str
    other: str


Edges = dict[str, Edge]
"""Edges of one identity by the id at their other end."""


def edge_of(line: Line) -> tuple[str, Edge] | None:
    """The other identity that a line names and what it says of it; None for any other line, and a late one."""
    if line.type not in LINKING or line.late or line.line_no:
        return None
    other = msgspec.json.decode(line.properties).get("from")
    if not isinstance(other, str) or other == line.customer_id:
        return None
    return other, Edge(line.occurred_at, line.event_id, line.type == EventType.LINK)


def merge_edges(a: Mapping[str, Edge], b: Mapping[str, Edge]) -> Edges:
    """What both know together; commutative, associative and idempotent."""
    return {other: max(side[other] for side in (a, b) if other in side) for other in sorted({*a, *b})}


def kept_edges(edges: Mapping[str, Edge], since: int) -> Edges:
    """The edges worth storing: an unlink from before ``since``, which no event can come before any more, is not."""
    worth = {other: edge for other, edge in edges.items() if edge.is_linked or edge.occurred_at >= since}
    newest = sorted(worth, key=lambda other: (not worth[other].is_linked, worth[other], other))
    return {other: worth[other] for other in newest[:MAX_EDGES]}


def linked(edges: Mapping[str, Edge]) -> frozenset[str]:
    """The identities that an end says it is linked to."""
    return frozenset(other for other, edge in edges.items() if edge.is_linked)


def links_among(edges_of: Mapping[str, Mapping[str, Edge]]) -> list[Link]:
    """The links that both ends hold, from the edges of each identity.

    A link is written at one end after the other: until it stands at both, and once either says that it is
    undone, it does not count, so whoever is asked about, the answer is the same.
    """
    found = []
    for one, edges in edges_of.items():
        for other, edge in edges.items():
            back = edges_of.get(other, {}).get(one)
            if one < other and back is not None and edge.is_linked and back.is_linked:
                found.append(Link(*max(edge, back)[:2], one, other))
    return found


def groups_of(links: Iterable[Link]) -> dict[str, tuple[str, ...]]:
    """The group of every identity that has one, its head first; who is alone is left out."""
    links = sorted(links)
    reach = _Sets()
    for link in links:
        reach.join(link.one, link.other)
    groups = _Sets()
    for link in links:
        if reach.size(link.one) <= MAX_REACH and groups.size_joined(link.one, link.other) <= MAX_GROUP:
            groups.join(link.one, link.other)
    found: dict[str, tuple[str, ...]] = {}
    for members in groups.all():
        ordered = tuple(sorted(members, key=seniority))
        found |= dict.fromkeys(ordered, ordered)
    return found


def seniority(customer_id: str) -> tuple[bool, str]:
    """Sorts the head of a group first: a known id before an anonymous one, then the smallest."""
    return customer_id.startswith(ANONYMOUS), customer_id


class _Sets:
    """Disjoint sets of identities; small, so each member simply knows its set."""

    def __init__(self) -> None:
        self._set_of: defaultdict[str, list[str]] = defaultdict(list)

    def size(self, member: str) -> int:
        return len(self._set_of.get(member, (member,)))

    def size_joined(self, one: str, other: str) -> int:
        if one in self._set_of and self._set_of[one] is self._set_of.get(other):
            return self.size(one)
        return self.size(one) + self.size(other)

    def join(self, one: str, other: str) -> None:
        for member in (one, other):
            if member not in self._set_of:
                self._set_of[member] = [member]
        a, b = sorted((self._set_of[one], self._set_of[other]), key=len, reverse=True)
        if a is b:
            return
        a.extend(b)
        for member in b:
            self._set_of[member] = a

    def all(self) -> list[list[str]]:
        return list({id(members): members for members in self._set_of.values()}.values())
