"""The store's append-only file: it remembers what was erased until it is rewritten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoPermissionError, ResponseError

from service.store.clients import translated

if TYPE_CHECKING:
    from redis.asyncio import Redis

PATIENCE_S: Final = 600.0
LOOK_EVERY_S: Final = 0.05
FORBIDDEN: Final = "forbidden"
FAILED: Final = "failed"


async def rewrite_append_only_file(client: Redis) -> str | None:
    """Have the file rewritten and wait for it; why it cannot be, None when it is done or there is none.

    Raises
    ------
    StoreUnavailable
    """
    if not (await _persistence(client))["aof_enabled"]:
        return None
    async with asyncio.timeout(PATIENCE_S):
        await _idle(client)
        if flaw := await _begin(client):
            return flaw
        await _idle(client)
    return None if (await _persistence(client))["aof_last_bgrewrite_status"] == "ok" else FAILED


async def _begin(client: Redis) -> str | None:
    execute: Any = client.execute_command
    with translated():
        try:
            await execute("BGREWRITEAOF")
        except NoPermissionError:
            return FORBIDDEN
        except ResponseError as error:
            return FORBIDDEN if "unknown command" in str(error).lower() else FAILED
    return None


async def _idle(client: Redis) -> None:
    """Wait until no rewriting is under way."""
    while True:
        found = await _persistence(client)
        if not found["aof_rewrite_in_progress"] and not found.get("aof_rewrite_scheduled"):
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def _persistence(client: Redis) -> dict[str, Any]:
    with translated():
        found: dict[str, Any] = await client.info("persistence")
    return found
