"""Whether logged features are what training computes for the same rows, to the last bit."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from gitrain.errors import DataError, FeatureError
from gitrain.features.engine import compute_features
from gitrain.monitoring.logged import DAY, DUE, MonitoredRows
from gitrain.monitoring.recent import days_in_words, recent_since
from gitrain.monitoring.skew import compare_features, judge_skew
from gitrain.operations.build_features import partitions_of
from gitrain.operations.stage import Stage
from gitrain.training.estimators import FeatureColumns
from gitrain.training.matrix import feature_matrix
from gitrain.verdicts import Verdict

__all__ = ["judge_logged_features"]


def judge_logged_features(
    stage: Stage,
    batches: Sequence[str],
    rows: MonitoredRows,
    columns: pl.DataFrame,
    in_tables: pl.DataFrame,
    *,
    days: int | None = None,
) -> list[Verdict]:
    """Compute the newest logged rows again whose own rows, and so all histories before them, have come.

    Rows come into the tables with their batch, weeks after they were predicted where batches are months: the last days
    are those of what has come.

    Args:
        stage: whose tables.
        batches: of the entity's table that are there.
        rows: what was predicted.
        columns: the logged features of the same rows.
        in_tables: the keys of the rows of the tables.
        days: of the rows that can be computed, those of so many last days are; None: all.
    """
    why = "no logged row is in the validated tables yet: there is nothing to compute it from"
    features = stage.project.features
    if not stage.params.monitoring.skew_rows:
        return []
    if in_tables.is_empty() or rows.known.is_empty():
        return judge_skew([], why_not=why)
    numbered = rows.known.with_row_index("number").with_columns(rows.frame["stale"], rows.frame[DUE])
    # What the store was behind with was said then, and is judged as such.
    fresh = numbered.filter(
        (pl.col("stale").list.len() == 0) & ~pl.any_horizontal(pl.col(rows.known.columns).is_null())
    )
    chosen = fresh.join(in_tables.unique(), on=list(features.entity.key), how="semi", maintain_order="left")
    if days is not None and chosen.height:
        times = rows.frame["time"].gather(chosen["number"])
        chosen = chosen.filter(times >= recent_since(times, days))
    chosen = chosen.tail(stage.params.monitoring.skew_rows)
    if chosen.is_empty():
        return judge_skew([], why_not=why)
    known = chosen.select(rows.known.columns)
    try:
        partitions = partitions_of(stage)
        span = (_time(chosen[DUE].min()), _time(chosen[DUE].max()))
        needed = partitions.needed(batches, span) if features.histories else {}
        computed = compute_features(features, known, partitions.histories(needed))
    except (DataError, FeatureError) as error:
        return judge_skew([], why_not=f"features cannot be computed again: {error.what}")
    matrix = feature_matrix(computed, FeatureColumns(names=features.names, categorical=features.categorical))
    day = rows.frame[DAY].gather(chosen["number"])
    found = compare_features(columns[chosen["number"].to_list()], matrix, day)
    return judge_skew(found, days=days_in_words(day), why_not=why)


def _time(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is no time")
    return value
