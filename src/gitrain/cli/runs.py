"""`gitrain run record | list | show`."""

import argparse
from datetime import UTC, datetime

from gitrain.cli.console import print_json, print_text
from gitrain.cli.durations import read_durations
from gitrain.operations.list_runs import list_runs as list_recorded
from gitrain.operations.record_run import record_run
from gitrain.operations.show_run import show_run
from gitrain.reports.runs_markdown import render_run, render_runs
from gitrain.wiring.repository import open_git, open_repository, open_run_store

__all__ = ["list_runs", "record", "show"]


def record(arguments: argparse.Namespace) -> int:
    """Write the run that dvc.lock describes to MLflow."""
    found = open_repository(arguments.directory)
    store = open_run_store(found.settings, with_models=True)
    run = record_run(
        found.project,
        found.params,
        found.workspace,
        open_git(found.settings.root),
        store,
        durations=read_durations(found.workspace),
        now=datetime.now(UTC),
    )
    if arguments.json:
        print_json(run.to_json())
    else:
        print_text(render_run(run))
    return 0


def list_runs(arguments: argparse.Namespace) -> int:
    """The recorded runs, newest first."""
    found = open_repository(arguments.directory)
    runs = list_recorded(found.project, open_run_store(found.settings))
    if arguments.json:
        print_json([run.to_json() for run in runs])
    else:
        print_text(render_runs(runs))
    return 0


def show(arguments: argparse.Namespace) -> int:
    """One recorded run."""
    found = open_repository(arguments.directory)
    run = show_run(found.project, open_run_store(found.settings), arguments.key)
    if arguments.json:
        print_json(run.to_json())
    else:
        print_text(render_run(run))
    return 0
