"""The one place where Redis clients are made: every time-out and retry is written down, no default is used.

redis-py's own defaults (5 s time-outs, 10 retries that repeat writes) are unfit for an online path.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MaxConnectionsError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

from features.errors import StoreFull, StoreUnavailable
from service.ladder import Reason


@dataclass(frozen=True)
class Patience:
    """How long one kind of call may take, in seconds; ``retries`` is for whoever calls, the client has none."""

    connect_s: float
    answer_s: float
    pool_s: float
    max_connections: int
    retries: int

    @property
    def longest_s(self) -> float:
        """Longest that a call without a retry can take."""
        return self.pool_s + self.connect_s + self.answer_s


READS: Final = Patience(connect_s=0.05, answer_s=0.05, pool_s=0.05, max_connections=64, retries=1)
"""A slate is worth more now than complete: one retry, on a connection that was lost, never on a time-out."""
WRITES: Final = Patience(connect_s=0.05, answer_s=0.1, pool_s=0.05, max_connections=64, retries=0)
"""Never repeated by the client: a write that timed out may have happened. Callers retry by ``event_id``."""
BACKGROUND: Final = Patience(connect_s=1, answer_s=10, pool_s=1, max_connections=6, retries=0)
"""The drainer, the sweeper and the control stream: nobody waits for them. Two connections are the shipments' own."""


def redis_client(url: str, patience: Patience) -> Redis:
    """A client for one kind of call; bytes in, bytes out."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=patience.max_connections,
        timeout=patience.pool_s,
        socket_connect_timeout=patience.connect_s,
        socket_timeout=patience.answer_s,
        retry=Retry(NoBackoff(), 0),  # a time-out while connecting would count as a lost connection and be repeated
        health_check_interval=15,
        protocol=3,
        client_name=f"rihla-{os.getpid()}",
        **_keepalive(url),
    )
    return Redis.from_pool(pool)


def _keepalive(url: str) -> dict[str, Any]:
    return {} if url.startswith("unix:") else {"socket_keepalive": True}


OF_CLASS: Final = (
    (BusyLoadingError, Reason.STORE_LOADING),
    (ReadOnlyError, Reason.STORE_READ_ONLY),
    (AuthenticationError, Reason.STORE_DENIED),
    (NoPermissionError, Reason.STORE_DENIED),
    (MovedError, Reason.STORE_MOVED),
    (ClusterDownError, Reason.STORE_DOWN),
    (MaxConnectionsError, Reason.STORE_CROWDED),
)
OF_PREFIX: Final = (
    ("BUSY ", Reason.STORE_BUSY),
    ("MISCONF", Reason.STORE_MISCONFIGURED),
    ("NOAUTH", Reason.STORE_DENIED),
    ("NOPERM", Reason.STORE_DENIED),
    ("DENIED", Reason.STORE_DENIED),  # protected mode: it serves its own machine alone
    ("MOVED", Reason.STORE_MOVED),
    ("CLUSTERDOWN", Reason.STORE_DOWN),
    ("LOADING", Reason.STORE_LOADING),
    ("READONLY", Reason.STORE_READ_ONLY),
    ("MASTERDOWN", Reason.STORE_READ_ONLY),
    ("max number of clients", Reason.STORE_CROWDED),
)
"""How a server says what is wrong with it, where redis-py has no class for it."""


NONSENSE: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What an answer of another form than was asked for leads to: a store's bytes are input like any other."""
FAULTS: Final = (TimeoutError, RedisError, OSError, *NONSENSE)


class _Translated:
    """Knows nothing of who enters it: one is enough for all."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, FAULTS):
            raise translation(error) from error


_TRANSLATED: Final = _Translated()


def translated() -> _Translated:
    """Redis errors as ours, in this package and nowhere else; what reads an answer's form belongs within.

    Raises
    ------
    StoreFull
        Redis has no room for a write.
    StoreUnavailable
        Any other error: gone, frozen, loading, read-only, not allowed, an answer of another form.
    """
    return _TRANSLATED


def translation(error: BaseException) -> StoreFull | StoreUnavailable:
    """Our error for one of Redis'; the message names its class only, since texts may carry values."""
    if isinstance(error, OutOfMemoryError):
        return StoreFull("the store has no room for a write")
    return StoreUnavailable(f"the store does not answer ({type(error).__name__})", reason=reason_of(error))


def reason_of(error: BaseException) -> Reason:
    """Which fault of the store an error of Redis' tells of; redis-py makes a lost connection of some refusals."""
    if isinstance(error.__cause__, RedisError):
        error = error.__cause__
    text = str(error).removeprefix("ERR ")
    named = next((reason for kind, reason in OF_CLASS if isinstance(error, kind)), None)
    told = next((reason for prefix, reason in OF_PREFIX if text.startswith(prefix)), None)
    return named or told or Reason.STORE_UNAVAILABLE
