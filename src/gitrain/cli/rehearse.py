"""`gitrain rehearse`."""

import argparse
import json
import time
from pathlib import Path

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.data.validation_report import ValidationReport
from gitrain.documents import parse_json
from gitrain.evaluation.document import Evaluation
from gitrain.gates.report import GateReport
from gitrain.operations.rehearse import carry_out, plan_rehearsal
from gitrain.pipeline.layout import EVALUATION, VALIDATION_REPORT
from gitrain.pipeline.rehearsal import Rehearsal
from gitrain.reports.rehearsal_markdown import render_rehearsal
from gitrain.verdicts import Outcome
from gitrain.wiring.repository import empty_folder, open_repository, open_shell, open_workspace, write_report

__all__ = ["rehearse"]


def rehearse(arguments: argparse.Namespace) -> int:
    """Walk the loop in a scratch folder and write a report of it."""
    progress = progress_to_stderr()
    found = open_repository(arguments.directory)
    root = found.settings.root
    champion, challenger, steps = plan_rehearsal(found.project, found.params, source=str(root))
    folder = empty_folder(root / arguments.folder)
    repository = folder / "repository"
    repository.mkdir()
    results = carry_out(steps, open_shell(repository, folder / "log.txt"), progress=progress, clock=time.monotonic)
    rehearsal = Rehearsal(champion_batch=champion, challenger_batch=challenger, results=results)

    scratch = open_workspace(repository)
    report = folder / "report.md"
    gates = parse_json(GateReport, rehearsal.result("gates").stdout, source="gitrain gate check --json")
    markdown = render_rehearsal(
        rehearsal,
        gates=gates,
        evaluation=parse_json(Evaluation, scratch.read_text(EVALUATION), source=EVALUATION),
        validation=parse_json(ValidationReport, scratch.read_text(VALIDATION_REPORT), source=VALIDATION_REPORT),
        folder=_shown(repository),
    )
    write_report(report, markdown)
    if arguments.json:
        print_json(
            {
                "outcome": Outcome.PASSED.value,
                "report": _shown(report),
                "gates": gates.model_dump(mode="json"),
                "run": json.loads(rehearsal.result("record").stdout),
                "steps": [
                    {"name": result.step.name, "outcome": result.outcome, "seconds": result.seconds}
                    for result in results
                ],
            }
        )
    else:
        print_text(markdown)
        progress(f"the report is {_shown(report)}")
    return 0


def _shown(path: Path) -> str:
    """The path relative to where the caller stands, if it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
