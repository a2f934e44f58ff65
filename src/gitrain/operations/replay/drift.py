"""How far the features of a batch have moved from those that the first model was trained on."""

from collections.abc import Sequence

import polars as pl

from gitrain.evaluation.bootstrap import block_numbers
from gitrain.monitoring.drift import ReferenceColumn, feature_drift, reference_of
from gitrain.monitoring.report import FeatureDrift
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import FEATURES, partition

__all__ = ["DriftFromFirst"]


class DriftFromFirst:
    """Compares batches with the first ones.

    Args:
        stage: the surroundings.
        batches: the reference.
    """

    def __init__(self, stage: Stage, batches: Sequence[str]) -> None:
        project = stage.project
        self._names = project.features.names
        self._unit = project.features.entity.unit[0]
        self._params = stage.params.monitoring.drift
        columns = list(dict.fromkeys([*self._names, self._unit]))
        frame = pl.concat(
            [stage.workspace.read_table(partition(FEATURES, None, batch), columns) for batch in batches],
            how="vertical_relaxed",
        )
        numbers, days = block_numbers(frame[self._unit])
        self._reference: list[ReferenceColumn] = [
            reference_of(frame[name], numbers, days, category=name in project.features.categorical)
            for name in self._names
        ]

    def of(self, features: pl.DataFrame) -> list[FeatureDrift]:
        """How far each feature has moved, as monitoring has it, but over the whole batch and not its last days."""
        return feature_drift(
            self._reference,
            {name: features[name] for name in self._names},
            days=features[self._unit].n_unique(),
            alpha=self._params.alpha,
            naive=self._params.naive,
            windows=self._params.windows,
        )
