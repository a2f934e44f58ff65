import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gitrain.serving.coalescing import Coalescer, QueueFull


class Work:
    """Doubles numbers, and remembers which came together."""

    def __init__(self, failing=None):
        self.calls = []
        self.failing = failing

    def __call__(self, items):
        self.calls.append(list(items))
        if self.failing in items:
            raise ValueError(f"{self.failing} fails")
        return [2 * item for item in items]


def coalescer(work, **options):
    return Coalescer(work, **{"max_size": 4, "large": 4, "max_waiting": 100, "max_large": 2, **options})


def test_what_arrives_in_one_turn_is_worked_off_together():
    work = Work()

    async def run():
        together = coalescer(work)
        return await asyncio.gather(*(together.submit(number, 1) for number in range(3)))

    assert asyncio.run(run()) == [0, 2, 4]
    assert work.calls == [[0, 1, 2]]


def test_one_alone_waits_for_nobody():
    work = Work()

    async def run():
        together = coalescer(work)
        return [await together.submit(number, 1) for number in range(3)]

    assert asyncio.run(run()) == [0, 2, 4]
    assert work.calls == [[0], [1], [2]]


def test_a_call_has_a_bound_and_the_order_is_kept():
    work = Work()

    async def run():
        together = coalescer(work)
        return await asyncio.gather(*(together.submit(number, 1 + number % 2) for number in range(9)))

    assert asyncio.run(run()) == [2 * number for number in range(9)]
    assert work.calls == [[0, 1, 2], [3, 4], [5, 6], [7, 8]]


def test_a_large_one_neither_holds_up_the_small_nor_starves():
    work = Work()

    async def run():
        together = coalescer(work)
        large = [together.submit(number, 50) for number in (100, 200)]
        small = [together.submit(number, 1) for number in range(6)]
        return await asyncio.gather(*large, *small)

    asyncio.run(run())
    assert work.calls == [[0, 1, 2, 3, 100], [4, 5, 200]]


def test_more_than_may_wait_is_refused_and_the_rest_is_answered():
    async def run():
        together = coalescer(Work(), max_waiting=3, max_large=1)
        waiting = [together.submit(number, 1) for number in range(3)]
        with pytest.raises(QueueFull):
            together.submit(3, 1)
        waiting.append(together.submit(4, 9))
        with pytest.raises(QueueFull):
            together.submit(5, 9)
        first = await asyncio.gather(*waiting)
        return first, await together.submit(6, 1)

    assert asyncio.run(run()) == ([0, 2, 4, 8], 12)


def test_a_failure_reaches_everyone_it_concerns_and_nobody_else():
    async def run():
        together = coalescer(Work(failing=1))
        found = await asyncio.gather(*(together.submit(number, 1) for number in range(6)), return_exceptions=True)
        return found, await together.submit(7, 1)

    found, after = asyncio.run(run())
    assert [str(one) if isinstance(one, ValueError) else one for one in found] == ["1 fails"] * 4 + [8, 10]
    assert after == 14


def test_who_has_gone_is_no_trouble():
    async def run():
        together = coalescer(Work())
        gone, stays = together.submit(1, 1), together.submit(2, 1)
        gone.cancel()
        return await stays

    assert asyncio.run(run()) == 4


def test_work_that_blocks_runs_beside_the_loop_and_gathers_what_comes_meanwhile():
    release, started = threading.Event(), threading.Event()
    calls = []

    def work(items):
        calls.append((list(items), threading.current_thread().name))
        started.set()
        assert release.wait(30)
        return list(items)

    async def run():
        with ThreadPoolExecutor(1, thread_name_prefix="beside") as executor:
            together = coalescer(work, executor=executor)
            first = together.submit(1, 1)
            await asyncio.to_thread(started.wait, 30)
            rest = [together.submit(number, 1) for number in (2, 3)]
            await asyncio.sleep(0)
            release.set()
            return await asyncio.gather(first, *rest)

    assert asyncio.run(run()) == [1, 2, 3]
    assert [items for items, _ in calls] == [[1], [2, 3]]
    assert {name.partition("_")[0] for _, name in calls} == {"beside"}
