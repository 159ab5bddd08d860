"""A clock that a test moves, and the memory that the store holds of a customer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from service.store.exposures import memory_in

if TYPE_CHECKING:
    import redis

    from recommender.exposure import Exposure
    from tests.service.conftest import Caller

MINUTE_S = 60
HOUR_S = 3_600


class MovingClock:
    """The wall clock, some seconds ahead."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> int:
        return time.time_ns() // 1_000 + int(self.ahead_s * 1_000_000)

    @property
    def now_s(self) -> float:
        """Seconds, as events say it."""
        return self() / 1_000_000


def memory_of(caller: Caller, redis_client: redis.Redis, customer_id: str = "c-1") -> Exposure:
    """What one identity's record remembers."""
    where = caller.program.customers.keys_of(customer_id)
    return memory_in(redis_client.hget(where.record, "x"))


def ids(slate: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in slate["items"]]


def why(slate: dict[str, Any]) -> dict[str, str]:
    return {held["item_id"]: held["why"] for held in slate["suppressed"]}
