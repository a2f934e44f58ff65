"""The batches of a replay: every one that the sources have, ingested, validated and made into features in a scratch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gitrain.data.batches import batches_between
from gitrain.errors import DataError, GitrainError, UsageError
from gitrain.operations.build_features import build_features
from gitrain.operations.ingest import ingest
from gitrain.operations.stage import Stage
from gitrain.operations.validate_data import validate_data
from gitrain.pipeline.params import DataParams
from gitrain.verdicts import Outcome

__all__ = ["AT_MOST", "PreparedYear", "prepare_year", "stage_through"]

#: Batches that a replay asks the sources for unless it is told through which: a year of months.
AT_MOST = 12


@dataclass(frozen=True, kw_only=True)
class PreparedYear:
    """The data of a replay.

    Attributes:
        stage: the surroundings, with all batches.
        bootstrap: the batches that the first model is trained on.
        lived: those that come after, in order.
        note: why there are no more.
    """

    stage: Stage
    bootstrap: tuple[str, ...]
    lived: tuple[str, ...]
    note: str


def prepare_year(stage: Stage, *, bootstrap: int, through: str | None) -> PreparedYear:
    """Make the features of all batches in the stage's workspace, by the operations of the pipeline.

    Args:
        stage: its workspace is a scratch folder; its parameters are those of the repository.
        bootstrap: how many batches the first model is trained on.
        through: the last batch; None takes what the sources have, a dozen batches at most, and `data.through` at least.

    Raises:
        UsageError: too few batches, or a project without a decision time.
        DataError: a batch cannot be had, or breaks its contract.
    """
    if stage.project.features.entity.decision_time is None:
        raise UsageError(
            "the entity has no decision time, and a replay lives through time",
            fix="set decision_time on the entity, or use `gitrain rehearse` without --year.",
        )
    # The recipe is measured once before there is a year: trained on all but the last of these, judged on that.
    if bootstrap < 2:
        raise UsageError(f"--bootstrap {bootstrap} is too few batches", fix="take 2 or more.")
    batches, note = _batches(stage, through)
    if len(batches) <= bootstrap:
        raise UsageError(
            f"there are {len(batches)} batches, and {bootstrap} of them are for the first model",
            fix="lower --bootstrap, or raise --through.",
        )
    year = stage_through(stage, batches[-1])
    ingest(year)
    failed = [each for each in validate_data(year).batches if each.outcome is not Outcome.PASSED]
    if failed:
        reasons = "; ".join(finding.message for finding in failed[0].findings if finding.severity == "fail")
        raise DataError(
            f"{failed[0].name} breaks its contract: {reasons}",
            fix="replay the batches before it (--through), or mend the contract.",
        )
    build_features(year)
    return PreparedYear(stage=year, bootstrap=tuple(batches[:bootstrap]), lived=tuple(batches[bootstrap:]), note=note)


def stage_through(stage: Stage, batch: str) -> Stage:
    """The same surroundings as they were when `batch` was the newest."""
    data = DataParams(first=stage.params.data.first, through=batch)
    return replace(stage, params=stage.params.model_copy(update={"data": data}))


def _batches(stage: Stage, through: str | None) -> tuple[Sequence[str], str]:
    scheme = stage.project.batches
    if through is not None:
        return batches_between(scheme, stage.params.data.first, through), f"the replay was asked to end with {through}"
    batches = stage.batches
    while len(batches) < AT_MOST:
        following = scheme.following(batches[-1])
        missing = _missing(stage, following)
        if missing is not None:
            return batches, f"the sources end with {batches[-1]}: {missing}"
        batches.append(following)
    return batches, f"a dozen batches, through {batches[-1]}; --through asks for others"


def _missing(stage: Stage, batch: str) -> str | None:
    """Why the sources do not have a batch; None where they do."""
    for table in stage.project.tables:
        if table.batched:
            try:
                table.source.read(batch)
            except GitrainError as error:
                return error.what
            except Exception as error:  # a source of the project's own may raise anything
                return f"{table.name}: {type(error).__name__}: {error}"
    return None
