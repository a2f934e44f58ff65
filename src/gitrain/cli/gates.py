"""`gitrain gate check`."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.operations.check_gates import check_gates
from gitrain.reports.gates_markdown import render_gates
from gitrain.wiring.repository import open_artifact_cache, open_git, open_model_format, open_stage, write_report

__all__ = ["check"]


def check(arguments: argparse.Namespace) -> int:
    """Judge the model in this tree."""
    stage = open_stage(arguments.directory, progress_to_stderr())
    report = check_gates(
        stage,
        open_model_format(stage.workspace.root),
        open_git(stage.workspace.root),
        open_artifact_cache(stage.workspace.root),
        base=arguments.base,
        today=datetime.now(UTC).date(),
    )
    markdown = render_gates(report)
    if arguments.out is not None:
        write_report(Path(arguments.out), markdown)
    if arguments.json:
        print_json(report.model_dump(mode="json"))
    else:
        print_text(markdown)
    return report.outcome.exit_code
