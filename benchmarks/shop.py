"""The shop that is measured: simulated, with a catalogue of at least 20,000 items, fitted, and its states."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.ids import key64
from features.journey import Journey
from recommender.blend import TASKS
from recommender.bundle import BundleContent, BundleMeta, write_bundle
from recommender.engine import Engine, sources_of
from recommender.scale import Scale
from service.current import BUNDLES, Current, write_current
from training.fit import Recipe, fit
from training.learning import Verdict, learn, lesson_of
from training.load import Data
from training.log import read_catalog
from training.ranking import N_TREES
from training.simulator import simulate
from training.split import states_of, windows_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recommender.blend import Blend
    from training.learning import Learned

N_ITEMS = 20_000
N_CASES = 1_000
"""Cases that the benchmark's ranker learns from."""


@dataclass(frozen=True)
class Shop:
    """A data directory, the engine fitted on it, and the states of some customers at its end.

    Attributes
    ----------
    blended : Engine
        The same without its ranker.
    bundles : (str, str)
        Names of the bundles of both.
    """

    home: Path
    data: Data
    engine: Engine
    blended: Engine
    bundles: tuple[str, str]
    customer_ids: Sequence[str]
    states: Sequence[Any]

    @property
    def now(self) -> int:
        """Just after the last event, microseconds."""
        return self.data.until


def simulated(path: Path, events: int) -> None:
    """A shop of ``events`` events and at least ``N_ITEMS`` items.

    The simulator's catalogue grows with the root of the events, so the shop becomes a chain of branches:
    each customer belongs to one, and every branch has articles of its own.
    """
    simulate(path, events=events, seed=0)
    catalog = read_catalog(path)
    n_branches = -(-N_ITEMS // catalog.num_rows)
    copies = [
        catalog.set_column(0, "item_id", _named(catalog["item_id"], np.full(catalog.num_rows, branch)))
        for branch in range(n_branches)
    ]
    pq.write_table(pa.concat_tables(copies), path / "catalog.parquet")
    for file in sorted(path.glob("events/*/*.parquet")):
        pq.write_table(_branched(pq.read_table(file, partitioning=None), n_branches), file)


def made(home: Path, events: int, n_states: int) -> Shop:
    """Simulate, fit with the default recipe, point a home to the bundle, read the states of some customers."""
    simulated(home / "data", events)
    data = Data(home / "data")
    journey = Journey.load(None)
    arrays, learned = _fitted(data, journey)
    names = (
        _bundled(home, data, journey, arrays | learned.arrays, learned.blend),
        _bundled(home, data, journey, arrays, learned.blend),
    )
    point_to(home, names[0])
    engine, blended = (Engine.open(home / BUNDLES / name, schema_hash=journey.schema.hash) for name in names)
    everyone = data.touches.customer_ids
    chosen = np.sort(np.random.default_rng(0).choice(len(everyone), min(n_states, len(everyone)), replace=False))
    customer_ids = [everyone[i] for i in chosen.tolist()]
    table = states_of(data, customer_ids, np.full(len(customer_ids), data.until, np.int64), journey.schema)
    states = [table.state(i) for i in range(len(customer_ids))]
    return Shop(home, data, engine, blended, names, customer_ids, states)


def point_to(home: Path, name: str) -> None:
    """Serve one of a shop's bundles, whose name is the version that answers tell."""
    write_current(home, Current(name, "rihla", name, "champion"))


def _fitted(data: Data, journey: Journey) -> tuple[dict[str, Any], Learned]:
    """The default recipe, with a blend and a full-grown ranker that the last window taught and that always serves."""
    recipe, windows = Recipe(), windows_of(data)
    arrays = fit(data.material(data.until), recipe)
    lesson = lesson_of(data, windows.test, windows.until, recipe, journey, n=N_CASES, seed=0)
    verdict = Verdict(np.ones((len(TASKS), 2), np.bool_), N_TREES, Scale.plain().line, 0.0)
    return arrays, learn([lesson], sources_of(arrays), verdict, seed=0, with_blind=False)


def _bundled(home: Path, data: Data, journey: Journey, arrays: dict[str, Any], blend: Blend) -> str:
    """Write a bundle; its name."""
    meta = BundleMeta(
        name="rihla",
        feature_schema=journey.schema.hash,
        journey_version=journey.version,
        journey_digest=journey.digest,
        until=data.until,
        data_digest="benchmark",
        created_at=time.time_ns() // 1_000,
    )
    documents = {"blend": blend.to_document(), "journey": journey.to_document(), "golden": [], "facts": {}}
    return write_bundle(home / BUNDLES, BundleContent(arrays, meta, documents)).name


def _branched(lines: pa.Table, n_branches: int) -> pa.Table:
    whose = pc.coalesce(lines["customer_id"], lines["event_id"])
    unique = pc.unique(whose)
    branch = np.array([key64(name) % n_branches for name in unique.to_pylist()], np.int64)
    item_id = _named(lines["item_id"], branch[pc.index_in(whose, unique).to_numpy()])
    known = pc.unique(item_id.drop_null())
    keys = pa.array([key64(name) for name in known.to_pylist()], pa.int64())
    item_key = keys.take(pc.index_in(item_id, known))
    at = lines.column_names.index
    lines = lines.set_column(at("item_id"), lines.schema.field("item_id"), item_id)
    return lines.set_column(at("item_key"), lines.schema.field("item_key"), item_key)


def _named(item_id: Any, branch: Any) -> Any:
    """Ids of the same items in some branches; null stays null."""
    return pc.binary_join_element_wise(item_id, pa.array(branch).cast(pa.string()), ".")
