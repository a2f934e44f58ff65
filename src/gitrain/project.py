"""The project object: everything that a repository hands over to Gitrain, once."""

import importlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from gitrain.checks.artifacts import Artifact
from gitrain.checks.behaviour import Behaviour
from gitrain.data.batches import BatchScheme
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.errors import ProjectError
from gitrain.features.definitions import FeatureSet, RowFeature
from gitrain.metrics import Metric
from gitrain.training.estimators import EstimatorFactory

__all__ = ["Project", "Slice", "Target", "load_project"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is predicted: a yes or no.

    Attributes:
        name: the column's name.
        label: an expression over the entity's table: true, false, or null where a row has no label.
    """

    name: str
    label: pl.Expr


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A way to cut the holdout into groups that are judged by themselves.

    Attributes:
        name: the key in params.yaml.
        by: an expression over feature columns; each of its values is a group.
        min_rows: groups with fewer rows of the holdout are reported and not judged.
    """

    name: str
    by: pl.Expr
    min_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Project:
    """What a user hands over.

    Attributes:
        name: lower-case letters, digits and hyphens; also the model's name in the registry.
        tables: the tables, each with its source and contract.
        batches: how data arrives.
        features: entity, histories and feature definitions.
        feature_contract: what the features of a batch must be like.
        prediction_contract: what predictions must be like.
        target: what is predicted.
        estimators: by the name that params.yaml uses.
        metrics: what models are judged by; each needs a threshold.
        behaviours: what is said of the model: changes of a row that must move its score, or must not.
        reported_metrics: what is measured and reported besides, and may be compared with the champion; no threshold.
        slices: groups that are judged by themselves.
        artifacts: the contracts of outputs that the project's own stages write.

    Raises:
        ProjectError: parts that do not fit together; the message names the part and what is missing.
    """

    name: str
    tables: tuple[Table, ...]
    batches: BatchScheme
    features: FeatureSet
    feature_contract: TableContract
    prediction_contract: TableContract
    target: Target
    estimators: Mapping[str, EstimatorFactory]
    metrics: tuple[Metric, ...]
    slices: tuple[Slice, ...] = ()
    reported_metrics: tuple[Metric, ...] = ()
    behaviours: tuple[Behaviour, ...] = ()
    artifacts: tuple[Artifact, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.name):
            raise ProjectError(
                f"the project's name is {self.name!r}",
                fix="use lower-case letters, digits and hyphens, starting with a letter.",
            )
        for part, names in (
            ("tables", [table.name for table in self.tables]),
            ("metrics", [metric.name for metric in self.measured]),
            ("slices", [slice_.name for slice_ in self.slices]),
            ("features", list(self.features.names)),
            ("histories", [history.name for history in self.features.histories]),
            ("behaviours", [behaviour.name for behaviour in self.behaviours]),
            ("artifacts", [artifact.path for artifact in self.artifacts]),
        ):
            _refuse_duplicates(part, names)
        for part, value in (("tables", self.tables), ("estimators", self.estimators), ("metrics", self.metrics)):
            if not value:
                raise ProjectError(f"project {self.name!r} has no {part}", fix=f"give it at least one of {part}.")
        self._check_entity()
        self._check_features()

    def table(self, name: str) -> Table:
        """The table of that name. Raises ProjectError if there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        known = ", ".join(table.name for table in self.tables)
        raise ProjectError(f"project {self.name!r} has no table {name!r}", fix=f"use one of: {known}.")

    @property
    def measured(self) -> tuple[Metric, ...]:
        """All metrics: those that models are judged by, then those that are only reported."""
        return (*self.metrics, *self.reported_metrics)

    def metric(self, name: str) -> Metric:
        """The metric of that name, judged or reported. Raises ProjectError if there is none."""
        for metric in self.measured:
            if metric.name == name:
                return metric
        known = ", ".join(metric.name for metric in self.measured)
        raise ProjectError(f"project {self.name!r} has no metric {name!r}", fix=f"use one of: {known}.")

    @property
    def entity_table(self) -> Table:
        """The table whose rows are predicted."""
        return self.table(self.features.entity.table)

    def _check_entity(self) -> None:
        entity = self.features.entity
        table = self.table(entity.table)
        if not table.batched:
            raise ProjectError(f"the entity's table {table.name!r} has no batches", fix="set batched=True on it.")
        for table in self.tables:
            if table.batched and table.batch_of is None:
                raise ProjectError(
                    f"table {table.name!r} arrives in batches and does not say which row belongs to which",
                    fix="set batch_of to an expression that gives the batch's name.",
                )
        columns = set(self.entity_table.contract.schema.columns)
        for part, names in (("key", entity.key), ("known_in_advance", entity.known_in_advance)):
            _refuse_unknown(f"the entity's {part}", names, columns, f"table {entity.table!r}")
        _refuse_unknown("the target's label", self.target.label.meta.root_names(), columns, f"table {entity.table!r}")
        if self.features.histories and entity.decision_time is None:
            raise ProjectError("there are histories and no decision time", fix="set decision_time on the entity.")
        known = set(entity.known_in_advance)
        for part, expression in (("decision_time", entity.decision_time), ("unit", entity.unit[1])):
            if expression is not None:
                _refuse_unknown(f"the entity's {part}", expression.meta.root_names(), known, "known_in_advance")

    def _check_features(self) -> None:
        features = self.features
        known = set(features.entity.known_in_advance)
        histories = {history.name: history for history in features.histories}
        for feature in features.features:
            if isinstance(feature, RowFeature):
                # The first guard against leaks: a row feature cannot even name an outcome.
                _refuse_unknown(
                    f"feature {feature.name!r}", feature.expression.meta.root_names(), known, "known_in_advance"
                )
                continue
            if feature.history not in histories:
                raise ProjectError(
                    f"a feature reads the history {feature.history!r}, which is not declared",
                    fix=f"declare it, or use one of: {', '.join(histories) or 'none'}.",
                )
            _refuse_unknown(f"features of {feature.history!r}", feature.by, known, "known_in_advance")
            table = self.table(histories[feature.history].table)
            columns = set(table.contract.schema.columns)
            _refuse_unknown(f"features of {feature.history!r}", feature.by.values(), columns, f"table {table.name!r}")
        _refuse_unknown("categorical", features.categorical, set(features.names), "features")
        for slice_ in self.slices:
            _refuse_unknown(f"slice {slice_.name!r}", slice_.by.meta.root_names(), set(features.names), "features")
        for behaviour in self.behaviours:
            changes = [*behaviour.start.items(), *behaviour.change.items()]
            read = [name for _, expression in changes for name in expression.meta.root_names()]
            asked = behaviour.where.meta.root_names() if behaviour.where is not None else []
            used = [name for name, _ in changes] + read + asked
            _refuse_unknown(f"behaviour {behaviour.name!r}", used, set(features.names), "features")


def load_project(reference: str) -> Project:
    """Import the project object named ``package.module:NAME``.

    Raises:
        ProjectError: no such module or name, or it is no Project.
    """
    module_name, _, attribute = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ProjectError(
            f"the project {reference!r} cannot be imported: {error}",
            fix="correct `project` under [tool.gitrain] in pyproject.toml, or install the package.",
        ) from error
    project = getattr(module, attribute, None)
    if not isinstance(project, Project):
        found = "nothing" if project is None else type(project).__name__
        raise ProjectError(
            f"{reference!r} is {found}, not a gitrain.project.Project",
            fix=f"define {attribute} = Project(...) in {module_name}.",
        )
    return project


def _refuse_duplicates(part: str, names: Iterable[str]) -> None:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise ProjectError(f"{part} holds {repeated[0]!r} twice", fix="give each its own name.")


def _refuse_unknown(user: str, names: Iterable[str], known: set[str], where: str) -> None:
    unknown = sorted(set(names) - known)
    if unknown:
        raise ProjectError(
            f"{user} uses the column {unknown[0]!r}, which {where} does not have",
            fix=f"use one of: {', '.join(sorted(known))}.",
        )
