"""Members of a zset by score and name, from a place on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.store.clients import translated

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def members_after(client: Redis, name: str, score: float, member: str, most: int) -> list[tuple[str, float]]:
    """At most so many members after ``(score, member)``, with their scores, in that order.

    Raises
    ------
    StoreUnavailable
    """
    kept: list[tuple[str, float]] = []
    offset = 0
    while len(kept) < most:
        with translated():
            found: Any = await client.zrangebyscore(name, score, "+inf", start=offset, num=most, withscores=True)
        pairs = [(each.decode(), float(at)) for each, at in found]
        kept += [(each, at) for each, at in pairs if (at, each) > (score, member)]
        offset += most
        if len(pairs) < most:
            break
    return kept[:most]
