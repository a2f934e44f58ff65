"""The HTTP side of a service: an ASGI application before BentoML's own.

BentoML's middlewares (tracing, metrics, access log, time-out) cost more than a prediction does. Requests for /predict,
/release, /docs.json and /metrics are answered before they get there; all others (/livez, /readyz, the page that shows
the API) are BentoML's.
"""

import asyncio
import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, Literal, Protocol

from gitrain.errors import GitrainError, IntegrationError
from gitrain.integrations.bentoml.limits import Limits
from gitrain.integrations.bentoml.metrics import ServiceMetrics
from gitrain.integrations.bentoml.one_write import in_one_write
from gitrain.serving.answering import Answer, Asked, Outcome
from gitrain.serving.coalescing import Coalescer, QueueFull
from gitrain.serving.log_records import PredictedRows
from gitrain.serving.opened import OpenedService, ServiceObserver
from gitrain.serving.requests import Problem, Rejection
from gitrain.serving.shadow import COPY_HEADER, Compared, CopyOutcome

__all__ = ["Application", "AsgiApp"]

_Scope = MutableMapping[str, Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
#: An ASGI application.
AsgiApp = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_logger = logging.getLogger("gitrain.service")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_COPY = COPY_HEADER.lower().encode()
_JSON = re.compile(rb"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)


class Application:
    """One worker's application.

    Args:
        open_service: opens everything, given who learns what the service does; called when the worker starts, and
            again while that fails, at most every five seconds, when somebody asks whether the service is ready.
        metrics: of the worker.
        document: gives the OpenAPI description; called once.
        limits: what the worker takes on.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        open_service: Callable[[ServiceObserver], OpenedService],
        metrics: ServiceMetrics,
        document: Callable[[], dict[str, Any]],
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._open_service = open_service
        self._make_document = document
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._opened: OpenedService | None = None
        self._coalescer: Coalescer[Asked, Outcome] | None = None
        self._copy: Callable[[str, bytes, bytes], None] | None = None
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="large-requests")
        self._executor: ThreadPoolExecutor | None = None
        self._failure = "the service is starting"
        self._tried = 0.0
        self._checked = (float("-inf"), False)
        self._bodies = 0
        self._max_bytes = 0
        self._document: bytes | None = None
        self._said: dict[str, float] = {}
        self._ids = count()
        # Unguessable and unique, and still cheaper than a random number a request.
        self._id_prefix = secrets.token_hex(8)

    # --- the worker's life ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open model, store and log. What fails is said in the log and by /readyz: dying would mend nothing."""
        self._tried = self._clock()
        try:
            opened = self._open_service(_Observer(self._metrics, self._say))
        except GitrainError as error:
            self._failure = "the service could not be opened"
            self._say("open", "not ready: %s", error)
            self._metrics.ready(False)
            return
        if opened.remote:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="predictions")
        self._max_bytes = opened.schema.max_bytes
        self._coalescer = Coalescer(
            opened.answering.answer,
            large=self._limits.large,
            max_waiting=self._limits.waiting_rows,
            max_large=self._limits.large_requests,
            beside=self._beside,
            executor=self._executor,
        )
        self._opened, self._copy = opened, opened.copy

    async def ready(self) -> bool:
        """Whether predictions can be made: the model answered its known rows, and the store answers now."""
        loop = asyncio.get_running_loop()
        if self._opened is None and self._clock() - self._tried >= 5:
            # Before the thread says so itself: another probe may ask meanwhile.
            self._tried = self._clock()
            await loop.run_in_executor(None, self.open)
        if self._opened is None:
            return False
        when, answer = self._checked
        # Many may ask; the store is asked once a second.
        if self._clock() - when >= 1:
            # A local store is asked where predictions ask it: another thread would be another connection.
            check = self._opened.check
            reason = check() if self._executor is None else await loop.run_in_executor(self._executor, check)
            answer = reason is None
            self._checked = (self._clock(), answer)
            self._metrics.ready(answer)
            if reason is not None:
                self._say("ready", "not ready: %s", reason)
        return answer

    def close(self) -> None:
        """End what runs on its own; all requests have been answered."""
        self._beside.shutdown()
        if self._executor is not None:
            self._executor.shutdown()
        if self._opened is not None:
            self._opened.close()
        self._metrics.close()

    # --- requests ---------------------------------------------------------------------------------------------------

    def before(self, behind: AsgiApp) -> AsgiApp:
        """The application that answers its own paths, and hands all others on."""
        routes = {
            "/predict": self._predict,
            "/release": self._release,
            "/docs.json": self._docs,
            "/metrics": self._numbers,
        }

        async def application(scope: _Scope, receive: _Receive, send: _Send) -> None:
            route = routes.get(scope["path"]) if scope["type"] == "http" else None
            await (behind if route is None else route)(scope, receive, send)

        return application

    async def _predict(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        arrived = self._clock()
        request_id, refusal = self._look_at_head(scope)
        asked, copy = b"", False
        if refusal is None:
            try:
                asked = await self._body(receive)
                copy = self._copy is not None and any(name == _COPY for name, _ in scope["headers"])
                status, body = await self._answer(request_id, asked, copy)
            except _Refused as refused:
                status, body = refused.status, _problems(request_id, refused.problems)
            except _Gone:
                return
        else:
            status, body = refusal.status, _problems(request_id, refusal.problems)
        await _send(send, status, body, request_id)
        self._metrics.answered(status, self._clock() - arrived)
        # Last: the user has the answer by now.
        if self._copy is not None and status == 200 and not copy:
            self._copy(request_id, asked, body)

    def _look_at_head(self, scope: _Scope) -> "tuple[str, _Refused | None]":
        request_id = content_type = length = encoding = None
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                request_id = value
            elif name == b"content-type":
                content_type = value
            elif name == b"content-length":
                length = value
            elif name == b"content-encoding":
                encoding = value
        if request_id is not None and _REQUEST_ID.fullmatch(request_id):
            named = request_id.decode("ascii")
        else:
            named = f"{self._id_prefix}-{next(self._ids):x}"
        if scope["method"] != "POST":
            return named, _refused(405, "", "use POST", scope["method"])
        if self._opened is None:
            return named, _refused(503, "", self._failure)
        if content_type is not None and content_type != b"application/json" and not _JSON.fullmatch(content_type):
            return named, _refused(415, "content-type", "a request is JSON: application/json", _shown(content_type))
        if encoding is not None and encoding.lower() != b"identity":
            return named, _refused(415, "content-encoding", "a request is not compressed", _shown(encoding))
        # The parser of HTTP has refused what is no number; what comes in chunks has none.
        if length is not None and int(length) > self._max_bytes:
            return named, self._too_large()
        return named, None

    async def _body(self, receive: _Receive) -> bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        if not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            return body
        if self._bodies >= self._limits.bodies:
            raise _busy()
        self._bodies += 1
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await self._rest_of_body(bytearray(message.get("body", b"")), receive)
        except TimeoutError:
            raise _refused(408, "", f"the body did not arrive within {self._limits.body_seconds:g} seconds") from None
        finally:
            self._bodies -= 1

    async def _rest_of_body(self, body: bytearray, receive: _Receive) -> bytes:
        while True:
            if len(body) > self._max_bytes:
                raise self._too_large()
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            body += message.get("body", b"")
            if not message.get("more_body", False):
                if len(body) > self._max_bytes:
                    raise self._too_large()
                return bytes(body)

    def _too_large(self) -> "_Refused":
        return _refused(413, "", f"a body has at most {self._max_bytes:,} bytes")

    async def _answer(self, request_id: str, body: bytes, copy: bool) -> tuple[int, bytes]:
        opened, coalescer = self._opened, self._coalescer
        if opened is None or coalescer is None:
            raise _refused(503, "", self._failure)
        rows = opened.schema.parse(body)
        if isinstance(rows, Rejection):
            return rows.status, _problems(request_id, rows.problems)
        try:
            outcome = await coalescer.submit(Asked(request_id, rows, copy), len(rows))
        except QueueFull:
            raise _busy() from None
        match outcome:
            case Answer():
                return 200, outcome.body
            case Rejection():
                return outcome.status, _problems(request_id, outcome.problems)
            case IntegrationError():
                self._checked = (float("-inf"), False)
                self._say("store", "requests are answered with 503: %s", outcome)
                raise _refused(503, "", "the feature store cannot be reached")
            case _:
                self._say("failure", "a request failed (id %s): %s", request_id, outcome, exc_info=outcome)
                raise _refused(500, "", "the prediction failed; the service's log says why")

    async def _release(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        request_id, _ = self._look_at_head(scope)
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, _problems(request_id, (_problem("use GET", scope["method"]),)), request_id, b"GET")
        elif self._opened is None:
            await _send(send, 503, _problems(request_id, (_problem(self._failure),)), request_id)
        else:
            await _send(send, 200, json.dumps(dict(self._opened.describe())).encode(), request_id)

    async def _docs(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        request_id, _ = self._look_at_head(scope)
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, _problems(request_id, (_problem("use GET", scope["method"]),)), request_id, b"GET")
            return
        if self._document is None:
            self._document = json.dumps(self._make_document()).encode()
        await _send(send, 200, self._document, request_id)

    async def _numbers(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        request_id, _ = self._look_at_head(scope)
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, _problems(request_id, (_problem("use GET", scope["method"]),)), request_id, b"GET")
            return
        # It reads the files of all workers: milliseconds that predictions need not wait for.
        text, media_type = await asyncio.get_running_loop().run_in_executor(None, self._metrics.text)
        await _send(send, 200, text, request_id, media_type=media_type)

    def _say(self, kind: str, message: str, *values: object, exc_info: BaseException | None = None) -> None:
        """Once a minute for each kind: what fails for one request fails for thousands."""
        now = self._clock()
        if now - self._said.get(kind, float("-inf")) >= 60:
            self._said[kind] = now
            _logger.error(message, *values, exc_info=exc_info)


class _Say(Protocol):
    def __call__(self, kind: str, message: str, *values: object) -> None:
        """Write into the service's log, now and then."""


@dataclass(frozen=True)
class _Observer:
    """Counts what happens, and says what fails."""

    metrics: ServiceMetrics
    say: _Say

    def predicted(self, rows: PredictedRows, newest: Mapping[str, datetime | None]) -> None:
        self.metrics.predicted(rows, newest)

    def written(self, rows: int) -> None:
        self.metrics.written(rows)

    def dropped(self, rows: int, reason: Literal["full", "error"]) -> None:
        self.metrics.dropped(rows, reason)
        self.say(f"log {reason}", "%d predictions are missing in the prediction log (%s)", rows, reason)

    def failed(self, error: Exception) -> None:
        self.say("log", "the prediction log, or a copy of it, cannot be written: %s", error)

    def opened(self, *, seconds: float, labels: Mapping[str, str]) -> None:
        self.metrics.opened(seconds=seconds, labels=labels)

    def copied(self, outcome: CopyOutcome, compared: Compared | None) -> None:
        self.metrics.copied(outcome, compared)


class _Gone(Exception):  # noqa: N818  (nobody is there to be told)
    """The client has left."""


class _Refused(Exception):  # noqa: N818  (an answer, not an error)
    def __init__(self, status: int, problems: tuple[Problem, ...]) -> None:
        super().__init__(status)
        self.status = status
        self.problems = problems


def _refused(status: int, field: str, reason: str, value: str | None = None) -> _Refused:
    return _Refused(status, (Problem(field=field, reason=reason, value=value),))


def _busy() -> _Refused:
    return _refused(429, "", "the service has as much to do as it takes on; try again in a second")


def _problem(reason: str, value: str | None = None) -> Problem:
    return Problem(field="", reason=reason, value=value)


def _problems(request_id: str, problems: Iterable[Problem]) -> bytes:
    told = [{"field": each.field, "reason": each.reason, "value": each.value} for each in problems]
    return json.dumps({"request_id": request_id, "problems": told}).encode()


def _shown(value: bytes) -> str:
    return value[:80].decode("latin-1")


_REASONS: dict[int, list[tuple[bytes, bytes]]] = {
    405: [(b"allow", b"POST")],
    # What follows on the connection may be the rest of a body that nobody reads.
    408: [(b"connection", b"close")],
    413: [(b"connection", b"close")],
    429: [(b"retry-after", b"1")],
    503: [(b"retry-after", b"1")],
}


async def _send(
    send: _Send,
    status: int,
    body: bytes,
    request_id: str,
    allow: bytes | None = None,
    media_type: str = "application/json",
) -> None:
    headers = [
        (b"content-type", media_type.encode("ascii")),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode("ascii")),
    ]
    if status != 200:
        headers += _REASONS.get(status, []) if allow is None else [(b"allow", allow)]
    with in_one_write(send):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
