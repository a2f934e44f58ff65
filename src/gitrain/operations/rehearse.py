"""The loop on one machine, as far as it goes today: a champion, a new batch, a challenger, its verdicts, its record.

The plan is a list of the very commands that a person would type; carrying it out is somebody else's work.
"""

from collections.abc import Callable, Sequence

from gitrain.data.batches import batches_between
from gitrain.errors import IntegrationError, UsageError
from gitrain.pipeline.params import Params
from gitrain.pipeline.rehearsal import Step, StepResult
from gitrain.pipeline.shell import CommandResult, Shell
from gitrain.project import Project

__all__ = ["carry_out", "plan_rehearsal"]

_IDENTITY = ("-c", "user.name=Gitrain rehearsal", "-c", "user.email=rehearsal@localhost")


def plan_rehearsal(project: Project, params: Params, *, source: str) -> tuple[str, str, tuple[Step, ...]]:
    """The batches of the champion and of the challenger, and the steps.

    Raises:
        UsageError: there are too few batches for a champion and a challenger.
    """
    batches = batches_between(project.batches, params.data.first, params.data.through)
    # The champion's own holdout comes before the challenger's, and there has to be something to train on.
    if len(batches) < params.evaluation.holdout_batches + 2:
        raise UsageError(
            f"{len(batches)} batches are too few for a champion and a challenger", fix="raise data.through."
        )
    # A champion that has seen half of what the challenger has: old enough for the difference to show.
    before = batches[max(len(batches) // 2, params.evaluation.holdout_batches + 1) - 1]
    last = batches[-1]
    branch = f"data-{last}"
    steps = (
        Step(
            name="clone",
            why="A scratch copy of the commit that is checked out: your own files stay as they are.",
            commands=(("git", "clone", "--quiet", source, "."), ("git", "switch", "--quiet", "-C", "main")),
        ),
        Step(
            name="champion",
            why=f"The model of today: data through {before}, validated, featurised, trained and measured.",
            commands=(
                ("gitrain", "data", "advance", "--to", before),
                ("dvc", "repro"),
                ("git", "add", "--all"),
                ("git", *_IDENTITY, "commit", "--quiet", "--allow-empty", "-m", f"Data through {before}"),
            ),
        ),
        Step(
            name="challenger",
            why=f"Data arrives through {last}: on a branch, only what is new is computed, and a new model is trained.",
            commands=(
                ("git", "switch", "--quiet", "-C", branch),
                ("gitrain", "data", "advance", "--to", last),
                ("dvc", "repro"),
                ("git", "add", "--all"),
                ("git", *_IDENTITY, "commit", "--quiet", "--allow-empty", "-m", f"Data through {last}"),
            ),
        ),
        Step(
            name="features",
            why="The future is scrambled, and no feature may notice.",
            commands=(("gitrain", "features", "verify", "--json"),),
            verdict=True,
        ),
        Step(
            name="gates",
            why="Thresholds, slices, the leak alarm, and the champion on the same days that neither has seen.",
            commands=(("gitrain", "gate", "check", "--base", "main", "--json"),),
            verdict=True,
        ),
        Step(
            name="record",
            why="What it was made from and what it reached goes to MLflow, once.",
            commands=(("gitrain", "run", "record", "--json"),),
        ),
    )
    return before, last, steps


def carry_out(
    steps: Sequence[Step], shell: Shell, *, progress: Callable[[str], None], clock: Callable[[], float]
) -> tuple[StepResult, ...]:
    """Carry out the steps in order.

    Raises:
        IntegrationError: a command failed, other than by a verdict.
    """
    results = []
    for number, step in enumerate(steps, start=1):
        progress(f"── {number}/{len(steps)} {step.name}: {step.why}")
        start = clock()
        result = CommandResult(exit_code=0, stdout="")
        for command in step.commands:
            progress("$ " + " ".join(command))
            last = command is step.commands[-1]
            result = shell.run(command, capture=last and command[0] == "gitrain")
            accepted = (0, 1, 4) if step.verdict and last else (0,)
            if result.exit_code not in accepted:
                raise IntegrationError(
                    f"`{' '.join(command)}` ended with exit code {result.exit_code} in step {step.name!r}",
                    fix="look at its messages above and at log.txt in the scratch folder, which is left as it is.",
                )
        results.append(
            StepResult(step=step, exit_code=result.exit_code, stdout=result.stdout, seconds=round(clock() - start, 1))
        )
    return tuple(results)
