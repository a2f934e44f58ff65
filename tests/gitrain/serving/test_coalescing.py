import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvloop

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


@pytest.fixture(scope="module")
def beside():
    with ThreadPoolExecutor(1, thread_name_prefix="large") as executor:
        yield executor


@pytest.fixture
def coalescer(beside):
    def make(work, **options):
        return Coalescer(work, **{"large": 5, "max_waiting": 100, "max_large": 2, "beside": beside, **options})

    return make


def test_what_arrives_in_one_turn_is_worked_off_together(coalescer):
    work = Work()

    async def run():
        together = coalescer(work)
        return await asyncio.gather(*(together.submit(number, 1) for number in range(3)))

    assert asyncio.run(run()) == [0, 2, 4]
    assert work.calls == [[0, 1, 2]]


def test_one_alone_waits_for_nobody(coalescer):
    work = Work()

    async def run():
        together = coalescer(work)
        return [await together.submit(number, 1) for number in range(3)]

    assert asyncio.run(run()) == [0, 2, 4]
    assert work.calls == [[0], [1], [2]]


def test_a_call_has_a_bound_and_the_order_is_kept(coalescer):
    work = Work()

    async def run():
        together = coalescer(work)
        return await asyncio.gather(*(together.submit(number, 1 + number % 2) for number in range(9)))

    assert asyncio.run(run()) == [2 * number for number in range(9)]
    assert work.calls == [[0, 1, 2], [3, 4], [5, 6], [7, 8]]


def test_large_ones_hold_up_nobody(coalescer):
    large_may_end = threading.Event()
    calls = []

    def work(items):
        name = threading.current_thread().name.partition("_")[0]
        calls.append((list(items), name))
        if name == "large":
            assert large_may_end.wait(60)
        return [2 * item for item in items]

    async def run():
        together = coalescer(work)
        large = [asyncio.ensure_future(together.submit(number, 50)) for number in (100, 200)]
        small = await asyncio.gather(*(together.submit(number, 1) for number in range(3)))
        assert not any(future.done() for future in large)
        large_may_end.set()
        return small, await asyncio.gather(*large)

    assert asyncio.run(run()) == ([0, 2, 4], [200, 400])
    assert sorted(items for items, name in calls if name == "large") == [[100], [200]]
    assert ([0, 1, 2], threading.current_thread().name) in calls


def test_a_large_one_that_fails_makes_room_for_the_next(coalescer):
    async def run():
        together = coalescer(Work(failing=7), max_large=1)
        with pytest.raises(ValueError, match="7 fails"):
            await together.submit(7, 50)
        return await together.submit(8, 50)

    assert asyncio.run(run()) == 16


def test_more_than_may_wait_is_refused_and_the_rest_is_answered(coalescer):
    async def run():
        together = coalescer(Work(), max_waiting=3, max_large=1)
        waiting = [together.submit(number, 1) for number in range(3)]
        with pytest.raises(QueueFull):
            together.submit(3, 1)
        waiting.append(asyncio.ensure_future(together.submit(4, 9)))
        with pytest.raises(QueueFull):
            together.submit(5, 9)
        first = await asyncio.gather(*waiting)
        return first, await together.submit(6, 1)

    assert asyncio.run(run()) == ([0, 2, 4, 8], 12)


def test_a_failure_reaches_everyone_it_concerns_and_nobody_else(coalescer):
    async def run():
        together = coalescer(Work(failing=1))
        found = await asyncio.gather(*(together.submit(number, 1) for number in range(6)), return_exceptions=True)
        return found, await together.submit(7, 1)

    found, after = asyncio.run(run())
    assert [str(one) if isinstance(one, ValueError) else one for one in found] == ["1 fails"] * 4 + [8, 10]
    assert after == 14


def test_who_has_gone_is_no_trouble(coalescer):
    async def run():
        together = coalescer(Work())
        gone, stays = together.submit(1, 1), together.submit(2, 1)
        gone.cancel()
        return await stays

    assert asyncio.run(run()) == 4


def test_work_that_blocks_runs_beside_the_loop_and_gathers_what_comes_meanwhile(coalescer):
    release, started = threading.Event(), threading.Event()
    calls = []

    def work(items):
        calls.append((list(items), threading.current_thread().name))
        started.set()
        assert release.wait(60)
        return list(items)

    async def run():
        with ThreadPoolExecutor(1, thread_name_prefix="beside") as executor:
            together = coalescer(work, executor=executor)
            first = together.submit(1, 1)
            await asyncio.to_thread(started.wait, 60)
            rest = [together.submit(number, 1) for number in (2, 3)]
            await asyncio.sleep(0)
            release.set()
            return await asyncio.gather(first, *rest)

    assert asyncio.run(run()) == [1, 2, 3]
    assert [items for items, _ in calls] == [[1], [2, 3]]
    assert {name.partition("_")[0] for _, name in calls} == {"beside"}


def test_who_comes_by_a_new_connection_waits_for_one_call_and_not_for_all_before():
    """uvloop accepts one connection each time round: a call for each would be twenty calls, one after another."""
    work, begun, go_on = Work(), threading.Event(), threading.Event()

    def held(items):
        begun.set()
        assert go_on.wait(60)
        return work(items)

    class Doubled(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.answering = asyncio.ensure_future(self.answer(int(data)))

        async def answer(self, number):
            self.transport.write(str(await together.submit(number, 1)).encode())

    loop = uvloop.new_event_loop()
    with ThreadPoolExecutor(1) as executor:
        together = Coalescer(held, large=64, max_waiting=100, max_large=2, beside=executor)
        server: Any = loop.run_until_complete(loop.create_server(Doubled, "127.0.0.1", 0))
        [listening] = server.sockets
        address = listening.getsockname()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        users = []
        for number in range(21):
            users.append(socket.create_connection(address, timeout=60))
            users[-1].sendall(str(number).encode())
            # The loop stands in the first one's call until all others have come.
            assert begun.wait(60)
        go_on.set()
        answers = [int(user.recv(100)) for user in users]
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for user in users:
            user.close()
        server.close()
        loop.run_until_complete(server.wait_closed())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    assert answers == [2 * number for number in range(21)]
    assert work.calls == [[0], list(range(1, 21))]
