"""One run in MLflow: what was asked for, what was measured, and the tables and pictures of it."""

from __future__ import annotations

import csv
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mlflow import MlflowClient

    Rows = Sequence[Mapping[str, object]]
    TrialLog = Callable[[str, int, Mapping[str, object], float], None]
    """Source, number, parameters and score of a trial."""

BATCH: Final = 100
"""MLflow takes that many parameters, and more metrics, in one call."""


class Figure(Protocol):
    """A matplotlib figure, as far as it is needed here."""

    def savefig(self, fname: str, /) -> object:
        """Write the picture to a file."""


@contextmanager
def run(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[str]:
    """A run that ends as finished, or as failed when what is done within it fails."""
    run_id = client.create_run(experiment, run_name=name, tags=dict(tags)).info.run_id
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)


def log_trial(
    client: MlflowClient, experiment: str, parent: str, name: str, params: Mapping[str, object], score: float
) -> None:
    """One trial of a search as a run nested in the search's."""
    tags = {"mlflow.parentRunId": parent}
    with run(client, experiment, name, tags) as run_id:
        log_params(client, run_id, params)
        client.log_metric(run_id, "validation_ndcg_at_10", score)


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, object]) -> None:
    """Parameters as text."""
    from mlflow.entities import Param

    entries = [Param(name, str(value)) for name, value in params.items()]
    for start in range(0, len(entries), BATCH):
        client.log_batch(run_id, params=entries[start : start + BATCH])


def log_metrics(client: MlflowClient, run_id: str, model_id: str, metrics: Mapping[str, float]) -> None:
    """Metrics of the run and of the model it made, so that both can be compared."""
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    entries = [Metric(name, float(value), now, 0, model_id=model_id) for name, value in metrics.items()]
    for start in range(0, len(entries), BATCH):
        client.log_batch(run_id, metrics=entries[start : start + BATCH])


def log_tables(
    client: MlflowClient, run_id: str, tables: Mapping[str, Rows], figures: Mapping[str, Figure | Path]
) -> None:
    """Tables as CSV beneath ``tables/`` and pictures as PNG beneath ``figures/``, which MLflow's pages show."""
    with tempfile.TemporaryDirectory(prefix="rihla-run-") as folder:
        for part in ("tables", "figures"):
            (Path(folder) / part).mkdir()
        for name, rows in tables.items():
            _write_table(Path(folder) / "tables" / f"{name}.csv", rows)
        for name, figure in figures.items():
            _write_figure(Path(folder) / "figures" / f"{name}.png", figure)
        client.log_artifacts(run_id, folder)


def log_pages(client: MlflowClient, run_id: str, pages: Mapping[str, str]) -> None:
    """Whole HTML documents by name, as ``<name>.html``."""
    for name, text in pages.items():
        client.log_text(run_id, text, f"{name}.html")


def _write_table(path: Path, rows: Rows) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _write_figure(path: Path, figure: Figure | Path) -> None:
    if isinstance(figure, Path):
        path.write_bytes(figure.read_bytes())
    else:
        figure.savefig(str(path))
