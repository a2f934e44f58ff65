"""What the reference project's models reach: trained on all months before, judged on the next.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/honest_figures.py [--months 2013-04 2013-12] [--estimators ...]

Five minutes on two idle cores; it writes benchmarks/results/honest_figures.json and prints a table in Markdown. The
data goes through the stages of the pipeline (ingest, validate, features) in a temporary folder. The models have the
parameters and the seed of params.yaml and are fitted on the rows that `gitrain train` fits its model on. "Stale" is the
default estimator trained on January to March alone.

It exits 1 if the default estimator misses a threshold of params.yaml, overall or in a slice, in any month.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flight_delay.project import PROJECT
from gitrain.data.batches import batches_between
from gitrain.documents import parse_yaml
from gitrain.evaluation.predictions import group_columns, slice_column
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.operations.build_features import build_features
from gitrain.operations.ingest import ingest
from gitrain.operations.stage import Stage
from gitrain.operations.validate_data import validate_data
from gitrain.pipeline.layout import FEATURES, partition
from gitrain.pipeline.params import DataParams, Params
from gitrain.training.estimators import FeatureColumns
from gitrain.training.matrix import feature_matrix, true_probabilities

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "honest_figures.json"
COLUMNS = FeatureColumns(names=PROJECT.features.names, categorical=PROJECT.features.categorical)
STALE_MONTHS = 3
SHOWN = ("roc_auc", "average_precision", "log_loss", "brier", "expected_calibration_error")

Labels = NDArray[np.int8]


@dataclass(frozen=True)
class Month:
    """The labelled flights of a month: what models take, whether they were late, and their groups in each slice."""

    matrix: pl.DataFrame
    labels: Labels
    groups: pl.DataFrame


def months_of_features(params: Params, through: str) -> dict[str, Month]:
    """The months as the pipeline's stages make them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        stage = Stage(
            project=PROJECT,
            params=params.model_copy(
                update={"data": DataParams.model_validate({"from": "2013-01", "through": through})}
            ),
            workspace=LocalWorkspace(root),
            memo=LocalMemo(folder=root / "memo", root=root),
            code="benchmark",
            progress=lambda line: None,
        )
        ingest(stage)
        validate_data(stage)
        build_features(stage)
        months = {}
        for batch in stage.batches:
            frame = stage.workspace.read_table(partition(FEATURES, None, batch))
            labelled = frame.filter(pl.col(PROJECT.target.name).is_not_null())
            months[batch] = Month(
                feature_matrix(labelled, COLUMNS),
                labelled[PROJECT.target.name].to_numpy().astype(np.int8),
                group_columns(labelled, {slice_.name: slice_.by for slice_ in PROJECT.slices}),
            )
        return months


def scores(params: Params, estimator: str, training: list[Month], judged: Month) -> NDArray[np.float64]:
    """The probabilities that an estimator, trained on some months, gives the rows of another."""
    make = PROJECT.estimators[estimator]
    model = make(params.estimators[estimator], COLUMNS, params.training.seed)
    model.fit(pl.concat([month.matrix for month in training]), np.concatenate([month.labels for month in training]))
    return true_probabilities(model.predict_proba(judged.matrix))


def figures(labels: Labels, given: NDArray[np.float64]) -> dict[str, float]:
    return {metric.name: round(metric.value(labels, given), 4) for metric in PROJECT.measured}


def weakest_groups(params: Params, month: Month, given: NDArray[np.float64]) -> dict[str, dict[str, object]]:
    """In each slice the judged group with the worst value of the slice's metric."""
    weakest: dict[str, dict[str, object]] = {}
    for slice_ in PROJECT.slices:
        threshold = params.gates.slices[slice_.name]
        metric = PROJECT.metric(threshold.metric)
        groups = month.groups[slice_column(slice_.name)]
        found = []
        for group in groups.unique().sort():
            rows = (groups == group).to_numpy()
            if rows.sum() >= slice_.min_rows:
                found.append((metric.value(month.labels[rows], given[rows]), group))
        value, group = min(found) if metric.direction == "higher" else max(found)
        weakest[slice_.name] = {"group": group, metric.name: round(value, 4), "passed": threshold.admits(value)}
    return weakest


def table(measured: dict[str, dict[str, dict[str, float]]], estimators: list[str]) -> str:
    first, *others = estimators
    header = ["month", "ROC AUC", "AP", "log loss", "Brier", "ECE", "log loss ratio", "AP ratio"]
    rows = [[*header, *(f"{name} AUC" for name in others), "stale AUC"]]
    rows.append(["---"] * len(rows[0]))
    for month, by_model in measured.items():
        best = by_model[first]
        columns = [*SHOWN, "log_loss_ratio", "average_precision_ratio"]
        rows.append(
            [month, *(f"{best[name]:.3f}" for name in columns)]
            + [f"{by_model[name]['roc_auc']:.3f}" for name in (*others, "stale")]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def missed(params: Params, measured: dict[str, dict[str, dict[str, float]]], estimator: str) -> list[str]:
    return [
        f"{month}: {name} is {by_model[estimator][name]}"
        for month, by_model in measured.items()
        for name, threshold in params.gates.thresholds.items()
        if not threshold.admits(by_model[estimator][name])
    ]


def main() -> int:
    params = parse_yaml(Params, (ROOT / "params.yaml").read_text(encoding="utf-8"), source="params.yaml")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", nargs=2, default=("2013-04", "2013-12"), metavar=("FIRST", "LAST"))
    parser.add_argument("--estimators", nargs="+", default=[params.training.estimator, "logistic_regression"])
    arguments = parser.parse_args()
    months = months_of_features(params, arguments.months[1])
    names = list(months)
    measured: dict[str, dict[str, dict[str, float]]] = {}
    weakest: dict[str, dict[str, dict[str, object]]] = {}
    for month in batches_between(PROJECT.batches, *arguments.months):
        before = [months[name] for name in names[: names.index(month)]]
        models = {name: (name, before) for name in arguments.estimators}
        models["stale"] = (arguments.estimators[0], before[:STALE_MONTHS])
        measured[month] = {}
        for label, (estimator, training) in models.items():
            start = time.perf_counter()
            given = scores(params, estimator, training, months[month])
            measured[month][label] = figures(months[month].labels, given)
            if label == arguments.estimators[0]:
                weakest[month] = weakest_groups(params, months[month], given)
            took = time.perf_counter() - start
            print(f"{month} {label}: AUC {measured[month][label]['roc_auc']:.4f} in {took:.1f} s", file=sys.stderr)
    broken = missed(params, measured, arguments.estimators[0])
    broken += [
        f"{month}: {name} {group}"
        for month, slices in weakest.items()
        for name, group in slices.items()
        if not group["passed"]
    ]
    result = {
        "schema_version": 1,
        "passed": not broken,
        "features": list(COLUMNS.names),
        "parameters": {name: params.estimators[name] for name in arguments.estimators},
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("scikit-learn", "polars", "numpy")},
        },
        "rows": {month: len(months[month].labels) for month in measured},
        "measured": measured,
        "weakest_groups": weakest,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(table(measured, arguments.estimators))
    for line in broken:
        print(f"misses its threshold: {line}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
