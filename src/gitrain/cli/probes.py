"""`gitrain probe smoke | contract | load`."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gitrain.cli.console import print_text, progress_to_stderr
from gitrain.documents import parse
from gitrain.environments.document import LoadLimits, LoadProbe, Probes, SmokeProbe
from gitrain.errors import UsageError
from gitrain.operations.probe_contract import probe_contract
from gitrain.operations.probe_load import probe_load
from gitrain.operations.probe_smoke import find_table, probe_smoke
from gitrain.probes.client import service_url
from gitrain.probes.report import ProbeKind, ProbeReport
from gitrain.reports.probes_markdown import render_probe
from gitrain.verdicts import Verdict
from gitrain.wiring.probes import (
    open_client,
    open_environment,
    open_fuzzer,
    open_hostile_sender,
    open_known_answers,
    open_load_generator,
    open_payloads,
)
from gitrain.wiring.repository import write_report

__all__ = ["contract", "load", "load_of", "smoke"]

_OPTIONS = "the command line"


def smoke(arguments: argparse.Namespace) -> int:
    """Ask for rows whose answers are known."""
    url, clock = service_url(arguments.url), time.monotonic
    environment = open_environment(arguments.directory, arguments.environment) if arguments.environment else None
    limits = environment.probes.smoke if environment is not None else SmokeProbe()
    release = arguments.release or (environment.release if environment is not None else None)
    known = open_known_answers(arguments.directory, arguments.known)
    start = clock()
    verdicts = probe_smoke(
        open_client(url),
        known,
        ready_seconds=limits.ready_seconds if arguments.ready_seconds is None else arguments.ready_seconds,
        expected={"version": release} if release is not None else {},
        clock=clock,
        sleep=time.sleep,
        progress=progress_to_stderr(),
    )
    return _show("smoke", url, verdicts, arguments, seconds=clock() - start)


def contract(arguments: argparse.Namespace) -> int:
    """Ask for what the description says, and for what none allows."""
    url, clock = service_url(arguments.url), time.monotonic
    requests = _probes(arguments).contract.requests if arguments.requests is None else arguments.requests
    if not 1 <= requests <= 1_000_000:
        raise UsageError(f"--requests is {requests}", fix="ask for 1 to 1,000,000.")
    start = clock()
    verdicts = probe_contract(
        open_client(url),
        open_fuzzer(),
        open_hostile_sender(),
        open_known_answers(arguments.directory, arguments.known),
        requests=requests,
        seed=arguments.seed,
        progress=progress_to_stderr(),
    )
    return _show("contract", url, verdicts, arguments, seconds=clock() - start)


def load(arguments: argparse.Namespace) -> int:
    """Put the service under load."""
    url, clock = service_url(arguments.url), time.monotonic
    probe = load_of(arguments, _probes(arguments).load)
    payloads = open_payloads(
        arguments.directory, known=arguments.known, file=arguments.input, table=find_table(open_client(url))
    )
    start = clock()
    verdicts = probe_load(
        open_load_generator(), url, payloads, probe, seed=arguments.seed, progress=progress_to_stderr()
    )
    return _show("load", url, verdicts, arguments, seconds=clock() - start)


def load_of(arguments: argparse.Namespace, load: LoadProbe) -> LoadProbe:
    """The environment's load, with what the command line says otherwise.

    Raises:
        SettingsError: a value is impossible.
        UsageError: a limit is no ``NAME=NUMBER``.
    """
    given: dict[str, Any] = {
        "rate": arguments.rate,
        "seconds": arguments.seconds,
        "warm_up_seconds": arguments.warm_up,
        "arrivals": arguments.arrivals,
    }
    said = load.model_dump() | {name: value for name, value in given.items() if value is not None}
    limits = dict(_limit(text) for text in arguments.limit or ())
    said["limits"] = parse(LoadLimits, said["limits"] | limits, source=_OPTIONS).model_dump()
    return parse(LoadProbe, said, source=_OPTIONS)


def _probes(arguments: argparse.Namespace) -> Probes:
    if arguments.environment is None:
        return Probes()
    return open_environment(arguments.directory, arguments.environment).probes


def _limit(text: str) -> tuple[str, float]:
    name, separator, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        known = ", ".join(LoadLimits.model_fields)
        missing = "" if separator else ": it has no ="
        raise UsageError(f"{text!r} is no limit{missing}", fix=f"write p99_ms=10; there are {known}.") from None


def _show(
    kind: ProbeKind, url: str, verdicts: Sequence[Verdict], arguments: argparse.Namespace, *, seconds: float
) -> int:
    report = ProbeReport.of(kind, url, verdicts, seconds=seconds, environment=arguments.environment)
    if arguments.out is not None:
        write_report(Path(arguments.out), report.to_json())
    print_text(report.to_json() if arguments.json else render_probe(report))
    return report.outcome.exit_code
