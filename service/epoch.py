"""Whether the store is still the one that this installation wrote to: a store that lost its data says nothing itself.

The store carries an epoch (an id, and a beat that the drainer moves on); the home remembers both. A store
without the epoch, with another one, or with an earlier beat has lost what was written: it is answered
around until ``rihla rebuild`` has made the states again, since consent may be among what was lost.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from features.errors import StoreError
from service.clock import LastSeen, wall_clock
from service.current import write_atomically
from service.ladder import Reason
from service.metrics import STORE_LOST
from service.store import keys
from service.store.clients import translated

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

FILE: Final = "epoch.json"
LOOK_EVERY_S: Final = 1.0
BEAT_EVERY_US: Final = 5_000_000
log = structlog.get_logger()


class Mark(msgspec.Struct, frozen=True):
    """An epoch as the store or the home knows it; ``beat`` in microseconds."""

    id: str
    beat: int


class Epoch:
    """The epoch of one home and its store.

    Attributes
    ----------
    flaw : Reason or None
        What was found when it was last looked at.
    clock : LastSeen
        The store's clock, seen at every look.
    """

    def __init__(self, client: Redis, home: Path) -> None:
        self._client, self._path = client, home / FILE
        self.flaw: Reason | None = None
        self.clock = LastSeen()

    async def watch(self) -> None:
        """Look for ever; a store that is away is somebody else's concern."""
        while True:
            with suppress(StoreError):  # the ladder tells of it
                await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> Reason | None:
        """Compare the store with what the home remembers.

        Raises
        ------
        StoreUnavailable
        """
        with translated():
            self.clock.saw(*await self._client.time())
        found = flaw_of(self.remembered(), await self._stored())
        if found is not None and self.flaw is None:
            log.error("store_lost", reason=found)
        STORE_LOST.set(found is not None)
        self.flaw = found
        return found

    async def beat(self) -> None:
        """Move the epoch on, or begin it where neither side has one; not while the store has a flaw.

        Raises
        ------
        StoreUnavailable, OSError
        """
        stored, remembered = await self._stored(), self.remembered()
        now = wall_clock()
        if flaw_of(remembered, stored) is not None or (remembered and stored and now < stored.beat + BEAT_EVERY_US):
            return
        begun = stored or Mark(secrets.token_hex(8), 0)
        await self._agree(Mark(begun.id, max(now, begun.beat)))

    async def renew(self) -> None:
        """Say that the store is whole again, after a rebuild.

        Raises
        ------
        StoreUnavailable, OSError
        """
        known = self.remembered() or Mark(secrets.token_hex(8), 0)
        await self._agree(Mark(known.id, max(wall_clock(), known.beat)))

    def remembered(self) -> Mark | None:
        """What the home knows; None for a home that never had a store."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Mark)
        except (OSError, msgspec.MsgspecError):
            return None

    async def _agree(self, mark: Mark) -> None:
        with translated():
            await self._client.hset(keys.EPOCH, mapping={"id": mark.id, "beat": mark.beat})
        await asyncio.to_thread(write_atomically, self._path, msgspec.json.encode(mark))

    async def _stored(self) -> Mark | None:
        with translated():
            name, beat = await self._client.hmget(keys.EPOCH, ["id", "beat"])
            return Mark(_text(name), int(beat)) if name and beat else None


def flaw_of(remembered: Mark | None, stored: Mark | None) -> Reason | None:
    """What is wrong with a store, by what the home remembers of it."""
    if remembered is None:
        return None
    if stored is None or stored.id != remembered.id:
        return Reason.STORE_LOST
    return Reason.STORE_OLDER if stored.beat < remembered.beat else None


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)
