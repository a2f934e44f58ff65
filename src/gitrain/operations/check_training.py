"""Check the training run in this tree: its curve, its model, and what refits say of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.checks.curve import (
    chosen_point,
    judge_generalisation_gap,
    judge_loss_falls,
    judge_sane_iteration,
    parse_curve,
)
from gitrain.checks.extremes import extreme_rows
from gitrain.checks.fits import fit_model, judge_refit, judge_shuffled_labels, judge_tiny_batch, shuffled_scores
from gitrain.checks.parameters import non_finite_parameters
from gitrain.checks.scores import (
    judge_beats_base_rate,
    judge_extreme_inputs,
    judge_finite,
    judge_leak_alarm,
    judge_row_permutation,
    judge_save_load,
)
from gitrain.checks.single_features import single_feature_aucs
from gitrain.checks.training import (
    BEATS_BASE_RATE,
    CHECKS,
    EXTREME_INPUTS,
    FINITE,
    GENERALISATION_GAP,
    LEAK_ALARM,
    LOSS_FALLS,
    OVERFITS_TINY_BATCH,
    REFIT_IDENTICAL,
    ROW_PERMUTATION,
    SANE_ITERATION,
    SAVE_LOAD,
    SHUFFLED_LABELS,
)
from gitrain.documents import parse_json
from gitrain.errors import DataError, GitrainError
from gitrain.evaluation.bootstrap import block_numbers
from gitrain.evaluation.estimates import Resampling
from gitrain.evaluation.predictions import SCORE
from gitrain.operations.stage import Stage
from gitrain.operations.train import make_estimator
from gitrain.pipeline.layout import (
    FEATURES,
    HOLDOUT_PREDICTIONS,
    MODEL,
    MODEL_MANIFEST,
    TRAINING_CURVE,
    partition,
)
from gitrain.training.estimators import Estimator
from gitrain.training.fitting import CurvePoint, curve_sample, log_loss
from gitrain.training.manifest import ModelManifest
from gitrain.training.matrix import feature_matrix, true_probabilities
from gitrain.training.model_format import ModelFormat
from gitrain.training.split import TrainingRows, split_in_time
from gitrain.verdicts import Outcome, Verdict

__all__ = ["TrainingChecks", "check_training"]

_EXTREME_ROWS = 2000
_PERMUTED_ROWS = 5000
_ALONE = 50
_SHUFFLES = 4
# Another processor or BLAS rounds otherwise; `gitrain gate check` allows as much.
_SAME_SCORE = 1e-6


def check_training(stage: Stage, model_format: ModelFormat) -> list[Verdict]:
    """All training checks on the model, the curve and the features in this tree; see `gitrain.checks.training`.

    A check that cannot be run is a verdict with the outcome ERROR, and the others run all the same.
    """
    checks = TrainingChecks(stage, model_format)
    return [verdict for definition in CHECKS for verdict in checks.verdicts(definition.name)]


@dataclass
class TrainingChecks:
    """The training checks of one tree; what several of them need is read and fitted once, when first asked for."""

    stage: Stage
    model_format: ModelFormat

    def verdicts(self, name: str) -> Sequence[Verdict]:
        """The verdict of one check.

        Args:
            name: as the catalogue has it.
        """
        judge: Mapping[str, Callable[[], Verdict]] = {
            FINITE: self._finite,
            LOSS_FALLS: self._loss_falls,
            SANE_ITERATION: self._sane_iteration,
            GENERALISATION_GAP: self._generalisation_gap,
            BEATS_BASE_RATE: self._beats_base_rate,
            LEAK_ALARM: self._leak_alarm,
            SAVE_LOAD: self._save_load,
            ROW_PERMUTATION: self._row_permutation,
            EXTREME_INPUTS: self._extreme_inputs,
            OVERFITS_TINY_BATCH: self._tiny_batch,
            SHUFFLED_LABELS: self._shuffled_labels,
            REFIT_IDENTICAL: self._refit,
        }
        self.stage.progress(name)
        try:
            return [judge[name]()]
        except GitrainError as error:
            reason = f"{error.what}; to mend it: {error.fix}"
        except Exception as error:  # an estimator of the project's own may raise anything
            reason = f"could not be run: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return [Verdict(name=name, outcome=Outcome.ERROR, reason=reason)]

    # --- what is in the tree -------------------------------------------------------------------------------------

    @cached_property
    def _manifest(self) -> ModelManifest:
        return parse_json(ModelManifest, self.stage.workspace.read_text(MODEL_MANIFEST), source=MODEL_MANIFEST)

    @cached_property
    def _content(self) -> bytes:
        return self.stage.workspace.read_bytes(MODEL)

    @cached_property
    def _estimator(self) -> Estimator:
        return self.model_format.load(self._content, name=MODEL)

    @cached_property
    def _curve(self) -> tuple[CurvePoint, ...]:
        return parse_curve(self.stage.workspace.read_text(TRAINING_CURVE), TRAINING_CURVE)

    @cached_property
    def _chosen(self) -> CurvePoint:
        return chosen_point(self._curve, self._manifest.iterations)

    @cached_property
    def _training(self) -> pl.DataFrame:
        return self._features(self._manifest.training_batches)

    @cached_property
    def _holdout(self) -> pl.DataFrame:
        """The labelled rows of the holdout."""
        target = self.stage.project.target.name
        rows = self._features(self.stage.holdout).filter(pl.col(target).is_not_null())
        if rows.is_empty():
            raise DataError(
                f"no row of the holdout ({', '.join(self.stage.holdout)}) has a label",
                fix="wait for the labels, or set data.through in params.yaml back to a batch that has them.",
            )
        return rows

    def _features(self, batches: Sequence[str]) -> pl.DataFrame:
        names = dict.fromkeys([*self._manifest.features, self._unit, self.stage.project.target.name])
        return pl.concat(
            [self.stage.workspace.read_table(partition(FEATURES, None, batch), list(names)) for batch in batches],
            how="vertical_relaxed",
        )

    @property
    def _unit(self) -> str:
        return self.stage.project.features.entity.unit[0]

    # --- what is made of it --------------------------------------------------------------------------------------

    @cached_property
    def _rows(self) -> TrainingRows:
        return split_in_time(
            self._training,
            columns=self._manifest.columns,
            target=self.stage.project.target.name,
            unit=self._unit,
            validation_units=self.stage.params.training.validation_units,
        )

    @cached_property
    def _holdout_matrix(self) -> pl.DataFrame:
        return feature_matrix(self._holdout, self._manifest.columns)

    @cached_property
    def _holdout_labels(self) -> NDArray[np.int8]:
        return self._holdout[self.stage.project.target.name].cast(pl.Int8).to_numpy()

    @cached_property
    def _scores(self) -> NDArray[np.float64]:
        """What the stored model says of the holdout, whatever that is."""
        return true_probabilities(self._estimator.predict_proba(self._holdout_matrix))

    @cached_property
    def _resampling(self) -> Resampling:
        params = self.stage.params.evaluation
        return Resampling(replicates=params.replicates, seed=params.seed, confidence=params.confidence)

    @cached_property
    def _refitted(self) -> Estimator:
        return self._fit_again()

    def _fit_again(self) -> Estimator:
        best = min(self._curve, key=lambda point: (point.validation_loss, point.iteration))
        # As `fit_with_curve` has it: an optimiser that was still best where it ended may take more steps.
        stopped = self._manifest.early_stopping and best is not self._curve[-1]
        return fit_model(
            self._make,
            self._rows.matrix,
            self._rows.labels,
            seed=self._seed,
            iterations=best.iteration if stopped else None,
        )

    def _make(self) -> Estimator:
        return make_estimator(self.stage, self._manifest.columns)

    @property
    def _seed(self) -> int:
        return self.stage.params.training.seed

    def _predict(self, rows: pl.DataFrame) -> NDArray[np.float64]:
        return true_probabilities(self._estimator.predict_proba(feature_matrix(rows, self._manifest.columns)))

    def _sample(self, rows: pl.DataFrame, most: int) -> pl.DataFrame:
        return rows.sample(min(most, rows.height), seed=self._seed)

    # --- the checks ----------------------------------------------------------------------------------------------

    def _finite(self) -> Verdict:
        counts: dict[str, int] = {}
        for frame in (self._training, self._holdout):
            floats = [name for name in self._manifest.features if frame.schema[name].is_float()]
            found = frame.select((~pl.col(name).is_finite()).sum() for name in floats)
            for name in floats:
                counts[name] = counts.get(name, 0) + int(found[name][0])
        return judge_finite(
            {name: count for name, count in counts.items() if count},
            non_finite_parameters(self._estimator),
            self._curve,
            self._scores,
        )

    def _bases(self) -> tuple[float, float]:
        """The log loss of the base rate on the rows before the validation part, and on that part."""
        labels, later = self._rows.labels, self._rows.validation
        return _base_loss(labels[~later]), _base_loss(labels[later])

    def _loss_falls(self) -> Verdict:
        earlier = self._rows.labels[~self._rows.validation]
        # The very rows that the curve's training loss was taken on.
        watched = earlier[curve_sample(len(earlier), self._seed)]
        return judge_loss_falls(self._curve, self._chosen, log_loss(watched, np.full(len(watched), earlier.mean())))

    def _sane_iteration(self) -> Verdict:
        return judge_sane_iteration(
            self._curve,
            self._chosen,
            early_stopping=self._manifest.early_stopping,
            converged=self._manifest.converged,
            most_rising=self.stage.params.checks.rising_loss,
        )

    def _generalisation_gap(self) -> Verdict:
        training, validation = self._bases()
        return judge_generalisation_gap(
            self._chosen,
            training_base=training,
            validation_base=validation,
            most=self.stage.params.checks.generalisation_gap,
        )

    def _beats_base_rate(self) -> Verdict:
        return judge_beats_base_rate(self._holdout_labels, self._scores, self._holdout[self._unit], self._resampling)

    def _leak_alarm(self) -> Verdict:
        alarms, labels = self.stage.params.gates.leak_alarm, self._holdout_labels
        metrics = {}
        for name, alarm in alarms.items():
            value = self.stage.project.metric(name).value(labels, self._scores)
            metrics[name] = (value, alarm.bound, alarm.admits(value))
        single = self.stage.params.checks.single_feature_auc
        if single is None:
            single = alarms["roc_auc"].bound if "roc_auc" in alarms else 0.99
        features = single_feature_aucs(
            self._rows.matrix, self._rows.labels, self._holdout_matrix, labels, self._manifest.columns
        )
        return judge_leak_alarm(metrics, features, feature_alarm=single)

    def _save_load(self) -> Verdict:
        again = self.model_format.dump(self._estimator)
        refit = self.model_format.load(self.model_format.dump(self._refitted), name="the model fitted again")
        stored = self.stage.workspace.read_table(HOLDOUT_PREDICTIONS, [SCORE])[SCORE].to_numpy()
        matrix = self._holdout_matrix
        if len(stored) != matrix.height:
            raise DataError(
                f"{HOLDOUT_PREDICTIONS} has {len(stored):,} rows, and the holdout {matrix.height:,} with a label",
                fix="run `dvc repro evaluate` to make it anew.",
            )
        fitted = true_probabilities(self._refitted.predict_proba(matrix))
        loaded = true_probabilities(refit.predict_proba(matrix))
        return judge_save_load(
            {
                "a fit and its stored copy": float(np.abs(fitted - loaded).max()),
                "the model and its stored predictions": float(np.abs(self._scores - stored).max()),
            },
            same_bytes=again == self._content,
            rows=matrix.height,
            tolerance=_SAME_SCORE,
        )

    def _row_permutation(self) -> Verdict:
        rows = self._sample(self._holdout, _PERMUTED_ROWS)
        return judge_row_permutation(self._predict, rows, seed=self._seed, alone=_ALONE)

    def _extreme_inputs(self) -> Verdict:
        contract = self.stage.project.feature_contract
        names = self._manifest.features
        rows = extreme_rows(self._training, contract, names=names, seed=self._seed, most=_EXTREME_ROWS)
        return judge_extreme_inputs(self._predict, rows)

    def _tiny_batch(self) -> Verdict:
        params = self.stage.params.checks
        return judge_tiny_batch(
            self._make,
            self._rows.matrix,
            self._rows.labels,
            seed=self._seed,
            size=params.tiny_batch_rows,
            most=params.tiny_batch_loss,
        )

    def _shuffled_labels(self) -> Verdict:
        params = self.stage.params.checks
        scores = shuffled_scores(
            self._make,
            self._rows.matrix,
            self._rows.labels,
            self._holdout_matrix,
            seed=self._seed,
            repeats=_SHUFFLES,
            rows=params.rows,
        )
        blocks, units = block_numbers(self._holdout[self._unit])
        return judge_shuffled_labels(
            scores,
            self._holdout_labels,
            blocks,
            units,
            resampling=self._resampling,
            most=params.shuffled_auc,
            rows=min(params.rows, len(self._rows.labels)),
        )

    def _refit(self) -> Verdict:
        refits = [self.model_format.dump(self._refitted)]
        difference = 0.0
        if refits[0] != self._content:
            refits.append(self.model_format.dump(self._fit_again()))
            again = true_probabilities(self._refitted.predict_proba(self._holdout_matrix))
            difference = float(np.abs(again - self._scores).max())
        return judge_refit(
            self._content,
            refits,
            largest_difference=difference,
            tolerance=_SAME_SCORE,
            rows=len(self._rows.labels),
        )


def _base_loss(labels: NDArray[np.int8]) -> float:
    return log_loss(labels, np.full(len(labels), labels.mean()))
