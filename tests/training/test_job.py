from __future__ import annotations

import shutil

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.errors import InvalidData
from features.events import DAY_US
from recommender.engine import Engine
from recommender.slate import SlateRequest
from tests.training.conftest import SIZES
from training.fit import SOURCES
from training.job import train
from training.load import Data
from training.log import SCHEMA, EventLog
from training.models import without_credentials
from training.registry import Registry


@pytest.fixture(scope="module")
def small_registry(tmp_path_factory):
    """One for all the small shops: what takes time is to make it."""
    return Registry(tmp_path_factory.mktemp("small"))


def first_events(shop, directory, n, *, with_catalog=True):
    """A data directory of the first ``n`` lines of a shop."""
    directory.mkdir()
    if with_catalog:
        shutil.copy(shop / "catalog.parquet", directory)
    lines = pq.read_table(shop / "events").select(SCHEMA.names).sort_by([("occurred_at", "ascending")])
    if n:
        EventLog(directory).write(lines.slice(0, n), "first")
    return directory


def note_of(directory):
    return msgspec.json.decode((directory / "model.json").read_bytes())


def test_a_training_registers_a_version_and_the_first_one_serves(published, model_registry):
    assert published.version == 1
    assert model_registry.resolve("champion").version == 1
    assert model_registry.resolve("challenger").version == 1
    (row,) = [row for row in model_registry.versions() if row.version == 1]
    assert row.content_digest == published.content_digest
    assert row.metrics["any/session/ndcg_at_10"] > 0


def test_the_run_of_a_training_holds_the_report_and_both_tables(published, model_registry):
    with model_registry._client() as client:
        run_id = client.get_model_version(model_registry.name, str(published.version)).run_id
    artifacts = model_registry.home / "mlartifacts" / run_id / "artifacts"
    assert "What this says" in (artifacts / "report.html").read_text(encoding="utf-8")
    for name in ("evaluation", "beyond"):
        header = (artifacts / "tables" / f"{name}.csv").read_text(encoding="utf-8").splitlines()[0]
        assert header.startswith("task,protocol,slice,system")


def test_model_json_says_which_model_a_directory_has(published, shop, model_registry):
    note = note_of(shop)
    assert note["version"] == "1"
    assert note["digest"] == published.bundle.name
    assert note["bundle"] == str(published.bundle)
    assert note["until"] == Data(shop).until
    assert note["name"] == model_registry.name


def test_what_was_written_opens_and_decides_as_what_was_fitted(published, journey, shop):
    opened, fitted, now = Engine.open(published.bundle), published.fitted.engine, Data(shop).until
    state = journey.schema.empty()
    slates = [engine.decide(state, SlateRequest(limit=5), now) for engine in (opened, fitted)]
    assert [item.item_id for item in slates[0].items] == [item.item_id for item in slates[1].items]
    assert len(slates[0].items) == 5


def test_a_shop_of_thousands_of_events_is_tuned_and_evaluated_and_leaves_out_what_takes_more_repeats(published):
    assert published.fitted.left_out == ("repeat",)
    assert published.fitted.evaluation is not None
    assert set(published.fitted.engine.sources) >= {"popular", "als", "cosine", "content"}


def appended(shop, directory, at):
    """A copy of a shop in which much of what once happened happens again, at and after a moment."""
    shutil.copytree(shop, directory)
    log = EventLog(directory)
    lines = pq.read_table(shop / "events").slice(0, 200).select(SCHEMA.names)
    moments = pa.array(at + np.arange(len(lines)) * 1_000_000)
    new = {
        "event_id": pa.array([f"later-{number}" for number in range(len(lines))]),
        "occurred_at": moments.cast(pa.timestamp("us", "UTC")),
        "received_at": moments.cast(pa.timestamp("us", "UTC")),
        "day": pc.divide(moments, DAY_US).cast(pa.int32()),
    }
    for name, column in new.items():
        lines = lines.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), column)
    log.write(lines, "later")
    return directory


@pytest.fixture(scope="module")
def again(published, shop, journey, tmp_path_factory, model_registry):
    """The same training over a log that goes on after the cut-off."""
    until = Data(shop).until
    copy = appended(shop, tmp_path_factory.mktemp("again") / "shop", until)
    assert EventLog(copy).n_rows > EventLog(shop).n_rows
    return train(copy, registry=model_registry, until=until, journey=journey, sizes=SIZES)


def test_equal_data_and_seed_give_an_equal_digest_and_the_later_one_only_challenges(published, again, model_registry):
    assert again.content_digest == published.content_digest
    assert model_registry.resolve("champion").version == published.version
    assert model_registry.resolve("challenger").version == again.version


def test_what_happens_at_or_after_the_cut_off_changes_nothing_that_is_learned(published, again):
    fitted, later = published.fitted, again.fitted
    assert later.recipe == fitted.recipe
    assert msgspec.json.encode(later.engine.blend.to_document()) == msgspec.json.encode(
        fitted.engine.blend.to_document()
    )
    assert repr(later.evaluation) == repr(fitted.evaluation)  # NaN is not equal to itself
    assert later.arrays.keys() == fitted.arrays.keys()
    for name, array in fitted.arrays.items():
        assert np.array_equal(later.arrays[name], array), name


@pytest.mark.parametrize("n", [0, 1, 10, 100])
def test_too_little_data_gives_a_bundle_all_the_same_and_says_what_was_left_out(
    n, shop, tmp_path, small_registry, journey
):
    directory = first_events(shop, tmp_path / "small", n)
    found = train(directory, registry=small_registry, until=None, journey=journey)
    engine = Engine.open(found.bundle)
    assert found.fitted.evaluation is None
    assert "als" in found.fitted.left_out or n >= 10  # ten may be of one customer or of several
    assert set(found.fitted.left_out) == {name for name in SOURCES if name not in engine.sources}
    slate = engine.decide(journey.schema.empty(), SlateRequest(limit=3), engine.model.until)
    assert len(slate.items) <= 3
    assert note_of(directory)["version"] == str(found.version)


def test_one_event_and_no_catalogue_are_enough(shop, tmp_path, small_registry, journey):
    directory = first_events(shop, tmp_path / "bare", 1, with_catalog=False)
    found = train(directory, registry=small_registry, until=None, journey=journey)
    assert "content" in found.fitted.left_out


def test_a_cut_off_before_all_events_is_a_shop_without_events(shop, tmp_path, small_registry, journey):
    directory = first_events(shop, tmp_path / "early", 50)
    found = train(directory, registry=small_registry, until=Data(directory).start, journey=journey)
    assert found.fitted.evaluation is None
    assert "popular" in found.fitted.left_out or not np.any(found.fitted.arrays.get("popular.counts", 0))


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_a_directory_that_is_no_data_is_refused_and_nothing_is_written(kind, tmp_path, journey):
    path = tmp_path / "data"
    if kind == "file":
        path.write_text("customer_id,item_id\n")
    elif kind == "empty":
        path.mkdir()
    with pytest.raises(InvalidData, match="data"):
        train(path, registry=Registry(tmp_path / "home"), until=None, journey=journey)
    assert not (tmp_path / "home").exists()
    assert kind != "empty" or not list(path.iterdir())


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://ann:s3cret@mlflow.example:5000/path", "https://mlflow.example:5000/path"),
        ("https://ann:s3@cret@mlflow.example", "https://mlflow.example"),
        ("postgresql://db.example/mlflow?user=ann&password=s3cret", "postgresql://db.example/mlflow"),
        ("sqlite:////home/ann@work/mlflow.db", "sqlite:////home/ann@work/mlflow.db"),
    ],
)
def test_a_note_names_the_registry_without_what_it_takes_to_enter_it(uri, shown):
    assert without_credentials(uri) == shown
