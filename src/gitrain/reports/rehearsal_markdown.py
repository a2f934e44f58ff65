"""The report of a rehearsal: the verdict, what it rests on, and what to try next."""

from gitrain.data.validation_report import ValidationReport
from gitrain.evaluation.document import Evaluation
from gitrain.gates.report import GateReport
from gitrain.pipeline.rehearsal import Rehearsal
from gitrain.reports.evaluation_markdown import render_evaluation
from gitrain.reports.gates_markdown import render_gates
from gitrain.reports.markdown import escape, table
from gitrain.reports.verdicts_markdown import MARKS
from gitrain.verdicts import Outcome

__all__ = ["render_rehearsal"]

_MEANING = {
    Outcome.PASSED: "the challenger may take the champion's place",
    Outcome.FAILED: "the challenger is refused; the champion stays",
    Outcome.INCONCLUSIVE: "there is not enough evidence; the champion stays",
    Outcome.ERROR: "a rule could not be run; the champion stays",
}


def render_rehearsal(
    rehearsal: Rehearsal,
    *,
    gates: GateReport,
    evaluation: Evaluation,
    validation: ValidationReport,
    folder: str,
) -> str:
    """A rehearsal as Markdown.

    Args:
        rehearsal: its steps and how they ended.
        gates: what the gates said of the challenger.
        evaluation: the challenger on its holdout.
        validation: what validation said of all batches.
        folder: the scratch repository, as the reader would type it.
    """
    outcome = gates.outcome
    parts = [
        f"# {MARKS[outcome]} {escape(evaluation.project)}: {_MEANING[outcome]}",
        _story(rehearsal, evaluation, validation),
        render_gates(gates),
        render_evaluation(evaluation),
        "## The steps, and what they took",
        table(
            ("step", "outcome", "seconds", "why"),
            [
                (result.step.name, result.outcome, f"{result.seconds:.1f}", escape(result.step.why, longest=200))
                for result in rehearsal.results
            ],
            right=[2],
        ),
        _next(folder),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _story(rehearsal: Rehearsal, evaluation: Evaluation, validation: ValidationReport) -> str:
    rows = sum(batch.rows for batch in validation.batches)
    quarantined = sum(batch.quarantined for batch in validation.batches)
    seconds = sum(result.seconds for result in rehearsal.results)
    return (
        f"The champion knows the data through **{escape(rehearsal.champion_batch)}**; then more arrived, through "
        f"**{escape(rehearsal.challenger_batch)}**, and a challenger was trained. "
        f"Both were judged on the {evaluation.rows:,} rows and {evaluation.units} units of "
        f"{escape(', '.join(evaluation.batches))}, which neither had seen. "
        f"Validation read {rows:,} rows in {len(validation.batches)} batches and put {quarantined:,} into quarantine. "
        f"All of it took {seconds:.0f} seconds."
    )


def _next(folder: str) -> str:
    return f"""## What to try next

The scratch repository is an ordinary one, with two branches and a history:

```console
$ cd {folder}
$ git log --oneline --all          # the champion and the challenger
$ dvc metrics diff main            # what the new batch changed
$ cat reports/validation.md        # what validation found, and the rows in quarantine
$ gitrain run list                 # what was recorded
$ gitrain data advance && dvc repro && gitrain gate check --base main   # one more batch
```
"""
