"""Computes features from rows and what is known of the past: the same for a batch in training and a row in service."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gitrain.errors import FeatureError
from gitrain.features.company import in_company
from gitrain.features.definitions import AsOfFeatures, Entity, FeatureSet, RowFeature, WindowFeatures
from gitrain.features.exact_sums import range_sums
from gitrain.features.history import EVENT_TIME, KNOWN_AT, as_key, group_key, reach, readers, taken, utc, value_of

__all__ = ["Positions", "Values", "as_text", "compute_features", "decision_times"]

Positions = NDArray[np.int64]
Values = NDArray[np.int64] | NDArray[np.float64]
NumberT = TypeVar("NumberT", bound=np.generic)


def compute_features(
    features: FeatureSet, entities: pl.DataFrame, histories: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """All features of the given rows.

    A feature of a row depends on that row and on the history rows that it covers, and on nothing else: not on the other
    rows, their order, or how much more history there is. Sums are exact, so this holds to the last bit.

    Args:
        features: the definitions.
        entities: the rows; of their columns only `known_in_advance` is looked at.
        histories: for each history that features read, rows that `prepare_history` made, at least those that became
            known within `reach` before the earliest decision.

    Returns:
        One row for each of `entities`, in the same order, with the columns `FeatureSet.names` in that order.

    Raises:
        FeatureError: a missing column or history, a row without a decision time, keys of different types, an expression
            that cannot be computed.
    """
    known = in_company(_known_in_advance(features.entity, entities))
    columns = _row_features(features, known)
    used = {feature.history for feature in features.features if not isinstance(feature, RowFeature)}
    if used:
        decisions = _to_integers(decision_times(features.entity, known))
        keys = _Keys(known, prepared=False)
        for name in sorted(used):
            if name not in histories:
                raise FeatureError(f"the history {name!r} is missing", fix="prepare and hand over each history.")
            timeline = _Timeline(features, name, histories[name], decisions, keys)
            for index, feature in readers(features, name):
                columns.update(timeline.compute(index, feature))
    return pl.DataFrame([as_text(columns[name]).alias(name) for name in features.names]).head(entities.height)


def decision_times(entity: Entity, rows: pl.DataFrame) -> pl.Series:
    """When the prediction of each row is made, in UTC.

    Raises:
        FeatureError: the entity has no decision time, the expression cannot be computed, or a row has none.
    """
    if entity.decision_time is None:
        raise FeatureError(f"the entity of table {entity.table!r} has no decision time", fix="set decision_time.")
    times = utc(_evaluate(rows, "decision_time", entity.decision_time), "decision_time")
    if times.null_count():
        row = int(times.is_null().arg_max() or 0)
        raise FeatureError(
            f"row {row} of table {entity.table!r} has no decision time: "
            f"{rows.select(entity.decision_time.meta.root_names()).row(row, named=True)}",
            fix="let the contract refuse such rows.",
        )
    return times.alias("decision_time")


def as_text(values: pl.Series) -> pl.Series:
    """Categories as the strings that they stand for: their numbers depend on what else the process has seen."""
    return values.cast(pl.String) if isinstance(values.dtype, pl.Categorical | pl.Enum) else values


def _known_in_advance(entity: Entity, entities: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in entity.known_in_advance if name not in entities.columns]
    if missing:
        raise FeatureError(
            f"the rows of table {entity.table!r} lack the column {missing[0]!r}", fix="give all of known_in_advance."
        )
    # The second guard against leaks: whatever else the rows hold cannot be reached from here on.
    return entities.select(entity.known_in_advance)


def _row_features(features: FeatureSet, known: pl.DataFrame) -> dict[str, pl.Series]:
    wanted = {feature.name: feature.expression for feature in features.features if isinstance(feature, RowFeature)}
    try:
        return dict(zip(wanted, known.with_columns(**wanted).select(*wanted).get_columns(), strict=True))
    except pl.exceptions.PolarsError:
        # Once more, one by one, to name the culprit.
        return {name: _evaluate(known, name, expression) for name, expression in wanted.items()}


def _evaluate(rows: pl.DataFrame, name: str, expression: pl.Expr) -> pl.Series:
    try:
        return rows.with_columns(expression.alias(name))[name]
    except pl.exceptions.PolarsError as error:
        raise FeatureError(
            f"{name!r} cannot be computed: {' '.join(str(error).split())}", fix="correct its expression."
        ) from error


def _to_integers(times: pl.Series) -> Positions:
    return times.to_physical().to_numpy()


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


# A group's number times the number of rows has to fit 63 bits.
_MOST_GROUPS = 2**31


@dataclass(frozen=True)
class _Key:
    kind: str
    numbers: Positions
    null: NDArray[np.bool_] | None


_Codes = tuple[Positions, Positions]


class _Keys:
    """Columns that rows are grouped by, as integers; each is converted once."""

    def __init__(self, frame: pl.DataFrame, *, prepared: bool) -> None:
        self._frame = frame
        self._prepared = prepared
        self._columns: dict[str, _Key] = {}

    def column(self, name: str) -> _Key:
        if name not in self._columns:
            values = self._frame[group_key(name)] if self._prepared else as_key(self._frame[name], name)
            kind = str(values.dtype).replace("Categorical", "String")
            null = values.is_null().to_numpy() if values.null_count() else None
            numbers = values.to_physical()
            whole = (numbers if null is None else numbers.fill_null(0)).to_numpy().astype(np.int64, copy=False)
            self._columns[name] = _Key(kind, whole, null)
        return self._columns[name]


class _Timeline:
    """One history in the order in which its rows became known, seen from each row's decision."""

    def __init__(
        self, features: FeatureSet, name: str, prepared: pl.DataFrame, decisions: Positions, entity: _Keys
    ) -> None:
        self._name = name
        self._entity = entity
        self.decisions = decisions
        self.by_decision = np.argsort(decisions, kind="stable")
        self._decided = decisions[self.by_decision]
        self.rows = _in_order(features, name, _covered(prepared, self._decided, reach(features, name)))
        self._keys = _Keys(self.rows, prepared=True)
        self.known_at = _to_integers(self.rows[KNOWN_AT])
        self._known: dict[timedelta, Positions] = {}
        self._values: dict[str, tuple[Values, NDArray[np.bool_] | None]] = {}
        self._groups: dict[tuple[tuple[str, str], ...], _Groups] = {}

    def known_before(self, length: timedelta) -> Positions:
        """How many rows were known at the moment `length` before each decision, decisions in ascending order."""
        if length not in self._known:
            moments = self._decided - _microseconds(length)
            self._known[length] = np.searchsorted(self.known_at, moments, side="right")
        return self._known[length]

    def values(self, name: str) -> tuple[Values, NDArray[np.bool_] | None]:
        """A prepared value with zeros for nulls, and which rows have one; None if all have."""
        if name not in self._values:
            column = self.rows[name]
            valid = column.is_not_null().to_numpy() if column.null_count() else None
            self._values[name] = (column.fill_null(0) if valid is not None else column).to_numpy(), valid
        return self._values[name]

    def compute(self, index: int, feature: AsOfFeatures | WindowFeatures) -> dict[str, pl.Series]:
        """The columns of one definition."""
        by = tuple(sorted(feature.by.items()))
        if by not in self._groups:
            shape = (len(self.known_at), len(self.decisions))
            self._groups[by] = _Groups(self, *_codes(self._name, dict(by), self._entity, self._keys, shape))
        groups = self._groups[by]
        if isinstance(feature, AsOfFeatures):
            newest = groups.newest(_microseconds(feature.max_age))
            columns = [pl.col(taken(column)).gather(newest).alias(name) for name, column in feature.columns.items()]
            return self.rows.select(columns).to_dict()
        return groups.windows(feature, value_of(index))


class _Groups:
    """A history divided into groups: for each decision, places in its group's part of the rows.

    Rows are sorted by group, then by when they became known. ``group * (rows + 1) + place in time`` ascends in that
    order, so one binary search finds how many rows of the group were known at a moment.
    """

    def __init__(self, timeline: _Timeline, history_codes: Positions, entity_codes: Positions) -> None:
        self._timeline = timeline
        self.order = np.argsort(_compact(history_codes), kind="stable")
        self._stride = len(history_codes) + 1
        self._sorted = history_codes[self.order] * self._stride + self.order
        # Searching in ascending order is several times faster than in any other.
        codes = entity_codes[timeline.by_decision]
        self._by_code = np.argsort(_compact(codes), kind="stable")
        self._codes = codes[self._by_code]
        self._places = timeline.by_decision[self._by_code]
        self._found: dict[timedelta, Positions] = {}

    def known(self, length: timedelta) -> Positions:
        """The place after the last row of the group that was known `length` before each decision."""
        if length not in self._found:
            wanted = self._codes * self._stride + self._timeline.known_before(length)[self._by_code]
            self._found[length] = np.searchsorted(self._sorted, wanted, side="left")
        return self._found[length]

    def newest(self, max_age: int) -> pl.Series:
        """The row of the history that is newest at each decision, null where there is none or it is too old."""
        stop = self.known(timedelta(0))
        start = np.searchsorted(self._sorted, self._codes * self._stride, side="left")
        some = stop > start
        row = self.order[stop[some] - 1]
        decision = self._timeline.decisions[self._places[some]]
        fresh = self._timeline.known_at[row] >= decision - max_age
        places = self._places[some][fresh]
        found = np.zeros(len(stop), dtype=np.int64)
        found[places] = row[fresh]
        has = np.zeros(len(stop), dtype=np.bool_)
        has[places] = True
        return _nullable(found, has)

    def windows(self, feature: WindowFeatures, value: str) -> dict[str, pl.Series]:
        """One column a window."""
        stop = self.known(timedelta(0))
        names = zip(feature.names, feature.windows.values(), strict=True)
        if feature.aggregation == "count":
            return {name: pl.Series(self._restore(stop - self.known(length))) for name, length in names}
        values, valid = self._timeline.values(value)
        sums = range_sums(values[self.order])
        counts = None if valid is None else range_sums(valid[self.order].astype(np.int64))
        columns: dict[str, pl.Series] = {}
        for name, length in names:
            start = self.known(length)
            total = sums.between(start, stop)
            if feature.aggregation == "sum":
                columns[name] = pl.Series(self._restore(total))
                continue
            count = stop - start if counts is None else counts.between(start, stop).astype(np.int64, copy=False)
            columns[name] = _means(self._restore(total), self._restore(count))
        return columns

    def _restore(self, values: NDArray[NumberT]) -> NDArray[NumberT]:
        restored = np.empty_like(values)
        restored[self._places] = values
        return restored


def _covered(prepared: pl.DataFrame, decided: Positions, length: timedelta) -> pl.DataFrame:
    """The rows that some decision covers: sorting the others would be in vain."""
    if not len(decided):
        return prepared.clear()
    known_at = pl.col(KNOWN_AT).to_physical()
    return prepared.filter((known_at >= decided[0] - _microseconds(length)) & (known_at <= decided[-1]))


def _in_order(features: FeatureSet, name: str, rows: pl.DataFrame) -> pl.DataFrame:
    takes = [feature for _, feature in readers(features, name) if isinstance(feature, AsOfFeatures)]
    if takes:
        # Which of several rows is the newest must not depend on the order in a file.
        ties = [EVENT_TIME, *(taken(column) for feature in takes for column in feature.columns.values())]
        return rows.sort(KNOWN_AT, *dict.fromkeys(ties))
    # Sums are exact in any order. The rows are sorted runs, one a batch, which is what numpy's stable sort likes.
    return rows[np.argsort(_to_integers(rows[KNOWN_AT]), kind="stable")]


def _codes(name: str, by: dict[str, str], entity: _Keys, history: _Keys, shape: tuple[int, int]) -> _Codes:
    """Numbers of groups, for the history's rows and the entity's rows; rows of which a key is null are in none."""
    theirs, ours = (np.zeros(height, dtype=np.int64) for height in shape)
    groups = 1
    for column, other in by.items():
        its, mine = history.column(other), entity.column(column)
        if mine.kind != its.kind:
            raise FeatureError(
                f"the entity's {column!r} is of type {mine.kind}, {other!r} of history {name!r} is of type {its.kind}",
                fix="give both columns one type.",
            )
        added_theirs, added_ours, count = _numbered(its.numbers, mine.numbers)
        theirs, ours, groups = theirs * count + added_theirs, ours * count + added_ours, groups * count
        if groups > _MOST_GROUPS:
            # There are no more groups than rows: numbers that are left out can be done without.
            theirs, ours, groups = _numbered(theirs, ours, widest=0)
    # What equals nothing: a group after all others that nobody asks for, and one before them that nobody is in.
    for column, other in by.items():
        for codes, null, code in (
            (theirs, history.column(other).null, groups),
            (ours, entity.column(column).null, -1),
        ):
            if null is not None:
                codes[null] = code
    return theirs, ours


def _numbered(theirs: Positions, ours: Positions, widest: int = 2**12) -> tuple[Positions, Positions, int]:
    """Equal numbers for equal numbers, from 0 to below the count that comes with them: the same, shifted, if close."""
    both = np.concatenate([theirs, ours])
    low, high = (int(both.min()), int(both.max())) if len(both) else (0, 0)
    if high - low < widest:
        return theirs - low, ours - low, high - low + 1
    distinct, numbers = np.unique(both, return_inverse=True)
    return numbers[: len(theirs)], numbers[len(theirs) :], len(distinct)


def _compact(codes: Positions) -> NDArray[np.int16] | Positions:
    """The codes in 16 bits if they fit: numpy sorts those by radix, in linear time."""
    return codes.astype(np.int16) if not len(codes) or codes.max() < 2**15 else codes


def _nullable(values: NDArray[NumberT], valid: NDArray[np.bool_]) -> pl.Series:
    series = pl.Series(values)
    return series if valid.all() else series.set(pl.Series(~valid), None)


def _means(totals: NDArray[Any], counts: Positions) -> pl.Series:
    means: NDArray[np.float64] = np.divide(totals, np.maximum(counts, 1), dtype=np.float64)
    if np.isnan(means).any():
        return _nullable(means, counts > 0)
    means[counts == 0] = np.nan
    return pl.Series(means, nan_to_null=True)
