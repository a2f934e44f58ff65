"""`gitrain features build | verify | materialize | push`."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.cli.durations import timed
from gitrain.operations.build_features import build_features
from gitrain.operations.materialize_features import materialize_features
from gitrain.operations.push_rows import push_rows
from gitrain.operations.verify_features import verify_features
from gitrain.reports.online_markdown import render_materialization, render_push
from gitrain.reports.verdicts_markdown import render_verdicts
from gitrain.verdicts import worst
from gitrain.wiring.online import open_online_store, read_pushed_file
from gitrain.wiring.repository import open_repository, open_stage

__all__ = ["build", "materialize", "push", "verify"]

_STDIN = "/dev/stdin"


def build(arguments: argparse.Namespace) -> int:
    """Compute the features of every batch."""
    stage = open_stage(arguments.directory, progress_to_stderr())
    with timed(stage.workspace, "features"):
        build_features(stage)
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Prove that no feature knows the future."""
    stage = open_stage(arguments.directory, progress_to_stderr())
    verdicts = verify_features(stage, rows=arguments.rows, seed=arguments.seed)
    outcome = worst(verdict.outcome for verdict in verdicts)
    if arguments.json:
        print_json({"outcome": outcome.value, "verdicts": [verdict.to_json() for verdict in verdicts]})
    else:
        print_text(render_verdicts("Features, point in time", verdicts))
    return outcome.exit_code


def materialize(arguments: argparse.Namespace) -> int:
    """Fill the online store with the histories that services look back on."""
    stage = open_stage(arguments.directory, progress_to_stderr())
    store = open_online_store(arguments.store, stage.workspace.root)
    try:
        done = materialize_features(
            stage, store, since=arguments.since, through=arguments.through, clock=lambda: datetime.now(UTC)
        )
    finally:
        store.close()
    if arguments.json:
        print_json(done.to_json())
    else:
        print_text(render_materialization(done))
    return 0


def push(arguments: argparse.Namespace) -> int:
    """Put rows that became known since the last materialisation into the online store."""
    found = open_repository(arguments.directory)
    store = open_online_store(arguments.store, found.settings.root)
    path = Path(_STDIN if arguments.file == "-" else arguments.file)
    try:
        done = push_rows(
            found.project, store, arguments.table, path, read=read_pushed_file, clock=lambda: datetime.now(UTC)
        )
    finally:
        store.close()
    if arguments.json:
        print_json(done.to_json())
    else:
        print_text(render_push(done))
    return done.outcome.exit_code
