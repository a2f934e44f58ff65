"""One call for all that arrives in the same turn of the event loop.

A look-up and a model cost little more for sixteen rows than for one: most of the time goes into entering Polars and
ONNX Runtime. Under load many requests are ready when the loop comes round, and they are worked off together; an idle
service finds one, and works at once. Nothing waits for others to come: there is no timer. But what is there is taken in
first: uvloop accepts one connection each time round, so that whoever came by a new one would wait for as many calls as
there were new ones before.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Coalescer", "QueueFull"]

# So often the loop comes round from a connection that is accepted to the request that is read from it.
_ROUNDS = 2

Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFull(Exception):  # noqa: N818  (a state that callers answer to, as asyncio.QueueFull)
    """More is waiting than may wait."""


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    size: int
    future: "asyncio.Future[Result]"


class Coalescer(Generic[Item, Result]):
    """Works off small items together, in the order of their arrival, and large ones each by itself, beside the loop.

    A large item would hold up everybody for as long as it takes; in a thread of its own it shares the core with those
    who ask for little.

    Args:
        work: gives the results of some items, in their order. Whatever it raises is raised to each that waits.
        large: items of this size or more are large; the sizes of the small items of one call stay below it, added up.
        max_waiting: of the small items that wait, added up.
        max_large: large items that wait or are worked off.
        beside: works off large items: an executor with one thread.
        executor: where `work` may block (a store beyond the network): works off small items, one call at a time, and
            what arrives meanwhile is taken together by the next. None: the loop's own thread does.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        large: int,
        max_waiting: int,
        max_large: int,
        beside: Executor,
        executor: Executor | None = None,
    ) -> None:
        self._work = work
        self._large = large
        self._max_waiting = max_waiting
        self._max_large = max_large
        self._beside = beside
        self._executor = executor
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._waiting = 0
        self._running_large = 0
        self._scheduled = False
        self._quiet = 0
        # Of who waits; asking for it is a call of the system each time.
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, item: Item, size: int) -> Awaitable[Result]:
        """Have an item worked off.

        Raises:
            QueueFull: nothing was taken.
        """
        loop = self._loop
        if loop is None or not self._scheduled:
            loop = self._loop = asyncio.get_running_loop()
        if size >= self._large:
            if self._running_large >= self._max_large:
                raise QueueFull
            self._running_large += 1
            return self._alone(loop.run_in_executor(self._beside, self._work, [item]))
        if self._waiting + size > self._max_waiting:
            raise QueueFull
        # Not `_Waiting[Item, Result](...)`, which takes longer than all else here.
        waiting: _Waiting[Item, Result] = _Waiting(item, size, loop.create_future())
        self._queue.append(waiting)
        self._waiting += size
        self._quiet = 0
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._look_round, loop)
        return waiting.future

    async def _alone(self, call: "asyncio.Future[Sequence[Result]]") -> Result:
        try:
            return (await call)[0]
        finally:
            self._running_large -= 1

    def _look_round(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work once nothing has come for some rounds of the loop, or as much as one call takes."""
        if self._quiet < _ROUNDS and self._waiting < self._large:
            self._quiet += 1
            loop.call_soon(self._look_round, loop)
        else:
            self._turn(loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        taken = self._take()
        items = [waiting.item for waiting in taken]
        if self._executor is None:
            self._finish(taken, lambda: self._work(items))
            self._go_on(loop)
            return

        def ended(done: "asyncio.Future[Sequence[Result]]") -> None:
            self._finish(taken, done.result)
            self._go_on(loop)

        loop.run_in_executor(self._executor, self._work, items).add_done_callback(ended)

    def _take(self) -> list[_Waiting[Item, Result]]:
        taken: list[_Waiting[Item, Result]] = []
        size = 0
        while self._queue and size + self._queue[0].size < self._large:
            taken.append(self._queue.popleft())
            size += taken[-1].size
        self._waiting -= size
        return taken

    def _finish(self, taken: list[_Waiting[Item, Result]], results: Callable[[], Sequence[Result]]) -> None:
        try:
            for waiting, result in zip(taken, results(), strict=True):
                # Who waited may have gone.
                if not waiting.future.done():
                    waiting.future.set_result(result)
        except Exception as error:
            for waiting in taken:
                if not waiting.future.done():
                    waiting.future.set_exception(error)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = bool(self._queue)
        if self._scheduled:
            # Not at once: what has arrived meanwhile joins the next call, and answers go out in between.
            self._quiet = 0
            loop.call_soon(self._look_round, loop)
