"""A tiny shop for the service's tests: a bundle of twelve items, events, and a store of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from features.ids import key64
from features.journey import Journey
from recommender.blend import Blend
from recommender.bundle import BundleContent, BundleMeta, write_bundle
from recommender.items import KINDS, pack_text
from service.current import BUNDLES, Current, write_current
from service.embedded import EmbeddedStore
from tests.recommender.hand_moves import hand_arrays

NOW = 1_786_440_600_000_000
"""2026-08-11 09:30 UTC."""
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
Files = tuple[tuple[str, int, int], ...]
ITEM_IDS = (*(f"sku-{n}" for n in range(1, 9)), "post-1", "post-2", "çay/🫖", "action-1")


def kind_of(item_id: str) -> str:
    return {"post": "content", "action": "action"}.get(item_id.partition("-")[0], "product")


def arrays(item_ids: tuple[str, ...] = ITEM_IDS) -> dict[str, np.ndarray]:
    """Popularity falls with the place in ``item_ids``; each item is followed by the next one."""
    ordered = sorted(item_ids, key=key64)
    row = {item_id: n for n, item_id in enumerate(ordered)}
    n = len(ordered)
    ids, id_at = pack_text(ordered)
    titles, title_at = pack_text(f"Title of {item_id}" for item_id in ordered)
    categories, categories_at = pack_text(["home/kitchen"])
    locales, locales_at = pack_text([])
    popular = [[item_id for item_id in item_ids if kind_of(item_id) == kind] for kind in KINDS]
    return {
        "items.item_key": np.array([key64(i) for i in ordered], np.int64),
        "items.kind": np.array([KINDS.index(kind_of(i)) for i in ordered], np.uint8),
        "items.category": np.zeros(n, np.int32),
        "items.is_available": np.ones(n, np.bool_),
        "items.published_at": np.zeros(n, np.int64),
        "items.price_minor": np.full(n, 1000, np.int64),
        "items.locale": np.full(n, -1, np.int32),
        "items.stages": np.zeros(n, np.uint8),
        "items.id_bytes": ids,
        "items.id_at": id_at,
        "items.title_bytes": titles,
        "items.title_at": title_at,
        "items.categories_bytes": categories,
        "items.categories_at": categories_at,
        "items.locales_bytes": locales,
        "items.locales_at": locales_at,
        "popular.context": np.array([[kind, -1] for kind in range(len(KINDS))], np.int32),
        "popular.indptr": np.cumsum([0, *map(len, popular)]).astype(np.int64),
        "popular.item_idx": np.array([row[i] for found in popular for i in found], np.int32),
        "popular.score": np.array([1 / (1 + n) for found in popular for n in range(len(found))], np.float32),
        "viewed_next.indptr": np.arange(n + 1, dtype=np.int64),
        "viewed_next.item_idx": np.array([row[item_ids[(item_ids.index(i) + 1) % n]] for i in ordered], np.int32),
        "viewed_next.weight": np.ones(n, np.float32),
        **hand_arrays(),
        "viewed_next.recency": np.array([0.7], np.float32),
    }


def documents() -> dict[str, Any]:
    return {
        "blend": Blend.uniform(()).to_document(),
        "journey": Journey.load(None).to_document(),
        "golden": [],
        "facts": {},
    }


def bundle(home: Path, *, version: str = "1", created_at: int = NOW, item_ids: tuple[str, ...] = ITEM_IDS) -> Path:
    """Write a bundle without pointing to it."""
    journey = Journey.load(None)
    meta = BundleMeta(
        name="rihla",
        feature_schema=journey.schema.hash,
        journey_version=journey.version,
        journey_digest=journey.digest,
        until=NOW - DAY,
        data_digest=f"data of version {version}",
        created_at=created_at,
    )
    return write_bundle(home / BUNDLES, BundleContent(arrays(item_ids), meta, documents()))


_PUBLISHED: dict[tuple[Path, str, tuple[str, ...]], tuple[Path, Files]] = {}
"""Bundles that were written by this process: every file is synced, which takes a busy disk a second."""


def files_of(path: Path) -> Files:
    """The files of a bundle, and when each was written."""
    if not path.is_dir():
        return ()
    return tuple(sorted((each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in path.iterdir()))


def publish(home: Path, *, version: str = "1", item_ids: tuple[str, ...] = ITEM_IDS) -> Current:
    """Write a bundle, unless it is there as it was written, and point to it, as the follower does."""
    key = home, version, item_ids
    path, was = _PUBLISHED.get(key, (home, ()))
    if not was or files_of(path) != was:
        path = bundle(home, version=version, item_ids=item_ids)
        _PUBLISHED[key] = path, files_of(path)
    current = Current(path.name, "rihla", version, "champion")
    write_current(home, current)
    return current


def event(event_id: str, customer_id: str | None = "c-1", **fields: Any) -> dict[str, Any]:
    """An item view, a minute ago."""
    subject = {} if customer_id is None else {"customer_id": customer_id}
    at = (time.time_ns() // 1000 - MINUTE) / SECOND
    return {"event_id": event_id, "type": "item_view", "item_id": "sku-5", "occurred_at": at, **subject, **fields}


class OwnStore:
    """A real Valkey server of one test module, with the faults that happen to one."""

    def __init__(self, home: Path) -> None:
        self.embedded = EmbeddedStore(home)
        self.url = self.embedded.url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.embedded.prepare()
        command = [sys.executable, "-m", "service.embedded", str(self.embedded.directory)]
        self._process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
        until(self.embedded.answers)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill -9; what was acknowledged is in the append-only file."""
        self._send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def stop(self) -> None:
        self.thaw()
        self.kill()

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.kill(self._process.pid, number)


def children_of(pid: int) -> dict[int, str]:
    """Living child processes by id, and what they run; one that ends while it is looked at is none."""
    found = {}
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        with suppress(FileNotFoundError, ProcessLookupError):
            found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return {child: command for child, command in found.items() if command}


def until(holds: Callable[[], Any], seconds: float = 15) -> Any:
    """Poll a condition until it holds; its value."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"did not hold within {seconds} s"
        time.sleep(0.01)
    return value
