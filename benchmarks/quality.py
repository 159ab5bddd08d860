"""Quality on public datasets: our lists beside single sources, on splits of time that training never saw.

``RIHLA_DATASETS=DIR python -m benchmarks.quality [--only NAME]`` imports each dataset, trains strictly before its
cut, decides a list for every case and prints a table. A baseline is one of our own sources alone, tuned by the same
job on the same validation window. Intervals are 95 % bootstrap over cases; the last column is the paired difference
to the best baseline.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from features.events import DAY_US
from features.journey import Journey
from features.moments import moment
from recommender.blend import Blend
from recommender.slate import SlateRequest
from training.importers import import_data
from training.job import train
from training.judging import BASELINES, SYSTEM
from training.load import Data
from training.metrics import hit_rate, mean_interval, mrr, ndcg, recall
from training.picks import Audience
from training.registry import Registry
from training.split import states_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from recommender.engine import Engine
    from training.touches import Touches

N: Final = 20
ALONE: Final = {**BASELINES, "last viewed": "recent", "co-visits": "viewed_next"}


@dataclass(frozen=True)
class Dataset:
    """A public dataset and how it is split; ``cut`` is a moment or the share of the time before it."""

    name: str
    kind: str
    folder: str
    cut: str | float
    days: float


DATASETS: Final = (
    Dataset("retailrocket: next item of a session", "retailrocket", "retailrocket_8days", "2015-09-16T00:00:00Z", 8),
    Dataset("retailrocket: any later item", "retailrocket", "retailrocket_8days", "2015-09-16T00:00:00Z", 8),
    Dataset("online retail: purchases in 30 days", "online-retail", "uci_online_retail", "2011-11-09T00:00:00Z", 30),
    Dataset(
        "online retail: first purchases in 30 days", "online-retail", "uci_online_retail", "2011-11-09T00:00:00Z", 30
    ),
    Dataset("deskdrop: unread known articles", "deskdrop", "cit_deskdrop", 0.8, 400),
)


@dataclass(frozen=True)
class Questions:
    """Who is asked about, when, and what they touched afterwards (item keys)."""

    audience: Audience
    targets: Sequence[NDArray[np.int64]]
    is_new: bool


def main() -> None:
    """Run the datasets asked for and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a dataset's name")
    only = parser.parse_args().only
    root = Path(os.environ["RIHLA_DATASETS"])
    table = Table(
        "dataset", "cases", "system", "NDCG@10", "Recall@20", "HR@20", "MRR@20", "NDCG@10 to the best baseline"
    )
    with tempfile.TemporaryDirectory() as work:
        trained: dict[str, tuple[Engine, Data]] = {}
        for dataset in (one for one in DATASETS if only in one.name):
            if dataset.folder not in trained:
                trained[dataset.folder] = _trained(dataset, root, Path(work))
            _add_rows(table, dataset, *trained[dataset.folder])
    Console(width=160).print(table)


def _trained(dataset: Dataset, root: Path, work: Path) -> tuple[Engine, Data]:
    directory = work / dataset.kind
    import_data(dataset.kind, root / dataset.folder, directory)
    whole = Data(directory)
    cut = moment(dataset.cut) if isinstance(dataset.cut, str) else _share(whole, dataset.cut)
    start = time.monotonic()
    made = train(directory, registry=Registry(work / "home"), until=cut, journey=Journey.load())
    Console().print(f"{dataset.kind}: trained in {time.monotonic() - start:.0f} s")
    return made.fitted.engine, whole


def _share(data: Data, share: float) -> int:
    return int(data.start + share * (int(data.touches.at.max()) - data.start))


def _add_rows(table: Table, dataset: Dataset, engine: Engine, data: Data) -> None:
    questions = _questions(dataset, engine, data)
    known = {SYSTEM: engine} | {
        name: engine.with_blend(Blend.only(source, engine.sources))
        for name, source in ALONE.items()
        if source in engine.sources
    }
    n_targets = np.array([len(targets) for targets in questions.targets])
    hits = {name: _hits(system, data, questions) for name, system in known.items()}
    value = {name: ndcg(found, n_targets) for name, found in hits.items()}
    best = max((name for name in known if name != SYSTEM), key=lambda name: float(value[name].mean()))
    for name, found in hits.items():
        middle = mean_interval(value[name])
        others = [f"{metric(found, n_targets).mean():.4f}" for metric in (recall, hit_rate, mrr)]
        delta = mean_interval(value[SYSTEM] - value[best])
        gain = f"{delta.mean:+.4f} [{delta.low:+.4f}, {delta.high:+.4f}] ({best})" if name == SYSTEM else ""
        first = (dataset.name, str(len(n_targets))) if name == SYSTEM else ("", "")
        table.add_row(*first, name, f"{middle.mean:.4f} [{middle.low:.4f}, {middle.high:.4f}]", *others, gain)
    table.add_section()


def _questions(dataset: Dataset, engine: Engine, data: Data) -> Questions:
    touches = data.touches.of_customers()
    cut = engine.model.until or _cut_of(dataset, data)
    if "session" in dataset.name:
        return _next_items(touches, engine, cut)
    is_new = "unread" in dataset.name or "first" in dataset.name
    return _later_items(touches, engine, cut, cut + int(dataset.days * DAY_US), is_new=is_new)


def _cut_of(dataset: Dataset, data: Data) -> int:
    return moment(dataset.cut) if isinstance(dataset.cut, str) else _share(data, dataset.cut)


def _later_items(touches: Touches, engine: Engine, cut: int, end: int, *, is_new: bool) -> Questions:
    """Every customer with a history who touches a known item between cut and end."""
    known = np.isin(touches.item_keys, engine.items.item_key)
    rows: list[tuple[str, NDArray[np.int64]]] = []
    bounds = np.searchsorted(touches.customer_idx, np.arange(len(touches.customer_ids) + 1))
    for customer, (a, b) in enumerate(pairwise(bounds)):
        at, item = touches.at[a:b], touches.item_idx[a:b]
        before, after = item[at < cut], item[(at >= cut) & (at < end)]
        targets = np.unique(after[known[after]])
        targets = np.setdiff1d(targets, before) if is_new else targets
        if len(before) and len(targets):
            rows.append((touches.customer_ids[customer], touches.item_keys[targets]))
    ids = [customer_id for customer_id, _ in rows]
    return Questions(Audience(ids, np.full(len(ids), cut, np.int64)), [targets for _, targets in rows], is_new)


def _next_items(touches: Touches, engine: Engine, cut: int) -> Questions:
    """Every event from the cut on that is not the first of its session (a gap of 30 minutes ends one)."""
    same = np.zeros(len(touches), np.bool_)
    gap = np.diff(touches.at)
    same[1:] = (np.diff(touches.customer_idx) == 0) & (gap > 0) & (gap <= DAY_US // 48)
    known = np.isin(touches.item_keys, engine.items.item_key)
    rows = np.flatnonzero(same & (touches.at >= cut) & known[touches.item_idx])
    ids = [touches.customer_ids[c] for c in touches.customer_idx[rows]]
    targets = [touches.item_keys[[item]] for item in touches.item_idx[rows]]
    return Questions(Audience(ids, touches.at[rows]), targets, is_new=False)


def _hits(engine: Engine, data: Data, questions: Questions) -> NDArray[np.bool_]:
    audience = questions.audience
    request = SlateRequest(limit=N, unseen_only=questions.is_new, apply_rules=False)
    states = states_of(data, audience.customer_ids, audience.as_of, engine.journey.schema)
    hits = np.zeros((len(audience), N), np.bool_)
    for row, keys in enumerate(_decided(engine, states, audience, request)):
        hits[row, : len(keys)] = np.isin(keys, questions.targets[row])
    return hits


def _decided(engine: Engine, states: object, audience: Audience, request: SlateRequest) -> Iterable[list[int]]:
    for row, now in enumerate(audience.as_of.tolist()):
        slate = engine.decide(states.state(row), request, now)  # type: ignore[attr-defined]
        yield [item.item_key for item in slate.items]


if __name__ == "__main__":
    main()
