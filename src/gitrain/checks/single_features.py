"""How much one feature alone knows of the target."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.metrics import ROC_AUC
from gitrain.training.estimators import FeatureColumns

__all__ = ["single_feature_aucs"]

_BINS = 64


def single_feature_aucs(
    training: pl.DataFrame,
    training_labels: NDArray[np.int8],
    holdout: pl.DataFrame,
    holdout_labels: NDArray[np.int8],
    columns: FeatureColumns,
) -> Mapping[str, float]:
    """For each feature the ROC AUC on the holdout of the share of positives that its values had in training.

    Numbers are cut into 64 bins of equal counts in training, so that a relation of any form is seen; null is a bin of
    its own (that a value is missing can give the outcome away, too), and what training has not seen gets the base rate.

    Args:
        training: what `gitrain.training.matrix.feature_matrix` gives; values may be null, NaN counts as null.
        training_labels: 0 or 1, shape (rows of training,).
        holdout: like `training`.
        holdout_labels: 0 or 1, shape (rows of holdout,).
        columns: the columns of both.

    Returns:
        NaN for every feature if the holdout has one class only.
    """
    rate = float(training_labels.mean())
    aucs = {}
    for name in columns.names:
        before, after = training[name], holdout[name]
        if name not in columns.categorical:
            edges = _edges(before)
            before, after = _binned(before, edges), _binned(after, edges)
        shares = (
            pl.DataFrame({"value": before, "label": training_labels})
            .group_by("value")
            # Shrunk by one row of the base rate: a value that was seen once says little.
            .agg(share=(pl.col("label").cast(pl.Float64).sum() + rate) / (pl.len() + 1))
        )
        scores = (
            pl.DataFrame({"value": after})
            .join(shares, on="value", how="left", nulls_equal=True, maintain_order="left")["share"]
            .fill_null(rate)
            .to_numpy()
        )
        aucs[name] = ROC_AUC.value(holdout_labels, scores)
    return aucs


def _edges(values: pl.Series) -> NDArray[np.float64]:
    numbers = values.drop_nulls().drop_nans().to_numpy()
    if not numbers.size:
        return np.zeros(0)
    return np.unique(np.quantile(numbers, np.linspace(0, 1, _BINS + 1)[1:-1], method="lower"))


def _binned(values: pl.Series, edges: NDArray[np.float64]) -> pl.Series:
    numbers = values.cast(pl.Float64).fill_nan(None)
    bins = pl.Series("value", np.searchsorted(edges, numbers.fill_null(0.0).to_numpy(), side="left"), dtype=pl.Int64)
    return pl.select(pl.when(numbers.is_not_null()).then(bins)).to_series()
