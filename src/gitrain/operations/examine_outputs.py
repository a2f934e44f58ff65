"""What the outputs of Gitrain's own stages have to be like: each is read as the next stage reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl

from gitrain.checks.artifacts import (
    Examined,
    csv_problems,
    finite_problems,
    flat_numbers_problems,
    row_count_problems,
    schema_problems,
)
from gitrain.data.contracts import REASON, TableContract
from gitrain.data.tables import Table
from gitrain.data.validation import validate
from gitrain.data.validation_report import ValidationReport
from gitrain.documents import parse_json
from gitrain.evaluation.document import Evaluation
from gitrain.evaluation.predictions import BATCH, DECISION_TIME, LABEL, SCORE, slice_column
from gitrain.evaluation.scoring import score
from gitrain.online.columns import columns_of
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import (
    CALIBRATION,
    EVALUATION,
    FEATURES,
    HOLDOUT_PREDICTIONS,
    KNOWN_ANSWERS,
    METRICS,
    MODEL,
    MODEL_MANIFEST,
    PRECISION_RECALL,
    QUARANTINE,
    RAW,
    ROC,
    SERVED,
    SERVING_MANIFEST,
    TRAINING_CURVE,
    VALIDATED,
    VALIDATION_MARKDOWN,
    VALIDATION_REPORT,
    partition,
)
from gitrain.serving.manifest import KnownAnswers, ServingManifest
from gitrain.serving.model import ServedModel
from gitrain.training.estimators import FeatureColumns
from gitrain.training.manifest import ModelManifest
from gitrain.training.matrix import feature_matrix
from gitrain.training.model_format import ModelFormat
from gitrain.verdicts import Outcome

__all__ = ["KNOWN", "Outputs"]

_PREDICTIONS = PurePosixPath(HOLDOUT_PREDICTIONS).parent.as_posix()
_SCORED_ROWS = 200
_SHOWN = 5

_CURVES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {
    # The columns, those whose cells may be empty, and how many lines there are at least.
    TRAINING_CURVE: (("iteration", "training_loss", "validation_loss"), (), 1),
    CALIBRATION: (("predicted", "observed"), (), 1),
    ROC: (("false_positive_rate", "true_positive_rate", "threshold"), ("threshold",), 0),
    PRECISION_RECALL: (("recall", "precision", "threshold"), (), 0),
}


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The outputs of Gitrain's stages in one tree.

    Attributes:
        stage: the surroundings.
        open_model_format: gives what reads models; called for the model alone.
        open_served_model: opens what is served below a root; called for what is served alone.
    """

    stage: Stage
    open_model_format: Callable[[], ModelFormat]
    open_served_model: Callable[[Path], ServedModel]

    def raw(self) -> Examined:
        """One table a batch, with the columns and types of its contract; what rows hold is validation's to judge."""
        found = Examined(figures={"tables": 0, "rows": 0})
        for table, batch, path in self._partitions(RAW):
            frame = self.stage.workspace.read_table(path)
            found.problems += schema_problems(path, frame, _types(table.contract))
            # Rows in quarantine are taken off later.
            found.problems += row_count_problems(path, frame.height, (1, None))
            _count(found, frame)
            del batch
        return self._nothing_else(RAW, found, {path for _, _, path in self._partitions(RAW)})

    def validated(self) -> Examined:
        """What was read less what is in quarantine, finite, and within the contract's own bounds."""
        found = Examined(figures={"tables": 0, "rows": 0})
        workspace = self.stage.workspace
        for table, batch, path in self._partitions(VALIDATED):
            frame = workspace.read_table(path)
            found.problems += schema_problems(path, frame, _types(table.contract))
            found.problems += finite_problems(path, frame, besides=table.contract.non_finite)
            raw, kept_out = partition(RAW, table.name, batch), partition(QUARANTINE, table.name, batch)
            if workspace.exists(raw):
                rows = _height(self.stage, raw)
                rows -= _height(self.stage, kept_out) if workspace.exists(kept_out) else 0
                if rows != frame.height:
                    found.problems.append(
                        f"{path} has {frame.height:,} rows, and {raw} without its quarantine has {rows:,}"
                    )
            found.problems += row_count_problems(path, frame.height, table.contract.rows)
            _count(found, frame)
        return self._nothing_else(VALIDATED, found, {path for _, _, path in self._partitions(VALIDATED)})

    def quarantine(self) -> Examined:
        """Rows with a reason, as many as the report says, and files of batches alone."""
        found = Examined(figures={"tables": 0, "rows": 0})
        workspace = self.stage.workspace
        report = ValidationReport.from_json(workspace.read_text(VALIDATION_REPORT), source=VALIDATION_REPORT)
        reported = {(each.table, each.batch): each.quarantined for each in report.batches}
        for table, batch, path in self._partitions(QUARANTINE):
            expected = reported.get((table.name, batch), 0)
            if not workspace.exists(path):
                if expected:
                    found.problems.append(f"{path} is missing: {VALIDATION_REPORT} has {expected:,} rows in quarantine")
                continue
            frame = workspace.read_table(path)
            found.problems += schema_problems(
                path, frame, {**dict.fromkeys(table.contract.dtypes), REASON: pl.String()}
            )
            if REASON in frame.columns and frame[REASON].null_count():
                found.problems.append(f"{frame[REASON].null_count():,} rows of {path} have no reason")
            found.problems += row_count_problems(path, frame.height, (expected, expected))
            _count(found, frame)
        allowed = {path for _, _, path in self._partitions(QUARANTINE)} | {f"{QUARANTINE}/README.md"}
        return self._nothing_else(QUARANTINE, found, allowed)

    def features(self) -> Examined:
        """A row an entity, finite, within the contract of features, and a matrix that models take."""
        found = Examined(figures={"tables": 0, "rows": 0})
        project = self.stage.project
        entity = project.features.entity
        columns = FeatureColumns(names=project.features.names, categorical=project.features.categorical)
        expected: dict[str, pl.DataType | None] = dict.fromkeys((*entity.key, entity.unit[0]))
        if entity.decision_time is not None:
            expected[DECISION_TIME] = None
        expected |= {**dict.fromkeys(project.features.names), project.target.name: pl.Boolean()}
        paths = []
        for batch in self.stage.batches:
            path = partition(FEATURES, None, batch)
            paths.append(path)
            frame = self.stage.workspace.read_table(path)
            shape = schema_problems(path, frame, expected)
            found.problems += shape + finite_problems(path, frame, besides=project.feature_contract.non_finite)
            rows = partition(VALIDATED, entity.table, batch)
            if self.stage.workspace.exists(rows) and _height(self.stage, rows) != frame.height:
                height = _height(self.stage, rows)
                found.problems.append(f"{path} has {frame.height:,} rows, and {rows} has {height:,}")
            if not shape:
                feature_matrix(frame, columns)
                found.problems += self._contract(path, frame, project.feature_contract, "features", batch)
            _count(found, frame)
        return self._nothing_else(FEATURES, found, set(paths))

    def predictions(self) -> Examined:
        """A probability for each labelled row of the holdout."""
        found = Examined(figures={"tables": 0, "rows": 0})
        project = self.stage.project
        entity = project.features.entity
        frame = self.stage.workspace.read_table(HOLDOUT_PREDICTIONS)
        expected: dict[str, pl.DataType | None] = dict.fromkeys((*entity.key, entity.unit[0]))
        if entity.decision_time is not None:
            expected[DECISION_TIME] = None
        expected |= {BATCH: pl.String(), LABEL: pl.Boolean(), SCORE: pl.Float64()}
        expected |= {slice_column(each.name): pl.String() for each in project.slices}
        shape = schema_problems(HOLDOUT_PREDICTIONS, frame, expected)
        found.problems += shape + finite_problems(HOLDOUT_PREDICTIONS, frame)
        labelled = 0
        for batch in self.stage.holdout:
            path = partition(FEATURES, None, batch)
            labelled += self.stage.workspace.read_table(path, [project.target.name]).drop_nulls().height
        found.problems += row_count_problems(HOLDOUT_PREDICTIONS, frame.height, (labelled, labelled))
        if not shape:
            for (batch,), rows in frame.group_by(BATCH, maintain_order=True):
                found.problems += self._contract(
                    HOLDOUT_PREDICTIONS, rows, project.prediction_contract, "predictions", str(batch)
                )
        _count(found, frame)
        return found

    def predictions_folder(self) -> Examined:
        """The folder of the predictions holds these alone."""
        return self._nothing_else(_PREDICTIONS, self.predictions(), {HOLDOUT_PREDICTIONS})

    def model(self) -> Examined:
        """The model of its manifest, which gives probabilities for real rows."""
        workspace, project = self.stage.workspace, self.stage.project
        content = workspace.read_bytes(MODEL)
        found = Examined(figures={"bytes": len(content)})
        manifest = parse_json(ModelManifest, workspace.read_text(MODEL_MANIFEST), source=MODEL_MANIFEST)
        if workspace.digest(MODEL) != manifest.model_digest:
            found.problems.append(f"{MODEL_MANIFEST} describes another model than {MODEL}")
            return found
        estimator = self.open_model_format().load(content, name=MODEL)
        rows = workspace.read_table(partition(FEATURES, None, self.stage.holdout[-1])).head(_SCORED_ROWS)
        scores = score(estimator, rows, manifest.columns, key=project.features.entity.key)
        found.figures["rows_scored"] = int(scores.size)
        return found

    def manifest(self) -> Examined:
        """About this project, its features and the training window of params.yaml."""
        project = self.stage.project
        manifest = parse_json(ModelManifest, self.stage.workspace.read_text(MODEL_MANIFEST), source=MODEL_MANIFEST)
        found = Examined(figures={"rows": manifest.rows})
        for what, has, wanted in (
            ("project", manifest.project, project.name),
            ("target", manifest.target, project.target.name),
            ("features", list(manifest.features), list(project.features.names)),
            ("training_batches", list(manifest.training_batches), self.stage.training_batches),
        ):
            if has != wanted:
                found.problems.append(f"{MODEL_MANIFEST} has {_short(has)} as {what}, and the tree {_short(wanted)}")
        return found

    def served(self) -> Examined:
        """The one file that the manifest names, which scores real rows as the predictions have them."""
        workspace, manifest = self.stage.workspace, self._serving_manifest()
        found = self._nothing_else(SERVED, Examined(), {manifest.path})
        model = self.open_served_model(workspace.root)
        rows = workspace.read_table(partition(FEATURES, None, self.stage.holdout[0]))
        rows = rows.filter(pl.col(self.stage.project.target.name).is_not_null()).head(_SCORED_ROWS)
        judged = workspace.read_table(HOLDOUT_PREDICTIONS, [SCORE])[SCORE].head(rows.height).to_numpy()
        apart = np.abs(model.score(columns_of(rows, model.columns)) - judged)
        if apart.size and not apart.max() <= manifest.parity.tolerance:
            found.problems.append(f"{manifest.path} gives a score {apart.max():.3g} from that of {HOLDOUT_PREDICTIONS}")
        found.figures["rows_scored"] = int(apart.size)
        return found

    def serving_manifest(self) -> Examined:
        """About the model and the parameters of this tree."""
        manifest, params = self._serving_manifest(), self.stage.params.serving
        found = Examined(figures={"rows_compared": manifest.parity.holdout_rows + manifest.parity.adversarial_rows})
        for what, has, wanted in (
            ("model_digest", manifest.model_digest, self.stage.workspace.digest(MODEL)),
            ("threshold", manifest.threshold, params.threshold),
            ("tolerance", manifest.parity.tolerance, params.tolerance),
            ("path", manifest.path, f"{SERVED}/model.{manifest.format}"),
        ):
            if has != wanted:
                found.problems.append(f"{SERVING_MANIFEST} has {has} as {what}, and the tree {wanted}")
        largest = manifest.parity.largest_difference
        if manifest.format == "onnx" and (largest is None or largest > params.tolerance):
            found.problems.append(f"{SERVING_MANIFEST} serves ONNX, {largest} apart from the model that was judged")
        return found

    def known_answers(self) -> Examined:
        """Rows with the inputs of a request, the model's features, and the answers of what is served."""
        workspace = self.stage.workspace
        known = parse_json(KnownAnswers, workspace.read_text(KNOWN_ANSWERS), source=KNOWN_ANSWERS)
        found = Examined(figures={"rows": len(known.rows)})
        model = self.open_served_model(workspace.root)
        inputs, names = set(self.stage.project.features.entity.known_in_advance), set(model.columns.names)
        for number, row in enumerate(known.rows):
            for what, has, wanted in (("inputs", set(row.inputs), inputs), ("features", set(row.features), names)):
                if has != wanted:
                    problem = f"row {number} of {KNOWN_ANSWERS} has other {what}: {_short(sorted(has ^ wanted))}"
                    return Examined(problems=[problem], figures=found.figures)
        kinds = {name: pl.String if name in model.columns.categorical else pl.Float64 for name in model.columns.names}
        rows = pl.DataFrame([dict(row.features) for row in known.rows], schema=kinds)
        apart = np.abs(model.score(columns_of(rows, model.columns)) - np.array([row.score for row in known.rows]))
        if not apart.max() <= known.tolerance:
            found.problems.append(
                f"row {int(apart.argmax())} of {KNOWN_ANSWERS} is {apart.max():.3g} from what is served"
            )
        return found

    def _serving_manifest(self) -> ServingManifest:
        text = self.stage.workspace.read_text(SERVING_MANIFEST)
        return parse_json(ServingManifest, text, source=SERVING_MANIFEST)

    def validation_report(self) -> Examined:
        """Every table and batch, and all of them passed."""
        report = ValidationReport.from_json(self.stage.workspace.read_text(VALIDATION_REPORT), source=VALIDATION_REPORT)
        found = Examined(figures={"batches": len(report.batches)})
        has = {(each.table, each.batch) for each in report.batches}
        wanted = {(table.name, batch) for table, batch, _ in self._partitions(RAW)}
        for table, batch in sorted(wanted - has, key=str):
            found.problems.append(f"{VALIDATION_REPORT} says nothing about {table} {batch or ''}".rstrip())
        for table, batch in sorted(has - wanted, key=str):
            found.problems.append(f"{VALIDATION_REPORT} is about {table} {batch or ''}, which is not asked for")
        if report.outcome is not Outcome.PASSED:
            found.problems.append(f"{VALIDATION_REPORT} says {report.outcome.value}")
        return found

    def validation_markdown(self) -> Examined:
        """Text."""
        text = self.stage.workspace.read_text(VALIDATION_MARKDOWN)
        return Examined(
            problems=[] if text.strip() else [f"{VALIDATION_MARKDOWN} is empty"], figures={"characters": len(text)}
        )

    def evaluation(self) -> Examined:
        """About the holdout of params.yaml, the model and the predictions of this tree."""
        workspace = self.stage.workspace
        evaluation = parse_json(Evaluation, workspace.read_text(EVALUATION), source=EVALUATION)
        found = Examined(figures={"rows": evaluation.rows, "metrics": len(evaluation.metrics)})
        for what, has, wanted in (
            ("batches", list(evaluation.batches), self.stage.holdout),
            ("model_digest", evaluation.model_digest, workspace.digest(MODEL)),
            ("predictions_digest", evaluation.predictions_digest, workspace.digest(HOLDOUT_PREDICTIONS)),
            ("metrics", list(evaluation.metrics), [metric.name for metric in self.stage.project.measured]),
        ):
            if has != wanted:
                found.problems.append(f"{EVALUATION} has {_short(has)} as {what}, and the tree {_short(wanted)}")
        return found

    def metrics(self) -> Examined:
        """Finite numbers, and those of the evaluation."""
        workspace = self.stage.workspace
        text = workspace.read_text(METRICS)
        found = Examined(problems=flat_numbers_problems(METRICS, text), figures={"characters": len(text)})
        evaluation = parse_json(Evaluation, workspace.read_text(EVALUATION), source=EVALUATION)
        if not found.problems and text != evaluation.metrics_json():
            found.problems.append(f"{METRICS} and {EVALUATION} differ")
        return found

    def curve(self, path: str) -> Examined:
        """Columns of finite numbers."""
        columns, may_be_missing, least = _CURVES[path]
        text = self.stage.workspace.read_text(path)
        return Examined(
            problems=csv_problems(path, text, columns, may_be_missing=may_be_missing, rows=(least, None)),
            figures={"rows": max(text.count("\n") - 1, 0)},
        )

    def _contract(self, path: str, frame: pl.DataFrame, contract: TableContract, table: str, batch: str) -> list[str]:
        judged = frame.select(name for name in frame.columns if name in contract.schema.columns)
        result = validate(judged, contract, table=table, batch=batch, scheme=self.stage.project.batches)
        return [f"{path}: {each.message}" for each in result.findings if each.severity != "warn"]

    def _partitions(self, folder: str) -> list[tuple[Table, str | None, str]]:
        return [
            (table, batch, partition(folder, table.name, batch))
            for table in self.stage.project.tables
            for batch in (self.stage.batches if table.batched else [None])
        ]

    def _nothing_else(self, folder: str, found: Examined, allowed: set[str]) -> Examined:
        workspace = self.stage.workspace
        present = {path for place in (folder, *workspace.folders(folder)) for path in workspace.list(place, "")}
        found.problems += [f"{path} belongs to no batch of the project" for path in sorted(present - allowed)]
        return found


#: What Gitrain knows of its own outputs: the path, how it is examined, and how many bytes it may have.
KNOWN: Mapping[str, tuple[Callable[[Outputs], Examined], int]] = {
    RAW: (Outputs.raw, 20 * 2**30),
    VALIDATED: (Outputs.validated, 20 * 2**30),
    QUARANTINE: (Outputs.quarantine, 2**30),
    FEATURES: (Outputs.features, 20 * 2**30),
    _PREDICTIONS: (Outputs.predictions_folder, 2 * 2**30),
    HOLDOUT_PREDICTIONS: (Outputs.predictions, 2 * 2**30),
    MODEL: (Outputs.model, 500 * 2**20),
    # What Git keeps is kept for good.
    MODEL_MANIFEST: (Outputs.manifest, 2**20),
    SERVED: (Outputs.served, 500 * 2**20),
    SERVING_MANIFEST: (Outputs.serving_manifest, 2**20),
    KNOWN_ANSWERS: (Outputs.known_answers, 5 * 2**20),
    VALIDATION_REPORT: (Outputs.validation_report, 5 * 2**20),
    VALIDATION_MARKDOWN: (Outputs.validation_markdown, 5 * 2**20),
    EVALUATION: (Outputs.evaluation, 5 * 2**20),
    METRICS: (Outputs.metrics, 2**20),
    TRAINING_CURVE: (lambda outputs: outputs.curve(TRAINING_CURVE), 2**20),
    CALIBRATION: (lambda outputs: outputs.curve(CALIBRATION), 2**20),
    ROC: (lambda outputs: outputs.curve(ROC), 2**20),
    PRECISION_RECALL: (lambda outputs: outputs.curve(PRECISION_RECALL), 2**20),
}


def _types(contract: TableContract) -> dict[str, pl.DataType | None]:
    return dict(contract.dtypes)


def _height(stage: Stage, path: str) -> int:
    frame = stage.workspace.read_table(path)
    return frame.height


def _count(found: Examined, frame: pl.DataFrame) -> None:
    found.figures["tables"] = int(found.figures.get("tables") or 0) + 1
    found.figures["rows"] = int(found.figures.get("rows") or 0) + frame.height


def _short(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value[:_SHOWN])) + (", ..." if len(value) > _SHOWN else "") if value else "nothing"
    return str(value)
