"""The definitions taken literally, row by row: slow, and sharing no code with the engine that it is compared with."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from gitrain.features.definitions import AsOfFeatures, FeatureSet, RowFeature, WindowFeatures

__all__ = ["brute_force"]

_KNOWN_AT = "(known at)"
_EVENT_TIME = "(event time)"


def brute_force(
    features: FeatureSet, entities: pl.DataFrame, tables: Mapping[str, pl.DataFrame], places: Sequence[int]
) -> dict[str, list[Any]]:
    """All features of some rows, each computed by itself.

    Args:
        features: the definitions.
        entities: rows with the columns `known_in_advance`.
        tables: history name to the rows of its table.
        places: the rows of `entities` that are computed.

    Returns:
        Feature name to its values, one for each of `places`.
    """
    entity = features.entity
    found: dict[str, list[Any]] = {name: [] for name in features.names}
    pasts = {history.name: _past(features, history.name, tables[history.name]) for history in features.histories}
    for place in places:
        # A frame of one row: an expression that looks at other rows gives something else here.
        row = entities.select(entity.known_in_advance).slice(place, 1)
        values = row.row(0, named=True)
        decision = _decision(row, entity.decision_time)
        for feature in features.features:
            if isinstance(feature, RowFeature):
                found[feature.name].append(row.with_columns(feature.expression.alias("value"))["value"].item())
                continue
            known = _known_of_group(pasts[feature.history], feature.by, values, decision)
            if isinstance(feature, AsOfFeatures):
                newest = _newest(features, feature, known, decision)
                for name, column in feature.columns.items():
                    found[name].append(None if newest is None else newest[column])
                continue
            for label, length in feature.windows.items():
                window = known.filter(pl.col(_KNOWN_AT) > decision - length)
                found[f"{feature.prefix}_{label}"].append(_aggregate(feature, window))
    return found


def _decision(row: pl.DataFrame, expression: pl.Expr | None) -> datetime:
    # Without a decision time there are no histories either, and nothing compares with this.
    decision: datetime = datetime.max if expression is None else row.select(expression).item()
    return decision


def _past(features: FeatureSet, name: str, table: pl.DataFrame) -> pl.DataFrame:
    history = features.history(name)
    times = table.with_columns(history.known_at.alias(_KNOWN_AT), history.event_time.alias(_EVENT_TIME))
    return times if history.where is None else times.filter(history.where)


def _known_of_group(
    past: pl.DataFrame, by: Mapping[str, str], values: Mapping[str, Any], decision: datetime
) -> pl.DataFrame:
    condition = pl.col(_KNOWN_AT) <= decision
    for column, other in by.items():
        value = values[column]
        condition &= pl.lit(False) if value is None else pl.col(other) == value
    return past.filter(condition)


def _newest(
    features: FeatureSet, feature: AsOfFeatures, known: pl.DataFrame, decision: datetime
) -> dict[str, Any] | None:
    same = [
        other for other in features.features if isinstance(other, AsOfFeatures) and other.history == feature.history
    ]
    ties = [column for other in same for column in other.columns.values()]
    newest: dict[str, Any] | None = None
    for row in known.filter(pl.col(_KNOWN_AT) == pl.col(_KNOWN_AT).max()).iter_rows(named=True):
        if newest is None or _rank(row, ties) > _rank(newest, ties):
            newest = row
    if newest is None or decision - newest[_KNOWN_AT] > feature.max_age:
        return None
    return newest


def _rank(row: Mapping[str, Any], ties: Sequence[str]) -> tuple[tuple[Any, ...], ...]:
    """Something to compare rows by: null before every number, not-a-number after."""
    return tuple(
        (0,) if value is None else (2,) if isinstance(value, float) and math.isnan(value) else (1, value)
        for value in (row[column] for column in (_EVENT_TIME, *ties))
    )


def _aggregate(feature: WindowFeatures, window: pl.DataFrame) -> Any:
    if feature.aggregation == "count":
        return window.height
    # Evaluated on the rows of the window alone, for the same reason as above.
    values = [value for value in window.with_columns(feature.value.alias("value"))["value"] if value is not None]
    total = math.fsum(values) if any(isinstance(value, float) for value in values) else sum(values)
    if feature.aggregation == "sum":
        return total
    return total / len(values) if values else None
