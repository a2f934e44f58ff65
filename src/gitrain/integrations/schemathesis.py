"""Schemathesis: requests made up from a service's own OpenAPI document, as a child process.

It changes settings of the whole process when it is imported and leaves files where it is run: a process and a folder of
its own keep both away. What it did is read from the events that it writes, one JSON object a line.
"""

import base64
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gitrain.errors import IntegrationError
from gitrain.probes.fuzzing import Finding, FindingKind, FuzzedRequest, FuzzingRun

__all__ = ["Schemathesis", "read_events"]

_CHECKS: Mapping[str, FindingKind] = {
    "not_a_server_error": "server-error",
    "status_code_conformance": "undescribed",
    "content_type_conformance": "undescribed",
    "response_schema_conformance": "undescribed",
    "unsupported_method": "undescribed",
    "negative_data_rejection": "accepted",
}
# 1 says that checks failed, which is what we read its events for.
_DONE = (0, 1)
_EVENTS, _LOG = "events.ndjson", "log"
_BETWEEN, _TELLING = 0.2, 10.0
# Requests of one process, and how far the seeds of two are apart.
_SLICE, _APART = 1000, 1_000_003
_LONGEST = 300
# What the library for HTTP calls an answer that did not come.
_NETWORK = frozenset({"ChunkedEncodingError", "ConnectTimeout", "ConnectionError", "ReadTimeout", "RemoteDisconnected"})
# Far more than any service takes for a request; what takes longer than all of them together has stopped.
_START_SECONDS, _REQUEST_SECONDS = 60.0, 0.5


@dataclass(frozen=True, kw_only=True)
class Schemathesis:
    """A `Fuzzer`.

    Attributes:
        processes: how many of its processes run at the same time; what is asked does not depend on it.
        timeout: seconds for one request.
        clock: seconds that only grow.
        sleep: waits.
    """

    processes: int = 2
    timeout: float = 10.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self, url: str, *, requests: int, seed: int, progress: Callable[[str], None]) -> FuzzingRun:
        """Send about so many requests to each operation that takes input, and compare the answers.

        Many are sent in slices, each by a process and with a seed of its own: what a process remembers of the requests
        that it has made grows, and slows it down. The edges of the fields are tried by the first slice alone.
        """
        if importlib.util.find_spec("schemathesis") is None:
            raise IntegrationError("Schemathesis is not installed", fix="install gitrain[probes].")
        count = -(-requests // _SLICE)
        with tempfile.TemporaryDirectory(prefix="gitrain-fuzzing-") as folder:
            slices = [
                _Slice(
                    place=Path(folder) / str(number),
                    # They differ by one at most.
                    requests=requests // count + (number < requests % count),
                    seed=seed + number * _APART,
                    phases="coverage,fuzzing" if number == 0 else "fuzzing",
                )
                for number in range(count)
            ]
            start = self.clock()
            self._run(slices, url, progress)
            return read_events((_lines(each.place / _EVENTS) for each in slices), seconds=self.clock() - start)

    def _run(self, slices: Sequence["_Slice"], url: str, progress: Callable[[str], None]) -> None:
        left = list(reversed(slices))
        running: list[tuple[_Slice, subprocess.Popen[bytes], float]] = []
        start = told = self.clock()
        try:
            while left or running:
                while left and len(running) < self.processes:
                    following = left.pop()
                    running.append((following, following.start(url, timeout=self.timeout), self.clock()))
                self.sleep(_BETWEEN)
                now = self.clock()
                for entry in list(running):
                    each, child, since = entry
                    if child.poll() is not None:
                        each.check(child.returncode)
                        running.remove(entry)
                    elif now - since > _START_SECONDS + each.requests * _REQUEST_SECONDS:
                        raise IntegrationError(
                            f"{url} does not answer fast enough to be asked {each.requests:,} requests",
                            fix="look at its log, or ask fewer.",
                        )
                if now - told >= _TELLING:
                    told = now
                    done = sum(each.requests for each in slices[: len(slices) - len(left) - len(running)])
                    progress(f"contract: asking since {now - start:.0f} s, about {done:,} requests are done")
        finally:
            for _, child, _ in running:
                child.kill()
                child.wait()


@dataclass(frozen=True, kw_only=True)
class _Slice:
    """What one process of Schemathesis asks, in a folder of its own."""

    place: Path
    requests: int
    seed: int
    phases: str

    def start(self, url: str, *, timeout: float) -> "subprocess.Popen[bytes]":
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/docs.json", "--url", url),
            *("--phases", self.phases, "--checks", ",".join(_CHECKS), "--mode", "all"),
            *("--max-examples", str(self.requests), "--seed", str(self.seed), "--continue-on-failure"),
            *("--workers", "1", "--request-timeout", str(timeout)),
            *("--suppress-health-check", "all", "--warnings", "off", "--no-color"),
            *("--report", "ndjson", "--report-ndjson-path", _EVENTS),
        ]
        # A proxy for the world outside must not be asked for this machine.
        host = urlsplit(url).hostname or ""
        environment = os.environ | {"NO_PROXY": host, "no_proxy": host, "PYTHONWARNINGS": "ignore"}
        self.place.mkdir()
        with (self.place / _LOG).open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.place,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def check(self, code: int) -> None:
        """Whether the process came to its end."""
        if code not in _DONE or not (self.place / _EVENTS).exists():
            raise IntegrationError(
                f"Schemathesis ended with {code}: {_tail(self.place / _LOG)}",
                fix="look at the service's /docs.json: it has to be an OpenAPI document.",
            )


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as stream:
        yield from stream


@dataclass
class _Seen:
    """What was seen so far."""

    requests: int = 0
    valid: int = 0
    accepted: int = 0
    with_body: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    operations: dict[str, None] = field(default_factory=dict)
    findings: dict[tuple[str, FindingKind, str], Finding] = field(default_factory=dict)
    finished: int = 0


def read_events(runs: Iterable[Iterable[str]], *, seconds: float) -> FuzzingRun:
    """What some processes did, from their events.

    Args:
        runs: the lines of each, one event a line.
        seconds: how long it took.

    Raises:
        IntegrationError: the events are of another version of Schemathesis, or tell of an error of its own.
    """
    seen, count = _Seen(), 0
    for count, lines in enumerate(runs, start=1):  # noqa: B007  (how many there were)
        _read(lines, seen)
    return FuzzingRun(
        requests=seen.requests,
        valid=seen.valid,
        accepted=(seen.accepted, seen.with_body),
        statuses=seen.statuses,
        findings=tuple(sorted(seen.findings.values(), key=lambda each: (each.kind, each.operation, each.title))),
        operations=tuple(seen.operations),
        seconds=seconds,
        finished=seen.finished == count,
    )


def _read(lines: Iterable[str], seen: _Seen) -> None:
    for line in lines:
        try:
            event = dict(json.loads(line))
            if "ScenarioFinished" in event:
                _scenario(event["ScenarioFinished"]["recorder"], seen)
            elif "NonFatalError" in event and event["NonFatalError"]["value"]["type"] in _NETWORK:
                _lost(event["NonFatalError"], seen)
            elif "NonFatalError" in event or "FatalError" in event:
                raise IntegrationError(
                    f"Schemathesis could not go on: {line[:_LONGEST]}", fix="look at the service's /docs.json."
                )
            elif "EngineFinished" in event:
                seen.finished += event["EngineFinished"].get("stop_reason") in {None, "completed"}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrationError(
                f"an event of Schemathesis cannot be read ({error}): {line[:_LONGEST]}",
                fix="use the version in requirements.lock.",
            ) from error


def _scenario(recorder: Mapping[str, Any], seen: _Seen) -> None:
    seen.operations[str(recorder["label"])] = None
    for number, interaction in recorder["interactions"].items():
        answer = interaction.get("response")
        status = int(answer["status_code"]) if answer else 0
        case = recorder["cases"][number]["value"]
        seen.requests += 1
        seen.statuses[status] += 1
        if case["meta"]["generation"]["mode"] == "positive":
            seen.valid += 1
            if "body" in case:
                seen.with_body += 1
                seen.accepted += 200 <= status < 300
        request = _request(interaction["request"])
        for check in recorder["checks"].get(number, ()):
            if check["status"] != "success" and not _allowed(check, case, status):
                _note(check, request, status or None, str(recorder["label"]), seen)
        if answer is None:
            failure = {"title": "No answer", "message": "the connection broke, or nothing arrived in time"}
            check = {"name": "not_a_server_error", "failure_info": {"failure": failure}}
            _note(check, request, None, str(recorder["label"]), seen)


def _allowed(check: Mapping[str, Any], case: Mapping[str, Any], status: int) -> bool:
    """What Schemathesis calls bad input that was accepted, and is not.

    A refusal may have any 4xx, 413 for too many rows too; and who is sent a header in another form than described may
    pass it over, as HTTP says of headers that are not understood.
    """
    if _CHECKS[check["name"]] != "accepted":
        return False
    wrong = {name for name, part in case["meta"].get("components", {}).items() if part["mode"] == "negative"}
    return status >= 400 or (bool(wrong) and wrong <= {"header", "cookie"})


def _lost(event: Mapping[str, Any], seen: _Seen) -> None:
    """An operation that was given up, since requests to it got no answer."""
    operation = str(event["label"])
    method, _, path = operation.partition(" ")
    failure = {"title": "No answer", "message": str(event["value"].get("message", ""))}
    check = {"name": "not_a_server_error", "failure_info": {"failure": failure}}
    _note(check, FuzzedRequest(method=method, url=path), None, operation, seen)


def _note(check: Mapping[str, Any], request: FuzzedRequest, status: int | None, operation: str, seen: _Seen) -> None:
    failure = check["failure_info"]["failure"]
    kind, title = _CHECKS[check["name"]], str(failure["title"])
    known = seen.findings.get((operation, kind, title))
    if known is not None and _size(known.request) <= _size(request):
        smallest = known
    else:
        details = " ".join(str(failure.get("message", "")).split())[:_LONGEST]
        smallest = Finding(
            kind=kind, title=title, operation=operation, details=details, status=status, count=0, request=request
        )
    count = (known.count if known is not None else 0) + 1
    seen.findings[operation, kind, title] = Finding(**{**vars(smallest), "count": count})


def _size(request: FuzzedRequest) -> tuple[int, int]:
    return len(request.body or b""), len(request.url)


def _request(request: Mapping[str, Any]) -> FuzzedRequest:
    headers = {str(name).lower(): str(values[0]) for name, values in request["headers"].items() if values}
    body = request.get("body")
    if isinstance(body, Mapping):
        content: bytes | None = base64.b64decode(body["$base64"])
    else:
        content = body.encode() if isinstance(body, str) else None
    kept = {"content-type"}
    return FuzzedRequest(
        method=str(request["method"]),
        url=str(request["uri"]),
        headers={name: value for name, value in headers.items() if name in kept},
        body=content,
    )


def _tail(log: Path, lines: int = 12) -> str:
    text: Sequence[str] = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else ()
    return " ".join(" ".join(text[-lines:]).split())[-_LONGEST:]
