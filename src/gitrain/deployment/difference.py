"""What differs between two releases: data, parameters, dependencies, metrics, code."""

from collections.abc import Mapping
from dataclasses import dataclass

from gitrain.deployment.commits import CommitLine
from gitrain.documents import Section
from gitrain.pipeline.changes import ValueChange, changed_parameters, changed_pins, changed_values
from gitrain.release.record import ReleaseRecord

__all__ = ["MetricChange", "ReleaseDifference", "ReleaseSources", "difference_of"]


class MetricChange(Section):
    """A metric of the holdout; None on the side that does not have it. The two holdouts may be other rows.

    Attributes:
        name: the metric.
        old: its value before.
        new: its value after.
    """

    name: str
    old: float | None
    new: float | None


@dataclass(frozen=True, kw_only=True)
class ReleaseSources:
    """What a release's commit holds, as far as this clone has it.

    Attributes:
        parameters: the text of params.yaml; None if it cannot be read.
        requirements: the text of requirements.lock; None if it cannot be read.
    """

    parameters: str | None
    requirements: str | None


class ReleaseDifference(Section):
    """The difference of two releases.

    Attributes:
        old: the version that one goes from; None if nothing runs yet.
        new: the version that one goes to.
        old_digest: of the bundle; None likewise.
        new_digest: of the bundle.
        about: what the records say: data, model, schema, threshold.
        parameters: dotted keys of params.yaml; None if one of the two commits is not here.
        dependencies: packages of requirements.lock; None likewise.
        metrics: all of them, whether they differ or not.
        commits: the newest first; None if they cannot be had.
        more_commits: so many are left out.
        undone: whether `commits` are those that going back takes away.
    """

    old: str | None
    new: str
    old_digest: str | None
    new_digest: str
    about: tuple[ValueChange, ...] = ()
    parameters: tuple[ValueChange, ...] | None = None
    dependencies: tuple[ValueChange, ...] | None = None
    metrics: tuple[MetricChange, ...] = ()
    commits: tuple[CommitLine, ...] | None = None
    more_commits: int = 0
    undone: bool = False


def difference_of(
    old: ReleaseRecord | None,
    new: ReleaseRecord,
    *,
    sources: tuple[ReleaseSources, ReleaseSources],
    commits: tuple[CommitLine, ...] | None = None,
    more_commits: int = 0,
    undone: bool = False,
) -> ReleaseDifference:
    """The difference between two releases.

    Args:
        old: the record of the one that is left; None if nothing runs yet.
        new: the record of the other.
        sources: what the two commits hold.
        commits: what lies between them, the newest first.
        more_commits: so many are left out.
        undone: whether they are taken away.

    Raises:
        SettingsError: params.yaml of one of the commits is no YAML mapping.
    """
    before, after = sources
    parameters = dependencies = None
    if before.parameters is not None and after.parameters is not None:
        parameters = changed_parameters(before.parameters, after.parameters)
    if before.requirements is not None and after.requirements is not None:
        dependencies = changed_pins(before.requirements, after.requirements)
    metrics = {**new.metrics, **(old.metrics if old else {})}
    return ReleaseDifference(
        old=old.version if old else None,
        new=new.version,
        old_digest=old.bundle_digest if old else None,
        new_digest=new.bundle_digest,
        about=changed_values(_about(old), _about(new)),
        parameters=parameters,
        dependencies=dependencies,
        metrics=tuple(
            MetricChange(name=name, old=old.metrics.get(name) if old else None, new=new.metrics.get(name))
            for name in metrics
        ),
        commits=commits,
        more_commits=more_commits,
        undone=undone,
    )


def _about(record: ReleaseRecord | None) -> Mapping[str, object]:
    if record is None:
        return {}
    identity = record.identity
    return {
        "data through": identity.data_through,
        "data": identity.data_digest,
        "model": identity.model_digest,
        "schema": identity.schema_digest,
        "served as": identity.served_format,
        "threshold": identity.threshold,
        "Python": record.python,
    }
