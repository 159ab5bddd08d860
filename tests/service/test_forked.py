from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service import forked
from service.forked import Forked, Nursery, can_fork
from tests.service.shop import children_of, until

pytestmark = pytest.mark.skipif(not can_fork(), reason="this system starts every child afresh")

SLEEPER = "tests.service.sleeper"


@asynccontextmanager
async def nursery_of(*, sleeps_s=60.0, until_ready=True):
    """A nursery that runs, and the end of all that came of it."""
    nursery = Nursery("nursery", "service.nursery", {"SLEEPS_S": str(sleeps_s)})
    nursery.start()
    try:
        if until_ready:
            await settled(lambda: nursery.is_ready)
        yield nursery
    finally:
        await nursery.stop()
        end(*nurseries(), *sleepers())


def end(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def threads_of(pid):
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def running(module):
    """Children that run a module; there may be others, of other tests."""
    return [pid for pid, command in children_of(os.getpid()).items() if module in command]


def nurseries():
    return running("service.nursery")


def sleepers():
    return running(SLEEPER)


async def settled(holds):
    """Once something holds; it is looked at in a thread, so that the loop goes on meanwhile."""
    await asyncio.to_thread(until, holds, 20)


async def asleep(process):
    """Once it has become what it was asked to be."""
    await settled(lambda: process.pid in sleepers())


def test_a_fork_is_a_child_of_who_asked_in_a_session_of_its_own_and_named_after_its_module():
    async def run():
        async with nursery_of() as nursery:
            process = await nursery.forked(SLEEPER)
            assert isinstance(process, Forked)
            await asleep(process)
            assert os.getsid(process.pid) == process.pid
            assert children_of(os.getpid())[process.pid].rstrip().endswith(f"-m {SLEEPER}")
            process.kill()
            assert await process.wait() == process.returncode == -signal.SIGKILL
            process.send_signal(signal.SIGTERM)  # it is known to have ended, so nobody else of that id is hit
            assert not sleepers()

    asyncio.run(run())


def test_the_nursery_has_one_thread_when_it_forks():
    async def run():
        async with nursery_of():
            [pid] = nurseries()
            assert threads_of(pid) == 1

    asyncio.run(run())


def test_the_exit_code_of_a_fork_is_known():
    async def run():
        async with nursery_of(sleeps_s=0.01) as nursery:
            process = await nursery.forked(SLEEPER)
            assert await process.wait() == 7

    asyncio.run(run())


def test_forks_outlive_the_nursery():
    async def run():
        async with nursery_of() as nursery:
            process = await nursery.forked(SLEEPER)
            await asleep(process)
            await nursery.stop()
            assert sleepers() == [process.pid]
            assert await nursery.forked(SLEEPER) is None

    asyncio.run(run())


def test_a_nursery_that_is_not_ready_has_nothing_to_fork():
    async def run():
        async with nursery_of(until_ready=False) as nursery:
            assert await nursery.forked(SLEEPER) is None

    asyncio.run(run())


def test_a_nursery_that_answers_nothing_is_replaced_and_leaves_no_late_fork(monkeypatch):
    monkeypatch.setattr(forked, "PATIENCE_S", 0.2)

    async def run():
        async with nursery_of() as nursery:
            [frozen] = nurseries()
            os.kill(frozen, signal.SIGSTOP)
            assert await nursery.forked(SLEEPER) is None
            await settled(lambda: nursery.is_ready)
            assert frozen not in children_of(os.getpid())
            assert not sleepers()
            process = await nursery.forked(SLEEPER)
            await asleep(process)

    asyncio.run(run())


def test_forks_asked_for_together_are_all_there():
    async def run():
        async with nursery_of() as nursery:
            processes = await asyncio.gather(*(nursery.forked(SLEEPER) for _ in range(5)))
            for process in processes:
                await asleep(process)
            assert len({process.pid for process in processes}) == 5

    asyncio.run(run())
