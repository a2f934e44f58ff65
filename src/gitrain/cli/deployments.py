"""`gitrain deploy plan | apply | stop | unit`, `gitrain env list`."""

import argparse
import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.deployment.plan import plan_stop
from gitrain.deployment.record import DeploymentRecord, Ending
from gitrain.deployment.systemd import render_unit
from gitrain.environments.document import environment_path
from gitrain.errors import UsageError
from gitrain.operations.apply_deployment import apply_deployment
from gitrain.operations.carry_out_plan import Applied, DeploymentTools
from gitrain.operations.list_environments import list_environments as list_all
from gitrain.operations.plan_deployment import make_plan
from gitrain.reports.deployments_markdown import render_applied, render_environments, render_plan
from gitrain.settings import load_settings
from gitrain.verdicts import Outcome
from gitrain.wiring.deployments import (
    actor_of,
    clear_state,
    command_here,
    open_deployer,
    open_deployment,
    open_desired,
    open_environment_names,
    open_records,
)

__all__ = ["apply", "list_environments", "plan", "stop", "unit"]

# What a pass reads that is not in Git: a unit starts without the shell's.
# What a pass reads, and what the replicas that it starts are given.
_UNIT_VARIABLES = (
    "GITRAIN_ONLINE_STORE",
    "GITRAIN_PREDICTION_LOG_FILE_MB",
    "GITRAIN_PREDICTION_LOG_PARQUET",
    "GITRAIN_RELEASE_STORE",
    "GITRAIN_STATE",
)
_LONGEST_WAIT = 86_400


def plan(arguments: argparse.Namespace) -> int:
    """Print what would be done; change nothing."""
    settings = load_settings(Path(arguments.directory))
    desired = open_desired(settings, arguments.environment)
    found, _ = make_plan(desired, open_deployer(settings, desired), open_records(settings), again=arguments.again)
    if arguments.json:
        print_json(found.to_json())
    else:
        print_text(render_plan(found))
    return 0


def apply(arguments: argparse.Namespace) -> int:
    """Make the environment run what is desired."""
    wait = _wait(arguments)
    progress = progress_to_stderr()
    tools = open_deployment(arguments.directory, arguments.environment, progress, approved_by=arguments.approved_by)
    applied = apply_deployment(tools, again=arguments.again, wait=wait)
    if applied.plan.steps and applied.outcome is Outcome.PASSED:
        for name in clear_state(load_settings(Path(arguments.directory))):
            progress(f"{arguments.environment}: removed {name}, which nothing here runs from")
    revert = None
    aborted = None if arguments.no_revert else _aborted(tools, applied)
    if aborted is not None:
        # Whatever proposes takes a third of a second to load, and most passes change nothing.
        from gitrain.cli.reverts import open_revert

        revert = open_revert(arguments, tools, aborted)
    if arguments.json:
        print_json(applied.to_json() | {"revert": None if revert is None else revert.to_json()})
    else:
        print_text(render_applied(applied.plan, applied.outcome, applied.reason, applied.record))
        if revert is not None:
            from gitrain.cli.proposals import proposal_text

            print_text("\n" + proposal_text(revert, f"Putting the file of {arguments.environment} back"))
    return applied.outcome.exit_code


def stop(arguments: argparse.Namespace) -> int:
    """End all replicas of the environment, and the proxy."""
    wait = _wait(arguments)
    settings = load_settings(Path(arguments.directory))
    progress = progress_to_stderr()
    desired = open_desired(settings, arguments.environment)
    deployer = open_deployer(settings, desired, progress)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    with deployer.hold(actor_of(settings), since, wait=wait):
        found = plan_stop(desired, deployer.observe())
        progress(f"{desired.name}: ending the proxy")
        deployer.stop_proxy()
        for step in found.steps:
            progress(f"{desired.name}: {step.text}")
        deployer.stop(found.replicas, patience=desired.file.runtime.stop_seconds)
    print_text(render_plan(found))
    return 0


def unit(arguments: argparse.Namespace) -> int:
    """Print the systemd unit that brings the environment back after a reboot."""
    settings = load_settings(Path(arguments.directory))
    environment_path(arguments.environment)
    command = command_here(settings, "deploy", "apply", arguments.environment, "--wait", "600")
    print_text(
        render_unit(
            arguments.environment,
            command,
            folder=str(settings.root),
            user=getpass.getuser(),
            variables={name: os.environ[name] for name in _UNIT_VARIABLES if os.environ.get(name)},
        )
    )
    return 0


def list_environments(arguments: argparse.Namespace) -> int:
    """What is desired in each environment, what runs there, and how it is."""
    settings = load_settings(Path(arguments.directory))
    statuses = list_all(
        open_environment_names(settings),
        lambda name: open_desired(settings, name),
        lambda desired: open_deployer(settings, desired),
        clock=lambda: datetime.now(UTC),
    )
    if arguments.json:
        print_json([status.to_json() for status in statuses])
    else:
        print_text(render_environments(statuses))
    return 3 if any(status.problem for status in statuses) else 0


def _wait(arguments: argparse.Namespace) -> float:
    """The seconds of --wait; NaN is no number of them."""
    wait: float = arguments.wait
    if not 0 <= wait <= _LONGEST_WAIT:
        raise UsageError(f"--wait is {wait:g}", fix=f"give seconds, 0 to {_LONGEST_WAIT}.")
    return wait


def _aborted(tools: DeploymentTools, applied: Applied) -> DeploymentRecord | None:
    """The record of a release that was aborted, now or by a pass that was killed before it could open the revert."""
    record = applied.record
    if applied.plan.kind == "refused" and applied.plan.outcome is Outcome.FAILED:
        records = tools.records.list(applied.plan.environment)
        record = max(records, key=lambda each: each.began, default=None)
    return record if record is not None and record.ending is Ending.ABORTED else None
