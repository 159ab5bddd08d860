from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import BundleCorrupt, InvalidData
from features.ids import key64
from features.ingest import lines_of
from features.journey import Journey
from recommender.blend import Blend
from recommender.bundle import BundleContent, BundleMeta, write_bundle
from recommender.engine import Engine, Model, empty_arrays
from recommender.golden import golden_of
from recommender.items import pack_text
from recommender.slate import SlateRequest
from training.pyfunc import RihlaModel, as_of_of, events_before, rows_of, slots_of
from training.registry import Registry

ROOT = Path(__file__).parents[2]
NOW = 1_700_000_000_000_000
N = 6
VIEW = {"type": "item_view", "item_id": "p1", "occurred_at": "2023-11-14T22:00:00Z"}
ORDER = {
    "type": "purchase",
    "occurred_at": 1_699_999_900,
    "currency": "EUR",
    "items": [{"item_id": "p2", "price": 3, "quantity": 1}],
}


def make_bundle(root: Path) -> Path:
    """Six products in two categories, ranked by popularity alone."""
    ids = sorted([f"p{number}" for number in range(N)], key=key64)
    texts = {"id": ids, "title": [f"Title of {name}" for name in ids], "categories": ["shoes", "tents"], "locales": []}
    arrays = empty_arrays() | {
        "items.item_key": np.array([key64(name) for name in ids]),
        "items.kind": np.zeros(N, np.uint8),
        "items.category": np.arange(N, dtype=np.int32) % 2,
        "items.is_available": np.ones(N, np.bool_),
        "items.published_at": np.zeros(N, np.int64),
        "items.price_minor": np.full(N, -1, np.int64),
        "items.locale": np.full(N, -1, np.int32),
        "items.stages": np.full(N, 15, np.uint8),
        "popular.context": np.array([[0, -1]], np.int32),
        "popular.indptr": np.array([0, N]),
        "popular.item_idx": np.arange(N, dtype=np.int32),
        "popular.score": np.linspace(1, 0.1, N).astype(np.float32),
    }
    for name, values in texts.items():
        arrays[f"items.{name}_bytes"], arrays[f"items.{name}_at"] = pack_text(values)
    journey, model = Journey.load(None), Model("rihla", "0", "", 0)
    blend = Blend.uniform(Engine(arrays, Blend.uniform(()), journey, model).sources)
    meta = BundleMeta(
        name="rihla",
        feature_schema=journey.schema.hash,
        journey_version=journey.version,
        journey_digest=journey.digest,
        until=NOW,
        data_digest="d",
        created_at=NOW,
    )
    documents = {
        "blend": blend.to_document(),
        "journey": journey.to_document(),
        "golden": golden_of(Engine(arrays, blend, journey, model), [(journey.schema.empty(), NOW)]),
        "facts": {},
    }
    return write_bundle(root, BundleContent(arrays, meta, documents))


class Context:
    """What MLflow hands to a model when it is loaded."""

    def __init__(self, bundle: Path) -> None:
        self.artifacts = {"bundle": str(bundle)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def model(bundle) -> RihlaModel:
    loaded = RihlaModel()
    loaded.load_context(Context(bundle))
    return loaded


def predict(model: RihlaModel, params=None, **columns) -> pd.DataFrame:
    return model.predict(None, pd.DataFrame(columns), params)


def test_a_row_gets_the_slate_that_the_engine_decides(model, bundle):
    engine = Engine.open(bundle)
    schema = engine.journey.schema
    lines = [
        line
        for number, event in enumerate([VIEW, ORDER])
        for line in lines_of(
            {**event, "event_id": f"event-{number}", "customer_id": "row"}, received_at=NOW, source="frame"
        )
    ]
    state = schema.merge_all(schema.lift(line) for line in lines)
    wanted = engine.decide(state, SlateRequest(placement="email", limit=3), NOW)
    got = predict(model, customer_id=["c"], events=[[VIEW, ORDER]], as_of=[NOW], placement=["email"], limit=[3])
    (row,) = got.to_dict("records")
    assert row == {
        "customer_id": "c",
        "stage": wanted.standing.stage,
        "strategy": wanted.strategy,
        "slate": slots_of(wanted),
    }
    assert row["strategy"] == "personal"
    assert [slot["rank"] for slot in row["slate"]] == [1, 2, 3]
    assert set(row["slate"][0]) == {"rank", "item_id", "kind", "score", "reasons"}


def test_rows_keep_their_order_and_index(model):
    frame = pd.DataFrame({"customer_id": ["a", "b", None]}, index=[7, 3, 5])
    got = model.predict(None, frame)
    assert list(got.index) == [7, 3, 5]
    assert list(got.columns) == ["customer_id", "stage", "strategy", "slate"]
    assert got["customer_id"].tolist()[:2] == ["a", "b"]
    assert set(got["strategy"]) == {"popular"}


def test_a_frame_without_columns_or_rows_gets_as_many_slates(model):
    assert len(model.predict(None, pd.DataFrame(index=range(2)))) == 2
    assert list(model.predict(None, pd.DataFrame({"customer_id": []}))) == ["customer_id", "stage", "strategy", "slate"]


def test_json_text_lists_and_arrays_of_events_are_the_same(model):
    forms = [
        [VIEW, ORDER],
        json.dumps([VIEW, ORDER]),
        np.array([VIEW, ORDER], object),
        (ORDER, VIEW, VIEW | {"event_id": "event-1"}),
    ]
    got = predict(model, events=forms, as_of=[NOW] * 4)
    first = got["slate"].iloc[0]
    assert all(slate == first for slate in got["slate"].iloc[:3])


def test_events_at_or_after_the_moment_are_not_seen():
    at = as_of_of("2023-11-14T22:00:00Z")
    assert events_before(at, [VIEW], lambda _: None) == []
    (line,) = events_before(at + 1, [VIEW], lambda _: None)
    assert (line.occurred_at, line.late) == (at, False)


def test_old_events_count_and_a_repeated_event_counts_once():
    old = VIEW | {"occurred_at": "2020-01-01T00:00:00Z", "event_id": "same"}
    (line,) = events_before(NOW, [old, old], lambda _: None)
    assert not line.late


def test_the_category_of_an_event_is_the_catalogues(model):
    (line,) = events_before(NOW, [VIEW], model._category_of)
    assert line.cat_key in {key64("shoes"), key64("tents")}
    (line,) = events_before(NOW, [VIEW | {"item_id": "unknown"}], model._category_of)
    assert line.cat_key is None


@pytest.mark.parametrize(
    "cell",
    [
        NOW,
        float(NOW),
        NOW // 1_000_000,
        "2023-11-14T22:13:20Z",
        "2023-11-15T00:13:20+02:00",
        datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        pd.Timestamp("2023-11-14T22:13:20"),
        pd.Timestamp("2023-11-15T00:13:20", tz="Europe/Istanbul") + pd.Timedelta(hours=1),
    ],
)
def test_a_moment_comes_in_many_forms(cell):
    assert as_of_of(cell) == NOW


@pytest.mark.parametrize("missing", [None, np.nan, pd.NaT, pd.NA])
def test_what_is_missing_takes_its_default(missing):
    frame = pd.DataFrame(
        {name: pd.Series([missing], dtype=object) for name in ("as_of", "placement", "limit", "events")}
    )
    assert rows_of(frame, {"limit": 5}) == [
        {"customer_id": None, "as_of": None, "events": None, "placement": "home", "limit": 5}
    ]


def test_parameters_are_the_defaults_of_rows(model):
    got = predict(model, {"limit": 2}, customer_id=["a", "b"], limit=[None, 4])
    assert [len(slate) for slate in got["slate"]] == [2, 4]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"customer": ["c"]}, r"expected no column 'customer'; the columns are customer_id, as_of, events"),
        ({"limit": [8, 0]}, r"row 1: expected a whole number from 1 to 100"),
        ({"limit": [True]}, r"row 0: expected a whole number"),
        ({"placement": [7]}, r"row 0: expected .*text|string"),
        ({"as_of": ["yesterday"]}, r"row 0: expected an RFC 3339 time"),
        ({"events": ["{"]}, r"row 0 at /events: expected a list of events as JSON text"),
        ({"events": ["{}"]}, r"row 0 at /events: expected a list of events, got dict"),
        ({"events": [[1]]}, r"row 0 at /events/0: expected an object, got int"),
        ({"events": [[VIEW | {"type": "bogus"}]]}, r"row 0 at /events/0/type: expected an event name"),
        ({"events": [[VIEW | {"occurred_at": "x"}]]}, r"row 0 at /events/0/occurred_at: expected an RFC 3339"),
        ({"events": [[VIEW, {"type": "item_view", "occurred_at": 1}]]}, r"row 0 at /events/1"),
    ],
)
def test_what_cannot_be_used_is_named(model, columns, sentence):
    with pytest.raises(InvalidData, match=sentence):
        predict(model, **columns)


@pytest.mark.parametrize("frame", [[{"customer_id": "c"}], {"customer_id": ["c"]}, "c", None])
def test_what_is_no_frame_is_refused(model, frame):
    with pytest.raises(InvalidData, match="expected a pandas DataFrame"):
        rows_of(frame, {})


def test_a_damaged_bundle_is_not_loaded(bundle, tmp_path):
    for path in bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "popular.score.npy").write_bytes(bytes(152))
    with pytest.raises(BundleCorrupt, match=r"popular.score.npy"):
        RihlaModel().load_context(Context(tmp_path))


FRESH = """
import json, sys
unpickled = []
sys.addaudithook(lambda event, args: unpickled.append(args) if event.startswith("pickle") else None)
# Numba keeps our own compiled code beside our own bytecode, and reads it with pickle; of a model nothing is.
import recommender.engine
n_own = len(unpickled)
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/rihla@champion")
events, now = json.loads(sys.argv[1]), int(sys.argv[2])
frame = pd.DataFrame({"customer_id": ["a", "b"], "events": [events, None], "as_of": [now, now]})
answer = model.predict(frame, params={"limit": 3})
try:
    model.predict(pd.DataFrame({"customer": ["a"]}))
except Exception as error:
    refused = f"{type(error).__name__}: {error}"
print(json.dumps([answer.to_dict("records"), refused, unpickled[n_own:], str(model.metadata.signature)]))
"""


def test_the_registered_champion_loads_in_a_fresh_process_and_nothing_is_unpickled(model, bundle, tmp_path):
    registry = Registry(tmp_path / "home")
    registry.publish(bundle, params={}, metrics={})
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": registry.uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", FRESH, json.dumps([VIEW, ORDER]), str(NOW)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment).stdout
    answer, refused, unpickled, signature = json.loads(out.splitlines()[-1])
    wanted = predict(model, customer_id=["a", "b"], events=[[VIEW, ORDER], None], as_of=[NOW] * 2, limit=[3, 3])
    assert answer == wanted.to_dict("records")
    assert refused.startswith("InvalidData: expected no column 'customer'")
    assert [name for name in unpickled if name != ["numpy", "ndarray"]] == []  # a compiled loop's own signature
    assert "'slate': Array" in signature
    assert "'limit': long (default: 8)" in signature
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
