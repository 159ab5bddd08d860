"""Who is due: customers whose stage the clock changes, or whose record expires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.store import keys
from service.store.clients import translated

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def due_members(client: Redis, now: int, most: int) -> list[str]:
    """Customer keys that are due at ``now`` (microseconds), at most so many of a partition.

    Raises
    ------
    StoreUnavailable
    """
    pipeline = client.pipeline(transaction=False)
    for partition in keys.PARTITIONS:
        pipeline.zrangebyscore(keys.due(partition), 0, now, start=0, num=most)
    with translated():
        found = await pipeline.execute()
    return [member.decode() for members in found for member in members]
