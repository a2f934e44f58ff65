"""What a rehearsal will do, before anything is done."""

from collections.abc import Callable
from dataclasses import dataclass

from gitrain.data.batches import batches_between
from gitrain.errors import UsageError
from gitrain.pipeline.params import Params
from gitrain.pipeline.rehearsal import Step
from gitrain.project import Project

__all__ = ["STEPS", "RehearsalPlan", "plan_rehearsal"]

_BENTOFILE = "bentofile.yaml"

#: The steps in order: name, what it proves, whether it needs releases.
STEPS = (
    ("forge", "From nothing: a bare repository stands for the forge, and a clone for a person's.", False),
    ("champion", "The model of today, trained on data through {champion}; its lock is committed.", False),
    ("release", "One artifact is built from the commit, judged and published; nothing is trained again.", True),
    ("test", "The environment test follows main: what was merged runs, and gives answers that are known.", True),
    ("preprod", "The same digest is promoted by a change of a file, and answers under load.", True),
    ("production", "A person approves; then production runs the digest that preprod ran.", True),
    ("users", "Requests come at a steady rate from now on, whatever happens; each one is counted.", True),
    ("challenger", "Data arrives through {challenger}: on a branch, a new model is trained.", False),
    (
        "report",
        "The gates compare it with the champion on data that neither has seen; a reviewer gets a report.",
        False,
    ),
    ("merge", "The branch is merged, released once, and runs in test and preprod.", True),
    ("canary", "Production moves to it in steps of traffic, each judged; users notice nothing.", True),
    ("leak", "A pull request whose feature reads the outcome is refused, however well it scores.", False),
    ("slow", "A release that becomes slow once it serves passes every probe, and is aborted in the canary.", True),
    ("rollback", "Production goes back to an earlier release by a pointer: no build, no training, seconds.", True),
)


@dataclass(frozen=True, kw_only=True)
class RehearsalPlan:
    """What a rehearsal will do.

    Attributes:
        project: what is rehearsed.
        champion: the newest batch that the first model knows.
        challenger: the newest batch that the second one knows.
        steps: in order, up to the last that was asked for.
    """

    project: Project
    champion: str
    challenger: str
    steps: tuple[Step, ...]

    def has(self, name: str) -> bool:
        """Whether a step of that name is taken."""
        return any(step.name == name and not step.lacks for step in self.steps)


def plan_rehearsal(
    project: Project, params: Params, *, exists: Callable[[str], bool], until: str | None = None
) -> RehearsalPlan:
    """The batches of the champion and of the challenger, and the steps.

    Args:
        project: what is rehearsed.
        params: its parameters.
        exists: whether the repository has a file.
        until: the last step to take; all by default.

    Raises:
        UsageError: there are too few batches for a champion and a challenger, or no step of that name.
    """
    names = [name for name, _, _ in STEPS]
    if until is not None and until not in names:
        raise UsageError(f"there is no step {until!r}", fix=f"name one of these: {', '.join(names)}.")
    batches = batches_between(project.batches, params.data.first, params.data.through)
    # The champion's own holdout comes before the challenger's, and there has to be something to train on.
    if len(batches) < params.evaluation.holdout_batches + 2:
        raise UsageError(
            f"{len(batches)} batches are too few for a champion and a challenger", fix="raise data.through."
        )
    # A champion that has seen about half of what there is, and a challenger with one batch more.
    first = max((len(batches) + 1) // 2, params.evaluation.holdout_batches + 1)
    first = min(first, len(batches) - 1)
    champion, challenger = batches[first - 1], batches[first]
    lacks = "" if exists(_BENTOFILE) else f"there is no {_BENTOFILE}, and so nothing to release"
    last = names.index(until) if until is not None else len(names) - 1
    steps = tuple(
        Step(
            name=name,
            proves=proves.format(champion=champion, challenger=challenger),
            lacks=lacks if releases else "",
        )
        for name, proves, releases in STEPS[: last + 1]
    )
    return RehearsalPlan(project=project, champion=champion, challenger=challenger, steps=steps)
