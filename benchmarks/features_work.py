"""The steps that benchmarks/features.py measures, each in a process of its own; prints JSON."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
from pandera.backends.polars.register import register_polars_backends

from flight_delay.project import PROJECT
from gitrain.data.batches import batches_between
from gitrain.documents import parse
from gitrain.features.definitions import AsOfFeatures, RowFeature, WindowFeatures
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.operations.build_features import build_features
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import VALIDATED, partition
from gitrain.pipeline.params import Params

FIRST = "2013-01"
YEAR = timedelta(days=364)
DECISION = PROJECT.features.entity.decision_time
BY_HAND = "by_hand.parquet"

# What the month of a row is, by table.
MONTH = {"flights": pl.col("date"), "weather": pl.col("hour_local")}


def prepare(folder: Path, copies: int) -> dict[str, object]:
    """Write the validated tables of all copies."""
    workspace = LocalWorkspace(folder)
    months = batches_between(PROJECT.batches, FIRST, "2013-12")
    rows, last = 0, FIRST
    for table in ("flights", "weather"):
        year = pl.concat([PROJECT.table(table).source.read(month) for month in months])
        if table == "weather":
            # The contract puts the wind of 1048 miles an hour into quarantine.
            year = year.filter(pl.col("wind_speed").is_null() | (pl.col("wind_speed") <= 100))
        first_day = MONTH[table].cast(pl.Date).min()
        year = year.filter(MONTH[table].cast(pl.Date) < first_day + YEAR)
        for month, frame in by_month(year, table, copies):
            workspace.write_table(partition(VALIDATED, table, month), frame)
            if table == "flights":
                rows, last = rows + frame.height, month
    written = batches_between(PROJECT.batches, FIRST, last)
    return {
        "rows": rows,
        "months": len(written),
        "last": last,
        "last_but_one": written[-2],
        "versions": {"polars": pl.__version__, "threads": pl.thread_pool_size()},
    }


def by_month(year: pl.DataFrame, table: str, copies: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """The copies, cut into months; a month that two copies share comes once, whole."""
    rest: pl.DataFrame | None = None
    for copy in range(copies):
        shifted = year.with_columns(pl.col(pl.Date, pl.Datetime("us"), pl.Datetime("us", "UTC")) + YEAR * copy)
        whole = shifted if rest is None else pl.concat([rest, shifted])
        parts = whole.with_columns(month=MONTH[table].dt.strftime("%Y-%m")).partition_by(
            "month", maintain_order=True, include_key=False, as_dict=True
        )
        named = sorted((str(key[0]), part) for key, part in parts.items())
        if copy < copies - 1:
            rest = named.pop()[1]
        yield from named


def gitrain(folder: Path, through: str) -> dict[str, object]:
    """`build_features` up to a month."""
    written = {
        "schema_version": 1,
        "data": {"from": FIRST, "through": through},
        "training": {"estimator": "none"},
        "estimators": {"none": {}},
    }
    stage = Stage(
        # The last month of the copies is cut short; how many rows it has is not what is measured.
        project=replace(PROJECT, feature_contract=replace(PROJECT.feature_contract, rows=(1, None))),
        params=parse(Params, written, source="params.yaml"),
        workspace=LocalWorkspace(folder),
        memo=LocalMemo(folder=folder / ".gitrain" / "memo", root=folder),
        code="benchmark",
        progress=lambda _: None,
    )
    # pandera loads its backend on the first check: an import like the others.
    register_polars_backends()
    started = time.perf_counter()
    build_features(stage)
    return {"seconds": time.perf_counter() - started}


def by_hand(folder: Path) -> dict[str, object]:
    """The project's features as one would write them in Polars for all rows at once."""
    started = time.perf_counter()
    tables = {name: pl.scan_parquet(folder / VALIDATED / name / "*.parquet") for name in ("flights", "weather")}
    entity = PROJECT.features.entity
    features = PROJECT.features.features
    unit, day = entity.unit
    plain = {feature.name: feature.expression for feature in features if isinstance(feature, RowFeature)}
    groups = {column for feature in features if not isinstance(feature, RowFeature) for column in feature.by}
    kept = dict.fromkeys([*entity.key, unit, "decision_time", *groups, *plain, PROJECT.target.name])
    rows = (
        tables[entity.table]
        .with_columns(PROJECT.target.label.alias(PROJECT.target.name), day.alias(unit), decision_time=DECISION, **plain)
        .select(*kept)
        .with_row_index("row")
        .sort("decision_time")
        .collect()
    )
    for history in PROJECT.features.histories:
        past = tables[history.table].filter(True if history.where is None else history.where)
        past = past.with_columns(known_at=history.known_at).filter(pl.col("known_at").is_not_null()).sort("known_at")
        for group, (by, definitions) in enumerate(definitions_by_group(history.name).items()):
            as_of = [each for each in definitions if isinstance(each, AsOfFeatures)]
            windowed = [each for each in definitions if isinstance(each, WindowFeatures)]
            for each in as_of:
                taken = past.select("known_at", *by, **each.columns).collect()
                rows = rows.join_asof(
                    taken,
                    left_on="decision_time",
                    right_on="known_at",
                    by=list(by) or None,
                    tolerance=each.max_age,
                    check_sortedness=False,
                ).drop("known_at", strict=False)
            if windowed:
                rows = means(rows, past, by, windowed, f"{history.name}{group}")
    stored = [*entity.key, unit, "decision_time", *PROJECT.features.names, PROJECT.target.name]
    rows.sort("row").select(*dict.fromkeys(stored)).write_parquet(
        folder / BY_HAND, compression="zstd", compression_level=3
    )
    return {"seconds": time.perf_counter() - started}


def definitions_by_group(history: str) -> dict[tuple[str, ...], list[AsOfFeatures | WindowFeatures]]:
    """The features of one history by the columns that group it: one join serves all that share them."""
    found: dict[tuple[str, ...], list[AsOfFeatures | WindowFeatures]] = {}
    for feature in PROJECT.features.features:
        if not isinstance(feature, RowFeature) and feature.history == history:
            if list(feature.by) != list(feature.by.values()):
                raise SystemExit("the benchmark joins columns of one name only")
            found.setdefault(tuple(feature.by), []).append(feature)
    return found


def means(
    rows: pl.DataFrame, past: pl.LazyFrame, by: Sequence[str], features: Sequence[WindowFeatures], name: str
) -> pl.DataFrame:
    """Aggregates over windows: cumulative sums within groups, as they were at both ends of each window."""

    def within(expression: pl.Expr) -> pl.Expr:
        return expression.over(by) if by else expression

    running: dict[str, pl.Expr] = {f"rows {name}": within(pl.int_range(1, pl.len() + 1))}
    for index, feature in enumerate(features):
        if feature.aggregation != "count":
            value = feature.value
            running[f"total {name} {index}"] = within(value.fill_null(0).cum_sum())
            running[f"count {name} {index}"] = within(value.is_not_null().cum_sum())
    known = past.select(*by, "known_at", **running).collect()

    def at(frame: pl.DataFrame, moment: pl.Expr) -> pl.DataFrame:
        joined = frame.with_columns(moment=moment).join_asof(
            known, left_on="moment", right_on="known_at", by=list(by) or None, check_sortedness=False
        )
        return joined.with_columns(pl.col(*running).fill_null(0)).drop("moment", "known_at", strict=False)

    rows = at(rows, pl.col("decision_time")).rename({column: f"now {column}" for column in running})
    for length in sorted({length for feature in features for length in feature.windows.values()}):
        rows = at(rows, pl.col("decision_time") - length)
        results = {}
        for index, feature in enumerate(features):
            for label, window in feature.windows.items():
                if window == length:
                    results[f"{feature.prefix}_{label}"] = result(feature, name, index)
        rows = rows.with_columns(**results).drop(*running)
    return rows.drop(f"now {column}" for column in running)


def result(feature: WindowFeatures, name: str, index: int) -> pl.Expr:
    """The difference between now and the start of the window."""

    def difference(column: str) -> pl.Expr:
        return pl.col(f"now {column}") - pl.col(column)

    if feature.aggregation == "count":
        return difference(f"rows {name}").cast(pl.Int64)
    total, count = difference(f"total {name} {index}"), difference(f"count {name} {index}")
    return total if feature.aggregation == "sum" else pl.when(count > 0).then(total / count)


def compare(folder: Path) -> dict[str, object]:
    """Refuse to measure two things that are not the same."""
    ours = pl.read_parquet(folder / "data" / "features" / "*.parquet")
    theirs = pl.read_parquet(folder / BY_HAND).select(ours.columns)
    for name in ours.columns:
        a, b = ours[name], theirs[name].cast(ours.schema[name])
        same = (a - b).abs() < 1e-9 if a.dtype.is_float() else a == b
        if a.is_null().ne(b.is_null()).any() or not same.drop_nulls().all():
            raise SystemExit(f"{name} differs")
    return {"values": ours.height * ours.width}


def main() -> None:
    """One step: its name, the workspace, and what else it takes."""
    step, folder, *rest = sys.argv[1:]
    path = Path(folder)
    match step, rest:
        case "prepare", [copies]:
            found = prepare(path, int(copies))
        case "gitrain", [through]:
            found = gitrain(path, through)
        case "by-hand", []:
            found = by_hand(path)
        case "compare", []:
            found = compare(path)
        case _:
            raise SystemExit(f"unknown step {step}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
