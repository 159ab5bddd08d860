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
from recommender.blend import Blend
from recommender.bundle import BundleContent, BundleMeta, write_bundle
from recommender.engine import Engine, sources_of
from service.current import BUNDLES, Current, write_current
from training.fit import Recipe, fit
from training.load import Data
from training.log import read_catalog
from training.simulator import simulate
from training.split import states_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

N_ITEMS = 20_000


@dataclass(frozen=True)
class Shop:
    """A data directory, the engine fitted on it, and the states of some customers at its end."""

    home: Path
    data: Data
    engine: Engine
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
    engine = _fitted(home, data, journey)
    everyone = data.touches.customer_ids
    chosen = np.sort(np.random.default_rng(0).choice(len(everyone), min(n_states, len(everyone)), replace=False))
    customer_ids = [everyone[i] for i in chosen.tolist()]
    table = states_of(data, customer_ids, np.full(len(customer_ids), data.until, np.int64), journey.schema)
    return Shop(home, data, engine, customer_ids, [table.state(i) for i in range(len(customer_ids))])


def _fitted(home: Path, data: Data, journey: Journey) -> Engine:
    arrays = fit(data.material(data.until), Recipe())
    meta = BundleMeta(
        name="rihla",
        feature_schema=journey.schema.hash,
        journey_version=journey.version,
        journey_digest=journey.digest,
        until=data.until,
        data_digest="benchmark",
        created_at=time.time_ns() // 1_000,
    )
    documents = {
        "blend": Blend.prior(sources_of(arrays)).to_document(),
        "journey": journey.to_document(),
        "golden": [],
        "facts": {},
    }
    bundle = write_bundle(home / BUNDLES, BundleContent(arrays, meta, documents))
    write_current(home, Current(bundle.name, "rihla", "1", "champion"))
    return Engine.open(bundle, schema_hash=journey.schema.hash)


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
