from __future__ import annotations

import asyncio

from service.deadline import Deadline
from service.turns import Turns


def test_a_turn_is_one_at_a_time_and_leaves_nothing_behind():
    async def body():
        turns, inside, most = Turns(), 0, 0

        async def work():
            nonlocal inside, most
            async with turns.of("c-1"):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        tasks = [asyncio.create_task(work()) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return most, turns.held

    assert asyncio.run(body()) == (1, 0)


def test_who_waits_past_their_deadline_goes_on_without_a_turn():
    async def body():
        turns, both = Turns(), []
        async with turns.of("c-1"):
            async with turns.of("c-1", Deadline.after_ms(10)):
                both.append(turns.held)
            async with turns.of("c-2", Deadline.after_ms(10)):
                both.append(turns.held)
        async with turns.of("c-1", Deadline.after_ms(10)):  # the one before gave back what it held, and only that
            both.append(turns.held)
        return both, turns.held

    assert asyncio.run(body()) == ([1, 2, 1], 0)
