"""A check-up of the store: whether it is one to keep states in, and what waits in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from service.checkup import Finding, Health
from service.clock import wall_clock
from service.embedded import EmbeddedStore
from service.epoch import Epoch
from service.store import keys
from service.store.clients import translated
from service.store.erasures import Erasures

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from features.settings import Settings

OLDEST_VERSION: Final = (7, 2)
"""Functions, and ``EXPIRE … GT``."""
MAX_SKEW_S: Final = 1.0
MANY_ENTRIES: Final = 100_000
LONG_PENDING_US: Final = 86_400_000_000
_TO_SYNC: Final = (
    "set appendfsync always where a 202 may never be lost: with everysec, a server that is killed while its disk is "
    "slow loses up to two seconds"
)


async def check_store(client: Redis, settings: Settings) -> list[Finding]:
    """Every finding about the store.

    Raises
    ------
    StoreUnavailable
    """
    with translated():
        info: dict[str, Any] = await client.info()
    return [
        _version(info),
        *_role(info),
        _persistence(info),
        await _syncing(client, settings),
        await _eviction(client),
        await _functions(client),
        await _skew(client),
        await _backlog(client),
        await _erasures(client, settings),
        await _epoch(client, settings),
    ]


def _version(info: dict[str, Any]) -> Finding:
    name = "valkey" if "valkey_version" in info else "redis"
    text = str(info.get("valkey_version", info["redis_version"]))
    if tuple(int(part) for part in text.split(".")[:2]) < OLDEST_VERSION:
        return Finding("store", Health.BROKEN, f"{name} {text}", "upgrade it to 7.2 or newer")
    return Finding("store", Health.GOOD, f"{name} {text}, {info['used_memory_human']} in use")


def _role(info: dict[str, Any]) -> list[Finding]:
    if info["role"] == "master":
        return []
    todo = "name its primary in RIHLA_REDIS_URL, or promote it"
    return [Finding("role", Health.BROKEN, "a replica, which takes no writes", todo)]


def _persistence(info: dict[str, Any]) -> Finding:
    if not info["aof_enabled"]:
        todo = "set appendonly yes: a 202 promises that an event survives"
        return Finding("persistence", Health.BROKEN, "no append-only file", todo)
    if info["aof_last_write_status"] != "ok":
        return Finding("persistence", Health.BROKEN, "the append-only file cannot be written", "look at its disk")
    return Finding("persistence", Health.GOOD, "append-only file")


async def _syncing(client: Redis, settings: Settings) -> Finding:
    """How soon what is acknowledged is on the disk; the embedded store's supervisor sees to that itself."""
    policy = await _setting(client, "appendfsync")
    if settings.redis_url == EmbeddedStore(settings.home).url:
        return Finding("syncing", Health.GOOD, "once a second, by rihla serve")
    if policy == "always":
        return Finding("syncing", Health.GOOD, "before every answer")
    seen = "may not be looked at" if policy is None else f"appendfsync {policy}"
    return Finding("syncing", Health.ODD, seen, _TO_SYNC)


async def _eviction(client: Redis) -> Finding:
    policy = await _setting(client, "maxmemory-policy")
    if policy is None:
        return Finding("eviction", Health.ODD, "may not be looked at", "see that maxmemory-policy is noeviction")
    if policy != "noeviction":
        todo = "set maxmemory-policy noeviction: states are no cache"
        return Finding("eviction", Health.BROKEN, f"maxmemory-policy {policy}", todo)
    return Finding("eviction", Health.GOOD, "none")


async def _functions(client: Redis) -> Finding:
    with translated():
        found: Any = await client.function_list("rihla")
    if not found:
        return Finding("functions", Health.ODD, "not loaded", "a worker loads them when it first needs them")
    return Finding("functions", Health.GOOD, "loaded")


async def _skew(client: Redis) -> Finding:
    began = time.time()
    with translated():
        seconds, micros = await client.time()
    skew = abs(seconds + micros / 1e6 - (began + time.time()) / 2)
    if skew > MAX_SKEW_S:
        return Finding("clock skew", Health.ODD, f"{skew:.1f} s to the store", "run a time service on both hosts")
    return Finding("clock skew", Health.GOOD, f"{skew * 1000:.0f} ms to the store")


async def _backlog(client: Redis) -> Finding:
    pipeline = client.pipeline(transaction=False)
    for partition in keys.PARTITIONS:
        pipeline.xlen(keys.events(partition))
    with translated():
        n = sum(await pipeline.execute())
    if n > MANY_ENTRIES:
        return Finding("backlog", Health.ODD, f"{n:,} entries wait for the log", "see that the drainer runs")
    return Finding("backlog", Health.GOOD, f"{n:,} entries wait for the log")


async def _erasures(client: Redis, settings: Settings) -> Finding:
    pending = await Erasures(client, settings.tombstone_days).pending()
    if any(each.erased_at < wall_clock() - LONG_PENDING_US for each in pending):
        todo = "run rihla clean and look at what it says"
        return Finding("erasures", Health.BROKEN, f"{len(pending):,} pending, some for more than a day", todo)
    return Finding("erasures", Health.GOOD, f"{len(pending):,} pending")


async def _epoch(client: Redis, settings: Settings) -> Finding:
    epoch = Epoch(client, settings.home)
    flaw = await epoch.look()
    if flaw is not None:
        return Finding("epoch", Health.BROKEN, f"the store has lost data ({flaw})", "run rihla rebuild")
    return Finding(
        "epoch", Health.GOOD, "the store is the one this home wrote to" if epoch.remembered() else "not begun"
    )


async def _setting(client: Redis, name: str) -> str | None:
    """A setting of the store; None where it may not be asked."""
    try:
        found: Any = await client.config_get(name)
    except ResponseError:
        return None
    value: str | None = found.get(name)
    return value
