"""How often monitoring alarms without a change, and how soon with one: real days, drawn again and again.

    python benchmarks/monitoring_power.py [--years 200] [--runs 300]

Two or three minutes on two cores; it needs data/features as `dvc repro` makes them. The flights of April to September
are predicted month by month by a model of all months before, as in life, which gives 183 days of honest losses; the
same model on the same flights with a fault in their features, or in their labels, gives 183 days for each fault:

* frozen: features of other flights' fates keep the value that they had; the same of departures alone;
* scaled: the temperature in Celsius; shares in other units;
* stale: features of other flights' fates are those of a thousand flights earlier, about a day;
* gone: they are not known;
* label rate: three, six or ten in a hundred of the flights that were on time are late.

A year without change is drawn from the healthy days in weeks, so that neighbouring days stay alike; the reference is a
month of days in a row. For each fault a month of reference is healthy and what follows is drawn from the fault's days.
Beside the sequence stand, on the same days and with the same threshold, the naive detector (a t-test at the 5 % level
after every day) and the test with a fixed horizon (the same t-test, corrected for days that are alike, once, at the
horizon): of a season, and of the year that the sequence's level is asked for.

Years without change are looked at in the groups of the project's slices as well, on the same days as all rows.

Writes benchmarks/results/monitoring_power.json, and exits 1 if more than 5 % of the years alarm without a change (of
all rows, or of these and any group), or if a fault that a fixed test finds in four of five runs is found with less than
.8 of its power.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("POLARS_MAX_THREADS", "2")

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flight_delay.project import PROJECT
from gitrain.documents import parse_yaml
from gitrain.evaluation.predictions import group_columns, slice_column
from gitrain.monitoring.evidence import sequential_limits
from gitrain.monitoring.judgement import OVERALL
from gitrain.monitoring.performance import DailyLosses, DailySums, daily_losses, log_losses, losses_of
from gitrain.monitoring.slices import FEWEST_REFERENCE_DAYS
from gitrain.pipeline.monitoring_params import PerformanceParams
from gitrain.pipeline.params import Params
from gitrain.training.estimators import FeatureColumns
from gitrain.training.matrix import feature_matrix, true_probabilities

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "monitoring_power.json"
FEATURES = PROJECT.features
COLUMNS = FeatureColumns(names=FEATURES.names, categorical=FEATURES.categorical)
FATES = [name for name in FEATURES.names if name.startswith(("arr_delay", "not_left", "not_landed"))]
DEPARTURES = [name for name in FATES if name.startswith("not_left")]
MONTHS = [f"2013-{month:02d}" for month in range(1, 10)]
REFERENCE_DAYS, YEAR, WEEK = 30, 365, 7
HORIZONS = (90, YEAR)
ALPHA = 0.05
MOST_FALSE, LEAST_POWER, JUDGED_FROM = 0.05, 0.8, 0.8
Floats = NDArray[np.float64]


def frozen(columns: list[str], earlier: pl.DataFrame) -> list[pl.Expr]:
    return [pl.lit(earlier[name].median()).alias(name) for name in columns]


def faults(earlier: pl.DataFrame) -> Mapping[str, list[pl.Expr]]:
    return {
        "frozen: fates of other flights": frozen(FATES, earlier),
        "frozen: departures": frozen(DEPARTURES, earlier),
        "frozen: hour": [pl.lit(12.0).alias("hour")],
        "scaled: temperature in Celsius": [((pl.col("temp") - 32) / 1.8).alias("temp")],
        "scaled: departures by 1.8": [pl.col(name) * 1.8 for name in DEPARTURES],
        "stale: fates of other flights": [pl.col(name).shift(1000).backward_fill() for name in FATES],
        "gone: fates of other flights": [pl.lit(None, dtype=pl.Float64).alias(name) for name in FATES],
    }


def month_of_scores(number: int) -> pl.DataFrame:
    """One month, predicted by a model of all before it, healthy and with each fault."""
    label = PROJECT.target.name
    tables = [pl.read_parquet(ROOT / f"data/features/{month}.parquet") for month in MONTHS[: number + 1]]
    earlier, now = (frame.filter(pl.col(label).is_not_null()) for frame in (pl.concat(tables[:-1]), tables[-1]))
    now = now.sort("decision_time")
    params = parse_yaml(Params, (ROOT / "params.yaml").read_text(encoding="utf-8"), source="params.yaml")
    name = params.training.estimator
    settings = params.estimators[name]
    model = PROJECT.estimators[name](settings, COLUMNS, params.training.seed)
    matrix = feature_matrix(earlier, COLUMNS)
    model.fit(matrix, earlier[label].to_numpy().astype(np.int8))
    live = feature_matrix(now, COLUMNS)

    def score(frame: pl.DataFrame) -> Floats:
        return true_probabilities(model.predict_proba(frame))

    found = {"day": now["day"], "label": now[label], "healthy": score(live)}
    found |= {fault: score(live.with_columns(change)) for fault, change in faults(matrix).items()}
    groups = group_columns(live, {each.name: each.by for each in PROJECT.slices})
    return pl.DataFrame(found).hstack(groups.get_columns())


def losses(frame: pl.DataFrame, scores: str, labels: NDArray[np.bool_]) -> DailyLosses:
    days = frame["day"].cast(pl.String)
    names = days.unique().sort()
    day = days.replace_strict(names, pl.int_range(names.len(), eager=True), return_dtype=pl.Int64).to_numpy()
    return daily_losses(names.to_list(), day, labels, frame[scores].to_numpy(), minimum_rows=30)


def pools() -> tuple[dict[str, DailyLosses], "list[Group]"]:
    """The daily losses of healthy days and of each fault's; and the healthy days of the slices' groups."""
    # A process that is forked has Polars' locks and not its threads.
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as workers:
        frame = pl.concat(workers.map(month_of_scores, range(3, len(MONTHS))))
    labels = frame["label"].to_numpy()
    aside = {"day", "label", *(slice_column(each.name) for each in PROJECT.slices)}
    found = {name: losses(frame, name, labels) for name in frame.columns if name not in aside}
    random = np.random.default_rng(0)
    for more in (0.03, 0.06, 0.10):
        found[f"label rate: {more:.0%} of those on time"] = losses(
            frame, "healthy", labels | (random.random(labels.size) < more)
        )
    return found, groups_of(frame)


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """The rows of a group of a slice, or all of them.

    Attributes:
        name: of the verdict.
        min_rows: with fewer it is not judged.
        sums: by day of the pool: rows, log losses, positives and probabilities, shape (4, days).
    """

    name: str
    min_rows: int
    sums: Floats

    def losses(self, days: NDArray[np.int64], minimum_rows: int) -> DailyLosses:
        """The losses of days of the pool, one after another."""
        there = self.sums[:, days]
        rows, loss, positives, probability = there[:, there[0] > 0]
        names = tuple(map(str, range(rows.size)))
        sums = DailySums(days=names, rows=rows, loss=loss, positives=positives, probability=probability)
        return losses_of(sums, minimum_rows=minimum_rows)


def groups_of(frame: pl.DataFrame) -> list[Group]:
    """All rows, and then each group, of healthy days."""
    days = frame["day"].rank("dense").cast(pl.Int64).to_numpy() - 1
    labels, scores = frame["label"].to_numpy().astype(bool), frame["healthy"].to_numpy()
    parts = (np.ones(labels.size), log_losses(labels, scores), labels.astype(np.float64), scores)

    def group(name: str, min_rows: int, mine: NDArray[np.bool_]) -> Group:
        size = int(days.max()) + 1
        sums = [np.bincount(days[mine], weights=part[mine], minlength=size) for part in parts]
        return Group(name=name, min_rows=min_rows, sums=np.array(sums))

    found = [group("overall", 0, np.ones(labels.size, dtype=np.bool_))]
    for rule in PROJECT.slices:
        values = frame[slice_column(rule.name)]
        for value in values.drop_nulls().unique().sort():
            found.append(group(f"{rule.name}={value}", rule.min_rows, (values == value).fill_null(False).to_numpy()))
    return found


def weeks(days: int, pool: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Days drawn in weeks."""
    starts = random.integers(0, pool - WEEK + 1, size=-(-days // WEEK))
    return (starts[:, None] + np.arange(WEEK)).reshape(-1)[:days]


def drawn(healthy: Floats, then: Floats, days: int, random: np.random.Generator) -> tuple[Floats, Floats]:
    start = random.integers(0, healthy.size - REFERENCE_DAYS + 1)
    return healthy[start : start + REFERENCE_DAYS], then[weeks(days, then.size, random)]


def false_alarms(healthy: Floats, years: int, alpha: float, *, two_sided: bool, margin: float) -> dict[str, float]:
    random = np.random.default_rng(1)
    found, naive = 0, 0
    for _ in range(years):
        reference, live = drawn(healthy, healthy, YEAR, random)
        sides = (1.0, -1.0) if two_sided else (1.0,)
        limits = [sequential_limits(side * reference, side * live, alpha) for side in sides]
        found += any(bool((each.lower > each.reference + margin).any()) for each in limits)
        naive += any(bool((each.naive > each.reference + margin).any()) for each in limits)
    return {"years": years, "alarmed": round(found / years, 4), "naive_alarmed": round(naive / years, 4)}


def false_alarms_of_any(groups: list[Group], years: int, params: PerformanceParams) -> dict[str, Any]:
    """Years in which all rows, or any group, alarm; what is judged, and at which level, is as monitoring has it."""
    random = np.random.default_rng(1)
    overall, sliced, both, alarms, judged = 0, 0, 0, Counter[str](), []
    pool, fewest = groups[0].sums.shape[1], params.minimum_rows

    def alarmed(reference: DailyLosses, live: DailyLosses, alpha: float) -> bool:
        limits = sequential_limits(reference.ratio, live.ratio, alpha)
        return bool((limits.lower > limits.reference + params.tolerated).any())

    for _ in range(years):
        start = random.integers(0, pool - REFERENCE_DAYS + 1)
        lived = weeks(YEAR, pool, random)
        month = start + np.arange(REFERENCE_DAYS)
        pairs = {each: (each.losses(month, fewest), each.losses(lived, fewest)) for each in groups}
        first, *possible = [each for each in groups if len(pairs[each][0].days) >= FEWEST_REFERENCE_DAYS]
        share = ALPHA * (1 - OVERALL) / max(1, len(possible))
        enough = [
            each
            for each in possible
            if pairs[each][1].rows.sum() >= each.min_rows and len(pairs[each][1].days) >= params.minimum_days
        ]
        worse = [each.name for each in enough if alarmed(*pairs[each], share)]
        whole = alarmed(*pairs[first], ALPHA * OVERALL)
        overall, sliced, both = overall + whole, sliced + bool(worse), both + (whole or bool(worse))
        alarms.update(worse)
        judged.append(len(enough))
    return {
        "years": years,
        "groups": len(groups) - 1,
        "judged_in_the_median_year": int(np.median(judged)),
        "overall_alarmed": round(overall / years, 4),
        "any_group_alarmed": round(sliced / years, 4),
        "alarmed": round(both / years, 4),
        "groups_that_alarmed": {name: round(count / years, 4) for name, count in alarms.most_common(5)},
    }


def power(healthy: Floats, broken: Floats, runs: int, horizon: int, alpha: float, margin: float) -> dict[str, Any]:
    random = np.random.default_rng(2)
    found, fixed, days = 0, 0, []
    for _ in range(runs):
        reference, live = drawn(healthy, broken, horizon, random)
        limits = sequential_limits(reference, live, alpha)
        alarms = limits.lower > limits.reference + margin
        found += bool(alarms.any())
        days.append(int(alarms.argmax()) + 1 if alarms.any() else horizon + 1)
        alike = limits.correlation[-1]
        width = (limits.estimate[-1] - limits.naive[-1]) * np.sqrt((1 + alike) / (1 - alike))
        fixed += bool(limits.estimate[-1] - width > limits.reference + margin)
    median = float(np.median(days))
    return {
        "size_in_days_deviations": round(float((broken.mean() - healthy.mean()) / healthy.std()), 2),
        "power": round(found / runs, 3),
        "fixed_horizon_power": round(fixed / runs, 3),
        "share_of_fixed": round(found / fixed, 3) if fixed else None,
        "median_days_to_alarm": median if median <= horizon else None,
        "within_a_week": round(sum(day <= 7 for day in days) / runs, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="false alarms and days to alarm of monitoring")
    parser.add_argument("--years", type=int, default=200)
    parser.add_argument("--runs", type=int, default=300)
    arguments = parser.parse_args()
    days, groups = pools()
    healthy = days.pop("healthy")
    rules = parse_yaml(Params, (ROOT / "params.yaml").read_text(encoding="utf-8"), source="params.yaml").monitoring
    tolerated, shift = rules.performance.tolerated, rules.performance.calibration
    without = {
        "performance": false_alarms(healthy.ratio, arguments.years, ALPHA * OVERALL, two_sided=False, margin=tolerated),
        "calibration": false_alarms(healthy.bias, arguments.years, ALPHA / 2, two_sided=True, margin=shift),
        "performance_and_slices": false_alarms_of_any(groups, arguments.years, rules.performance),
    }
    found: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    # What both tests find where there is nothing: the small faults are to be read beside it.
    for name, broken in {"none": healthy, **days}.items():
        found[name] = {"performance": {}, "calibration": {}}
        for horizon in HORIZONS:
            rows = (arguments.runs, horizon)
            key = f"{horizon} days"
            found[name]["performance"][key] = power(healthy.ratio, broken.ratio, *rows, ALPHA * OVERALL, tolerated)
            found[name]["calibration"][key] = power(healthy.bias, broken.bias, *rows, ALPHA / 2, shift)
            print(f"{name:34s} {key} {found[name]['performance'][key]}", file=sys.stderr)
    judged = [each for fault in found.values() for each in fault["performance"].values()]
    judged = [each for each in judged if each["fixed_horizon_power"] >= JUDGED_FROM]
    passed = (
        without["performance"]["alarmed"] <= MOST_FALSE
        and without["performance_and_slices"]["alarmed"] <= MOST_FALSE
        and all(each["share_of_fixed"] >= LEAST_POWER for each in judged)
    )
    result = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__},
        "healthy_days": len(healthy.days),
        "reference_days": REFERENCE_DAYS,
        "horizons": list(HORIZONS),
        "alpha": ALPHA,
        "limits": {"most_false": MOST_FALSE, "least_share_of_fixed": LEAST_POWER, "judged_from": JUDGED_FROM},
        "without_change": without,
        "faults": found,
        "passed": passed,
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({"without_change": without, "passed": passed}, indent=2))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
