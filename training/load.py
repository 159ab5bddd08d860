"""Load: a data directory as of a cut-off.

Of what happened at or after the cut-off one thing is read: which items are first mentioned then, so that
they can be kept out of the catalogue of a model that could not have known them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import ibis
import numpy as np

from training.base import Base, Told, read_base, read_told, under_their_heads
from training.log import EventLog, items_of, read_catalog
from training.people import heads_of, learnable, refusing, resolved
from training.spread import is_child
from training.timeless import by_rank, is_made_up
from training.touches import Touches, read_touches
from training.vocabulary import Vocabulary, vocabulary_of

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from features.catalog import Item
    from features.state import Schema
    from recommender.contract import FloatMatrix, LongVector


@dataclass(frozen=True)
class Material:
    """What a fit may look at: items and touches before one cut-off, in one vocabulary."""

    vocabulary: Vocabulary
    touches: Touches
    features: dict[tuple[int, int], FloatMatrix] = field(default_factory=dict, compare=False, repr=False)
    """What items say of themselves, kept for all fits that look at it alike: by dimensions of text and seed."""

    @property
    def n_items(self) -> int:
        return len(self.vocabulary.item_keys)


class Data:
    """A data directory strictly before ``until``.

    Attributes
    ----------
    until : int
        Microseconds.
    read_at : int
        When the log was first looked at, microseconds: customers erased before are in nothing of it.
    is_by_rank : bool
        Whether times are read as ranks (``training/timeless.py``).
    """

    def __init__(self, path: Path, until: int | None = None, *, is_by_rank: bool = False) -> None:
        self.path = path
        self.is_by_rank = is_by_rank
        # A shop that has a catalogue and no events yet is a shop all the same.
        self.read_at = time.time_ns() // 1_000
        self.log = EventLog(path) if (path / "catalog.parquet").is_file() else EventLog.open(path)
        self.until = self._end() if until is None else until
        self._connection = ibis.duckdb.connect()
        self._base: Base | None = None

    @property
    def connection(self) -> Backend:
        """The one connection that all of this is read by.

        Raises
        ------
        RuntimeError
            In a forked child, where a query would wait for ever for threads that are not there.
        """
        if is_child():
            raise RuntimeError("a forked child asked the log: what it needs has to be read before the work is spread")
        return self._connection

    @cached_property
    def lines(self) -> ir.Table:
        """Lines of the log before the cut-off that may be learned from, each under the head of its customer."""
        lines = resolved(learnable(self.log.lines(self.connection, until=self.until)), self.heads)
        return ibis.memtable(by_rank(lines.to_pyarrow(), self.until)) if self.is_by_rank else lines

    def base(self, schema: Schema) -> Base:
        """What is left of events that were too old to be kept, each under the head of its customer."""
        if self._base is None:
            self._base = under_their_heads(read_base(self.path, schema), self.heads, schema)
        return self._base

    @cached_property
    def _told_before(self) -> Told:
        return read_told(self.path)

    @cached_property
    def heads(self) -> dict[str, str]:
        """Identity → the one that stands for its customer, as of the cut-off; of linked ones alone."""
        return heads_of(self.log.lines(self.connection, until=self.until), self._told_before.edges)

    @cached_property
    def refusing(self) -> frozenset[str]:
        """Heads of the customers who do not agree to personalisation at the cut-off."""
        return refusing(self.log.lines(self.connection, until=self.until), self.heads, self._told_before.consents)

    @cached_property
    def touches(self) -> Touches:
        """Interactions before the cut-off."""
        return read_touches(self.lines, self.until)

    @cached_property
    def catalog(self) -> tuple[Item, ...]:
        """Catalogue rows, whenever written; :class:`Vocabulary` decides which were known when."""
        return tuple(items_of(read_catalog(self.path)))

    @cached_property
    def first_seen(self) -> dict[str, int]:
        """Item id → first time in the whole log, microseconds; by rank, in what is before the cut-off."""
        lines = self.lines if self.is_by_rank else learnable(self.log.lines(self.connection, until=None))
        seen = lines.filter(lines.item_id.notnull()).group_by("item_id").agg(first=lines.occurred_at.min())
        table = seen.order_by("item_id").to_pyarrow()
        first = table["first"].to_numpy().astype("datetime64[us]").astype(np.int64)
        return dict(zip(table["item_id"].to_pylist(), first.tolist(), strict=True))

    @cached_property
    def start(self) -> int:
        """Time of the first interaction; the cut-off where there is none."""
        return int(self.touches.at.min(initial=self.until))

    def material(self, until: int) -> Material:
        """What was known strictly before ``until``, which may not be after this object's cut-off."""
        touches = self._touches_before(min(until, self.until))
        vocabulary = vocabulary_of(self.catalog, self.first_seen, touches)
        return Material(vocabulary, touches.in_rows_of(vocabulary.item_keys))

    def _touches_before(self, until: int) -> Touches:
        """Interactions before a moment, under the heads that were known then: a later link joins nobody earlier."""
        if self.is_by_rank or until == self.until:
            return self.touches.before(until)
        earlier = Data(self.path, until)
        return (self if earlier.heads == self.heads else earlier).touches.before(until)

    def by_rank_if_made_up(self) -> Data:
        """The same data, with times read as ranks where the clock means nothing."""
        return Data(self.path, self.until, is_by_rank=True) if is_made_up(self.touches) else self

    def as_learned_from(self, as_of: LongVector) -> tuple[Data, LongVector]:
        """The data and the moments to look at customers with, so that they look as they did in training.

        The same, unless times are made up and nobody is asked about as of before the last of them: then both by rank.

        Parameters
        ----------
        as_of : int64, shape (n,)
            Microseconds, none after this object's cut-off.
        """
        is_past = as_of.min(initial=self.until) <= self.touches.at.max(initial=-1)
        ranked = self if is_past else self.by_rank_if_made_up()
        return ranked, np.full(len(as_of), self.until, np.int64) if ranked.is_by_rank else as_of

    def _end(self) -> int:
        """Just after the last event."""
        span = self.log.time_range()
        return 0 if span is None else span[1] + 1
