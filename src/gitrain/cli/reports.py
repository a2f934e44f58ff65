"""`gitrain report pr | check`."""

import argparse
import functools
import json
import math
from datetime import UTC, datetime
from pathlib import Path

from gitrain.checks.report import CheckReport
from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.cli.durations import read_durations
from gitrain.documents import parse_json
from gitrain.errors import UsageError
from gitrain.gates.report import GateReport
from gitrain.operations.check_gates import check_gates
from gitrain.operations.report_pull_request import report_pull_request
from gitrain.reports.pull_request_check import LARGEST, check_document, check_markdown
from gitrain.reports.pull_request_markdown import render_pull_request
from gitrain.reports.verdicts_markdown import render_verdicts
from gitrain.settings import load_settings
from gitrain.verdicts import Outcome, Verdict, worst
from gitrain.wiring.repository import (
    open_artifact_cache,
    open_git,
    open_model_format,
    open_stage,
    open_workspace,
    write_report,
)

__all__ = ["check", "pull_request"]


def pull_request(arguments: argparse.Namespace) -> int:
    """Report on this tree against a base; exit 0 once there is a report, whatever it says."""
    minutes = arguments.runner_minutes
    if minutes is not None and not (math.isfinite(minutes) and minutes >= 0):
        raise UsageError(f"--runner-minutes is {minutes}", fix="give a number of minutes, 0 or more.")
    root = load_settings(Path(arguments.directory)).root
    workspace, repository = open_workspace(root), open_git(root)

    def judge() -> GateReport:
        if arguments.gates is not None:
            return parse_json(GateReport, _read(arguments.gates), source=arguments.gates)
        stage = open_stage(arguments.directory, progress_to_stderr())
        cache = open_artifact_cache(root)
        today = datetime.now(UTC).date()
        return check_gates(stage, open_model_format(root), repository, cache, base=arguments.base, today=today)

    report = report_pull_request(
        workspace,
        repository,
        base=arguments.base,
        gates=judge,
        checks={path: functools.partial(_checks, path) for path in arguments.checks or ()},
        durations=read_durations(workspace),
        runner_minutes=minutes,
    )
    markdown = render_pull_request(report)
    if arguments.out is not None:
        write_report(Path(arguments.out), markdown)
    if arguments.json:
        print_json(json.loads(report.to_json()))
    else:
        print_text(markdown)
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Whether a report may be posted; with --out the Markdown that passed is written."""
    content = _bytes(arguments.file)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        verdicts, markdown = [_unreadable(f"it is not UTF-8 text: {error}")], None
    else:
        verdicts, markdown = (
            check_document(text) if Path(arguments.file).suffix == ".json" else (check_markdown(text), text)
        )
    outcome = worst(verdict.outcome for verdict in verdicts)
    if arguments.out is not None and outcome is Outcome.PASSED and markdown is not None:
        write_report(Path(arguments.out), markdown)
    if arguments.json:
        print_json({"outcome": outcome.value, "verdicts": [verdict.to_json() for verdict in verdicts]})
    else:
        print_text(render_verdicts("The report may be posted", verdicts))
    return outcome.exit_code


def _checks(path: str) -> CheckReport:
    return parse_json(CheckReport, _read(path), source=path)


def _unreadable(reason: str) -> Verdict:
    return Verdict(name="report:form", outcome=Outcome.FAILED, reason=reason)


def _read(path: str) -> str:
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error}", fix="name the JSON file of an earlier step.") from error


def _bytes(path: str) -> bytes:
    """At most so much of a file that one byte more is known to be too much."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", fix="name a file that is there.") from error
