"""Ask a running service for what its description says, and for what no description allows."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from gitrain.errors import IntegrationError
from gitrain.operations.probe_smoke import find_table
from gitrain.probes.client import ServiceClient
from gitrain.probes.contract_verdicts import judge_fuzzing, judge_hostile, judge_still_there, judge_variants
from gitrain.probes.fuzzing import Finding, FuzzedRequest, Fuzzer
from gitrain.probes.hostile import HostileSender, hostile_requests
from gitrain.probes.payloads import payloads_of, predictions_in
from gitrain.probes.shrinking import shrink
from gitrain.probes.variants import variants_of
from gitrain.serving.manifest import KnownAnswers
from gitrain.verdicts import Outcome, Verdict

__all__ = ["probe_contract"]

_PREDICT = "/predict"
_AFTER = "after all of them"
_JSON = {"content-type": "application/json"}
# Requests that a failing body may take to be made small.
_SHRINKING = 300


def probe_contract(
    client: ServiceClient,
    fuzzer: Fuzzer,
    sender: HostileSender,
    known: KnownAnswers,
    *,
    requests: int,
    seed: int,
    progress: Callable[[str], None],
) -> list[Verdict]:
    """The verdicts on made-up requests, on hostile ones, and on a good one after them.

    Args:
        client: sends to the service.
        fuzzer: makes requests up.
        sender: sends hostile bytes.
        known: rows that the service accepts.
        requests: about so many made-up ones.
        seed: of all that is random.
        progress: is told what goes on.

    Raises:
        IntegrationError: the service has no description, or the fuzzer broke.
    """
    table = find_table(client)
    good = payloads_of(known, table)[0].body
    problem = _asked(client, good)
    if problem:
        # A service that answers nothing would be waited for request by request.
        return [judge_still_there(problem, asked="at the start")]
    attacks = hostile_requests(urlsplit(client.url).netloc, _PREDICT, good)
    progress(f"contract: {len(attacks)} hostile requests")
    try:
        hostile = judge_hostile([sender.send(client.url, each) for each in attacks])
    except IntegrationError as error:
        hostile = Verdict(name="contract:hostile", outcome=Outcome.FAILED, reason=error.what)
        return [hostile, judge_still_there(error.what, asked=_AFTER)]
    changed = _variants(client, variants_of(known, table, count=20 + requests // 5, seed=seed), progress)
    progress(f"contract: about {requests:,} made-up requests, seed {seed}")
    run = fuzzer.run(client.url, requests=requests, seed=seed, progress=progress)
    progress(f"contract: {run.requests:,} requests in {run.seconds:.1f} s")
    run = replace(run, findings=tuple(_small(client, finding, progress) for finding in run.findings))
    return [*judge_fuzzing(run), changed, hostile, judge_still_there(_asked(client, good), asked=_AFTER)]


def _variants(client: ServiceClient, bodies: Iterable[bytes], progress: Callable[[str], None]) -> Verdict:
    statuses: Counter[int] = Counter()
    failing = []
    progress("contract: known rows, changed a little")
    for body in bodies:
        request = FuzzedRequest(method="POST", url=f"{client.url}{_PREDICT}", headers=_JSON, body=body)
        try:
            reply = client.send("POST", _PREDICT, body, _JSON)
        except IntegrationError:
            statuses[0] += 1
            failing.append(request)
            continue
        statuses[reply.status] += 1
        if reply.status >= 500 or (reply.status == 200 and predictions_in(reply.body) is None):
            failing.append(request)
    return judge_variants(statuses, failing)


def _asked(client: ServiceClient, body: bytes) -> str:
    """Why a good request is not answered; empty if it is."""
    try:
        reply = client.send("POST", _PREDICT, body, _JSON)
    except IntegrationError as error:
        return error.what
    return "" if reply.status == 200 else f"POST {_PREDICT} answers {reply.status}"


def _small(client: ServiceClient, finding: Finding, progress: Callable[[str], None]) -> Finding:
    """The finding with a smaller body that is answered with the same error."""
    request = finding.request
    if finding.kind != "server-error" or finding.status is None or request.body is None:
        return finding
    try:
        body = json.loads(request.body)
    except ValueError:
        return finding
    path = request.url.removeprefix(client.url)

    def fails(candidate: object) -> bool:
        try:
            return client.send(request.method, path, json.dumps(candidate).encode(), request.headers).status == (
                finding.status
            )
        except IntegrationError:
            return False

    if not fails(body):
        # It fails now and then: what is smaller might fail by chance.
        return finding
    progress(f"contract: making the body smaller that {finding.operation} answers with {finding.status}")
    smallest = json.dumps(shrink(body, fails, most=_SHRINKING)).encode()
    return replace(finding, request=replace(request, body=smallest))
