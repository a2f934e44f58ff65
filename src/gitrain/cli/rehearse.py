"""`gitrain rehearse`."""

import argparse
import os
import signal
import sys
from pathlib import Path

from gitrain.cli.console import print_json, print_text, progress_to_stderr
from gitrain.cli.replay import replay
from gitrain.errors import UsageError
from gitrain.operations.rehearsal.environments import ENVIRONMENTS
from gitrain.operations.rehearsal.plan import RehearsalPlan, plan_rehearsal
from gitrain.operations.rehearsal.rehearse import rehearse as carry_out
from gitrain.pipeline.rehearsal import Rehearsal
from gitrain.reports.rehearsal_markdown import render_rehearsal, render_steps
from gitrain.verdicts import Outcome
from gitrain.wiring.rehearsal import end_rehearsal, open_rehearsal, rehearsal_folder
from gitrain.wiring.repository import Surroundings, open_repository, write_report

__all__ = ["rehearse"]

_FOLDER = ".demo"
#: What a record of a deployment says of an approval that nobody was asked for.
_GIVEN = "--approve: nobody was asked"


def rehearse(arguments: argparse.Namespace) -> int:
    """Walk the loop in a scratch folder and write a report of it."""
    if arguments.year:
        return replay(arguments)
    for option in ("bootstrap", "through"):
        if getattr(arguments, option) is not None:
            raise UsageError(f"--{option} needs --year", fix=f"add --year, or leave --{option} out.")
    found = open_repository(arguments.directory)
    plan = plan_rehearsal(
        found.project,
        found.params,
        exists=lambda path: (found.settings.root / path).is_file(),
        until=arguments.until,
    )
    if arguments.steps:
        if arguments.json:
            steps = [{"name": step.name, "proves": step.proves, "lacks": step.lacks} for step in plan.steps]
            print_json(steps)
        else:
            print_text(render_steps(plan.steps))
        return 0
    with rehearsal_folder(found.settings.root / (arguments.folder or _FOLDER)) as folder:
        rehearsal = _carry_out(arguments, found, plan, folder)
        report = folder / "report.md"
        kept = f"gitrain -C {_shown(folder / 'repository')} deploy stop" if _keeps(arguments, rehearsal) else None
        markdown = render_rehearsal(rehearsal, folder=_shown(folder), stop=kept)
        write_report(report, markdown)
    if arguments.json:
        print_json({**rehearsal.to_json(), "report": _shown(report)})
    else:
        print_text(markdown)
    return rehearsal.outcome.exit_code


def _carry_out(arguments: argparse.Namespace, found: Surroundings, plan: RehearsalPlan, folder: Path) -> Rehearsal:
    progress = progress_to_stderr()
    approve = _given if arguments.approve else _asked
    tools = open_rehearsal(found.settings, folder, approve=approve, progress=progress)
    rehearsal = None
    # Who is told to end ends what it has started, as after Ctrl-C.
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        rehearsal = carry_out(tools, plan)
    finally:
        signal.signal(signal.SIGTERM, former)
        if rehearsal is None or not _keeps(arguments, rehearsal):
            progress("ending what was started")
            end_rehearsal(folder, ENVIRONMENTS)
    return rehearsal


def _keeps(arguments: argparse.Namespace, rehearsal: Rehearsal) -> bool:
    """Whether the environments go on: nobody has a use for those of a loop that does not hold."""
    return bool(arguments.keep) and rehearsal.outcome is Outcome.PASSED


def _given(sentence: str) -> str:
    return _GIVEN


def _asked(sentence: str) -> str:
    """The person at the terminal, if they approve."""
    if not sys.stdin.isatty():
        raise UsageError(
            f"nobody is here to approve: {sentence}",
            fix="run it at a terminal, or give the approval beforehand with --approve; the records say so.",
        )
    print(f"\n   {sentence}.\n   Approve? Your name, or nothing to refuse: ", end="", file=sys.stderr, flush=True)
    name = sys.stdin.readline().strip()
    if not name:
        raise UsageError(f"not approved: {sentence}", fix="run it again and give your name to approve.")
    return name[:200]


def _shown(path: Path) -> str:
    """The path relative to where the caller stands, if it lies below."""
    here = Path(os.getcwd())
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
