from __future__ import annotations

import asyncio

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
