"""``rihla doctor``: looks at everything a running installation stands on, and says in words what to do."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from features.errors import BundleError, InputError, RegistryUnavailable, StoreError, StoreUnavailable
from features.journey import Journey
from features.settings import pepper_of
from service.checkup import Finding, Health
from service.checkup_files import check_bundle, check_disk, check_log
from service.checkup_store import check_store
from service.ladder import Reason
from service.store.clients import BACKGROUND, redis_client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from features.settings import Settings

EARLIEST_S: Final = 1_767_225_600
"""2026: a clock before it was never set."""
START: Final = "start it: rihla serve for the embedded one, else whatever RIHLA_REDIS_URL names"
OF_STORE: Final[dict[str, str]] = {
    Reason.STORE_DENIED: "give RIHLA_REDIS_URL a user and password that it takes, or end its protected-mode",
    Reason.STORE_LOADING: "wait: it reads its append-only file",
    Reason.STORE_READ_ONLY: "it is a replica: name its primary in RIHLA_REDIS_URL, or promote it",
    Reason.STORE_BUSY: "a script holds it up: SCRIPT KILL or FUNCTION KILL, and find out whose it is",
    Reason.STORE_MISCONFIGURED: "it cannot write its own files: look at its disk and its log",
    Reason.STORE_MOVED: "it is one node of a cluster: name a server that stands alone in RIHLA_REDIS_URL",
    Reason.STORE_DOWN: "its cluster has lost a part: name a server that stands alone in RIHLA_REDIS_URL",
    Reason.STORE_CROWDED: "it has as many clients as it allows: raise its maxclients, or find out whose they are",
}
"""What to do about a store that answers and refuses."""


def examine(settings: Settings, registry: Callable[[], str]) -> list[Finding]:
    """Every finding, the good ones too.

    Parameters
    ----------
    registry
        Says in words what the registry has.

    Raises
    ------
    Nothing that the looked-at may be to blame for: that is a finding.
    """
    return [
        *check_settings(settings),
        check_clock(time.time()),
        *asyncio.run(_store(settings)),
        check_registry(registry),
        check_bundle(settings),
        check_disk(settings.home),
        *check_log(settings),
    ]


def check_settings(settings: Settings) -> Sequence[Finding]:
    """The journey definition, and who may read the key of customer keys."""
    try:
        journey = Journey.load(settings.journey)
    except InputError as error:
        return [Finding("settings", Health.BROKEN, str(error), "mend the file that RIHLA_JOURNEY names")]
    found = [Finding("settings", Health.GOOD, f"read; journey definition {journey.version}")]
    pepper_of(settings)
    path = settings.home / "pepper"
    if settings.pepper is None and path.stat().st_mode & 0o077:
        found.append(Finding("pepper", Health.ODD, "others may read it", f"chmod 600 {path}"))
    return found


def check_clock(now_s: float) -> Finding:
    """Whether the clock was ever set."""
    if now_s < EARLIEST_S:
        return Finding("clock", Health.BROKEN, "it shows a time long ago", "set it, or start a time service")
    return Finding("clock", Health.GOOD, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s)))


def check_registry(registry: Callable[[], str]) -> Finding:
    """Whether the registry answers."""
    try:
        return Finding("registry", Health.GOOD, registry())
    except (RegistryUnavailable, BundleError) as error:
        return Finding("registry", Health.ODD, str(error), "start MLflow, or train a first model: rihla train DIR")


async def _store(settings: Settings) -> list[Finding]:
    client = redis_client(settings.redis_url or "", BACKGROUND)
    try:
        return await check_store(client, settings)
    except StoreUnavailable as error:
        refused = OF_STORE.get(error.reason)
        seen = f"the store answers and refuses ({error.reason})" if refused else str(error)
        return [Finding("store", Health.BROKEN, seen, refused or START)]
    except StoreError as error:
        return [Finding("store", Health.BROKEN, str(error), START)]
    finally:
        await client.aclose()
