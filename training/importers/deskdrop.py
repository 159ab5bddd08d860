"""CI&T DeskDrop: how employees read and shared articles; every item is content.

Reads ``users_interactions.parquet`` and the original ``users_interactions.csv``. Where the original
``shared_articles.csv`` lies beside it, titles, texts and languages come from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from training.importers.batch import Batch, find, fitting
from training.importers.cells import Cells
from training.importers.columns import pick
from training.importers.items import items_of
from training.importers.sheet import read_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from features.catalog import Item
    from training.importers.rejects import Rejects

FILES: Final = ("users_interactions.parquet", "users_interactions.csv")
STORED: Final = {
    "occurred_at": "timestamp_s",
    "type": "event_type",
    "item_id": "content_id",
    "customer_id": "person_id",
    "session_id": "session_id",
}
ORIGINAL: Final = {
    "occurred_at": "timestamp",
    "type": "eventType",
    "item_id": "contentId",
    "customer_id": "personId",
    "session_id": "sessionId",
}
ARTICLE: Final = {
    "item_id": "contentId",
    "title": "title",
    "text": "text",
    "locale": "lang",
    "published_at": "timestamp",
    "available": "eventType",
}
TYPES: Final = {
    "VIEW": "content_read",
    "LIKE": "like",
    "BOOKMARK": "bookmark",
    "COMMENT CREATED": "comment",
    "FOLLOW": "follow",
}


def read(path: Path, rejects: Rejects) -> Batch:
    """All interactions of the file."""
    file = find(path, FILES)
    raw = read_sheet(file, rejects)
    sheet, _ = pick(raw, fitting(raw, (STORED, ORIGINAL), file))
    columns = sheet.columns | {"kind": Cells.constant("content", len(sheet))}
    articles = file.with_name("shared_articles.csv")
    items = _articles(articles, rejects) if articles.is_file() else []
    notes = [] if items else ["There are no titles or texts in this source: articles are known by id alone."]
    return Batch([sheet.having(columns)], items=items, types=TYPES, notes=notes)


def _articles(path: Path, rejects: Rejects) -> list[Item]:
    """Articles in the order of the file, so that of one shared twice the last row stays."""
    raw = read_sheet(path, rejects)
    shape = fitting(raw, (ARTICLE,), path)
    columns = {field: raw.columns[name] for field, name in shape.items()}
    columns["available"] = columns["available"].map(lambda event: event == "CONTENT SHARED")
    columns["kind"] = Cells.constant("content", len(raw))
    return items_of(raw.having(columns), rejects)
