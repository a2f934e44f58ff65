"""Check that the model in this tree behaves as the project says."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.checks.behaviour import BEHAVIOUR, Behaviour, behaviour_check, judge_behaviour
from gitrain.documents import parse_json
from gitrain.errors import GitrainError
from gitrain.evaluation.scoring import score
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import FEATURES, MODEL, MODEL_MANIFEST, partition
from gitrain.training.estimators import Estimator
from gitrain.training.manifest import ModelManifest
from gitrain.training.model_format import ModelFormat
from gitrain.verdicts import Outcome, Verdict

__all__ = ["BehaviourChecks", "check_behaviour"]

_ROWS = 5000


def check_behaviour(stage: Stage, model_format: ModelFormat) -> list[Verdict]:
    """One verdict for each behaviour that the project declares, on up to 5,000 rows of the holdout.

    Raises:
        PipelineError: the model is missing.
        ModelError: the model cannot be read.
        DataError: the features of the holdout are missing or damaged.
    """
    return list(BehaviourChecks(stage, model_format).verdicts(BEHAVIOUR))


@dataclass
class BehaviourChecks:
    """The behaviour checks of one tree; model and rows are read once."""

    stage: Stage
    model_format: ModelFormat

    def verdicts(self, name: str) -> Sequence[Verdict]:
        """The verdict of one behaviour, ``behaviour:NAME``; those of all for the name in the catalogue."""
        return [
            self._judge(behaviour)
            for behaviour in self.stage.project.behaviours
            if name in (BEHAVIOUR, behaviour_check(behaviour))
        ]

    def _judge(self, behaviour: Behaviour) -> Verdict:
        self.stage.progress(behaviour_check(behaviour))
        # A missing model concerns all of them, an expression that cannot be evaluated its own behaviour.
        rows, _ = self._rows, self._estimator
        try:
            return judge_behaviour(behaviour, rows, self.stage.project.feature_contract, self._predict)
        except GitrainError as error:
            reason = f"{error.what}; to mend it: {error.fix}"
            return Verdict(name=behaviour_check(behaviour), outcome=Outcome.ERROR, reason=reason)

    def _predict(self, rows: pl.DataFrame) -> NDArray[np.float64]:
        return score(self._estimator, rows, self._manifest.columns)

    @cached_property
    def _manifest(self) -> ModelManifest:
        return parse_json(ModelManifest, self.stage.workspace.read_text(MODEL_MANIFEST), source=MODEL_MANIFEST)

    @cached_property
    def _estimator(self) -> Estimator:
        return self.model_format.load(self.stage.workspace.read_bytes(MODEL), name=MODEL)

    @cached_property
    def _rows(self) -> pl.DataFrame:
        """Rows of the holdout, with the columns that the model takes."""
        rows = pl.concat(
            self.stage.workspace.read_table(partition(FEATURES, None, batch), list(self._manifest.features))
            for batch in self.stage.holdout
        )
        return rows.sample(min(_ROWS, rows.height), seed=self.stage.params.training.seed)
