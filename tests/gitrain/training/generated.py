"""Rows with a known truth: a logistic score of two numbers and a category, and noise columns."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from gitrain.training.estimators import (
    EstimatorFactory,
    FeatureColumns,
    hist_gradient_boosting,
    logistic_regression,
    mlp,
)
from gitrain.training.split import TrainingRows, split_in_time

COLUMNS = FeatureColumns(names=("slope", "carrier", "gusts", "noise", "flag"), categorical=("carrier",))
FACTORIES: dict[str, EstimatorFactory] = {
    "hist_gradient_boosting": hist_gradient_boosting,
    "logistic_regression": logistic_regression,
    "mlp": mlp,
}
QUICK: dict[str, dict[str, Any]] = {
    "hist_gradient_boosting": {"max_iter": 20},
    "logistic_regression": {},
    "mlp": {"max_iter": 8, "batch_size": 64, "learning_rate_init": 0.005},
}


def frame(rows: int = 2000, *, days: int = 40, seed: int = 0) -> pl.DataFrame:
    """Feature columns, `day` and the label `late`; a tenth of `gusts` and some carriers are null."""
    rng = np.random.default_rng(seed)
    slope, noise = rng.normal(size=rows), rng.normal(size=rows)
    gusts = rng.gamma(2.0, 10.0, size=rows)
    carrier = rng.integers(0, 4, size=rows)
    score = 1.5 * slope + 0.03 * (gusts - 20) + np.array([-1.0, 0.0, 0.5, 1.0])[carrier]
    return pl.DataFrame(
        {
            "slope": slope,
            "carrier": [f"C{number}" for number in carrier],
            "gusts": pl.Series(gusts).scatter(np.arange(0, rows, 10), None),
            "noise": noise,
            "flag": rng.random(rows) < 0.5,
            "day": [date(2013, 1, 1) + timedelta(days=int(number)) for number in np.arange(rows) * days // rows],
            "late": rng.random(rows) < 1 / (1 + np.exp(-score)),
        }
    ).with_columns(pl.when(pl.col("noise") > 2).then(None).otherwise(pl.col("carrier")).alias("carrier"))


def split(rows: pl.DataFrame, *, columns: FeatureColumns = COLUMNS, validation_units: int = 8) -> TrainingRows:
    return split_in_time(rows, columns=columns, target="late", unit="day", validation_units=validation_units)


def make(name: str, parameters: Mapping[str, Any] | None = None, *, seed: int = 0, columns: FeatureColumns = COLUMNS):
    return FACTORIES[name](QUICK[name] if parameters is None else parameters, columns, seed)
