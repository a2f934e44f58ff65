"""Compute the features of every batch; a batch whose inputs have not changed is taken from the memo."""

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from gitrain.data.validation import validate
from gitrain.errors import DataError, FeatureError
from gitrain.features.definitions import FeatureSet
from gitrain.features.engine import as_text, compute_features, decision_times
from gitrain.features.partitions import Partitions
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import FEATURES, partition
from gitrain.pipeline.workspace import memo_key
from gitrain.project import Project, Target

__all__ = ["DECISION_TIME", "build_features", "feature_table", "partitions_of"]

DECISION_TIME = "decision_time"
_SHOWN = 5


def build_features(stage: Stage) -> None:
    """Write ``data/features/BATCH.parquet`` for every batch, and remove the files of batches that there are no more.

    A file has the entity's key, the resampling unit, `decision_time` (where the project has one), the features, and the
    target (Boolean, null without a label). It is made from the entity's batch and from those batches of histories that
    its decisions can reach back to, so one more batch leaves the earlier files as they are, and no more than these are
    in memory.

    Raises:
        DataError: a validated table is missing or damaged, or the features break their contract.
        FeatureError: features that cannot be computed as they are defined.
    """
    partitions = partitions_of(stage)
    digests: dict[str, str] = {}

    def digest(path: str) -> str:
        if path not in digests:
            digests[path] = stage.workspace.digest(path)
        return digests[path]

    batches = stage.batches
    for number, batch in enumerate(batches):
        target = partition(FEATURES, None, batch)
        with _named(f"batch {batch}"):
            needed = partitions.needed(batches[: number + 1], partitions.decisions(batch))
            inputs: dict[str, object] = {"code": stage.code, "rows": digest(partitions.entity_path(batch))}
            for name, paths in partitions.paths(needed).items():
                inputs[f"history {name}"] = [[path, digest(path)] for path in paths]
            key = memo_key("features", batch, inputs)
            if stage.memo.restore(key, [target]):
                stage.progress(f"features {batch}: as before")
                continue
            frame = feature_table(stage.project, partitions, batch, needed)
            _check_contract(stage.project, frame, batch)
        stage.workspace.write_table(target, frame)
        stage.memo.store(key, [target])
        stage.progress(f"features {batch}: {frame.height:,} rows")
    current = {partition(FEATURES, None, batch) for batch in batches}
    for path in stage.workspace.list(FEATURES, ".parquet"):
        if path not in current:
            stage.workspace.remove(path)


def partitions_of(stage: Stage) -> Partitions:
    """The validated tables of a stage, by batch."""
    project = stage.project
    whole = [table.name for table in project.tables if not table.batched]
    return Partitions(stage.workspace, project.features, project.batches, whole)


def feature_table(
    project: Project, partitions: Partitions, batch: str, needed: dict[str, list[str | None]]
) -> pl.DataFrame:
    """The features of one batch with key, unit, decision time and target."""
    features = project.features
    entity = features.entity
    rows = partitions.entity_rows(batch, *entity.key, *project.target.label.meta.root_names())
    known = rows.select(entity.known_in_advance)
    computed = compute_features(features, known, partitions.histories(needed))
    _check_types(features, computed)
    unit_name, unit = entity.unit
    columns = {name: as_text(rows[name]) for name in entity.key}
    parts = [_column(known, unit_name, unit)]
    if parts[0].null_count():
        raise FeatureError(
            f"{parts[0].null_count()} rows have no {unit_name!r}, the unit of resampling",
            fix="correct the entity's unit, or let the contract refuse such rows.",
        )
    if entity.decision_time is not None:
        parts.append(decision_times(entity, known).alias(DECISION_TIME))
    for column in (*parts, *computed.get_columns()):
        _add(columns, column)
    label = _label(rows, project.target)
    if label.name in columns:
        raise FeatureError(
            f"the target {label.name!r} is also the name of a feature, a key or the unit", fix="rename one of them."
        )
    return pl.DataFrame([*columns.values(), label])


def _check_contract(project: Project, frame: pl.DataFrame, batch: str) -> None:
    """Judge the columns that the contract names.

    Features have no quarantine: a row that could not be learned from or predicted is no row to leave out silently.
    """
    contract = project.feature_contract
    judged = frame.select(name for name in frame.columns if name in contract.schema.columns)
    result = validate(judged, contract, table="features", batch=batch, scheme=project.batches)
    broken = [finding.message for finding in result.findings if finding.severity != "warn"]
    if broken:
        shown = "; ".join(broken[:_SHOWN])
        rest = f"; and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        raise DataError(
            f"the features of batch {batch} break their contract: {shown}{rest}",
            fix="correct the feature's definition or project.feature_contract, or look at the data that it is made of.",
        )


def _add(columns: dict[str, pl.Series], column: pl.Series) -> None:
    """A name that stands twice, such as a key that is a feature too, must stand for one thing."""
    present = columns.setdefault(column.name, column)
    if present.dtype != column.dtype or not present.equals(column, null_equal=True):
        raise FeatureError(
            f"the name {column.name!r} stands for two different columns of the features", fix="rename one of them."
        )


def _column(rows: pl.DataFrame, name: str, expression: pl.Expr) -> pl.Series:
    try:
        return as_text(rows.with_columns(expression.alias(name))[name])
    except pl.exceptions.PolarsError as error:
        raise FeatureError(
            f"{name!r} cannot be computed: {' '.join(str(error).split())}", fix="correct its expression."
        ) from error


def _label(rows: pl.DataFrame, target: Target) -> pl.Series:
    label = _column(rows, target.name, target.label)
    if label.dtype != pl.Boolean:
        raise FeatureError(
            f"the label {target.name!r} is of type {label.dtype}", fix="write a condition: true, false or null."
        )
    return label


def _check_types(features: FeatureSet, computed: pl.DataFrame) -> None:
    for name, dtype in computed.schema.items():
        wanted, fits = (
            ("text", dtype == pl.String)
            if name in features.categorical
            else ("a number", dtype.is_numeric() or dtype == pl.Boolean)
        )
        if not fits:
            raise FeatureError(
                f"the feature {name!r} is of type {dtype}, not {wanted}",
                fix=f"cast it, or {'take it out of' if name in features.categorical else 'add it to'} `categorical`.",
            )


@contextmanager
def _named(place: str) -> Iterator[None]:
    try:
        yield
    except FeatureError as error:
        raise FeatureError(f"{place}: {error.what}", fix=error.fix) from error
