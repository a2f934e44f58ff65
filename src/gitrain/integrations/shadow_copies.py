"""Copies of answered requests, sent to another release by a thread: shadow mode, on the side that answers users.

Which release gets copies, and of how many requests, says a file that the thread looks at once a second: no service is
started anew for that. A request is handed over and forgotten: it never waits, for neither the thread nor the other
release, and what does not fit the bounded queue is counted and dropped.
"""

import contextlib
import http.client
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gitrain.documents import parse_json
from gitrain.errors import SettingsError
from gitrain.serving.shadow import COPY_HEADER, Compared, CopyOrder, CopyOutcome, compare_answers, judge_status

__all__ = ["ShadowCopies"]

_LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
_WAITING = 256
_MOST = 16 * 2**20


class _Copy(NamedTuple):
    request_id: str
    body: bytes
    answer: bytes


class ShadowCopies:
    """Sends copies.

    Args:
        orders: the file that says where to; while there is none, nothing is sent.
        release: the version that sends. All releases of an environment look at the file: who is named there sends none.
        observer: learns what became of each copy, and how the two answers compare where there are two.
        waiting: copies that may wait to be sent; more are dropped.
        answer_seconds: a copy without an answer by then has failed.
        look_seconds: between two looks at the file.
    """

    def __init__(
        self,
        orders: Path,
        observer: Callable[[CopyOutcome, Compared | None], None],
        *,
        release: str,
        waiting: int = _WAITING,
        answer_seconds: float = _ANSWER_SECONDS,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._orders = orders
        self._observer = observer
        self._release = release
        self._answer_seconds = answer_seconds
        self._look_seconds = look_seconds
        self._queue: queue.Queue[_Copy] = queue.Queue(waiting)
        self._order: CopyOrder | None = None
        self._seen: tuple[int, int] | None = None
        self._due = 0
        self._connection: http.client.HTTPConnection | None = None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._looking: threading.Thread | None = None

    def offer(self, request_id: str, body: bytes, answer: bytes) -> None:
        """Take over a request that has been answered; never waits. For one thread."""
        order = self._order
        if order is None:
            return
        # Evenly: of a fifth every fifth.
        self._due += order.percent
        if self._due < 100:
            return
        self._due -= 100
        try:
            self._queue.put_nowait(_Copy(request_id, body, answer))
        except queue.Full:
            self._observer("dropped", None)

    def start(self) -> None:
        """Start the threads: one sends, the other looks at the file."""
        self.look()
        self._thread = threading.Thread(target=self._send_all, name="shadow-copies", daemon=True)
        self._looking = threading.Thread(target=self._look_all, name="shadow-orders", daemon=True)
        self._thread.start()
        self._looking.start()

    def close(self) -> None:
        """End the threads; what waits is not sent any more."""
        self._order = None
        self._ending.set()
        for thread in (self._thread, self._looking):
            if thread is not None:
                thread.join()
        self._hang_up()

    def look(self) -> None:
        """Read the file if it is another one than before. A thread does this; nobody else has to."""
        try:
            status = os.stat(self._orders)
            seen = (status.st_ino, status.st_mtime_ns)
            if seen == self._seen:
                return
            order = parse_json(CopyOrder, self._orders.read_text(encoding="utf-8"), source=str(self._orders))
        except (OSError, UnicodeDecodeError, SettingsError):
            # Whoever writes it writes it whole; a file that says nothing asks for nothing.
            self._seen, self._order = None, None
            return
        self._seen, self._order = seen, order if order.release != self._release else None

    def _look_all(self) -> None:
        while not self._ending.wait(self._look_seconds):
            self.look()

    def _send_all(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(queue.Empty):
                copy = self._queue.get(timeout=0.2)
                order = self._order
                if order is not None:
                    self._observer(*self._send(copy, order))

    def _send(self, copy: _Copy, order: CopyOrder) -> tuple[CopyOutcome, Compared | None]:
        answered = self._asked(copy, order.port)
        outcome: CopyOutcome = "failed" if answered is None else judge_status(answered[0])
        if answered is None or outcome != "compared":
            return outcome, None
        compared = compare_answers(copy.answer, answered[1])
        return ("failed" if compared is None else "compared"), compared

    def _asked(self, copy: _Copy, port: int) -> tuple[int, bytes] | None:
        """Status and body of the answer to a copy; None if there was none, or too long a one."""
        headers = {"Content-Type": "application/json", "X-Request-Id": copy.request_id, COPY_HEADER: "1"}
        # A connection that was idle for a while may have been closed: that is no failure of the release.
        for again in (True, False):
            connection, used = self._connected(port)
            try:
                connection.request("POST", "/predict", copy.body, headers)
                response = connection.getresponse()
                answer = response.read(_MOST)
                if response.isclosed():
                    return response.status, answer
                self._hang_up()
                return None
            except (ConnectionError, http.client.RemoteDisconnected):
                self._hang_up()
                if not (used and again):
                    return None
            except (OSError, http.client.HTTPException):
                self._hang_up()
                return None
        return None

    def _connected(self, port: int) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it has been used before."""
        if self._connection is not None and self._connection.port != port:
            self._hang_up()
        if self._connection is not None:
            return self._connection, True
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=self._answer_seconds)
        return self._connection, False

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
