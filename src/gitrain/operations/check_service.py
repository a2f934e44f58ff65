"""Start a release as it will be started, within what an environment declares, and ask it everything."""

import contextlib
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.checks.service import (
    CHECKS,
    CONTRACT,
    CORRECT,
    DRAINS,
    LOAD,
    STARTS,
    judge_drain,
    judge_fits,
    judge_identity,
    judge_memory,
    judge_model_loads,
    judge_starts,
    summed_up,
    without_service,
)
from gitrain.environments.document import LoadProbe, Runtime
from gitrain.errors import IntegrationError
from gitrain.operations.probe_contract import probe_contract
from gitrain.operations.probe_load import probe_load
from gitrain.operations.probe_smoke import find_table, wait_until_ready
from gitrain.probes.arrivals import arrival_times
from gitrain.probes.client import LoadGenerator, ServiceClient
from gitrain.probes.fuzzing import Fuzzer
from gitrain.probes.hostile import HostileSender, slow_request
from gitrain.probes.load import LoadSamples
from gitrain.probes.payloads import Payload, body_of, payloads_of, predictions_in
from gitrain.probes.smoke_verdicts import judge_known, read_known
from gitrain.probes.started import ServedRelease, ServiceStarter, StartedService
from gitrain.serving.known_answers import request_rows
from gitrain.serving.manifest import KnownAnswers
from gitrain.verdicts import Outcome, Verdict

__all__ = ["HttpScorer", "ServiceTools", "check_service", "compare_known", "drained", "sent_before"]

_JSON = {"content-type": "application/json"}
# Requests go on for so long before the service is told to stop and until so many have their answers, and then for so
# long. What is waited for may take so long, and the whole so long: more requests are not due.
_BEFORE, _ENOUGH, _AFTER = 0.6, 5, 0.6
_PATIENCE, _LONGEST, _LOOKING = 15.0, 60.0, 0.01
# Where a service has several processes, another one than has the request may have answered what was asked after it.
_CROSSING = 0.005


@dataclass(frozen=True, kw_only=True)
class ServiceTools:
    """What the checks of a service are given.

    Attributes:
        release: what is started.
        runtime: what the environment declares.
        load: the load that it has to stand.
        requests: how many are made up, about.
        seed: of all that is random.
        known: rows and their answers.
        compare: asks the service for scores that were judged; by default the known rows.
        starter: starts the release.
        open_variables: gives the variables of its environment: a store that holds its features, until the context ends.
        open_client: gives what sends single requests to an address.
        generator: makes the load.
        fuzzer: makes requests up.
        sender: sends bytes as they are.
        clock: seconds that only grow, the clock of the starter and the generator too.
        sleep: waits.
        progress: is told what goes on.
    """

    release: ServedRelease
    runtime: Runtime
    load: LoadProbe
    requests: int
    seed: int
    known: KnownAnswers
    compare: Callable[[ServiceClient], Verdict] | None
    starter: ServiceStarter
    open_variables: Callable[[], contextlib.AbstractContextManager[Mapping[str, str]]]
    open_client: Callable[[str], ServiceClient]
    generator: LoadGenerator
    fuzzer: Fuzzer
    sender: HostileSender
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    progress: Callable[[str], None]


def check_service(tools: ServiceTools) -> list[Verdict]:
    """The verdicts on a release, in the order of `gitrain.checks.service.CHECKS`.

    Raises:
        IntegrationError: the program cannot be started, or a probe itself broke.
        GitrainError: the store cannot be filled.
    """
    runtime = tools.runtime
    with (
        tools.open_variables() as variables,
        tools.starter.start(tools.release, runtime.resources, variables) as service,
    ):
        tools.progress(f"service: starting {tools.release.name} at {service.url}")
        client = tools.open_client(service.url)
        ready, said = wait_until_ready(
            client, runtime.start_seconds, clock=tools.clock, sleep=tools.sleep, gone=service.gone
        )
        seconds = tools.clock() - service.started
        if ready is None or seconds > runtime.start_seconds:
            log = service.log()
            started = judge_starts(None, runtime.start_seconds, said=f"{said}{f'; its log: {log}' if log else ''}")
            others = [definition.name for definition in CHECKS if definition.name != STARTS]
            return [started, *without_service(others, "there is no service to ask")]
        tools.progress(f"service: ready after {seconds:.1f} s")
        return _asked(tools, service, client, judge_starts(seconds, runtime.start_seconds, said=said))


def _asked(tools: ServiceTools, service: StartedService, client: ServiceClient, started: Verdict) -> list[Verdict]:
    runtime, built = tools.runtime, tools.release.built_for
    facts = _facts(client)
    verdicts = [
        started,
        judge_identity(facts, tools.release.facts),
        judge_fits(facts, built.python, built.machine, built.libraries),
        judge_model_loads(facts, runtime.load_seconds),
    ]
    contract = probe_contract(
        client,
        tools.fuzzer,
        tools.sender,
        tools.known,
        requests=tools.requests,
        seed=tools.seed,
        progress=tools.progress,
    )
    verdicts += [summed_up(CONTRACT, contract), _correct(tools, client)]
    try:
        payloads = payloads_of(tools.known, find_table(client))
    except IntegrationError as error:
        return [*verdicts, *without_service([each.name for each in CHECKS[len(verdicts) :]], error.what)]
    load = probe_load(tools.generator, service.url, payloads, tools.load, seed=tools.seed, progress=tools.progress)
    verdicts.append(summed_up(LOAD, load))
    memory = service.memory()
    verdicts.append(
        judge_memory(
            memory.total if memory is not None else None,
            runtime.resources.memory_bytes,
            processes=memory.processes if memory is not None else 0,
        )
    )
    verdicts.append(drained(tools, service, payloads))
    return verdicts


def _facts(client: ServiceClient) -> Mapping[str, object] | None:
    """What `GET /release` says; None if that is nothing."""
    try:
        facts = json.loads(client.send("GET", "/release").body)
    except (IntegrationError, ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def _correct(tools: ServiceTools, client: ServiceClient) -> Verdict:
    tools.progress("service: comparing scores with those that were judged")
    compare = tools.compare or (lambda asked: compare_known(asked, tools.known))
    try:
        verdict = compare(client)
    except IntegrationError as error:
        verdict = Verdict(name=CORRECT, outcome=Outcome.FAILED, reason=error.what)
    return summed_up(CORRECT, [verdict])


def compare_known(client: ServiceClient, known: KnownAnswers) -> Verdict:
    """Whether the known rows get their answers.

    Raises:
        IntegrationError: the service does not answer.
    """
    table = find_table(client)
    return judge_known(
        [
            read_known(number, row, client.send("POST", "/predict", body_of(table, [row.inputs]), _JSON))
            for number, row in enumerate(known.rows)
        ],
        known,
    )


class HttpScorer:
    """Scores rows by asking a running service, as `gitrain.operations.check_served.Scorer`.

    Args:
        client: sends to the service.

    Raises:
        IntegrationError: the service does not say what its requests look like.
    """

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self._table = find_table(client)

    def __call__(self, batch: str, row: pl.DataFrame) -> float:
        """The score of one row; the batch does not matter: the store knows its time.

        Raises:
            IntegrationError: the service gives no probability.
        """
        reply = self._client.send("POST", "/predict", body_of(self._table, request_rows(row)), _JSON)
        predictions: list[dict[str, Any]] | None = predictions_in(reply.body) if reply.status == 200 else None
        if predictions is None or len(predictions) != 1 or not isinstance(predictions[0].get("probability"), float):
            said = reply.body[:200].decode(errors="replace")
            raise IntegrationError(
                f"a row of the holdout is answered with {reply.status}: {said}",
                fix="look at the service's log, and at what it refuses.",
            )
        return float(predictions[0]["probability"])


def sent_before(samples: LoadSamples, asked: float) -> NDArray[np.bool_]:
    """Which requests the service had before it was asked something else, shape (requests,): they had left by then.

    When a request was begun says nothing: the generator may have stood still before it was written. Connections, and
    what arrives on them, are taken in turn: once what was asked later is answered, these have been taken.

    Args:
        samples: the requests.
        asked: when something else was asked, by the clock of the load.
    """
    at = asked - samples.started
    return np.asarray((samples.written < at - _CROSSING) | ((samples.status != 0) & (samples.done < at)))


def drained(tools: ServiceTools, service: StartedService, payloads: Sequence[Payload]) -> Verdict:
    """Tell the service to stop while requests arrive, one of them slowly: whether it loses any.

    Args:
        tools: what makes the requests, and for how long the service may take.
        service: is stopped.
        payloads: what is sent, in turn.
    """
    runtime = tools.runtime
    tools.progress("service: telling it to stop under load")
    due = arrival_times(tools.load.rate, _LONGEST, seed=tools.seed)
    slow = slow_request(urlsplit(service.url).netloc, "/predict", payloads[0].body)
    load, on_its_way, told_to_stop = _Load(clock=tools.clock), threading.Event(), threading.Event()

    def hold_the_body() -> None:
        on_its_way.set()
        told_to_stop.wait(_LONGEST)

    with ThreadPoolExecutor(2) as pool:
        try:
            loading = pool.submit(
                tools.generator.run,
                service.url,
                due,
                payloads,
                timeout=tools.load.timeout_seconds,
                progress=lambda _: None,
                more=load.more,
            )
            enough = tools.clock() + _BEFORE
            _wait(tools, lambda: loading.done() or (load.finished >= _ENOUGH and tools.clock() >= enough))
            slowly = pool.submit(tools.sender.send, service.url, slow, begun=hold_the_body)
            _wait(tools, lambda: slowly.done() or on_its_way.is_set())
            # Once this one is answered, the head of the slow one has been taken, and all that were written before.
            asked = tools.clock()
            with contextlib.suppress(IntegrationError):
                tools.open_client(service.url).send("GET", "/readyz")
            told = tools.clock()
            load.until = told + _AFTER
            told_to_stop.set()
            stopped = service.stop(runtime.stop_seconds)
        finally:
            # Whatever broke: nobody may be left waiting, or sending.
            load.until = min(load.until, tools.clock() + _AFTER)
            told_to_stop.set()
        samples = loading.result()
        try:
            answer = slowly.result()
        except IntegrationError as error:
            return Verdict(name=DRAINS, outcome=Outcome.FAILED, reason=error.what)
    return judge_drain(
        samples.status[sent_before(samples, asked)],
        answer.reply is not None and answer.reply.status == 200,
        exit_code=stopped.exit_code,
        seconds=stopped.seconds,
        limit=runtime.stop_seconds,
        forced=stopped.forced,
        under_load=bool(due.size) and told < samples.started + float(due[-1]),
    )


@dataclass(kw_only=True)
class _Load:
    """A load that goes on until it is told to end, and what is known of it meanwhile.

    Attributes:
        clock: of the load.
        until: when it ends, by this clock.
        finished: how many requests were answered, or have failed.
    """

    clock: Callable[[], float]
    until: float = math.inf
    finished: int = 0

    def more(self, finished: int) -> bool:
        self.finished = finished
        return self.clock() < self.until


def _wait(tools: ServiceTools, condition: Callable[[], bool]) -> None:
    """Wait for a condition, not for ever: what did not come about is seen in the verdict."""
    end = tools.clock() + _PATIENCE
    while not condition() and tools.clock() < end:
        tools.sleep(_LOOKING)
