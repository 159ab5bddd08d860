"""Picks for a whole audience, in a file: each slate decided on what had happened strictly before its moment."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq

from features.errors import InvalidData, ModelFromTheFuture
from features.moments import moment, to_text
from features.values import Unreadable
from recommender.items import KINDS
from training.people import under_heads
from training.pools import MIN_CASES_EACH
from training.split import states_of
from training.spread import spread
from training.touched import Touched, leaving_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from recommender.contract import LongVector
    from recommender.engine import Engine
    from recommender.reasons import Parts
    from recommender.slate import Slate, SlateRequest
    from training.load import Data

FORMATS: Final = (".parquet", ".csv", ".ndjson", ".jsonl")
CASE_COLUMNS: Final = ("customer_id", "case_id", "as_of")
CHUNK: Final = 10_000
"""Customers whose states are read at once: what the engine is asked takes the same time to put for few as for many."""
LONGEST_EPOCH: Final = 32
"""Characters of an epoch number; what is longer is refused as text."""
REASONS: Final = pa.list_(pa.struct([("code", pa.string()), ("weight", pa.float64())]))


@dataclass(frozen=True)
class Audience:
    """Who gets a slate, and as of when.

    ``case_ids`` is None where the customers file has no such column, and "" in a row that has none.
    """

    customer_ids: Sequence[str]
    as_of: LongVector
    case_ids: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.customer_ids)

    @property
    def until(self) -> int:
        """The latest moment; 0 for nobody."""
        return int(self.as_of.max(initial=0))


def everyone(data: Data) -> Audience:
    """All customers with an event before the cut-off that may be used, each by the head of their identities, sorted."""
    known = data.lines.filter(data.lines.customer_id.notnull()).select("customer_id").distinct().to_pyarrow()
    customer_ids = sorted(known["customer_id"].to_pylist())
    return Audience(customer_ids, np.full(len(customer_ids), data.until, np.int64))


def read_audience(path: Path, as_of: int | None) -> Audience:
    """A customers file: ``customer_id`` and, optionally, ``case_id`` and an ``as_of`` of its own a row.

    Raises
    ------
    InvalidData
        Not a readable file of that kind, no ``customer_id``, or a row without a moment or with an
        unreadable one; the message names file, row and column.
    """
    table = _read(path)
    if "customer_id" not in table.column_names:
        raise InvalidData(f"{path}: expected a column customer_id, got {', '.join(table.column_names) or 'none'}")
    customer_ids = _texts(path, table, "customer_id")
    if "" in customer_ids:
        raise InvalidData(f"{path}: row {customer_ids.index('') + 1}, customer_id: expected an id, got nothing")
    moments = _moments(path, table, as_of)
    case_ids = _texts(path, table, "case_id") if "case_id" in table.column_names else None
    return Audience(customer_ids, moments, case_ids)


def write_picks(
    out: Path,
    engine: Engine,
    data: Data,
    audience: Audience,
    request: SlateRequest,
    *,
    progress: Callable[[float], None] | None = None,
) -> int:
    """Decide every slate of an audience and write it; return the number of picks.

    Raises
    ------
    ModelFromTheFuture
        The model has seen events after the moment of some row.
    """
    check_moments(engine, audience)
    data, as_of = data.as_learned_from(audience.as_of)
    audience = replace(audience, as_of=as_of)
    touched = Touched(data.touches) if request.unseen_only else None
    written = 0
    with _writer(out) as write:
        for start in range(0, len(audience), CHUNK):
            rows = range(start, min(start + CHUNK, len(audience)))
            table = _picks(engine, data, audience, rows, request, touched)
            write(table)
            written += len(table)
            if progress:
                progress(rows.stop / len(audience))
        if not len(audience):
            write(_table([], audience))
    return written


def check_moments(engine: Engine, audience: Audience) -> None:
    """Refuse a model whose cut-off is after any moment it is asked about."""
    if len(audience) and int(audience.as_of.min()) < engine.model.until:
        raise ModelFromTheFuture(
            f"the model has seen events until {to_text(engine.model.until)}, "
            f"and is asked about {to_text(int(audience.as_of.min()))}: train one with --until at or before that"
        )


def check_request(rules: str, kinds: str, out: Path) -> tuple[str, ...]:
    """The kinds asked for, once everything that a caller can get wrong has been looked at.

    Raises
    ------
    InvalidData
        The message names the option and says what is allowed.
    """
    if rules not in ("default", "none"):
        raise InvalidData(f"--rules: expected default or none, got {rules!r}")
    wanted = tuple(kind.strip() for kind in kinds.split(","))
    if unknown := [kind for kind in wanted if kind not in KINDS]:
        raise InvalidData(f"--kinds: expected some of {', '.join(KINDS)}, got {unknown[0]!r}")
    if out.suffix.lower() not in FORMATS:
        raise InvalidData(f"{out}: expected a file that ends in {', '.join(FORMATS)}")
    return wanted


def _picks(
    engine: Engine, data: Data, audience: Audience, rows: range, request: SlateRequest, touched: Touched | None
) -> pa.Table:
    customer_ids = [audience.customer_ids[row] for row in rows]
    as_of = audience.as_of[rows.start : rows.stop]
    states = states_of(data, customer_ids, as_of, engine.journey.schema)
    heads, refusing = under_heads(customer_ids, data.heads), data.refusing
    empty = engine.journey.schema.empty()

    def slate(i: int) -> Slate:
        now = int(as_of[i])
        if heads[i] in refusing:
            return engine.decide(empty, request, now)
        state = states.state(i)
        asked = leaving_out(request, state, touched.before(heads[i], now), engine.items) if touched else request
        return engine.decide(state, asked, now)

    def decided(part: range) -> pa.Table:
        return _table([(rows[i], slate(i)) for i in part], audience)

    return pa.concat_tables(spread(decided, len(rows), least=MIN_CASES_EACH))


def _table(decided: Sequence[tuple[int, Slate]], audience: Audience) -> pa.Table:
    lengths = [len(slate.items) for _, slate in decided]
    picked = [item for _, slate in decided for item in slate.items]
    rows = np.repeat(np.array([row for row, _ in decided], np.int64), lengths).tolist()
    columns: dict[str, Any] = {
        "customer_id": pa.array([audience.customer_ids[row] for row in rows], pa.string()),
        "rank": pa.array([item.rank for item in picked], pa.int32()),
        "item_id": pa.array([item.item_id for item in picked], pa.string()),
        "kind": pa.array([item.kind for item in picked], pa.string()),
        "score": pa.array([item.score for item in picked], pa.float64()),
        "strategy": pa.array(np.repeat([slate.strategy for _, slate in decided], lengths).tolist(), pa.string()),
        "reasons": _reasons([slate.items[0].reasons.parts for _, slate in decided if slate.items]),
    }
    if audience.case_ids is not None:
        columns["case_id"] = pa.array([audience.case_ids[row] for row in rows], pa.string())
    return pa.table(columns)


def _reasons(of_slates: Sequence[Parts]) -> pa.ListArray:
    """Reasons of the items of some slates as Arrow lists, the greatest first, made from whole matrices."""
    kinds = list(dict.fromkeys(parts.codes for parts in of_slates))
    names = list(dict.fromkeys(code for codes in kinds for code in codes))
    columns = {codes: [names.index(code) for code in codes] for codes in kinds}
    weights = np.zeros((sum(len(parts.weights) for parts in of_slates), len(names)))
    start = 0
    for parts in of_slates:
        weights[start : start + len(parts.weights), columns[parts.codes]] = parts.weights
        start += len(parts.weights)
    order = np.argsort(-np.abs(weights), axis=1, kind="stable")
    weights = np.take_along_axis(weights, order, axis=1)
    is_told = weights != 0
    ends = np.concatenate([[0], np.cumsum(is_told.sum(axis=1))]).astype(np.int32)
    codes = pa.DictionaryArray.from_arrays(pa.array(order[is_told].astype(np.int32)), pa.array(names, pa.string()))
    flat = [codes.dictionary_decode(), pa.array(weights[is_told])]
    structs = pa.StructArray.from_arrays(flat, fields=list(REASONS.value_type))
    return pa.ListArray.from_arrays(pa.array(ends), structs, type=REASONS)


@contextmanager
def _writer(out: Path) -> Iterator[Callable[[pa.Table], None]]:
    """A function that appends a table to ``out``, which appears whole at the end or not at all."""
    ending = out.suffix.lower()
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.partial")
    try:
        if ending == ".parquet":
            with _parquet(draft) as write:
                yield write
        else:
            with draft.open("wb") as file:
                append = _append_csv if ending == ".csv" else _append_ndjson
                yield lambda table: append(file, table)
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _parquet(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    writers: list[pq.ParquetWriter] = []

    def write(table: pa.Table) -> None:
        if not writers:
            writers.append(pq.ParquetWriter(path, table.schema, compression="zstd"))
        writers[0].write_table(table)

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()


def _append_csv(file: Any, table: pa.Table) -> None:
    reasons = [msgspec.json.encode(reasons).decode() for reasons in table["reasons"].to_pylist()]
    at = table.column_names.index("reasons")
    flat = table.set_column(at, "reasons", pa.array(reasons, pa.string()))
    pv.write_csv(flat, file, pv.WriteOptions(include_header=file.tell() == 0))


def _append_ndjson(file: Any, table: pa.Table) -> None:
    file.writelines(msgspec.json.encode(row) + b"\n" for row in table.to_pylist())


def _read(path: Path) -> pa.Table:
    readers: dict[str, Callable[[Path], pa.Table]] = {
        ".parquet": pq.read_table,
        ".csv": _read_csv,
        ".ndjson": _read_ndjson,
        ".jsonl": _read_ndjson,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidData(f"{path}: expected a customers file that ends in {', '.join(FORMATS)}")
    try:
        return reader(path)
    except FileNotFoundError:
        raise InvalidData(f"{path}: expected a customers file, got nothing there") from None
    except (pa.ArrowInvalid, OSError):
        raise InvalidData(f"{path}: expected a {path.suffix[1:]} file with a column customer_id") from None


def _read_csv(path: Path) -> pa.Table:
    as_text = pv.ConvertOptions(column_types=dict.fromkeys(CASE_COLUMNS, pa.string()))
    return pv.read_csv(path, convert_options=as_text)


def _read_ndjson(path: Path) -> pa.Table:
    # Not Arrow's own reader, which takes an id that looks like a date for one.
    with path.open("rb") as file:
        rows = [_object(path, n, line) for n, line in enumerate(file, 1) if line.strip()]
    named = [name for name in CASE_COLUMNS if any(name in row for row in rows)]
    return pa.table({name: pa.array([_plain(row.get(name)) for row in rows], pa.string()) for name in named})


def _object(path: Path, row: int, line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise InvalidData(f"{path}: row {row}: expected a JSON object with customer_id") from None


def _plain(value: Any) -> str | None:
    return None if value is None else str(value)


def _texts(path: Path, table: pa.Table, name: str) -> list[str]:
    """A column as text; "" where a row has none."""
    try:
        return [value or "" for value in table[name].cast(pa.string()).to_pylist()]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InvalidData(f"{path}: column {name}: expected text or numbers, got {table[name].type}") from None


def _moments(path: Path, table: pa.Table, as_of: int | None) -> LongVector:
    if "as_of" not in table.column_names:
        if as_of is None:
            raise InvalidData(f"{path}: expected a column as_of, or a moment given with --as-of")
        return np.full(len(table), as_of, np.int64)
    column = table["as_of"]
    if not pa.types.is_timestamp(column.type):
        values = column.to_pylist()
        return np.array([_moment(path, row, value, as_of) for row, value in enumerate(values, 1)], np.int64)
    # A moment within a microsecond is cut down to it: what happened in that microsecond stays unseen.
    at = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    if at.null_count and as_of is None:
        row = pc.index(pc.is_null(at), True).as_py() + 1
        raise InvalidData(f"{path}: row {row}, as_of: expected a moment, or one given with --as-of")
    return np.asarray(at.fill_null(as_of or 0).to_numpy(), np.int64)


def _moment(path: Path, row: int, value: Any, as_of: int | None) -> int:
    if (value is None or value == "") and as_of is not None:
        return as_of
    try:
        return as_moment(value)
    except Unreadable as error:
        raise InvalidData(f"{path}: row {row}, as_of: {error}") from None


def as_moment(value: object) -> int:
    """Microseconds of a moment as people write it: RFC 3339, a date or a time without a zone (UTC), an epoch number.

    Raises
    ------
    Unreadable
        What was expected.
    """
    if isinstance(value, str):
        text = value.strip()
        if text.isascii() and len(text) <= LONGEST_EPOCH and text.replace(".", "", 1).isdigit():
            return moment(float(text) if "." in text else int(text))
        if len(text) == len("2026-01-31"):
            text += "T00:00:00"
        has_zone = text.upper().endswith("Z") or "+" in text or "-" in text[len("2026-01-31") :]
        return moment(text if has_zone else f"{text}Z")
    return moment(value)
