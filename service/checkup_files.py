"""A check-up of the home: the bundle that is served, room on the disk, the log."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from features.journey import Journey
from features.moments import to_datetime
from recommender.bundle import read_manifest
from recommender.engine import Engine
from service.checkup import Finding, Health
from service.clock import wall_clock
from service.current import bundle_path, read_current
from service.log_files import all_paths, current_paths
from service.merge_files import MANY
from service.serving import UNUSABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from features.settings import Settings

OLD_DAYS: Final = 30
LITTLE_ROOM: Final = 0.05
NO_ROOM_BYTES: Final = 256 << 20
SMALL_FILES: Final = 64 * MANY
DAY_US: Final = 86_400_000_000


def check_bundle(settings: Settings) -> Finding:
    """Whether what is pointed to can be served, and how old it is."""
    current = read_current(settings.home)
    if current is None:
        return Finding("bundle", Health.ODD, "none", "train and promote one: rihla train DIR, rihla promote VERSION")
    path = bundle_path(settings.home, current)
    key = bytes.fromhex(settings.verify_key) if settings.verify_key else None
    try:
        Engine.open(path, schema_hash=Journey.load(settings.journey).schema.hash, verify_key=key)
        made_at = read_manifest(path).created_at
    except UNUSABLE as error:
        return Finding("bundle", Health.BROKEN, f"version {current.version}: {error}", "rihla rollback, or train again")
    days = (wall_clock() - made_at) / DAY_US
    seen = f"version {current.version}, whole, {days:.1f} days old"
    return (
        Finding("bundle", Health.ODD, seen, "train again") if days > OLD_DAYS else Finding("bundle", Health.GOOD, seen)
    )


def check_disk(home: Path) -> Finding:
    """Room for the log, bundles and the append-only file."""
    total, _, free = shutil.disk_usage(home)
    seen = f"{free >> 20:,} MiB free, {free / total:.0%}"
    if free < NO_ROOM_BYTES:
        return Finding("disk", Health.BROKEN, seen, "make room: writes are about to be refused")
    if free < LITTLE_ROOM * total:
        return Finding("disk", Health.ODD, seen, "make room, or keep events for fewer days")
    return Finding("disk", Health.GOOD, seen)


def check_log(settings: Settings) -> Iterator[Finding]:
    """Whether the log is kept no longer than it should be, and in few enough pieces."""
    data = settings.home / "data"
    paths = all_paths(data, "events")
    days = sorted({path.parent.name for path in paths})
    yield Finding("log", Health.GOOD, f"{len(days):,} days, {len(paths):,} files" if days else "no events yet")
    first = (to_datetime(wall_clock()) - timedelta(days=settings.keep_events_days)).date().isoformat()
    if old := sum(day < first for day in days):
        yield Finding("retention", Health.ODD, f"{old:,} days are too old to be kept", "run rihla compact every day")
    if (n := len(current_paths(paths))) > SMALL_FILES:
        yield Finding("pieces", Health.ODD, f"{n:,} files count", "see that the drainer runs, or run rihla clean")
