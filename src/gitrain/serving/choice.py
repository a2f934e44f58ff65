"""Which form of the model is served: ONNX where that is proved equal to the judged model, else the judged model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import polars as pl

from gitrain.data.contracts import TableContract
from gitrain.errors import ModelError
from gitrain.evaluation.scoring import score
from gitrain.serving.adversarial import adversarial_rows
from gitrain.serving.model import ServedModel
from gitrain.serving.parity import Comparison, JudgedRows, compare, not_compared
from gitrain.serving.split_points import split_points
from gitrain.training.estimators import Estimator, FeatureColumns
from gitrain.training.matrix import feature_matrix

__all__ = ["Choice", "ModelConverter", "choose_form"]

_TRIED_ROWS = 3


class ModelConverter(Protocol):
    """Makes models in ONNX."""

    @property
    def ways(self) -> Sequence[str]:
        """The ways in which it can convert, the most exact one first."""

    def convert(self, estimator: Estimator, columns: FeatureColumns, *, way: str, never_null: Sequence[str]) -> bytes:
        """A converted model; equal estimators give equal bytes.

        Args:
            estimator: a fitted classifier; not changed.
            columns: what it takes.
            way: one of `ways`.
            never_null: columns that it refuses to score where nothing is known; the converted model has to as well.

        Raises:
            ModelError: it has no equivalent.
        """

    def load(self, content: bytes, *, name: str) -> ServedModel:
        """A converted model, ready to score; `name` is used in messages. Raises ModelError if it is not readable."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is served.

    Attributes:
        converted: the model in ONNX; None if the judged model itself is served.
        comparison: why.
    """

    converted: bytes | None
    comparison: Comparison


def choose_form(
    estimator: Estimator,
    features: pl.DataFrame,
    contract: TableContract,
    columns: FeatureColumns,
    converter: ModelConverter,
    *,
    tolerance: float,
    threshold: float,
    progress: Callable[[str], None],
    seed: int = 0,
) -> Choice:
    """The first way to convert that is proved equal, or None with the reason against the best one.

    Args:
        estimator: the judged model.
        features: every row of the holdout, typed as the pipeline has them.
        contract: of the features.
        columns: what the model takes.
        converter: makes models in ONNX.
        tolerance: the largest difference of two probabilities that counts as equal.
        threshold: predictions at or above it are decided as true.
        progress: takes a line a comparison.
        seed: of the rows that are made up.

    Raises:
        ModelError: the model cannot score the holdout.
        FeatureError: a column is missing.
    """
    matrix = feature_matrix(features, columns)
    holdout = JudgedRows(kind="row", matrix=matrix, scores=score(estimator, matrix, columns))
    never_null = _never_null(estimator, matrix.head(_TRIED_ROWS), columns)
    made_up = adversarial_rows(
        features,
        contract,
        columns,
        split_points=split_points(estimator, columns, matrix),
        never_null=never_null,
        seed=seed,
    )
    try:
        adversarial = JudgedRows(kind="made-up row", matrix=made_up, scores=score(estimator, made_up, columns))
    except ModelError as error:
        # What should be said of a row that the judged model refuses, nobody knows.
        comparison = not_compared(
            # Its words may come from a set, in another order each time.
            f"the judged model refuses rows that its contract allows ({type(error.__cause__ or error).__name__})",
            holdout=holdout,
            adversarial=JudgedRows(kind="made-up row", matrix=made_up.head(0), scores=np.zeros(0)),
            tolerance=tolerance,
        )
        return Choice(converted=None, comparison=comparison)
    comparisons = []
    for way in converter.ways:
        made: list[bytes] = []
        comparison = compare(
            partial(_made, made, converter, estimator, columns, way, never_null),
            columns,
            holdout=holdout,
            adversarial=adversarial,
            tolerance=tolerance,
            threshold=threshold,
        )
        progress(f"export: {way}: {comparison.reason}")
        if comparison.equal:
            return Choice(converted=made[0], comparison=comparison)
        comparisons.append(comparison)
    return Choice(converted=None, comparison=min(comparisons, key=_distance))


def _made(
    made: list[bytes],
    converter: ModelConverter,
    estimator: Estimator,
    columns: FeatureColumns,
    way: str,
    never_null: Sequence[str],
) -> ServedModel:
    made.append(converter.convert(estimator, columns, way=way, never_null=never_null))
    return converter.load(made[0], name="the converted model")


def _never_null(estimator: Estimator, rows: pl.DataFrame, columns: FeatureColumns) -> tuple[str, ...]:
    """The columns without which the model raises."""
    found = []
    for name in columns.names:
        try:
            score(estimator, rows.with_columns(pl.lit(None, dtype=rows.schema[name]).alias(name)), columns)
        except ModelError:
            found.append(name)
    return tuple(found)


def _distance(comparison: Comparison) -> float:
    """How far from equal; a model that could not be made says least."""
    largest = comparison.parity.largest_difference
    return float("inf") if largest is None else largest
