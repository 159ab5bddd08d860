"""Whose a line is, and whether it may be learned from: links resolved, what was refused left out.

Links are read once, as of the cut-off, and resolved as the service resolves them (``features/identity.py``);
the engine only joins what came of it. So a customer's whole history is theirs from the cut-off's point of
view, what they did as a visitor before they were known included.
"""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import ibis
import msgspec
import numpy as np
import pyarrow as pa

from features.consent import NOTHING_SAID, consents_said
from features.events import ASKED_OF, KNOWN, EventType, Line
from features.identity import Edge, Link, groups_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ibis.expr.types import BooleanValue, Table

    from features.consent import Consents
    from features.identity import Edges

NOBODY: Final[Mapping[str, Any]] = MappingProxyType({})
LINKING: Final = (str(EventType.LINK), str(EventType.UNLINK))
_COLUMNS: Final = ("customer_id", "event_id", "type", "properties")


def learnable(lines: Table) -> Table:
    """The lines less those of which it is known that they may not be used."""
    return lines.filter(_may_be_used(lines))


def counts(lines: Table) -> BooleanValue:
    """Whether a line may enter a state or a model; as ``Line.counts``."""
    return ~lines.late & _may_be_used(lines)


def _may_be_used(lines: Table) -> BooleanValue:
    return (lines.consent & ASKED_OF) != KNOWN


def heads_of(lines: Table, before: Mapping[str, Edges] = NOBODY) -> dict[str, str]:
    """Identity → the one that stands for its customer, of all that are linked to another; the rest are left out.

    Parameters
    ----------
    lines
        Lines of the log before the cut-off, those without consent included: that two are one is nobody's taste.
    before
        Edges of each identity from before the log begins, as the base has them.
    """
    groups = groups_of(_links(lines, before))
    return {customer_id: group[0] for customer_id, group in groups.items()}


def resolved(lines: Table, heads: Mapping[str, str]) -> Table:
    """The lines with each customer under the id that stands for them."""
    if not heads:
        return lines
    moved = {each: head for each, head in heads.items() if each != head}
    map_ = ibis.memtable(pa.table({"linked_id": list(moved), "head_id": list(moved.values())}))
    # On Spark, Ibis knows a table in memory once it was executed, and not yet when it is part of a cached one.
    lines.get_backend().to_pyarrow(map_.limit(0))
    joined = lines.left_join(map_, lines.customer_id == map_.linked_id)
    return joined.mutate(customer_id=ibis.coalesce(joined.head_id, joined.customer_id)).select(lines.columns)


def under_heads(customer_ids: Sequence[str], heads: Mapping[str, str]) -> list[str]:
    """For each customer asked about, the id under which what is known of them stands."""
    return [heads.get(customer_id, customer_id) for customer_id in customer_ids]


def refusing(lines: Table, heads: Mapping[str, str], before: Mapping[str, Consents] = NOBODY) -> frozenset[str]:
    """Customers, by their heads, whose last word on personalisation was no; a word that came late counts too."""
    said = lines.filter(lines.type == str(EventType.CONSENT), lines.customer_id.notnull(), lines.line_no == 0)
    told: dict[str, list[Line]] = defaultdict(list)
    for line in _consent_lines(said):
        told[heads.get(line.customer_id or "", line.customer_id or "")].append(line)
    words = {head: consents_said(lines_) for head, lines_ in told.items()}
    for customer_id, consents in before.items():
        head = heads.get(customer_id, customer_id)
        words[head] = words.get(head, NOTHING_SAID).merge(consents)
    last = {head: consents.last("personalisation") for head, consents in words.items()}
    return frozenset(head for head, change in last.items() if change is not None and not change[2])


def _consent_lines(said: Table) -> Iterator[Line]:
    table = said.select("occurred_at", "customer_id", "event_id", "consent", "properties").to_pyarrow()
    times = table["occurred_at"].to_numpy().astype("datetime64[us]").astype(np.int64).tolist()
    rows = table.drop_columns("occurred_at").to_pylist()
    for at, row in zip(times, rows, strict=True):
        yield Line(type=str(EventType.CONSENT), occurred_at=at, received_at=at, **row)


def _links(lines: Table, before: Mapping[str, Edges]) -> list[Link]:
    """The links that hold: of each pair of identities the latest word, where it is a link."""
    latest: dict[tuple[str, str], Edge] = {}
    earlier = (((min(one, other), max(one, other)), edge) for one in before for other, edge in before[one].items())
    for pair, edge in (*earlier, *_told(lines)):
        latest[pair] = max(latest.get(pair, edge), edge)
    return [Link(*edge[:2], *pair) for pair, edge in latest.items() if edge.is_linked]


def _told(lines: Table) -> Iterator[tuple[tuple[str, str], Edge]]:
    """Each link and unlink that counts, with the two identities that it is about; as ``features.identity.edge_of``."""
    said = lines.filter(lines.type.isin(LINKING), ~lines.late, lines.line_no == 0, lines.customer_id.notnull())
    table = said.select("occurred_at", *_COLUMNS).to_pyarrow()
    times = table["occurred_at"].to_numpy().astype("datetime64[us]").astype(np.int64).tolist()
    columns = (table[name].to_pylist() for name in _COLUMNS)
    for at, one, event_id, event_type, properties in zip(times, *columns, strict=True):
        other = msgspec.json.decode(properties).get("from")
        if isinstance(other, str) and other != one:
            yield (min(one, other), max(one, other)), Edge(at, event_id, event_type == EventType.LINK)
