"""Calling the server-side functions of ``functions.lua``; the library travels to a server that lacks it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from service.store.clients import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

_MISSING: Final = "Function not found"


@cache
def library() -> str:
    """Source of the functions library."""
    return Path(__file__).with_name("functions.lua").read_text()


def call(name: str, keys: Sequence[str], args: Sequence[str | bytes | int]) -> tuple[Any, ...]:
    """A function call as a command, for a pipeline."""
    return ("FCALL", f"rihla_{name}", len(keys), *keys, *args)


def is_missing(answer: object) -> bool:
    """Whether an answer says that the server does not have the library (yet, or any more)."""
    return isinstance(answer, ResponseError) and _MISSING in str(answer)


async def load_functions(client: Redis) -> None:
    """Put the library on the server, in place of an older one.

    Raises
    ------
    StoreUnavailable
    """
    with translated():
        await client.function_load(library(), replace=True)


async def call_function(client: Redis, name: str, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
    """Answer of one function call, loading the library where it is missing.

    Raises
    ------
    StoreUnavailable, StoreFull
    """
    execute: Any = client.execute_command  # which redis-py leaves without types
    command = call(name, keys, args)
    with translated():
        try:
            return await execute(*command)
        except ResponseError as error:
            if not is_missing(error):
                raise
        await client.function_load(library(), replace=True)
        return await execute(*command)
