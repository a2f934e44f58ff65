"""`gitrain check GROUP`, `gitrain check all`, `gitrain check list`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.operations.check_groups import GROUPS, CheckGroup, choose_checks, run_checks
from gitrain.reports.checks_markdown import render_catalogue, render_checks
from gitrain.wiring import open_check_tools, write_report

__all__ = ["check_all", "check_group", "list_checks"]


def check_group(arguments: argparse.Namespace) -> int:
    """Run the group that the command names."""
    group = GROUPS[arguments.words[-1]]
    if arguments.only:
        group = choose_checks(group, arguments.only)
    return _run(arguments, [group], stop_at_errors=True)


def check_all(arguments: argparse.Namespace) -> int:
    """Run every group; what keeps one from running is a verdict, and the others run all the same."""
    return _run(arguments, list(GROUPS.values()), stop_at_errors=False)


def list_checks(arguments: argparse.Namespace) -> int:
    """Name every check and what it catches."""
    definitions = [definition for group in GROUPS.values() for definition in group.definitions]
    if arguments.json:
        print_json([{"group": each.group, "name": each.name, "catches": each.catches} for each in definitions])
    else:
        print_text(render_catalogue(definitions))
    return 0


def _run(arguments: argparse.Namespace, groups: Sequence[CheckGroup], *, stop_at_errors: bool) -> int:
    tools = open_check_tools(arguments.directory, progress_to_stderr(), base=arguments.base)
    report = run_checks(tools, groups, stop_at_errors=stop_at_errors)
    markdown = render_checks(report)
    if arguments.out is not None:
        write_report(Path(arguments.out), markdown)
    print_text(report.to_json() if arguments.json else markdown)
    return report.outcome.exit_code
