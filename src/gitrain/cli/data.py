"""`gitrain data ingest | validate`."""

import argparse
from pathlib import Path

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.cli.durations import timed
from gitrain.data.validation_report import ValidationReport
from gitrain.operations.advance_data import advance_data
from gitrain.operations.ingest import ingest as ingest_batches
from gitrain.operations.validate_batch import validate_batch
from gitrain.operations.validate_data import validate_data
from gitrain.reports.validation_markdown import render_validation
from gitrain.wiring.repository import open_params_file, open_repository, open_stage, read_batch_file

__all__ = ["advance", "ingest", "validate"]


def ingest(arguments: argparse.Namespace) -> int:
    """Read the batches up to data.through from their sources."""
    stage = open_stage(arguments.directory, progress_to_stderr())
    with timed(stage.workspace, "ingest"):
        ingest_batches(stage)
    return 0


def validate(arguments: argparse.Namespace) -> int:
    """Judge all batches, or one new file, by the data contract."""
    if arguments.batch is None:
        stage = open_stage(arguments.directory, progress_to_stderr())
        with timed(stage.workspace, "validate"):
            report = validate_data(stage)
    else:
        project = open_repository(arguments.directory).project
        report = validate_batch(project, arguments.table, Path(arguments.batch), arguments.name, read=read_batch_file)
    return _show(report, as_json=arguments.json)


def advance(arguments: argparse.Namespace) -> int:
    """Move data.through on in params.yaml."""
    found = open_repository(arguments.directory)
    batch = advance_data(found.project, found.params, open_params_file(found), to=arguments.to)
    print_text(batch)
    return 0


def _show(report: ValidationReport, *, as_json: bool) -> int:
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        print_text(render_validation(report))
    return report.outcome.exit_code
