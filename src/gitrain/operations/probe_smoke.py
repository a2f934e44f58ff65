"""Ask a running service for rows whose answers are known."""

import json
from collections.abc import Callable, Mapping

from gitrain.errors import IntegrationError
from gitrain.probes.client import Reply, ServiceClient
from gitrain.probes.payloads import body_of, table_in
from gitrain.probes.smoke_verdicts import judge_known, judge_ready, judge_release, read_known
from gitrain.serving.manifest import KnownAnswers
from gitrain.verdicts import Outcome, Verdict

__all__ = ["ask_release", "find_table", "probe_smoke", "wait_until_ready"]

_JSON = {"content-type": "application/json"}
_BETWEEN = 0.1


def probe_smoke(
    client: ServiceClient,
    known: KnownAnswers,
    *,
    ready_seconds: float,
    expected: Mapping[str, object],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    progress: Callable[[str], None],
) -> list[Verdict]:
    """The verdicts ``smoke:ready``, ``smoke:release`` and ``smoke:known-answers``.

    Args:
        client: sends to the service.
        known: rows and their answers.
        ready_seconds: how long to wait for readiness.
        expected: what `GET /release` has to say.
        clock: seconds that only grow.
        sleep: waits.
        progress: is told what goes on.
    """
    progress(f"smoke: waiting for {client.url}/readyz")
    seconds, said = wait_until_ready(client, ready_seconds, clock=clock, sleep=sleep)
    verdicts = [judge_ready(seconds, ready_seconds, said=said)]
    if seconds is None:
        # Nothing more can be known of it.
        return verdicts
    verdicts.append(ask_release(client, expected))
    progress(f"smoke: {len(known.rows)} known rows")
    try:
        table = find_table(client)
        replies = [
            read_known(number, row, client.send("POST", "/predict", body_of(table, [row.inputs]), _JSON))
            for number, row in enumerate(known.rows)
        ]
    except IntegrationError as error:
        verdicts.append(Verdict(name="smoke:known-answers", outcome=Outcome.FAILED, reason=error.what))
        return verdicts
    verdicts.append(judge_known(replies, known))
    return verdicts


def wait_until_ready(
    client: ServiceClient,
    limit: float,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    gone: Callable[[], str] = str,
) -> tuple[float | None, str]:
    """Wait until `GET /readyz` answers 200.

    Args:
        client: sends to the service.
        limit: seconds.
        clock: seconds that only grow.
        sleep: waits.
        gone: says why there is no use in waiting any longer; empty as long as there is.

    Returns:
        The seconds it took, or None if it took more than `limit`; and what was said last.
    """
    start = clock()
    while True:
        try:
            reply = client.send("GET", "/readyz")
            said = f"/readyz answers {reply.status}"
            if reply.status == 200:
                return clock() - start, said
        except IntegrationError as error:
            said = error.what
        if (why := gone()) or clock() - start >= limit:
            return None, why or said
        sleep(_BETWEEN)


def ask_release(client: ServiceClient, expected: Mapping[str, object]) -> Verdict:
    """Whether the service says that it is the release which is expected."""
    try:
        reply = client.send("GET", "/release")
    except IntegrationError as error:
        reply = Reply(status=0, body=error.what.encode())
    try:
        facts = json.loads(reply.body)
    except (ValueError, RecursionError):
        facts = None
    return judge_release(reply, facts if isinstance(facts, dict) else None, expected)


def find_table(client: ServiceClient) -> str:
    """The key that rows stand under in a request, from the service's own description.

    Raises:
        IntegrationError: there is no description, or it does not say.
    """
    reply = client.send("GET", "/docs.json")
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        document = None
    if reply.status != 200 or document is None:
        raise IntegrationError(
            f"{client.url}/docs.json answers {reply.status}, and no OpenAPI document",
            fix="ask a service made by gitrain.service.",
        )
    return table_in(document)
