"""Run groups of checks: one failure hides no other."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from gitrain.checks.artifacts import CHECKS as ARTIFACT_CHECKS
from gitrain.checks.behaviour import CHECKS as BEHAVIOUR_CHECKS
from gitrain.checks.catalogue import CheckDefinition
from gitrain.checks.data_difference import CHECKS as DATA_CHECKS
from gitrain.checks.integration import CHECKS as INTEGRATION_CHECKS
from gitrain.checks.lock import CHECKS as LOCK_CHECKS
from gitrain.checks.report import CheckReport, CheckVerdict
from gitrain.checks.service import CHECKS as SERVICE_CHECKS
from gitrain.checks.training import CHECKS as TRAINING_CHECKS
from gitrain.errors import GitrainError, UsageError
from gitrain.operations.check_artifacts import check_artifacts
from gitrain.operations.check_behaviour import BehaviourChecks
from gitrain.operations.check_data import check_data
from gitrain.operations.check_integration import check_integration
from gitrain.operations.check_lock import check_lock
from gitrain.operations.check_service import ServiceTools, check_service
from gitrain.operations.check_training import TrainingChecks
from gitrain.operations.stage import Stage
from gitrain.pipeline.repository import ArtifactCache, Repository
from gitrain.pipeline.scratch import Scratch
from gitrain.pipeline.stages import PipelineTree, StageSandbox
from gitrain.serving.model import ServedModel
from gitrain.training.model_format import ModelFormat
from gitrain.verdicts import Outcome, Verdict

__all__ = ["GROUPS", "CheckGroup", "CheckRun", "CheckTools", "choose_checks", "run_checks"]


@dataclass(frozen=True, kw_only=True)
class CheckTools:
    """What checks are given. What is opened is opened by the groups that need it.

    Attributes:
        stage: the surroundings.
        open_model_format: gives what reads and writes models.
        open_served_model: opens what is served below a root.
        open_pipeline: gives dvc.yaml, hashes and storage, until the context ends.
        open_scratch: gives an empty folder, until the context ends.
        repository: the Git repository of the tree.
        cache: content by its hash.
        sandbox: runs a stage again.
        clock: seconds that only grow.
        base: the commit to compare with, if one was named.
        open_service: gives what a service is started and asked with; None where the project declares none.
    """

    stage: Stage
    open_model_format: Callable[[], ModelFormat]
    open_served_model: Callable[[Path], ServedModel]
    open_pipeline: Callable[[], AbstractContextManager[PipelineTree]]
    open_scratch: Callable[[], AbstractContextManager[Scratch]]
    repository: Repository
    cache: ArtifactCache
    sandbox: StageSandbox
    clock: Callable[[], float]
    base: str | None = None
    open_service: Callable[[], ServiceTools] | None = None


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

    definitions: tuple[CheckDefinition, ...]
    run: Callable[[], Sequence[Verdict]]

    @cached_property
    def _made(self) -> Sequence[Verdict]:
        made = self.run()
        for verdict in made:
            # A verdict that no check answers for would be dropped without a word.
            if not any(_stands_for(definition.name, verdict.name) for definition in self.definitions):
                raise ValueError(f"the verdict {verdict.name!r} belongs to no check of the catalogue")
        return made

    def verdicts(self, name: str) -> Sequence[Verdict]:
        return [verdict for verdict in self._made if _stands_for(name, verdict.name)]


def _stands_for(definition: str, name: str) -> bool:
    """Whether a verdict is one of the check: a last part in capitals, as in ``artifacts:PATH``, stands for any."""
    start, _, last = definition.rpartition(":")
    return name == definition or (last.isupper() and name.startswith(f"{start}:"))


def _lock(tools: CheckTools) -> CheckRun:
    def run() -> Sequence[Verdict]:
        with tools.open_pipeline() as pipeline:
            return check_lock(tools.stage, tools.repository, pipeline, tools.sandbox, base=tools.base)

    return _WholeGroup(LOCK_CHECKS, run)


def _data(tools: CheckTools) -> CheckRun:
    return _WholeGroup(DATA_CHECKS, lambda: check_data(tools.stage, tools.repository, tools.cache, base=tools.base))


def _artifacts(tools: CheckTools) -> CheckRun:
    def run() -> Sequence[Verdict]:
        with tools.open_pipeline() as pipeline:
            return check_artifacts(tools.stage, tools.open_model_format, tools.open_served_model, pipeline)

    return _WholeGroup(ARTIFACT_CHECKS, run)


def _training(tools: CheckTools) -> CheckRun:
    return TrainingChecks(tools.stage, tools.open_model_format())


def _behaviour(tools: CheckTools) -> CheckRun:
    return BehaviourChecks(tools.stage, tools.open_model_format())


def _integration(tools: CheckTools) -> CheckRun:
    def run() -> Sequence[Verdict]:
        with tools.open_pipeline() as pipeline:
            definitions = pipeline.stages()
        with tools.open_scratch() as scratch:
            return check_integration(
                tools.stage,
                tools.open_model_format(),
                tools.open_served_model,
                scratch,
                definitions,
                clock=tools.clock,
            )

    return _WholeGroup(INTEGRATION_CHECKS, run)


def _service(tools: CheckTools) -> CheckRun:
    open_service = tools.open_service
    if open_service is None:
        raise UsageError("the project declares no service", fix="write bentofile.yaml, as docs/service.md says.")
    return _WholeGroup(SERVICE_CHECKS, lambda: check_service(open_service()))


#: The groups by name, in the order in which `gitrain check all` runs them.
GROUPS: Mapping[str, CheckGroup] = MappingProxyType(
    {
        group.name: group
        for group in (
            CheckGroup(name="lock", definitions=LOCK_CHECKS, begin=_lock),
            CheckGroup(name="data", definitions=DATA_CHECKS, begin=_data),
            CheckGroup(name="artifacts", definitions=ARTIFACT_CHECKS, begin=_artifacts),
            CheckGroup(name="training", definitions=TRAINING_CHECKS, begin=_training),
            CheckGroup(name="behaviour", definitions=BEHAVIOUR_CHECKS, begin=_behaviour),
            CheckGroup(name="integration", definitions=INTEGRATION_CHECKS, begin=_integration),
            CheckGroup(name="service", definitions=SERVICE_CHECKS, begin=_service),
        )
    }
)


def choose_checks(group: CheckGroup, only: Sequence[str]) -> CheckGroup:
    """The group with some of its checks.

    Args:
        group: the whole group.
        only: names as the catalogue has them, or as their verdicts do (``behaviour:NAME`` with the name itself).

    Raises:
        UsageError: the group has no such check; the nearest ones are named.
    """
    chosen = {}
    for name in only:
        found = [definition for definition in group.definitions if _stands_for(definition.name, name)]
        if not found:
            names = [definition.name for definition in group.definitions]
            nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}? " if nearest else ""
            raise UsageError(
                f"the group {group.name!r} has no check {name!r}", fix=f"{hint}its checks: {', '.join(names)}."
            )
        chosen[name] = replace(found[0], name=name)
    return replace(group, definitions=tuple(chosen.values()))


def run_checks(tools: CheckTools, groups: Sequence[CheckGroup], *, stop_at_errors: bool = False) -> CheckReport:
    """Run the groups one after the other.

    Args:
        tools: what the checks are given.
        groups: which groups.
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
        start = tools.clock()
        tools.stage.progress(f"checks of {group.name}: {len(group.definitions)}")
        try:
            run = group.begin(tools)
            verdicts = [verdict for definition in group.definitions for verdict in run.verdicts(definition.name)]
        except GitrainError as error:
            if stop_at_errors:
                raise
            reason = f"{error.what}; to mend it: {error.fix}"
            verdicts = [Verdict(name=group.name, outcome=Outcome.ERROR, reason=reason)]
        found += [CheckVerdict.of(group.name, verdict) for verdict in verdicts]
        seconds[group.name] = round(tools.clock() - start, 3)
    return CheckReport.of(tools.stage.project.name, found, seconds)
