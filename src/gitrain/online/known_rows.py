"""What a look-up takes from the rows themselves: row features, the moment of the decision, the keys of groups."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl

from gitrain.errors import FeatureError
from gitrain.features.definitions import FeatureSet, RowFeature
from gitrain.features.engine import decision_times
from gitrain.features.history import TIME, as_key, utc
from gitrain.online.given_rows import GivenRows, RowSchema, can_be_remembered, is_short, names_what_it_reads
from gitrain.online.tracks import Track, key_text, kind_of
from gitrain.online.value_blocks import ValueBlocks
from gitrain.training.estimators import FeatureColumns
from gitrain.training.matrix import feature_matrix

__all__ = ["KnownRows", "RowReader"]

_DECISION = "\0decision"
# Expressions are functions of one row, so equal rows have equal values. Some hundred kilobytes.
_MOST_REMEMBERED = 4096

_KeyReader = Callable[[GivenRows, dict[str, list[Any]]], Sequence[str | None]]


@dataclass(frozen=True, kw_only=True)
class KnownRows:
    """Rows, read.

    Attributes:
        features: by row feature its values; numbers as Python has them, None for null.
        decisions: microseconds since 1970, UTC; empty where nothing reads a history.
        keys: by column the key's values as text, None for null.
        kinds: by column the kind of its values.
    """

    features: Mapping[str, Sequence[Any]]
    decisions: Sequence[int]
    keys: Mapping[str, Sequence[str | None]]
    kinds: Mapping[str, str]


class RowReader:
    """Reads rows by as few calls of Polars as can be: each costs as much as reading a dozen groups from the store.

    Args:
        features: the definitions.
        tracks: what the keys are for.
    """

    def __init__(self, features: FeatureSet, tracks: Sequence[Track]) -> None:
        self._features = features
        self._row_features = tuple(each for each in features.features if isinstance(each, RowFeature))
        self._columns = tuple(dict.fromkeys(column for track in tracks for column, _ in track.by))
        self._decides = bool(tracks)
        # For one schema after the other: rows of a service have one.
        self._compiled: tuple[RowSchema, _Compiled] | None = None

    def read(self, rows: GivenRows) -> KnownRows:
        """Read rows.

        Raises:
            FeatureError: a missing column, a row without a decision time, or an expression that cannot be computed.
        """
        known = self._compiled
        if known is None or known[0] != rows.schema:
            known = rows.schema, self._compile(rows.frame)
            self._compiled = known
        compiled = known[1]
        columns = {name: rows.values(name) for name in compiled.plain}
        found: dict[str, Sequence[Any]] = {name: columns[column] for name, column in compiled.taken.items()}
        found |= self._from_blocks(compiled, columns) or self._remembered(compiled, rows, columns)
        decisions = found.pop(_DECISION, ())
        if None in decisions:
            # Raises, and names the row.
            decision_times(self._features.entity, rows.frame)
        keys = {name: text(rows, columns) for name, text in compiled.keys.items()}
        return KnownRows(features=found, decisions=decisions, keys=keys, kinds=compiled.kinds)

    def _compile(self, rows: pl.DataFrame) -> "_Compiled":
        entity = self._features.entity
        missing = [name for name in entity.known_in_advance if name not in rows.columns]
        if missing:
            raise FeatureError(
                f"the rows of table {entity.table!r} lack the column {missing[0]!r}",
                fix="give all of known_in_advance.",
            )
        none = rows.clear().select(entity.known_in_advance)
        taken: dict[str, str] = {}
        expressions: list[pl.Expr] = []
        for feature in self._row_features:
            dtype = _type_of(none, feature.name, feature.expression, self._features.categorical)
            categorical = feature.name in self._features.categorical
            if feature.expression.meta.is_column() and _is_plain(dtype, categorical=categorical):
                taken[feature.name] = feature.expression.meta.output_name()
            else:
                kind = pl.String() if categorical else pl.Float64()
                expression = feature.expression if dtype == kind else feature.expression.cast(kind)
                expressions.append(expression.alias(feature.name))
        if self._decides and entity.decision_time is not None:
            utc(none.with_columns(entity.decision_time.alias("decision_time"))["decision_time"], "decision_time")
            expressions.append(entity.decision_time.cast(TIME).to_physical().alias(_DECISION))
        keys: dict[str, _KeyReader] = {}
        kinds = {}
        for name in self._columns:
            dtype = as_key(none[name], name).dtype
            kinds[name] = kind_of(dtype)
            keys[name] = _key_reader(name, none.schema[name], dtype)
        roots = sorted({name for expression in expressions for name in expression.meta.root_names()})
        named = all(map(names_what_it_reads, expressions))
        remembered = bool(roots) and named and all(can_be_remembered(none.schema[name]) for name in roots)
        blocks = {each.meta.output_name(): ValueBlocks.take(each, none.schema) for each in expressions}
        plain = {*taken.values(), *(name for name in self._columns if _reads_plain(none.schema[name]))}
        plain |= set(roots) if remembered else set()
        plain |= {each.column for each in blocks.values() if each is not None}
        # Several expressions go to a pool of threads, whose waking takes longer than they do; one struct does not. The
        # column beside them gives constants their length.
        struct = [pl.struct(*expressions, pl.col(entity.known_in_advance[0]).alias("\0"))] if expressions else []
        computed = [expression.meta.output_name() for expression in expressions]
        return _Compiled(
            nulls=rows.clear(1),
            struct=struct,
            computed=computed,
            plain=tuple(sorted(plain)),
            taken=taken,
            keys=keys,
            kinds=kinds,
            roots=roots if remembered else None,
            blocks={} if None in blocks.values() else cast("dict[str, ValueBlocks]", blocks),
        )

    def _from_blocks(self, compiled: "_Compiled", columns: Mapping[str, list[Any]]) -> dict[str, Sequence[Any]]:
        """All that is computed, or nothing."""
        found: dict[str, Sequence[Any]] = {}
        for name, blocks in compiled.blocks.items():
            values = blocks.values(columns[blocks.column])
            if values is None:
                return {}
            found[name] = values
        return found

    def _remembered(
        self, compiled: "_Compiled", rows: GivenRows, columns: Mapping[str, list[Any]]
    ) -> dict[str, Sequence[Any]]:
        """What was computed for equal values before: a timetable has few times, and the same rows are asked again."""
        if compiled.roots is None or rows.height == 0:
            return self._computed(compiled, rows.frame)
        keys = list(zip(*(columns[name] for name in compiled.roots), strict=True))
        known = [compiled.memo.get(key) for key in keys]
        if None in known:
            computed = self._computed(compiled, rows.frame)
            if len(compiled.memo) > _MOST_REMEMBERED:
                compiled.memo.clear()
            values = zip(*computed.values(), strict=True)
            compiled.memo.update({key: found for key, found in zip(keys, values, strict=True) if is_short(key)})
            return computed
        return dict(zip(compiled.computed, zip(*cast("list[tuple[Any, ...]]", known), strict=True), strict=True))

    def _computed(self, compiled: "_Compiled", rows: pl.DataFrame) -> dict[str, Sequence[Any]]:
        if not compiled.struct:
            return {}
        try:
            # A single row is given company, so that it gets the bits that it would have in a batch.
            frame = (rows.vstack(compiled.nulls) if rows.height == 1 else rows).select(compiled.struct)
        except pl.exceptions.PolarsError as error:
            self._name_culprit(rows)
            raise FeatureError(
                f"the features of {rows.height} rows cannot be computed: {' '.join(str(error).split())}",
                fix="correct the expressions of the row features.",
            ) from error
        if rows.height == 1:
            found: dict[str, Any] = frame.item(0, 0)
            return {name: (found[name],) for name in compiled.computed}
        fields = frame.to_series().struct
        return {name: fields.field(name).to_list() for name in compiled.computed}

    def _name_culprit(self, rows: pl.DataFrame) -> None:
        for feature in self._row_features:
            _evaluated(rows, feature.name, feature.expression)
        if self._decides:
            decision_times(self._features.entity, rows)


@dataclass(frozen=True, kw_only=True)
class _Compiled:
    """How rows of one schema are read.

    Attributes:
        nulls: a row of nulls: company for a single row, cheaper than that of `gitrain.features.company`.
        struct: one expression that computes what is not there yet, or none.
        computed: the names of what it computes.
        plain: the columns whose values are used as they are.
        taken: row feature to the column that it is.
        keys: by column, gives the keys' texts.
        kinds: by column, the kind of its keys.
        roots: the columns that what is computed depends on; None if it is not to be remembered.
        blocks: of each that is computed; empty where some cannot be had by blocks.
        memo: by the values of `roots`, what was computed.
    """

    nulls: pl.DataFrame
    struct: list[pl.Expr]
    computed: list[str]
    plain: tuple[str, ...]
    taken: dict[str, str]
    keys: dict[str, _KeyReader]
    kinds: dict[str, str]
    roots: list[str] | None
    blocks: dict[str, ValueBlocks]
    memo: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)


def _evaluated(rows: pl.DataFrame, name: str, expression: pl.Expr) -> pl.Series:
    try:
        return rows.with_columns(expression.alias(name))[name]
    except pl.exceptions.PolarsError as error:
        raise FeatureError(
            f"{name!r} cannot be computed: {' '.join(str(error).split())}", fix="correct its expression."
        ) from error


def _type_of(none: pl.DataFrame, name: str, expression: pl.Expr, categorical: Sequence[str]) -> pl.DataType:
    values = _evaluated(none, name, expression)
    text = (name,) if name in categorical else ()
    # Raises for a type that no model takes.
    feature_matrix(pl.DataFrame([values.alias(name)]), FeatureColumns(names=(name,), categorical=text))
    return values.dtype


def _is_plain(dtype: pl.DataType, *, categorical: bool) -> bool:
    """Whether Python's value of it is the feature's."""
    if categorical:
        return dtype == pl.String
    return dtype.is_integer() or dtype.is_float() or dtype == pl.Boolean


def _reads_plain(dtype: pl.DataType) -> bool:
    return dtype == pl.String or dtype.is_integer()


def _key_reader(name: str, given: pl.DataType, dtype: pl.DataType) -> _KeyReader:
    if given == pl.String:
        return lambda rows, columns: columns[name]
    if given.is_integer():
        return lambda rows, columns: [None if value is None else str(value) for value in columns[name]]
    expression = key_text(dtype, pl.col(name))
    return lambda rows, columns: rows.frame.select(expression).to_series().to_list()
