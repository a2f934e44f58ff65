"""`gitrain monitor run | issue`."""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import gitrain
from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.errors import UsageError
from gitrain.operations.keep_monitoring_issue import KeptIssue, keep_monitoring_issue
from gitrain.operations.run_monitoring import run_monitoring
from gitrain.reports.monitoring_html import render_monitoring_html
from gitrain.reports.monitoring_markdown import render_monitoring
from gitrain.reports.monitoring_prometheus import render_monitoring_metrics
from gitrain.wiring.monitoring import open_monitoring
from gitrain.wiring.repository import open_repository, write_report
from gitrain.wiring.retraining import open_issues, read_monitoring_report

__all__ = ["issue", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Judge the predictions of an environment."""
    since = _moment("--since", arguments.since, end=False)
    through = _moment("--through", arguments.through, end=True)
    if since is not None and through is not None and since >= through:
        raise UsageError("--since is not before --through", fix="give the earlier time as --since.")
    tools = open_monitoring(
        arguments.directory,
        arguments.environment,
        progress_to_stderr(),
        log=arguments.log,
        labels=arguments.labels,
        metrics=arguments.metrics,
        from_source=arguments.labels_from_source,
    )
    report = run_monitoring(tools, since=since, through=through)
    text = report.to_json()
    renderings: tuple[tuple[str | None, Callable[[], str]], ...] = (
        (arguments.out, lambda: text),
        (arguments.html, lambda: render_monitoring_html(report, version=gitrain.__version__)),
        (arguments.markdown, lambda: render_monitoring(report)),
        (arguments.prometheus, lambda: render_monitoring_metrics(report)),
    )
    for path, content in renderings:
        if path is not None:
            write_report(Path(path), content())
    if arguments.json:
        print_json(json.loads(text))
    else:
        print_text(render_monitoring(report))
    return report.outcome.exit_code


def issue(arguments: argparse.Namespace) -> int:
    """Keep an environment's issue current; exit 0 whatever the report says."""
    found = open_repository(arguments.directory)
    report = read_monitoring_report(arguments.report)
    if report is None:
        raise UsageError("there is no report", fix="name the file that `gitrain monitor run --out` wrote.")
    kept = keep_monitoring_issue(open_issues(found.settings), report, project=found.project.name, link=arguments.link)
    if arguments.json:
        print_json(kept.to_json())
    else:
        print_text(_told(kept, report.environment))
    return 0


def _told(kept: KeptIssue, environment: str) -> str:
    about = f"monitoring of {environment}: {kept.outcome.value}"
    if kept.issue is None:
        words = {
            "closed": "its issue is closed",
            "none": "no issue is open",
            "untouched": "nothing is decided, so no issue is opened or closed",
        }
        return f"{about}; {words[kept.state]}"
    place = kept.issue.url or f"{kept.issue.key}.md on the branch issues"
    return f"{about}; {'an issue was opened' if kept.issue.created else 'its issue is current'}: {place}"


def _moment(option: str, text: str | None, *, end: bool) -> datetime | None:
    """A date or a time in UTC; the end of a date is the beginning of the next."""
    if text is None:
        return None
    try:
        if len(text) == len("2013-09-30"):
            found = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return found + timedelta(days=1) if end else found
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{option} is {text!r}, which is neither a date nor a time",
            fix="write it as 2013-09-30 or 2013-09-30T12:00Z.",
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
