"""`gitrain retrain plan | open`."""

import argparse

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.operations.open_retraining import RetrainingResult, open_retraining
from gitrain.operations.plan_retraining import plan_retraining
from gitrain.reports.retraining_markdown import render_retraining_plan
from gitrain.wiring.retraining import open_retraining_tools, read_monitoring_report

__all__ = ["open_", "plan"]


def plan(arguments: argparse.Namespace) -> int:
    """Say whether to train again, and on what evidence; exit 0 whatever that is."""
    found = plan_retraining(
        open_retraining_tools(arguments.directory),
        request=arguments.request,
        monitoring=read_monitoring_report(arguments.monitoring),
    )
    if arguments.json:
        print_json(found.to_json())
    else:
        print_text(render_retraining_plan(found))
    return 0


def open_(arguments: argparse.Namespace) -> int:
    """Train again if the plan says so, and end in one pull request, one issue, or nothing."""
    result = open_retraining(
        open_retraining_tools(arguments.directory),
        request=arguments.request,
        monitoring=read_monitoring_report(arguments.monitoring),
        progress=progress_to_stderr(),
    )
    if arguments.json:
        print_json(result.to_json())
    else:
        print_text(_told(result))
    return result.exit_code


def _told(result: RetrainingResult) -> str:
    record = result.record
    if record is None or record.ending is None:
        return render_retraining_plan(result.plan)
    place = record.url or (f"branch {record.branch}" if record.commit is not None else "")
    return f"{record.ending.value}: {record.reason}" + (f"\n{place}" if place else "")
