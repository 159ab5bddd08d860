"""Events of any shop: CSV, Parquet or NDJSON, with the columns it has.

Columns are recognised by the names that shops use; ``--map`` says what is not, and gives constants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from features.errors import InvalidData
from features.events import type_of
from training.importers import loose
from training.importers.batch import Batch
from training.importers.columns import NAMES, NOTHING, TYPE_WORD, columns_of, pick
from training.importers.dates import read_dates
from training.importers.items import read_items
from training.importers.sheet import Sheet, format_of, read_sheet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from training.importers.rejects import Rejects

CATALOG_STEMS: Final = ("catalog", "items", "products")
"""Files of a directory that are its catalog, without their ending."""


def read(path: Path, rejects: Rejects, mapping: Mapping[str, str], catalog: Path | None) -> Batch:
    """Events of a file, or of all files of a directory, and of the catalog beside them."""
    types = _types(mapping)
    batch = Batch([], types=types, needs_customer=mapping.get("customer_id") != NOTHING)
    found = catalog or _catalog_beside(path)
    if found:
        batch.items = read_items(found, rejects)
    for file in _files(path, found):
        raw = read_sheet(file, rejects)
        sheet, unused = pick(raw, mapping)
        _require(raw, sheet, mapping)
        times = read_dates(sheet.column("occurred_at"))
        sheet = sheet.having({**sheet.columns, "occurred_at": times.cells})
        batch.sheets.append(sheet)
        if times.note:
            batch.notes.append(f"{file.name}: {times.note}.")
        if unused:
            batch.notes.append(f"{file.name}: columns that were not used: {', '.join(unused)}.")
        if not _all_zoned(sheet):
            batch.notes.append(f"{file.name}: times without a zone were taken as UTC.")
    return batch


def _types(mapping: Mapping[str, str]) -> dict[str, str]:
    """The user's own event names, ``type:theirs=ours``."""
    named = {key.removeprefix(TYPE_WORD): name for key, name in mapping.items() if key.startswith(TYPE_WORD)}
    for theirs, ours in named.items():
        if type_of(ours) is None:
            raise InvalidData(f"--map {TYPE_WORD}{theirs}: expected an event name of ours, got {ours[:64]!r}")
    return {theirs: str(type_of(ours)) for theirs, ours in named.items()}


def _files(path: Path, catalog: Path | None) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InvalidData(f"{path}: expected a file or a directory, got nothing")
    files = sorted(file for file in path.iterdir() if file.is_file() and format_of(file) and file != catalog)
    if not files:
        raise InvalidData(f"{path}: expected a directory with .csv, .parquet or .ndjson files of events")
    return files


def _catalog_beside(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    files = sorted(file for file in path.iterdir() if file.is_file() and format_of(file))
    return next((file for file in files if file.name.split(".")[0] in CATALOG_STEMS), None)


def _require(raw: Sheet, sheet: Sheet, mapping: Mapping[str, str]) -> None:
    has_subject = "customer_id" in sheet.columns or "anonymous_id" in sheet.columns or "customer_id" in mapping
    missing = [field for field in ("type", "occurred_at") if field not in sheet.columns]
    if not has_subject:
        missing.insert(0, "customer_id")
    if missing:
        field = missing[0]
        known = ", ".join((field, *NAMES[field][:4]))
        hint = "" if field == "occurred_at" else f" or --map {field}={':purchase' if field == 'type' else NOTHING}"
        raise InvalidData(
            f"{raw.file}: expected a column for {field} ({known} …); it has {columns_of(raw)}; "
            f"name it with --map {field}=COLUMN{hint}"
        )


def _all_zoned(sheet: Sheet) -> bool:
    return all(loose.says_zone(value) for value in sheet.column("occurred_at").distinct[:10_000])
