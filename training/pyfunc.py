"""The model that ``mlflow.pyfunc.load_model`` gives a data scientist: one row of a frame in, one slate out.

MLflow keeps this file with every version and runs it when that version is loaded; what it imports is the
installed project. A row is a customer at a moment, told by their events::

    model = mlflow.pyfunc.load_model("models:/rihla@champion")
    model.predict(pd.DataFrame({"customer_id": ["c1"], "events": [[{"type": "item_view", "item_id": "i1", ...}]]}))

==============  ==========================================================================================
``customer_id``  optional; given back as it came
``as_of``        optional; RFC 3339 text, an epoch number or a timestamp (without a zone: UTC); default now
``events``       optional; a list of events as ``POST /v1/events`` takes them, or that list as JSON text. Of
                 what happened at ``as_of`` or later nothing is seen; a repeated ``event_id`` counts once
``placement``    optional; default ``params["placement"]``, else home
``limit``        optional; default ``params["limit"]``, else 8
==============  ==========================================================================================

The answer has ``customer_id``, ``stage``, ``strategy`` and ``slate``: a list of ``rank``, ``item_id``, ``kind``,
``score`` and ``reasons``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import mlflow
import msgspec
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from features.errors import InputError, InvalidData
from features.ids import key64
from features.ingest import lines_of
from features.moments import moment, of_datetime
from features.values import Unreadable, text, whole
from recommender.engine import Engine
from recommender.slate import SlateRequest

if TYPE_CHECKING:
    from features.events import Line
    from features.ingest import CategoryOf
    from recommender.slate import Slate

COLUMNS: Final = ("customer_id", "as_of", "events", "placement", "limit")
MAX_LIMIT: Final = 100


class RihlaModel(PythonModel):  # type: ignore[misc]  # PythonModel is untyped
    """Decides slates with the very engine that serves."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the bundle that lies beside this file.

        Raises
        ------
        BundleError
            As :meth:`recommender.engine.Engine.open`.
        """
        self.engine = Engine.open(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One slate a row, in the order and with the index of ``model_input``.

        Raises
        ------
        InvalidData
            A column that is not in ``COLUMNS``, or a cell that cannot be used, with its row.
        """
        rows = rows_of(model_input, params or {})
        answers = [self._answer(number, row) for number, row in enumerate(rows)]
        return pd.DataFrame(answers, index=model_input.index, columns=["customer_id", "stage", "strategy", "slate"])

    def _answer(self, number: int, row: Mapping[str, Any]) -> dict[str, object]:
        try:
            as_of = as_of_of(row["as_of"])
            request = SlateRequest(placement=text(row["placement"], 64), limit=whole(row["limit"], 1, MAX_LIMIT))
            lines = events_before(as_of, row["events"], self._category_of)
        except (InputError, Unreadable) as error:
            where = getattr(error, "pointer", "")
            raise InvalidData(f"row {number}{where and ' at ' + where}: {error}", pointer=f"/{number}{where}") from None
        schema = self.engine.journey.schema
        slate = self.engine.decide(schema.merge_all(schema.lift(line) for line in lines), request, as_of)
        return {
            "customer_id": row["customer_id"],
            "stage": slate.standing.stage,
            "strategy": slate.strategy,
            "slate": slots_of(slate),
        }

    def _category_of(self, item_id: str) -> str | None:
        """Category by the catalogue that the bundle holds, as when the event was first stored."""
        (row,) = self.engine.items.rows_of(np.array([key64(item_id)])).tolist()
        return None if row < 0 else self.engine.items.category_of(row)


def rows_of(frame: object, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows with every column; what is missing is None or its default."""
    if not isinstance(frame, pd.DataFrame):
        raise InvalidData(f"expected a pandas DataFrame, got {type(frame).__name__}")
    if unknown := [str(name) for name in frame.columns if name not in COLUMNS]:
        raise InvalidData(f"expected no column {unknown[0]!r}; the columns are {', '.join(COLUMNS)}")
    columns = {name: frame[name].tolist() if name in frame else [None] * len(frame) for name in COLUMNS}
    rows = [dict(zip(COLUMNS, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    defaults = {"placement": params.get("placement", "home"), "limit": params.get("limit", 8)}
    return [{name: defaults.get(name) if is_missing(cell) else cell for name, cell in row.items()} for row in rows]


def is_missing(cell: Any) -> bool:
    """Whether pandas would call a cell missing; a list never is."""
    return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))


def as_of_of(cell: object) -> int:
    """Microseconds of a moment in any of the forms that a frame may hold; now for none."""
    if cell is None:
        return time.time_ns() // 1000
    if isinstance(cell, datetime):
        return of_datetime(cell if cell.tzinfo else cell.replace(tzinfo=UTC))
    return moment(cell)


def events_before(as_of: int, cell: object, category_of: CategoryOf) -> list[Line]:
    """Lines of the events that happened before ``as_of``; as in a log of history none of them is late."""
    seen: dict[str, tuple[Line, ...]] = {}
    for number, event in enumerate(events_of(cell)):
        lines = lines_of_event(number, event, as_of, category_of)
        if lines[0].occurred_at < as_of:
            seen.setdefault(lines[0].event_id, lines)
    return [line for lines in seen.values() for line in lines]


def events_of(cell: object) -> Sequence[object]:
    """The events of a cell: a list, or its JSON text; none for a missing cell."""
    try:
        events = msgspec.json.decode(cell) if isinstance(cell, str) else cell
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidData("expected a list of events as JSON text", pointer="/events") from None
    if events is None:
        return ()
    if not isinstance(events, list | tuple | np.ndarray):
        raise InvalidData(f"expected a list of events, got {type(events).__name__}", pointer="/events")
    return list(events)


def lines_of_event(number: int, event: object, as_of: int, category_of: CategoryOf) -> tuple[Line, ...]:
    """Lines of one event; the id may be left out, and the customer, whom the row tells."""
    if not isinstance(event, Mapping):
        raise InvalidData(f"expected an object, got {type(event).__name__}", pointer=f"/events/{number}")
    given = {name: value for name, value in event.items() if not is_missing(value)}
    record = {"event_id": f"event-{number}", "customer_id": "row", **given}
    try:
        received_at = moment(record.get("occurred_at"))
    except Unreadable:
        received_at = as_of  # lines_of says what is wrong with it
    try:
        return lines_of(
            record, received_at=received_at, source="frame", category_of=category_of, allow_contact_ids=True
        )
    except InputError as error:
        raise InvalidData(str(error), pointer=f"/events/{number}{error.pointer}") from None


def slots_of(slate: Slate) -> list[dict[str, object]]:
    """The slots of a slate as plain values."""
    return [
        {
            "rank": item.rank,
            "item_id": item.item_id,
            "kind": item.kind,
            "score": item.score,
            "reasons": [reason._asdict() for reason in item.reasons],
        }
        for item in slate.items
    ]


mlflow.models.set_model(RihlaModel())
