from __future__ import annotations

import shutil

import pytest

from features.settings import load_settings
from service.current import BUNDLES, FollowerReport, bundle_path, read_current, read_report
from service.follower import Follower
from tests.service.shop import bundle

pytestmark = pytest.mark.filterwarnings("ignore")  # what MLflow says about its own dependencies


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry in SQLite with three versions, the first of which is the champion."""
    from training.registry import Registry

    home = tmp_path_factory.mktemp("registry")
    made = Registry(home)
    for version in ("1", "2", "3"):
        made.publish(bundle(tmp_path_factory.mktemp("made"), version=version), params={}, metrics={})
    return made


@pytest.fixture
def home(registry, tmp_path, monkeypatch):
    """A home of its own that follows the registry."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    registry.promote(1)
    return tmp_path


def follower(home, **settings):
    return Follower(load_settings(home=home, **settings))


def test_it_fetches_what_the_alias_names_and_follows_it(registry, home):
    one = follower(home)
    one.look()
    first = read_current(home)
    registry.promote(2)
    one.look()
    second = read_current(home)
    registry.rollback()
    one.look()
    assert [each.version for each in (first, second, read_current(home))] == ["1", "2", "1"]
    assert (first.model, first.alias) == ("rihla", "champion")
    assert first.digest != second.digest
    assert bundle_path(home, second).is_dir()
    assert read_report(home) == FollowerReport(registry_answers=True)


def test_a_bundle_that_is_there_and_whole_is_not_fetched_again(registry, home, monkeypatch):
    follower(home).look()
    again = follower(home)
    monkeypatch.setattr(again, "_fetch", lambda _: pytest.fail("fetched what was there"))
    (home / "CURRENT").unlink()
    again.look()
    assert read_current(home).version == "1"


def test_a_bundle_that_was_damaged_on_disk_is_fetched_again(registry, home):
    follower(home).look()
    current = read_current(home)
    victim = bundle_path(home, current) / "popular.score.npy"
    raw = bytearray(victim.read_bytes())
    raw[-1] ^= 1
    victim.write_bytes(raw)
    follower(home).look()
    assert read_current(home) == current
    assert victim.read_bytes() != bytes(raw)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "a file that is no database", None])
def test_a_registry_that_is_gone_leaves_everything_as_it_is(registry, home, monkeypatch, uri):
    follower(home).look()
    before = read_current(home)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    if uri is not None and uri.startswith("http"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    elif uri is not None:
        (home / "mlflow.db").write_text(uri)
    follower(home).look()
    assert read_current(home) == before
    assert read_report(home) == FollowerReport(registry_answers=False)


def test_nothing_published_is_no_error(home, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    follower(home).look()
    assert read_current(home) is None
    assert read_report(home) == FollowerReport(registry_answers=True)


def test_an_unknown_alias_is_no_error(registry, home):
    follower(home, model_alias="canary").look()
    assert read_current(home) is None


def test_a_bundle_of_another_key_is_refused_and_the_old_one_stays(registry, home):
    follower(home).look()
    before = read_current(home)
    registry.promote(2)
    strict = follower(home, verify_key="ab" * 32)
    strict.look()
    assert read_current(home) == before
    assert read_report(home).refused == "2"
    assert [path.name for path in (home / BUNDLES).glob(".partial-*")] == []


def test_a_published_bundle_that_is_broken_is_refused(registry, home, tmp_path_factory):
    follower(home).look()
    broken = bundle(tmp_path_factory.mktemp("broken"), version="4")
    shutil.copy(broken / "popular.score.npy", broken / "extra.npy")
    version = registry.publish(broken, params={}, metrics={})
    registry.promote(version)
    one = follower(home)
    one.look()
    assert read_current(home).version == "1"
    assert read_report(home).refused == str(version)
    registry.promote(1)
    one.look()
    assert read_report(home).refused is None


def test_only_the_newest_bundles_are_kept(registry, home):
    one = follower(home)
    for n in range(8):
        bundle(home, version=f"old-{n}")
    registry.promote(3)
    one.look()
    assert len(list((home / BUNDLES).iterdir())) == 5
