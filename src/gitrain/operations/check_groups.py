"""Run groups of checks: one failure hides no other."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from gitrain.checks.behaviour import CHECKS as BEHAVIOUR_CHECKS
from gitrain.checks.catalogue import CheckDefinition
from gitrain.checks.integration import CHECKS as INTEGRATION_CHECKS
from gitrain.checks.report import CheckReport, CheckVerdict
from gitrain.checks.training import CHECKS as TRAINING_CHECKS
from gitrain.errors import GitrainError
from gitrain.operations.check_behaviour import BehaviourChecks
from gitrain.operations.check_integration import check_integration
from gitrain.operations.check_training import TrainingChecks
from gitrain.operations.stage import Stage
from gitrain.pipeline.repository import ArtifactCache, Repository
from gitrain.pipeline.scratch import Scratch
from gitrain.pipeline.stages import StageDefinition
from gitrain.training.model_format import ModelFormat
from gitrain.verdicts import Outcome, Verdict

__all__ = ["GROUPS", "CheckGroup", "CheckRun", "CheckTools", "error_verdict", "run_checks"]


@dataclass(frozen=True, kw_only=True)
class CheckTools:
    """What checks are given.

    Attributes:
        stage: the surroundings.
        open_model_format: gives what reads and writes models; called by the checks that need it.
        repository: the Git repository of the tree.
        cache: content by its hash.
        read_definitions: gives the stages of dvc.yaml.
        open_scratch: gives an empty folder away from the tree, which is removed in the end.
        clock: seconds that only grow.
        base: the commit to compare with, if one was named.
    """

    stage: Stage
    open_model_format: Callable[[], ModelFormat]
    repository: Repository
    cache: ArtifactCache
    read_definitions: Callable[[], Sequence[StageDefinition]]
    open_scratch: Callable[[], AbstractContextManager[Scratch]]
    clock: Callable[[], float]
    base: str | None = None


class CheckRun(Protocol):
    """The checks of one group on one tree. What several of them need is worked out once."""

    def verdicts(self, name: str) -> Sequence[Verdict]:
        """The verdicts of the check with this name in the catalogue; several for one whose name stands for many."""


@dataclass(frozen=True, kw_only=True)
class CheckGroup:
    """A group of checks.

    Attributes:
        name: what `gitrain check NAME` runs.
        definitions: its checks, in the order in which they run.
        begin: gives the run of the group on a tree.
    """

    name: str
    definitions: tuple[CheckDefinition, ...]
    begin: Callable[[CheckTools], CheckRun]


@dataclass
class _WholeGroup:
    """A group whose checks run together: the verdicts are made once, and given by the name of their check."""

    run: Callable[[], Sequence[Verdict]]
    made: Sequence[Verdict] | None = None

    def verdicts(self, name: str) -> Sequence[Verdict]:
        if self.made is None:
            self.made = self.run()
        start, _, rest = name.partition(":")
        # A part in capitals stands for many names.
        return [
            verdict
            for verdict in self.made
            if verdict.name == name or (rest.isupper() and verdict.name.startswith(f"{start}:"))
        ]


def _training(tools: CheckTools) -> CheckRun:
    return TrainingChecks(tools.stage, tools.open_model_format())


def _behaviour(tools: CheckTools) -> CheckRun:
    return BehaviourChecks(tools.stage, tools.open_model_format())


def _integration(tools: CheckTools) -> CheckRun:
    def run() -> Sequence[Verdict]:
        with tools.open_scratch() as scratch:
            return check_integration(
                tools.stage, tools.open_model_format(), scratch, tools.read_definitions(), clock=tools.clock
            )

    return _WholeGroup(run)


#: The groups by name, in the order in which `gitrain check all` runs them.
GROUPS: Mapping[str, CheckGroup] = MappingProxyType(
    {
        group.name: group
        for group in (
            CheckGroup(name="training", definitions=TRAINING_CHECKS, begin=_training),
            CheckGroup(name="behaviour", definitions=BEHAVIOUR_CHECKS, begin=_behaviour),
            CheckGroup(name="integration", definitions=INTEGRATION_CHECKS, begin=_integration),
        )
    }
)


def run_checks(
    tools: CheckTools, groups: Sequence[CheckGroup], *, clock: Callable[[], float], stop_at_errors: bool = False
) -> CheckReport:
    """Run the groups one after the other.

    Args:
        tools: what the checks are given.
        groups: which groups.
        clock: seconds that only grow.
        stop_at_errors: raise what keeps a group from running, instead of a verdict with the outcome ERROR.

    Raises:
        UsageError: `tools.base` names no commit.
        GitrainError: with `stop_at_errors` only.
    """
    if tools.base is not None:
        tools.repository.commit(tools.base)
    found: list[CheckVerdict] = []
    seconds: dict[str, float] = {}
    for group in groups:
        start = clock()
        tools.stage.progress(f"checks of {group.name}: {len(group.definitions)}")
        try:
            run = group.begin(tools)
            verdicts = [verdict for definition in group.definitions for verdict in run.verdicts(definition.name)]
        except GitrainError as error:
            if stop_at_errors:
                raise
            verdicts = [error_verdict(group.name, error)]
        found += [CheckVerdict.of(group.name, verdict) for verdict in verdicts]
        seconds[group.name] = round(clock() - start, 3)
    return CheckReport.of(tools.stage.project.name, found, seconds)


def error_verdict(name: str, error: Exception) -> Verdict:
    """The verdict of a check that could not be run."""
    if isinstance(error, GitrainError):
        return Verdict(name=name, outcome=Outcome.ERROR, reason=f"{error.what}; to mend it: {error.fix}")
    message = " ".join(str(error).split())[:300]
    return Verdict(name=name, outcome=Outcome.ERROR, reason=f"could not be run: {type(error).__name__}: {message}")
