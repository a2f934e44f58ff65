"""The pipeline as one bare script: Polars and scikit-learn in one process, without contracts, caches or verdicts.

It does the work of the five stages: read and write the raw months, check their rows, compute the same features, fit
the same estimator twice (for the loss curve, and on all rows), and measure it. With `--intervals` it gives AUC and log
loss their intervals over whole days, draw by draw with scikit-learn's metrics, as one writes it; the pipeline gives
intervals to every metric, every group of every slice and every bin of the calibration.

Usage: pipeline_by_hand.py FOLDER THROUGH [--intervals]
"""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import polars as pl
from features_work import by_hand as features_by_hand
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from flight_delay.project import PROJECT
from gitrain.data.batches import batches_between

VALIDATION_DAYS = 14
CURVE_ROWS = 20_000
DRAWS = 2000


def tables(folder: Path, months: list[str]) -> None:
    """Raw months as parquet, and those rows of them that are plausible."""
    checks = {
        "flights": pl.col("distance").is_between(1, 6000)
        & pl.col("planned_minutes").is_between(30, 800)
        & pl.col("carrier").is_not_null()
        & pl.col("origin").is_in(["EWR", "JFK", "LGA"]),
        "weather": pl.col("wind_speed").fill_null(0).is_between(0, 100)
        & pl.col("temp").fill_null(50).is_between(-30, 120)
        & pl.col("humid").fill_null(50).is_between(0, 100),
    }
    for table, good in checks.items():
        for kind in ("raw", "validated"):
            (folder / "data" / kind / table).mkdir(parents=True)
        for month in months:
            frame = PROJECT.table(table).source.read(month)
            frame.write_parquet(folder / "data" / "raw" / table / f"{month}.parquet", compression="zstd")
            frame.filter(good).write_parquet(
                folder / "data" / "validated" / table / f"{month}.parquet", compression="zstd"
            )


def estimator() -> Pipeline:
    """What `hist_gradient_boosting` makes."""
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=1)
    columns = make_column_transformer(
        (encode, list(PROJECT.features.categorical)), remainder="passthrough", verbose_feature_names_out=False
    )
    return make_pipeline(
        columns,
        HistGradientBoostingClassifier(
            max_iter=200, learning_rate=0.05, l2_regularization=20, random_state=0, early_stopping=False
        ),
    )


def main() -> None:
    """All of it."""
    folder, through = Path(sys.argv[1]), sys.argv[2]
    months = batches_between(PROJECT.batches, "2013-01", through)
    tables(folder, months)
    features_by_hand(folder)
    rows = pl.read_parquet(folder / "by_hand.parquet").filter(pl.col("late").is_not_null())
    numeric = [name for name in PROJECT.features.names if name not in PROJECT.features.categorical]
    rows = rows.with_columns(pl.col(numeric).cast(pl.Float64))
    month = rows["day"].dt.strftime("%Y-%m")
    past, holdout = rows.filter(month < through), rows.filter(month == through)
    names = list(PROJECT.features.names)

    days = past["day"].unique().sort()
    early = past["day"].is_in(days[:-VALIDATION_DAYS].implode())
    first, later = past.filter(early), past.filter(~early)
    watched = first.sample(CURVE_ROWS, seed=0)
    model = estimator().fit(first[names], first["late"])
    columns, classifier = model[0], model[1]
    curve = [
        [log_loss(part["late"], p[:, 1]) for p in classifier.staged_predict_proba(columns.transform(part[names]))]
        for part in (watched, later)
    ]
    model = estimator().fit(past[names], past["late"])
    (folder / "model.pickle").write_bytes(pickle.dumps(model))

    scores = model.predict_proba(holdout[names])[:, 1]
    holdout.select("day", "late").with_columns(score=scores).write_parquet(folder / "holdout.parquet")
    truth = holdout["late"].to_numpy()
    day = holdout["day"].rank("dense").to_numpy() - 1
    found = {
        "roc_auc": roc_auc_score(truth, scores),
        "average_precision": average_precision_score(truth, scores),
        "log_loss": log_loss(truth, scores),
        "brier": brier_score_loss(truth, scores),
        "validation_loss": min(curve[1]),
    }
    if "--intervals" in sys.argv:
        days_drawn = np.random.default_rng(0).integers(0, day.max() + 1, (DRAWS, day.max() + 1))
        drawn = []
        for days in days_drawn:
            weights = np.bincount(days, minlength=day.max() + 1)[day]
            drawn.append(
                [roc_auc_score(truth, scores, sample_weight=weights), log_loss(truth, scores, sample_weight=weights)]
            )
        for index, name in enumerate(("roc_auc", "log_loss")):
            found[f"{name}_low"], found[f"{name}_high"] = np.quantile(np.array(drawn)[:, index], [0.025, 0.975])
    print(json.dumps({name: float(value) for name, value in found.items()}))


if __name__ == "__main__":
    main()
