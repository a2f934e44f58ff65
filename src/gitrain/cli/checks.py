"""`gitrain check GROUP`, `gitrain check service`, `gitrain check all`, `gitrain check list`."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.operations.check_groups import GROUPS, CheckGroup, CheckTools, choose_checks, run_checks
from gitrain.reports.checks_markdown import render_catalogue, render_checks
from gitrain.wiring.repository import open_check_tools, write_report

if TYPE_CHECKING:
    from gitrain.wiring.service_checks import ServiceChoice

__all__ = ["check_all", "check_group", "check_service", "list_checks"]


def check_group(arguments: argparse.Namespace) -> int:
    """Run the group that the command names."""
    group = GROUPS[arguments.words[-1]]
    if arguments.only:
        group = choose_checks(group, arguments.only)
    return _run(arguments, _tools(arguments), [group], stop_at_errors=True)


def check_service(arguments: argparse.Namespace) -> int:
    """Start a release, or this tree's service, and ask it everything."""
    from gitrain.wiring.service_checks import ServiceChoice

    choice = ServiceChoice(
        environment=arguments.environment,
        release=arguments.release,
        tree=arguments.tree,
        store=arguments.store,
        requests=arguments.requests,
        rows=arguments.rows,
        seed=arguments.seed,
    )
    group = GROUPS["service"]
    if arguments.only:
        group = choose_checks(group, arguments.only)
    return _run(arguments, _with_service(arguments, _tools(arguments), choice), [group], stop_at_errors=True)


def check_all(arguments: argparse.Namespace) -> int:
    """Run every group; what keeps one from running is a verdict, and the others run all the same."""
    from gitrain.wiring.service_checks import ServiceChoice

    tools = _with_service(arguments, _tools(arguments), ServiceChoice(tree=True, quick=True))
    # A project may well serve nothing.
    groups = [group for group in GROUPS.values() if group.name != "service" or tools.open_service is not None]
    return _run(arguments, tools, groups, stop_at_errors=False)


def list_checks(arguments: argparse.Namespace) -> int:
    """Name every check and what it catches."""
    definitions = [definition for group in GROUPS.values() for definition in group.definitions]
    if arguments.json:
        print_json([{"group": each.group, "name": each.name, "catches": each.catches} for each in definitions])
    else:
        print_text(render_catalogue(definitions))
    return 0


def _tools(arguments: argparse.Namespace) -> CheckTools:
    base = getattr(arguments, "base", None)
    return open_check_tools(arguments.directory, progress_to_stderr(), base=base)


def _with_service(arguments: argparse.Namespace, tools: CheckTools, choice: "ServiceChoice") -> CheckTools:
    # Only here: what serves and what probes takes a while to import.
    from gitrain.wiring.service_checks import declares_service, open_service_tools

    if not declares_service(tools.stage.workspace.root):
        return tools
    return replace(tools, open_service=lambda: open_service_tools(tools.stage, arguments.directory, choice))


def _run(
    arguments: argparse.Namespace, tools: CheckTools, groups: Sequence[CheckGroup], *, stop_at_errors: bool
) -> int:
    report = run_checks(tools, groups, stop_at_errors=stop_at_errors)
    markdown = render_checks(report)
    if arguments.out is not None:
        write_report(Path(arguments.out), markdown)
    print_text(report.to_json() if arguments.json else markdown)
    return report.outcome.exit_code
