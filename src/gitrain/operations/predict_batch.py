"""`gitrain predict`: the rows of a file, judged by the contract and predicted part by part."""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.data.validation import validate
from gitrain.data.validation_report import Finding
from gitrain.documents import parse_json
from gitrain.errors import DataError, SettingsError
from gitrain.lineage import digest_of_value
from gitrain.pipeline.workspace import Workspace
from gitrain.project import Project
from gitrain.serving.batch_report import BatchReport, PartSummary
from gitrain.serving.predictor import Predictions, Predictor
from gitrain.serving.requests import known_contract
from gitrain.serving.row_source import RowSource

__all__ = ["PART_ROWS", "BatchPredictor", "batch_contract", "predict_batch"]

#: Rows of a part: what a worker that is killed loses at most, and what it has in memory.
PART_ROWS = 50_000

_PREDICTED, _QUARANTINED = ".parquet", ".quarantine.parquet"
_STRUCTURE = ("missing_column", "type")
# The generation of the parts' format: parts of another one are made anew.
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class BatchPredictor:
    """What predicts a batch.

    Attributes:
        project: whose contract and key.
        predictor: as in a service.
        release: the version that predicts, for the output.
        digest: of all that decides the predictions besides the rows: the release, and what is in the online store.
    """

    project: Project
    predictor: Predictor
    release: str
    digest: str


def batch_contract(project: Project) -> TableContract:
    """What the rows of a batch must be like: what a request must be, with the key's columns besides."""
    entity = project.features.entity
    return known_contract(entity, project.entity_table.contract, *entity.key)


def predict_batch(
    batch: BatchPredictor,
    source: RowSource,
    output: str,
    *,
    workspace: Workspace,
    progress: Callable[[str], None],
    part_rows: int = PART_ROWS,
    workers: int = 1,
) -> BatchReport:
    """Predict the rows of a file and write them to `output`, a parquet file.

    Rows that a request could not hold go to ``OUTPUT.quarantine.parquet`` with their reasons. Each part is written
    below ``OUTPUT.parts`` when it is done: a run that was killed is taken up again by calling this again, unless the
    rows, the release or the store have changed meanwhile. The output has the columns of the key, then `probability`,
    `decision`, `missing` (features), `stale` (histories) and `release`; its rows are in the order of the input.

    Args:
        batch: what predicts.
        source: the rows.
        output: the file's path in `workspace`.
        workspace: where it is written.
        progress: told of each part.
        part_rows: rows of a part.
        workers: so many parts are worked on at a time, and are in memory then. The numbers do not depend on it.

    Raises:
        FeatureError, ModelError, IntegrationError: the rows cannot be predicted; what is done stays done.
    """
    contract = batch_contract(batch.project)
    table = batch.project.entity_table
    parts = f"{output}.parts"
    structure = _structure(batch.project, table, contract, source)
    if structure:
        _discard(workspace, parts)
        return BatchReport.refused(
            batch.project.name, batch.release, source.rows, structure, input_digest=source.digest
        )
    _start(workspace, parts, {"batch": batch.digest, "rows": source.digest, "part_rows": part_rows})
    numbers = range(-(-source.rows // part_rows))

    def work(number: int) -> tuple[PartSummary, bool]:
        name = f"{parts}/{number:06d}"
        summary = _finished(workspace, name)
        if summary is not None:
            return summary, False
        return _predict_part(batch, contract, source.read(number * part_rows, part_rows), workspace, name), True

    summaries: list[PartSummary] = []
    # Threads are enough: look-ups and models let go of the interpreter.
    pool = ThreadPoolExecutor(workers)
    try:
        for number, (summary, is_new) in zip(numbers, pool.map(work, numbers), strict=True):
            done = min((number + 1) * part_rows, source.rows)
            said = f"{summary.quarantined:,} of this part in quarantine" if is_new else "this part by an earlier run"
            progress(f"{done:,} of {source.rows:,} rows, {said}")
            summaries.append(summary)
    finally:
        pool.shutdown(cancel_futures=True)
    quarantine = f"{output}{_QUARANTINED}"
    # The output comes last: where it is new, the quarantine is that of the same run.
    quarantined = [number for number, summary in enumerate(summaries) if summary.quarantined]
    if quarantined:
        workspace.write_table(quarantine, _joined(workspace, parts, quarantined, _QUARANTINED))
    else:
        workspace.remove(quarantine)
    if summaries:
        workspace.write_table(output, _joined(workspace, parts, numbers, _PREDICTED))
    else:
        workspace.write_table(output, _outputs(batch, contract, pl.DataFrame(schema=contract.dtypes), None))
    report = BatchReport.of(
        batch.project.name,
        batch.release,
        summaries,
        input_digest=source.digest,
        output_digest=workspace.digest(output),
    )
    _discard(workspace, parts)
    return report


def _joined(workspace: Workspace, parts: str, numbers: Iterable[int], suffix: str) -> pl.DataFrame:
    return pl.concat([workspace.read_table(f"{parts}/{number:06d}{suffix}") for number in numbers])


def _structure(project: Project, table: Table, contract: TableContract, source: RowSource) -> list[Finding]:
    """What fails the file as a whole: columns that are missing or have other types."""
    empty = pl.DataFrame(schema=source.schema)
    findings = validate(empty, contract, table=table.name, batch=None, scheme=project.batches).findings
    # A column whose text has no type is told once, by its values.
    told = {finding.columns for finding in source.findings}
    others = [each for each in findings if each.rule in _STRUCTURE and each.columns not in told]
    return [*source.findings, *others]


def _start(workspace: Workspace, parts: str, inputs: dict[str, object]) -> None:
    """Keep the parts of an earlier run only if they were made from the same."""
    plan = digest_of_value({"format": _FORMAT, **inputs}) + "\n"
    path = f"{parts}/plan"
    if workspace.exists(path) and workspace.read_bytes(path) == plan.encode():
        return
    _discard(workspace, parts)
    workspace.write_text(path, plan)


def _discard(workspace: Workspace, parts: str) -> None:
    # Without the plan no part counts: it goes first.
    for path in (f"{parts}/plan", *workspace.files(parts)):
        workspace.remove(path)


def _finished(workspace: Workspace, name: str) -> PartSummary | None:
    """The summary of a part that is done and whole."""
    if not workspace.exists(f"{name}.json"):
        return None
    try:
        summary = parse_json(PartSummary, workspace.read_text(f"{name}.json"), source=f"{name}.json")
    except SettingsError:
        return None
    for suffix, digest in summary.digests.items():
        path = f"{name}{suffix}"
        if not workspace.exists(path) or workspace.digest(path) != digest:
            return None
    return summary


def _predict_part(
    batch: BatchPredictor, contract: TableContract, rows: pl.DataFrame, workspace: Workspace, name: str
) -> PartSummary:
    project = batch.project
    table = project.entity_table
    validation = validate(rows, contract, table=table.name, batch=None, scheme=project.batches)
    broken = [each for each in validation.findings if each.severity == "fail" and each.rule in _STRUCTURE]
    if broken:
        raise DataError(
            f"the columns of the rows have changed while they were read: {broken[0].message}", fix="start again."
        )
    known = validation.kept.select(project.features.entity.known_in_advance)
    predictions = batch.predictor.predict(known) if known.height else None
    files = {_PREDICTED: _outputs(batch, contract, validation.kept, predictions)}
    if validation.quarantined.height:
        files[_QUARANTINED] = validation.quarantined
    for suffix, frame in files.items():
        workspace.write_table(f"{name}{suffix}", frame)
    summary = PartSummary(
        rows=rows.height,
        quarantined=validation.quarantined.height,
        findings=tuple(each for each in validation.findings if each.severity == "quarantine"),
        decided=int(predictions.decisions.sum()) if predictions is not None else 0,
        missing=_counted(predictions.missing) if predictions is not None else {},
        stale=_counted(predictions.stale) if predictions is not None else {},
        newest=dict(predictions.newest) if predictions is not None else {},
        digests={suffix: workspace.digest(f"{name}{suffix}") for suffix in files},
    )
    workspace.write_text(f"{name}.json", summary.to_json())
    return summary


def _counted(lists: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    total: Counter[str] = Counter()
    # Many rows miss the same features.
    for names, rows in Counter(lists).items():
        total.update(dict.fromkeys(names, rows))
    return dict(sorted(total.items()))


def _outputs(
    batch: BatchPredictor, contract: TableContract, kept: pl.DataFrame, predictions: Predictions | None
) -> pl.DataFrame:
    """The output's rows; without predictions a frame without rows, with the same columns."""
    key = kept.select(pl.col(name).cast(contract.dtypes[name]) for name in batch.project.features.entity.key)
    if predictions is None:
        key = key.clear()
    return key.with_columns(
        pl.Series("probability", predictions.probabilities if predictions is not None else [], dtype=pl.Float64),
        pl.Series("decision", predictions.decisions if predictions is not None else [], dtype=pl.Boolean),
        _lists("missing", predictions.missing if predictions is not None else ()),
        _lists("stale", predictions.stale if predictions is not None else ()),
        pl.lit(batch.release).alias("release"),
    )


def _lists(name: str, values: tuple[tuple[str, ...], ...]) -> pl.Series:
    """A column of lists of text, made from the few lists that there are."""
    # Equal lists are one object, mostly: by it they are found without comparing texts.
    distinct = {id(each): each for each in values}
    numbers = {each: number for number, each in enumerate(distinct)}
    lists = pl.Series(name, [list(each) for each in distinct.values()], dtype=pl.List(pl.String))
    return lists.gather(pl.Series([numbers[id(each)] for each in values], dtype=pl.UInt32))
