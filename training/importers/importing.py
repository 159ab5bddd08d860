"""One import from beginning to end: read, check, put together, write."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from features.errors import InvalidData
from training.files import write_parquet
from training.importers import deskdrop, events, online_retail, retailrocket
from training.importers.admit import HELPERS, Rules, admit
from training.importers.assemble import catalog_of, in_order, with_category_keys, without_duplicates
from training.importers.landing import check_out, other_sources, prepared, read_imports
from training.importers.rejects import Rejects
from training.importers.summary import ImportSummary
from training.log import CATALOG_SCHEMA, EventLog, read_catalog
from training.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from training.importers.batch import Batch

    Progress = Callable[[float], None]

SOURCES: Final[Mapping[str, Callable[[Path, Rejects], Batch]]] = {
    "retailrocket": retailrocket.read,
    "deskdrop": deskdrop.read,
    "online-retail": online_retail.read,
}
KINDS: Final = (*SOURCES, "events")


@dataclass(frozen=True)
class ImportOptions:
    """What an import seldom needs.

    Attributes
    ----------
    name : str, optional
        Name of the source in the log; the kind where not given. Importing a name again replaces it.
    add : bool
        Put the source beside others that the directory holds.
    allow_contact_ids : bool
        Admit customer ids that look like e-mail addresses or phone numbers.
    now : int, optional
        Moment of the import, microseconds; events after it are in the future.
    """

    name: str | None = None
    add: bool = False
    allow_contact_ids: bool = False
    now: int | None = None


def import_data(  # noqa: PLR0913 - each is an option of the command
    kind: str,
    path: Path,
    out: Path,
    *,
    mapping: Mapping[str, str] | None = None,
    catalog: Path | None = None,
    strict: bool = False,
    progress: Progress | None = None,
    options: ImportOptions | None = None,
) -> ImportSummary:
    """Import a file or directory into a data directory, which stays as it was when that fails.

    Parameters
    ----------
    kind : str
        One of ``KINDS``.
    mapping : mapping, optional
        For ``events``: our field → column or ``:constant``; ``:`` alone for none
        (see :mod:`training.importers.columns`).
    catalog : Path, optional
        For ``events``: a catalog file; ``catalog``, ``items`` or ``products`` beside the events is found alone.
    strict : bool
        A bad row is an error, and nothing is written.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Raises
    ------
    InvalidData
        Nothing that can be imported, or a directory that is not for it; the message names the file or
        directory and what was expected.
    """
    options = options or ImportOptions()
    source = _source_name(kind, options.name or kind)
    if kind != "events" and (mapping or catalog):
        raise InvalidData(f"{kind}: expected no mapping and no catalog, they are for events")
    check_out(out, source, add=options.add)
    tell = progress or (lambda *_: None)
    rejects = Rejects()
    tell(0.0)
    batch = _read(kind, path, rejects, mapping or {}, catalog)
    rules = Rules(
        source=source,
        now=time.time_ns() // 1_000 if options.now is None else options.now,
        needs_customer=batch.needs_customer,
        allow_contact=options.allow_contact_ids,
        types=batch.types,
    )
    lines, n_duplicates = _lines(batch, rules, rejects, tell)
    _judge(path, lines, rejects, strict=strict)
    kept = read_catalog(out) if other_sources(out, source) else CATALOG_SCHEMA.empty_table()
    items = catalog_of(lines, kept, batch.items)
    lines = with_category_keys(lines, items)
    summary = _summary(batch, source, kind, lines, rejects, n_duplicates)
    with prepared(out, source) as aside:
        _write(aside, lines, items, rejects, read_imports(out) | {source: summary}, tell)
    return summary


def _source_name(kind: str, name: str) -> str:
    if kind not in KINDS:
        raise InvalidData(f"expected one of {', '.join(KINDS)}, got {kind[:64]!r}")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise InvalidData("expected a source name of at most 64 letters, digits, - and _")
    return name


def _read(kind: str, path: Path, rejects: Rejects, mapping: Mapping[str, str], catalog: Path | None) -> Batch:
    if kind == "events":
        return events.read(path, rejects, mapping, catalog)
    return SOURCES[kind](path, rejects)


def _lines(batch: Batch, rules: Rules, rejects: Rejects, tell: Progress) -> tuple[pa.Table, int]:
    parts = []
    for n, sheet in enumerate(batch.sheets):
        tell(0.4 + 0.4 * n / len(batch.sheets))
        part = "" if len(batch.sheets) == 1 else f"{n + 1}"
        parts.append(admit(sheet, replace(rules, part=part), rejects))
    lines, n_duplicates = without_duplicates(pa.concat_tables(parts), rejects)
    return in_order(lines), n_duplicates


def _judge(path: Path, lines: pa.Table, rejects: Rejects, *, strict: bool) -> None:
    if not rejects.rows or (lines.num_rows and not strict):
        return
    first = min(rejects.rows, key=lambda reject: (reject.file, reject.row))
    example = f"row {first.row} of {first.file}, {first.field or 'the whole row'}: {first.reason}"
    if not lines.num_rows:
        raise InvalidData(f"{path}: expected rows that can be used, got none of {rejects.n_rows:,}; {example}")
    raise InvalidData(
        f"{path}: {counted(rejects.n_rows, 'row')} cannot be used and nothing was written; first {example}"
    )


def _write(
    aside: Path, lines: pa.Table, items: pa.Table, rejects: Rejects, imports: Mapping[str, Any], tell: Progress
) -> None:
    source = lines["source"][0].as_py()
    tell(0.8)
    EventLog(aside).write(lines.drop_columns(HELPERS.names), source)
    write_parquet(items, aside / "catalog.parquet")
    rejects.write(aside / "rejects.ndjson")
    (aside / "import.json").write_bytes(msgspec.json.format(msgspec.json.encode(imports), indent=2) + b"\n")
    tell(1.0)


def _summary(
    batch: Batch, source: str, kind: str, lines: pa.Table, rejects: Rejects, n_duplicates: int
) -> ImportSummary:
    times = pc.min_max(lines["occurred_at"].cast(pa.int64()))
    types = Counter(lines["type"].to_pylist())
    return ImportSummary(
        source=source,
        kind=kind,
        files=sorted({sheet.file for sheet in batch.sheets}),
        n_rows=sum(sheet.n_read for sheet in batch.sheets),
        n_lines=lines.num_rows,
        n_events=pc.count_distinct(lines["event_id"]).as_py(),
        n_customers=pc.count_distinct(lines["customer_id"]).as_py(),
        n_items=pc.count_distinct(lines["item_id"]).as_py(),
        n_without_customer=lines["customer_id"].null_count,
        n_rejected=rejects.n_rows,
        n_duplicates=n_duplicates,
        left_out={reason: n for reason, n in batch.left_out.items() if n},
        rejected=rejects.counts(),
        by_type=dict(types.most_common()),
        first=times["min"].as_py(),
        last=times["max"].as_py(),
        notes=batch.notes,
    )
