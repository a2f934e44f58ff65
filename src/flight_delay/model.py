"""What is predicted, by which estimators, and what a model is judged by."""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from gitrain.metrics import (
    AVERAGE_PRECISION,
    AVERAGE_PRECISION_RATIO,
    BRIER,
    EXPECTED_CALIBRATION_ERROR,
    LOG_LOSS,
    LOG_LOSS_RATIO,
    ROC_AUC,
)
from gitrain.project import Slice, Target
from gitrain.training.estimators import EstimatorFactory, hist_gradient_boosting, logistic_regression, mlp

__all__ = ["ESTIMATORS", "JUDGED_BY", "REPORTED", "SLICES", "TARGET"]

#: Whether a flight arrives 15 minutes late or more; cancelled and diverted flights never arrive and have no label.
TARGET = Target(name="late", label=pl.col("arr_delay") >= 15)

ESTIMATORS: Mapping[str, EstimatorFactory] = MappingProxyType(
    {
        "hist_gradient_boosting": hist_gradient_boosting,
        "logistic_regression": logistic_regression,
        "mlp": mlp,
    }
)

JUDGED_BY = (ROC_AUC, LOG_LOSS_RATIO, AVERAGE_PRECISION_RATIO, EXPECTED_CALIBRATION_ERROR)

#: A bound on these would say little: their values move with the share of late flights, from month to month.
REPORTED = (LOG_LOSS, AVERAGE_PRECISION, BRIER)

_HOUR_BAND = (
    pl.when(pl.col("hour") < 9)
    .then(pl.lit("00-09"))
    .when(pl.col("hour") < 13)
    .then(pl.lit("09-13"))
    .when(pl.col("hour") < 17)
    .then(pl.lit("13-17"))
    .otherwise(pl.lit("17-24"))
)

SLICES = (
    Slice(name="origin", by=pl.col("origin"), min_rows=800),
    Slice(name="hour_band", by=_HOUR_BAND, min_rows=800),
    Slice(name="carrier", by=pl.col("carrier"), min_rows=800),
)
