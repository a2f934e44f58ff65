"""Histories made ready for the engine: when each row is known, what it is grouped by and what it contributes."""

from datetime import timedelta

import polars as pl

from gitrain.errors import FeatureError
from gitrain.features.company import in_company
from gitrain.features.definitions import AsOfFeatures, FeatureSet, History, WindowFeatures

__all__ = [
    "EVENT_TIME",
    "KNOWN_AT",
    "TIME",
    "as_key",
    "group_key",
    "history_columns",
    "prepare_history",
    "reach",
    "readers",
    "taken",
    "utc",
    "value_of",
]

KNOWN_AT = "known_at"
EVENT_TIME = "event_time"
TIME = pl.Datetime("us", "UTC")

_TEXT = (pl.String, pl.Categorical, pl.Enum)


def readers(features: FeatureSet, name: str) -> list[tuple[int, AsOfFeatures | WindowFeatures]]:
    """The features that read the history `name`, each with its place among all definitions."""
    return [
        (index, feature)
        for index, feature in enumerate(features.features)
        if isinstance(feature, AsOfFeatures | WindowFeatures) and feature.history == name
    ]


def reach(features: FeatureSet, name: str) -> timedelta:
    """How long before the decision a row of this history may have become known and still count."""
    lengths = [timedelta(0)]
    for _, feature in readers(features, name):
        lengths.extend([feature.max_age] if isinstance(feature, AsOfFeatures) else feature.windows.values())
    return max(lengths)


def history_columns(features: FeatureSet, history: History) -> tuple[str, ...]:
    """The columns of the history's table that its features need, sorted."""
    needed: set[str] = set()
    for expression in (history.known_at, history.event_time, history.where):
        if expression is not None:
            needed.update(expression.meta.root_names())
    for _, feature in readers(features, history.name):
        needed.update(feature.by.values())
        if isinstance(feature, AsOfFeatures):
            needed.update(feature.columns.values())
        elif feature.aggregation != "count":
            needed.update(feature.value.meta.root_names())
    return tuple(sorted(needed))


def group_key(column: str) -> str:
    """The prepared column that holds the history's `column` as a key of groups."""
    return f"by:{column}"


def taken(column: str) -> str:
    """The prepared column that holds the history's `column` for as-of features."""
    return f"take:{column}"


def value_of(index: int) -> str:
    """The prepared column that holds the value of the window features at this place among the definitions."""
    return f"value:{index}"


def prepare_history(features: FeatureSet, history: History, rows: pl.DataFrame) -> pl.DataFrame:
    """What the engine needs of a history's rows. Each row by itself: prepared parts can be concatenated.

    Args:
        features: the definitions; they decide which columns are kept.
        history: whose rows they are.
        rows: rows of the history's table, with at least `history_columns`.

    Returns:
        The rows that count (`where` is true, `known_at` is not null), oldest known first, with the columns `KNOWN_AT`
        and `EVENT_TIME` (microseconds, UTC), ``by:COLUMN``, ``take:COLUMN`` and ``value:INDEX`` (Int64 or Float64).

    Raises:
        FeatureError: an expression that cannot be computed, a time without a zone, a row that is known later than
            `max_delay` after its event or before it, or a column of a type that features cannot have.
    """
    what = f"history {history.name!r}"
    expressions: list[pl.Expr] = [history.known_at.alias(KNOWN_AT), history.event_time.alias(EVENT_TIME)]
    if history.where is not None:
        expressions.append(history.where.alias("where"))
    for index, feature in readers(features, history.name):
        expressions.extend(pl.col(column).alias(group_key(column)) for column in feature.by.values())
        if isinstance(feature, AsOfFeatures):
            expressions.extend(pl.col(column).alias(taken(column)) for column in feature.columns.values())
        elif feature.aggregation != "count":
            expressions.append(feature.value.alias(value_of(index)))
    named = {expression.meta.output_name(): expression for expression in expressions}
    try:
        # with_columns, not select: a constant has to become a column as long as the others.
        found = in_company(rows).with_row_index("row").with_columns(**named).select("row", *named).head(rows.height)
    except pl.exceptions.PolarsError as error:
        raise FeatureError(
            f"{what} cannot be computed from table {history.table!r}: {_one_line(error)}",
            fix="correct its known_at, event_time, where or value expression.",
        ) from error
    found = found.with_columns(utc(found[KNOWN_AT], f"{what}: known_at"), utc(found[EVENT_TIME], f"{what}: event_time"))
    if history.where is not None:
        found = found.filter(pl.col("where")).drop("where")
    found = found.filter(pl.col(KNOWN_AT).is_not_null())
    _check_delays(history, found)
    found = found.sort(KNOWN_AT, maintain_order=True).drop("row")
    return found.with_columns(_typed(found[name], what) for name in found.columns if ":" in name)


def utc(times: pl.Series, what: str) -> pl.Series:
    """The series as microseconds in UTC.

    Raises:
        FeatureError: it holds no times, or times without a zone: local time and UTC cannot be told apart.
    """
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        return times.cast(TIME)
    raise FeatureError(
        f"{what} is of type {times.dtype}, not a datetime with a time zone",
        fix='end its expression with .dt.replace_time_zone("UTC") if the times are UTC.',
    )


def as_key(values: pl.Series, column: str) -> pl.Series:
    """The values in a type in which equal keys are equal.

    Raises:
        FeatureError: a type that cannot be a key.
    """
    if isinstance(values.dtype, _TEXT):
        # Polars numbers equal categories equally in all frames of a process, which saves the engine to compare text.
        return values.cast(pl.Categorical)
    if values.dtype.is_integer():
        return values.cast(pl.Int64)
    if values.dtype in (pl.Boolean, pl.Date) or isinstance(values.dtype, pl.Datetime):
        return values
    raise FeatureError(
        f"the column {column!r} is of type {values.dtype} and cannot group a history",
        fix="group by text, integers, booleans or dates.",
    )


def _typed(values: pl.Series, what: str) -> pl.Series:
    kind, _, name = values.name.partition(":")
    if kind == "by":
        return as_key(values, name)
    if kind == "take":
        if values.dtype.is_nested() or values.dtype == pl.Object:
            raise FeatureError(
                f"{what}: the column {name!r} is of type {values.dtype}", fix="take columns of numbers, text or times."
            )
        return values
    if values.dtype == pl.Boolean or values.dtype.is_integer():
        try:
            return values.cast(pl.Int64)
        except pl.exceptions.PolarsError as error:
            raise FeatureError(
                f"{what}: a value does not fit 64 bits with a sign: {_one_line(error)}",
                fix="cast the value to Float64.",
            ) from error
    if values.dtype.is_float():
        return values.cast(pl.Float64)
    raise FeatureError(
        f"{what}: the value of a window feature is of type {values.dtype}", fix="cast it to a number or a boolean."
    )


def _check_delays(history: History, found: pl.DataFrame) -> None:
    delay = pl.col(KNOWN_AT) - pl.col(EVENT_TIME)
    late = (delay > history.max_delay) | (delay < timedelta(0)) | delay.is_null()
    broken = found.filter(late)
    if broken.is_empty():
        return
    row, known_at, event_time = broken.select("row", KNOWN_AT, EVENT_TIME).row(0)
    if event_time is None:
        problem, fix = "has no event time", "give every row that becomes known an event time."
    elif known_at < event_time:
        problem, fix = "is known before its event", "set event_time to a moment that is not later than known_at."
    else:
        problem = f"is known {known_at - event_time} after its event; max_delay is {history.max_delay}"
        fix = "raise max_delay, or leave such rows out with `where`."
    rest = f" ({broken.height - 1} more rows like it)" if broken.height > 1 else ""
    raise FeatureError(
        f"history {history.name!r}: row {row} of table {history.table!r} {problem}: "
        f"known_at {known_at}, event_time {event_time}{rest}",
        fix=fix,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
