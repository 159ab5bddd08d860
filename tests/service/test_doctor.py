from __future__ import annotations

import asyncio

import pytest

from features.errors import RegistryUnavailable
from features.settings import load_settings
from service.checkup import Health
from service.doctor import OF_STORE, check_clock, check_registry, examine
from service.epoch import Epoch
from service.store.clients import BACKGROUND, OF_CLASS, OF_PREFIX, redis_client


def found(settings, registry=lambda: "1 version"):
    return {finding.name: finding for finding in examine(settings, registry)}


def test_a_whole_installation_has_nothing_broken(settings):
    findings = found(settings)
    assert [each.name for each in findings.values() if each.health is Health.BROKEN] == []
    assert {"settings", "clock", "store", "persistence", "eviction", "registry", "bundle", "disk", "backlog"} <= set(
        findings
    )
    assert {"erasures", "epoch", "log"} <= set(findings)


@pytest.mark.parametrize(
    ("name", "bad", "good", "expected"),
    [
        ("maxmemory-policy", "allkeys-lru", "noeviction", "eviction"),
        ("appendonly", "no", "yes", "persistence"),
    ],
)
def test_a_store_that_would_forget_is_broken_and_it_says_what_to_set(settings, redis_client, name, bad, good, expected):
    redis_client.config_set(name, bad)
    try:
        finding = found(settings)[expected]
    finally:
        redis_client.config_set(name, good)
    assert finding.health is Health.BROKEN
    assert name in finding.todo or "appendonly" in finding.todo


def test_how_soon_a_server_of_ones_own_syncs_is_told(settings, redis_client):
    assert found(settings)["syncing"].seen == "once a second, by rihla serve"
    elsewhere = settings.model_copy(update={"redis_url": f"{settings.redis_url}?db=0"})
    for policy, health in (("always", Health.GOOD), ("everysec", Health.ODD), ("no", Health.ODD)):
        redis_client.config_set("appendfsync", policy)
        finding = found(elsewhere)["syncing"]
        assert finding.health is health
        assert health is Health.GOOD or "appendfsync always" in finding.todo


def test_a_store_that_is_away_is_one_finding_and_the_others_are_made(settings, tmp_path):
    findings = found(settings.model_copy(update={"redis_url": f"unix://{tmp_path}/nobody.sock"}))
    assert findings["store"].health is Health.BROKEN
    assert findings["bundle"].health is Health.GOOD or findings["bundle"].seen


def test_a_store_that_refuses_is_not_said_to_be_away(settings, redis_client):
    redis_client.config_set("requirepass", "another-than-the-service-has")
    try:
        finding = found(settings)["store"]
    finally:
        redis_client.config_set("requirepass", "")
    assert (finding.health, finding.seen) == (Health.BROKEN, "the store answers and refuses (store_denied)")
    assert "password" in finding.todo


def test_every_way_a_store_refuses_has_words():
    assert set(OF_STORE) == {reason for _, reason in (*OF_CLASS, *OF_PREFIX)}


def test_a_replica_is_broken(settings, redis_client):
    redis_client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        finding = found(settings)["role"]
    finally:
        redis_client.execute_command("REPLICAOF", "NO", "ONE")
    assert (finding.health, "primary" in finding.todo) == (Health.BROKEN, True)


def test_a_damaged_bundle_is_broken(settings):
    (damaged,) = {path.parent for path in (settings.home / "bundles").rglob("manifest.json")}
    victim = next(path for path in damaged.rglob("*.npy"))
    raw = victim.read_bytes()
    victim.chmod(0o644)
    victim.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    try:
        assert found(settings)["bundle"].health is Health.BROKEN
    finally:
        victim.write_bytes(raw)


def test_a_store_that_lost_its_data_is_to_be_rebuilt(settings, redis_client):
    async def begin():
        client = redis_client_of(settings)
        await Epoch(client, settings.home).beat()
        await client.aclose()

    asyncio.run(begin())
    redis_client.flushall()
    finding = found(settings)["epoch"]
    (settings.home / "epoch.json").unlink()
    assert (finding.health, finding.todo) == (Health.BROKEN, "run rihla rebuild")


def redis_client_of(settings):
    return redis_client(settings.redis_url, BACKGROUND)


def test_days_that_are_too_old_are_to_be_compacted(settings):
    folder = settings.home / "data" / "events" / "2020-01-01"
    folder.mkdir(parents=True)
    (folder / "a.parquet").touch()
    try:
        assert "rihla compact" in found(settings)["retention"].todo
    finally:
        (folder / "a.parquet").unlink()
        folder.rmdir()


def test_a_registry_that_is_away_and_a_clock_that_was_never_set_are_told():
    def away():
        raise RegistryUnavailable("no answer")

    assert check_registry(away).health is Health.ODD
    assert check_clock(0).health is Health.BROKEN


def test_a_pepper_that_others_can_read_is_told(tmp_path, store):
    settings = load_settings(home=tmp_path, redis_url=store.url)
    found(settings)
    (tmp_path / "pepper").chmod(0o644)
    assert "chmod 600" in found(settings)["pepper"].todo
