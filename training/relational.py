"""The relational twin of the customer state: the same fields, computed by an engine from the event log.

All that an engine does is written in Ibis and runs unchanged on DuckDB (embedded) and Spark (cluster).

The moments at which a customer is asked about cut their history into slices. The engine groups lines by
slice, which gives the state of every slice; the state at a moment is the merge of the slices before it
(``training/slices.py``). So a line is read once, however many moments there are, and only what a slice
keeps leaves the engine.
"""

from __future__ import annotations

import functools
import operator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import ibis
import numpy as np

from features.state_fields import CHANNELS, Extreme, Last, Predicate, Recent, Signal, Total
from features.state_table import NEVER, StateTable
from training.people import counts
from training.slices import Moments, merge_extremes, merge_lasts, merge_records, merge_totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from ibis.expr.types import BooleanValue, IntegerValue, StringValue, Table, TimestampValue

    from features.state import Schema
    from features.state_table import LongMatrix, LongVector

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
KEYS: Final = {"t": "t", "day": "day", "item": "item_key", "cat": "cat_key"}
"""Column of a sliced line for each key of a ``Recent``; as ``features.state.KEY_VALUES``."""


def state_table(lines: Table, cases: Table, schema: Schema) -> StateTable:
    """State of each case's customer as of its moment: of what happened strictly before.

    Parameters
    ----------
    lines : ibis.Table
        The event log, with the columns of ``features.events.COLUMNS``, on any backend.
    cases : ibis.Table
        ``case_idx`` int64, the rows ``0 .. n - 1`` of the result; ``customer_id`` string; ``as_of``
        timestamp in UTC. On any backend; as many moments a customer as needed.
    schema : Schema
        The fields, bound to a journey definition.

    Returns
    -------
    StateTable
        Row ``i`` is the state of case ``i``; empty for a customer of whom the log holds nothing. Lines
        flagged ``late``, lines that may not be used and lines without a customer do not count.
    """
    moments = _moments(cases)
    with _flagged(_dated(lines, moments), schema).cache() as flagged:
        slots, totals, extremes = _scalars(flagged, schema)
        recents = {f.name: _recent(flagged, moments, f) for f in schema.fields if isinstance(f, Recent)}
        lasts = {f.name: merge_lasts(moments, f.name, _latest(flagged, f)) for f in _lasts(schema)}
    is_last = [f.last for f in schema.fields if isinstance(f, Extreme)]
    return StateTable(
        schema,
        merge_totals(moments, slots, totals),
        merge_extremes(moments, slots, extremes, is_last),
        recents,
        lasts,
    )


def all_cases(lines: Table, as_of: int) -> Table:
    """One case a customer who did anything before a moment (microseconds), sorted by ``customer_id``."""
    moment = ibis.timestamp(EPOCH + timedelta(microseconds=as_of))
    known = lines.filter(lines.customer_id.notnull() & (lines.occurred_at < moment)).select("customer_id").distinct()
    case_idx = ibis.row_number().over(order_by=known.customer_id)
    return known.select(case_idx=case_idx, customer_id=known.customer_id, as_of=moment).order_by("case_idx")


def _moments(cases: Table) -> Moments:
    columns = cases.select("case_idx", "customer_id", as_of=microseconds(cases.as_of)).order_by("case_idx").to_pyarrow()
    return Moments.of(columns["customer_id"], columns["as_of"].to_numpy())


def microseconds(at: TimestampValue) -> IntegerValue:
    """Microseconds since 1970; a cast to a number means seconds in one engine and is refused by the other."""
    return at.cast("timestamp('UTC', 6)").delta(ibis.timestamp(EPOCH), unit="microsecond")


def _dated(lines: Table, moments: Moments) -> Table:
    """Lines of the customers asked about, each with ``t`` in microseconds and the slot that it lies in."""
    slices = ibis.memtable(moments.slices)
    # On Spark, Ibis knows a table in memory once it was executed, and not yet when it is part of a cached one.
    lines.get_backend().to_pyarrow(slices.limit(0))
    counted = lines.filter(counts(lines)).mutate(t=microseconds(lines.occurred_at))
    lies_in = [counted.customer_id == slices.customer_id, counted.t >= slices.starts_at, counted.t < slices.ends_at]
    return counted.join(slices, lies_in).drop("customer_id_right", "starts_at", "ends_at")


def _flagged(dated: Table, schema: Schema) -> Table:
    """What counts of each line, narrow: slot, keys, what can be summed, and a flag a signal.

    A line that carries a declared fact has a flag for that, too, its event and its properties; no other line has those.
    """
    flags = {name: holds(dated, signal) for name, signal in schema.signals.items()}
    flags |= {f"channel:{name}": flags["touch"] & (dated.channel == name) for name in CHANNELS}
    numbers = {
        "t": dated.t,
        "day": dated.day.cast("int64"),
        "item_key": dated.item_key,
        "cat_key": dated.cat_key.fill_null(0),
        "event": (dated.line_no == 0).cast("int64"),
        "line": ibis.literal(1, "int64"),
        "quantity": dated.quantity.fill_null(0).cast("int64"),
        "cents": dated.amount_minor.fill_null(0),
    }
    carries = {f"carries:{f.name}": flags[f.of] & dated.properties.contains(f'"{f.name}":') for f in _lasts(schema)}
    told = functools.reduce(operator.or_, carries.values(), ibis.literal(False))
    texts = {name: told.ifelse(dated[name], ibis.null("string")) for name in ("event_id", "properties")}
    return dated.select("slot", **numbers, **flags, **carries, **texts)


def _lasts(schema: Schema) -> list[Last]:
    return [f for f in schema.fields if isinstance(f, Last)]


def holds(lines: Table, signal: Signal) -> BooleanValue:
    """Whether a line belongs to a signal; as ``Schema.signals_of``."""
    return functools.reduce(operator.or_, [_matches(lines, p) for p in signal.any_of], ibis.literal(False))


def _matches(lines: Table, predicate: Predicate) -> BooleanValue:
    found = [_has_either(lines.properties, texts) for texts in predicate.needles()]
    return functools.reduce(operator.and_, found, lines.type.isin(predicate.types))


def _has_either(properties: StringValue, texts: Sequence[str]) -> BooleanValue:
    return functools.reduce(operator.or_, [properties.contains(text) for text in texts])


def _scalars(flagged: Table, schema: Schema) -> tuple[LongVector, LongMatrix, LongMatrix]:
    """Slots that hold a line, ascending, with their totals and extremes."""
    totals = {f.name: flagged[f.col].sum(where=flagged[f.of]) for f in schema.fields if isinstance(f, Total)}
    extremes = {f.name: _extreme(flagged, f) for f in schema.fields if isinstance(f, Extreme)}
    sums = {name: total.fill_null(0).cast("int64") for name, total in totals.items()}
    times = {name: time.fill_null(NEVER) for name, time in extremes.items()}
    found = flagged.group_by("slot").agg(**sums, **times).order_by("slot").to_pyarrow()
    return _column(found, "slot"), _matrix(found, list(sums)), _matrix(found, list(times))


def _extreme(flagged: Table, field: Extreme) -> IntegerValue:
    return flagged.t.max(where=flagged[field.of]) if field.last else flagged.t.min(where=flagged[field.of])


def _recent(flagged: Table, moments: Moments, field: Recent) -> Any:
    """Records of each case: grouped by the engine a slot, merged here."""
    by = [KEYS[name] for name in field.by]
    signals = sorted({signal for _, signal, _ in field.sums})
    said = flagged.filter(functools.reduce(operator.or_, [flagged[signal] for signal in signals]))
    if "item" in field.by:
        said = said.filter(said.item_key.notnull())
    sums = {f"sum_{name}": said[col].sum(where=said[signal]) for name, signal, col in field.sums}
    records = said.group_by("slot", *by).agg(**{k: v.fill_null(0).cast("int64") for k, v in sums.items()})
    place = ibis.row_number().over(group_by="slot", order_by=[ibis.desc(name) for name in by])
    kept = records.mutate(place=place).filter(lambda t: t.place < field.keep)
    found = kept.order_by("slot", *by).to_pyarrow()
    rows = _matrix(found, [*by, *sums])
    return merge_records(moments, _column(found, "slot"), rows, len(by), field.keep)


def _latest(flagged: Table, field: Last) -> pa.Table:
    """The latest lines of each slot that carry a declared fact; several where they tie.

    The value is read from the property text by the same decoder as online, never by an engine.
    """
    said = flagged.filter(flagged[f"carries:{field.name}"]).select("slot", "t", "event_id", "properties")
    place = ibis.rank().over(group_by="slot", order_by=[ibis.desc("t"), ibis.desc("event_id")])
    return said.mutate(place=place).filter(lambda t: t.place == 0).order_by("slot", "properties").to_pyarrow()


def _matrix(found: pa.Table, names: Sequence[str]) -> LongMatrix:
    matrix = np.empty((found.num_rows, len(names)), np.int64, order="F")
    for i, name in enumerate(names):
        matrix[:, i] = _column(found, name)
    return matrix


def _column(found: pa.Table, name: str) -> LongVector:
    column: LongVector = found[name].to_numpy()
    return column
