"""One call for all that arrives in the same turn of the event loop.

A look-up and a model cost little more for sixteen rows than for one: most of the time goes into entering Polars and
ONNX Runtime. Under load many requests are ready when the loop comes round, and they are worked off together; an idle
service finds one, and works at once. Nothing waits for others to come: there is no timer, and no latency is added.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Coalescer", "QueueFull"]

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
    """Works off items together.

    Small items are taken in the order of their arrival; of the large ones each call takes one, so that who asks for
    much holds up those who ask for little by one call at most, and is not held up for ever either.

    Args:
        work: gives the results of some items, in their order. Whatever it raises is raised to each that waits.
        max_size: of the small items of one call, added up.
        large: items of this size or more are large; at most `max_size`.
        max_waiting: of the small items that wait, added up.
        max_large: large items that wait.
        executor: where `work` may block (a store beyond the network): runs it, one call at a time, and what arrives
            meanwhile is taken together by the next. None: in the loop's own thread.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        max_size: int,
        large: int,
        max_waiting: int,
        max_large: int,
        executor: Executor | None = None,
    ) -> None:
        self._work = work
        self._max_size = max_size
        self._large = large
        self._max_waiting = max_waiting
        self._max_large = max_large
        self._executor = executor
        self._small: deque[_Waiting[Item, Result]] = deque()
        self._big: deque[_Waiting[Item, Result]] = deque()
        self._waiting = 0
        self._scheduled = False

    def submit(self, item: Item, size: int) -> Awaitable[Result]:
        """Have an item worked off with whatever else is there.

        Raises:
            QueueFull: nothing was taken.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting[Item, Result](item, size, loop.create_future())
        if size >= self._large:
            if len(self._big) >= self._max_large:
                raise QueueFull
            self._big.append(waiting)
        else:
            if self._waiting + size > self._max_waiting:
                raise QueueFull
            self._small.append(waiting)
            self._waiting += size
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._turn)
        return waiting.future

    def _turn(self) -> None:
        taken = self._take()
        if self._executor is None:
            self._finish(taken, lambda: self._work([waiting.item for waiting in taken]))
            self._go_on()
            return
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._executor, self._work, [waiting.item for waiting in taken])

        def ended(done: "asyncio.Future[Sequence[Result]]") -> None:
            self._finish(taken, done.result)
            self._go_on()

        call.add_done_callback(ended)

    def _take(self) -> list[_Waiting[Item, Result]]:
        taken: list[_Waiting[Item, Result]] = []
        size = 0
        while self._small and (not taken or size + self._small[0].size <= self._max_size):
            taken.append(self._small.popleft())
            size += taken[-1].size
        self._waiting -= size
        if self._big:
            taken.append(self._big.popleft())
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

    def _go_on(self) -> None:
        self._scheduled = bool(self._small or self._big)
        if self._scheduled:
            # Not at once: what has arrived meanwhile joins the next call, and answers go out in between.
            asyncio.get_running_loop().call_soon(self._turn)
