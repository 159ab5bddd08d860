from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from features.errors import BundleCorrupt, RegistryUnavailable
from recommender.bundle import BundleContent, BundleMeta, open_bundle, write_bundle
from recommender.contract import ArraySpec
from training.registry import Registry

ROOT = Path(__file__).parents[2]
PICTURE = b"\x89PNG\r\n\x1a\n"


def make_bundle(root: Path, seed: int) -> Path:
    meta = BundleMeta(
        name="rihla",
        feature_schema="f",
        journey_version="1",
        journey_digest="j",
        until=1_700_000_000_000_000 + seed,
        data_digest=f"data-{seed}",
        created_at=1,
    )
    return write_bundle(root, BundleContent({"als.item_factors": np.full((3, 2), seed, np.float32)}, meta))


class FakeFigure:
    def savefig(self, fname: str, /) -> None:
        Path(fname).write_bytes(PICTURE)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("registry") / "مخزن 1"


@pytest.fixture(scope="module")
def registry(home) -> Registry:
    """A registry with two versions, of which the first is champion."""
    made = Registry(home)
    for seed in (1, 2):
        made.publish(
            make_bundle(home / "bundles", seed),
            params={"als.factors": 64},
            metrics={"all/ndcg_20": seed / 10},
            tables={"stages": [{"stage": "awareness", "ndcg": 0.5}, {"stage": "retention", "n": 7}]},
            figures={"weights": FakeFigure()},
            pages={"report": "<!doctype html><title>مرحلة</title>"},
            tags={"left_out": ""},
        )
    return made


@pytest.fixture
def first_is_champion(registry):
    registry.promote(2)
    registry.promote(1)


def aliases(registry: Registry) -> dict[str, int]:
    return {alias: row.version for row in registry.versions() for alias in row.aliases}


def test_a_registry_nobody_published_to_is_empty_and_not_made_by_looking(tmp_path):
    assert Registry(tmp_path).versions() == []
    assert list(tmp_path.iterdir()) == []


def test_the_first_version_serves_and_the_newest_challenges(registry):
    assert {row.version for row in registry.versions()} >= {1, 2}
    assert registry.resolve("challenger").version == max(row.version for row in registry.versions())
    assert registry.resolve("champion").version == 1


def test_versions_say_what_they_are_newest_first(registry, home):
    second, first = registry.versions()[-2:]
    assert (second.version, first.version) == (2, 1)
    assert second.digest == make_bundle(home / "bundles", 2).name
    assert second.until == 1_700_000_000_000_002
    assert second.data_digest == "data-2"
    assert second.metrics == {"all/ndcg_20": 0.2}
    assert second.created_at > 1_600_000_000_000_000


@pytest.mark.usefixtures("first_is_champion")
def test_promote_remembers_the_previous_champion_and_rollback_swaps_them(registry):
    assert registry.promote("challenger") == aliases(registry)["challenger"]
    assert registry.promote(2) == 2
    assert registry.promote(2) == 2  # again: previous is not forgotten
    assert registry.promote("1") == 1
    assert (aliases(registry)["champion"], aliases(registry)["previous"]) == (1, 2)
    assert registry.rollback() == 2
    assert (aliases(registry)["champion"], aliases(registry)["previous"]) == (2, 1)
    assert registry.rollback() == 1


@pytest.mark.parametrize("target", ["nope", "9999", 9999, "-1", "", "1; drop", "latest"])
def test_a_version_that_is_not_there_is_said_to_be_missing(registry, target):
    with pytest.raises(RegistryUnavailable, match=r"has no version '.*' of 'rihla'; it has .*champion.* and versions"):
        registry.resolve(target)


def test_what_was_published_is_fetched_again_bit_for_bit(registry, home, tmp_path):
    published = make_bundle(home / "bundles", 2)
    got = registry.fetch(2, tmp_path)
    assert got == tmp_path / published.name
    assert {path.name: path.read_bytes() for path in got.iterdir()} == {
        path.name: path.read_bytes() for path in published.iterdir()
    }
    assert registry.fetch("2", tmp_path) == got
    assert list(tmp_path.iterdir()) == [got]
    assert open_bundle(got, known={"als.item_factors": ArraySpec("float32", 2)})


def test_a_damaged_artifact_is_refused_and_leaves_nothing(registry, home, tmp_path):
    published = make_bundle(home / "bundles", 3)
    version = registry.publish(published, params={}, metrics={})
    (array,) = (
        path
        for path in home.glob("mlartifacts/models/*/artifacts/artifacts/bundle/als.item_factors.npy")
        if path.read_bytes() == (published / "als.item_factors.npy").read_bytes()
    )
    array.chmod(0o644)
    array.write_bytes(array.read_bytes()[:-4])
    with pytest.raises(BundleCorrupt, match=r"als.item_factors.npy: expected 152 bytes, got 148"):
        registry.fetch(version, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_bundle_in_the_place_of_a_version_is_refused(registry, home, tmp_path):
    version = registry.publish(make_bundle(home / "bundles", 4), params={}, metrics={})
    other = make_bundle(home / "bundles", 5)
    (bundle,) = (
        path.parent
        for path in home.glob("mlartifacts/models/*/artifacts/artifacts/bundle/manifest.json")
        if "data-4" in path.read_text()
    )
    for path in bundle.iterdir():
        path.unlink()
        path.write_bytes((other / path.name).read_bytes())
    with pytest.raises(BundleCorrupt, match=f"got {other.name}"):
        registry.fetch(version, tmp_path)


def test_a_run_holds_parameters_metrics_tables_and_pictures(registry, home):
    with registry._client() as client:
        version = client.get_model_version("rihla", "2")
        run = client.get_run(version.run_id)
        assert run.info.status == "FINISHED"
        assert run.data.params == {"als.factors": "64"}
        assert run.data.metrics == {"all/ndcg_20": 0.2}
        assert run.data.tags["data_digest"] == "data-2"
    artifacts = home / "mlartifacts" / version.run_id / "artifacts"
    assert (artifacts / "tables" / "stages.csv").read_text() == "stage,ndcg,n\nawareness,0.5,\nretention,,7\n"
    assert (artifacts / "figures" / "weights.png").read_bytes() == PICTURE
    assert (artifacts / "report.html").read_text(encoding="utf-8") == "<!doctype html><title>مرحلة</title>"


def test_nothing_is_pickled_and_no_path_of_the_machine_is_left(registry, home):
    models = [path for path in (home / "mlartifacts" / "models").rglob("*") if path.is_file()]
    assert {path.suffix for path in models} == {".npy", ".json", ".py", ".yaml", ".txt", ""}
    for path in models:
        text = path.read_bytes()
        assert b"cloudpickle" not in text
        assert str(home).encode() not in text
        assert str(ROOT).encode() not in text


def test_a_publish_that_fails_moves_no_alias_and_says_so_in_its_run(registry, home, tmp_path):
    before = registry.versions()
    with pytest.raises(FileNotFoundError):
        registry.publish(
            make_bundle(home / "bundles", 6), params={}, metrics={}, figures={"gone": tmp_path / "gone.png"}
        )
    assert registry.versions() == before
    with registry._client() as client:
        experiment = client.get_experiment_by_name("rihla")
        newest = client.search_runs([experiment.experiment_id], max_results=1)[0]
    assert newest.info.status == "FAILED"


def test_what_is_no_bundle_is_not_published(registry, tmp_path):
    before = registry.versions()
    with pytest.raises(BundleCorrupt, match=r"manifest.json: expected this file, found none"):
        registry.publish(tmp_path, params={}, metrics={})
    assert registry.versions() == before


PUBLISH = """
import sys
from pathlib import Path
from training.registry import Registry

talked = []
sys.addaudithook(lambda event, args: talked.append(args) if event in {"socket.connect", "socket.getaddrinfo"} else None)
version = Registry(Path(sys.argv[1])).publish(Path(sys.argv[2]), params={}, metrics={"all/ndcg_20": 0.5})
print(version, talked)
"""


def test_two_processes_publish_at_once_and_nobody_is_phoned(registry, home, tmp_path):
    """The other process has none of the variables by which MLflow tells that it is tested."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", PUBLISH, str(home), str(make_bundle(home / "bundles", 7))]
    before = {row.version for row in registry.versions()}
    made: list[int] = []
    mine = [make_bundle(home / "bundles", seed) for seed in (8, 9)]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, cwd=tmp_path, env=environment) as other:
        threads = [
            threading.Thread(target=lambda path=path: made.append(registry.publish(path, params={}, metrics={})))
            for path in mine
        ]
        for thread in threads:
            thread.start()
        out, err = other.communicate(timeout=100)
        for thread in threads:
            thread.join()
    assert (other.returncode, err) == (0, "")
    version, talked = out.split(maxsplit=1)
    assert talked.strip() == "[]"
    assert {int(version), *made} == {row.version for row in registry.versions()} - before
    assert len({int(version), *made}) == 3
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("ml")]


class NotMlflow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome to nginx</html>")

    do_POST = do_GET  # noqa: N815 - the standard library names it

    def log_message(self, *args):
        pass


def test_a_server_that_is_not_mlflow_is_said_not_to_answer_without_its_password(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotMlflow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        registry = Registry(tmp_path, tracking_uri=f"http://me:secret@127.0.0.1:{server.server_port}")
        for ask in (registry.versions, registry.rollback, lambda: registry.resolve("champion")):
            with pytest.raises(RegistryUnavailable, match=r"does not answer .* start it, or point") as refused:
                ask()
            assert "secret" not in str(refused.value)
        server.shutdown()


def test_a_damaged_database_is_said_not_to_answer(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(RegistryUnavailable, match="file is not a database"):
        Registry(tmp_path).versions()
