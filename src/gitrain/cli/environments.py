"""`gitrain env promote | rollback | suspend | resume | history | diff | check | verify`."""

import argparse
from pathlib import Path

from gitrain.cli.console import print_json, print_text
from gitrain.cli.proposals import proposal_text
from gitrain.operations.check_environments import check_environments
from gitrain.operations.environment_diff import environment_diff
from gitrain.operations.environment_history import environment_history
from gitrain.operations.promote_environment import promote_environment
from gitrain.operations.propose_change import ProposedChange
from gitrain.operations.roll_back_environment import roll_back_environment
from gitrain.operations.suspend_environment import suspend_environment
from gitrain.operations.verify_environment import verify_environment
from gitrain.reports.environments_markdown import render_difference, render_history
from gitrain.reports.verdicts_markdown import render_verdicts
from gitrain.settings import load_settings
from gitrain.verdicts import worst
from gitrain.wiring.environments import open_environment_tools, open_forge, open_history

__all__ = ["check", "diff", "history", "promote", "resume", "rollback", "suspend", "verify"]


def promote(arguments: argparse.Namespace) -> int:
    """Propose that an environment desires a release."""
    settings = load_settings(Path(arguments.directory))
    proposed = promote_environment(
        open_environment_tools(settings),
        open_forge(settings),
        arguments.environment,
        version=arguments.release,
        dry_run=arguments.dry_run,
        merge=arguments.merge,
    )
    return _show(proposed, f"Promotion to {arguments.environment}", arguments)


def rollback(arguments: argparse.Namespace) -> int:
    """Propose that an environment goes back."""
    settings = load_settings(Path(arguments.directory))
    proposed = roll_back_environment(
        open_environment_tools(settings),
        open_forge(settings),
        arguments.environment,
        version=arguments.to,
        reason=arguments.reason,
        dry_run=arguments.dry_run,
        merge=arguments.merge,
    )
    return _show(proposed, f"Rollback of {arguments.environment}", arguments)


def suspend(arguments: argparse.Namespace) -> int:
    """Propose that an environment is left as it is."""
    return _suspend(arguments, suspended=True)


def resume(arguments: argparse.Namespace) -> int:
    """Propose that an environment is changed again."""
    return _suspend(arguments, suspended=False)


def history(arguments: argparse.Namespace) -> int:
    """What happened to an environment, the newest first."""
    settings = load_settings(Path(arguments.directory))
    tools = open_environment_tools(settings)
    events = environment_history(tools.history, tools.records, arguments.environment)
    if arguments.json:
        print_json([event.to_json() for event in events])
    else:
        print_text(render_history(arguments.environment, events))
    return 0


def diff(arguments: argparse.Namespace) -> int:
    """What differs between two releases."""
    settings = load_settings(Path(arguments.directory))
    found = environment_diff(
        open_environment_tools(settings), arguments.environment, arguments.other, release=arguments.release
    )
    if arguments.json:
        print_json(found.model_dump(mode="json"))
    else:
        print_text(render_difference(found))
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Judge what this commit makes of environments' files."""
    settings = load_settings(Path(arguments.directory))
    verdicts = check_environments(open_environment_tools(settings), base=arguments.base)
    outcome = worst(verdict.outcome for verdict in verdicts)
    markdown = render_verdicts("Environments", verdicts)
    if arguments.out is not None:
        # It brings data contracts with it, which nothing else here needs.
        from gitrain.wiring.repository import write_report

        write_report(Path(arguments.out), markdown)
    if arguments.json:
        payload = {"outcome": outcome.value, "verdicts": [verdict.to_json() for verdict in verdicts]}
        print_json({"schema_version": 1, **payload})
    else:
        print_text(markdown)
    return outcome.exit_code


def verify(arguments: argparse.Namespace) -> int:
    """Ask the forge what an approval of an environment is worth."""
    settings = load_settings(Path(arguments.directory))
    found = verify_environment(open_history(settings), open_forge(settings), arguments.environment)
    if arguments.json:
        print_json([each.to_json() for each in found])
    else:
        print_text("\n".join(render_verdicts(f"Approvals of {each.environment}", each.verdicts) for each in found))
    return worst(each.outcome for each in found).exit_code


def _suspend(arguments: argparse.Namespace, *, suspended: bool) -> int:
    settings = load_settings(Path(arguments.directory))
    proposed = suspend_environment(
        open_environment_tools(settings),
        open_forge(settings),
        arguments.environment,
        suspend=suspended,
        reason=arguments.reason,
        dry_run=arguments.dry_run,
        merge=arguments.merge,
    )
    return _show(proposed, f"{'Suspending' if suspended else 'Resuming'} {arguments.environment}", arguments)


def _show(proposed: ProposedChange, title: str, arguments: argparse.Namespace) -> int:
    if arguments.json:
        print_json(proposed.to_json())
    else:
        print_text(proposal_text(proposed, title))
    return proposed.outcome.exit_code
