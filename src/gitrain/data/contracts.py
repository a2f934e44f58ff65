"""Data contracts: a pandera schema for the rows, and rules for the batch as a whole."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property

import pandera.polars as pa
import polars as pl

from gitrain.errors import ProjectError

__all__ = ["REASON", "OpenCategory", "TableContract"]

# The column that says why a row is in quarantine.
REASON = "reason"

# What pandera can do to data. A contract judges data and leaves it as it is.
_ALTERING = ("coerce", "add_missing_columns", "drop_invalid_rows", "parsers")
_COLUMN_ALTERING = ("coerce", "default", "drop_invalid_rows", "parsers")


@dataclass(frozen=True, kw_only=True)
class OpenCategory:
    """A category that may meet values nobody has seen; a closed one is a pandera check, `Check.isin`.

    Attributes:
        known: the values seen so far.
        warn_share: the largest share of rows with unknown values, 0 to 1; beyond it the report warns.
        max_share: the same, beyond which the batch fails; None never fails it.
    """

    known: Collection[str | int]
    warn_share: float = 0.0
    max_share: float | None = None


@dataclass(frozen=True, kw_only=True)
class TableContract:
    """What one table's batches must be like.

    The schema is closed: a missing column, a column that it does not name and a wrong type fail the batch. A row that
    breaks a check of the schema, a row rule, `nullable=False` or the rule of finite floats goes to quarantine. A rule
    that is null for a row (it compares a null) counts as kept, as in pandera and in SQL. All other rules are judged on
    the rows that are left and fail the batch.

    Attributes:
        schema: columns, types and the checks of single columns. Its `unique` fails the batch, a check with
            ``raise_warning=True`` warns only.
        key: columns that identify a row; two rows with one key fail the batch.
        row_rules: rules over several columns of a row, by name: an expression that is false for a bad row and that
            reads no other row.
        max_null_share: the largest share of nulls by column, 0 to 1; beyond it the batch fails. A column without a
            single value fails it too, unless its share here is 1.
        warn_null_share: the same, beyond which the report warns.
        rows: the smallest and the largest number of rows of a batch.
        max_quarantined_share: the largest share of rows, 0 to 1, that may go to quarantine.
        event_time: what freshness and future timestamps are judged by: a column, or an expression that gives a date
            or a datetime. Where it has a zone, its wall clock in that zone is compared with the bounds of the batch.
        max_age: how far the newest `event_time` may lie before the end of the batch.
        typical: bounds of the mean of a numeric column over the batch: they notice mixed units.
        typical_median: the same for the median.
        open_categories: by column, the values that are known, and what share of others is tolerated.
        non_finite: float columns in which infinity, and NaN if they are nullable, is no reason for quarantine.

    Raises:
        ProjectError: the parts do not fit together; the message names the part and the column.
    """

    schema: pa.DataFrameSchema
    key: tuple[str, ...] = ()
    row_rules: Mapping[str, pl.Expr] = field(default_factory=dict)
    max_null_share: Mapping[str, float] = field(default_factory=dict)
    warn_null_share: Mapping[str, float] = field(default_factory=dict)
    rows: tuple[int, int | None] = (1, None)
    max_quarantined_share: float = 0.001
    event_time: str | pl.Expr | None = None
    max_age: timedelta | None = None
    typical: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    typical_median: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    open_categories: Mapping[str, OpenCategory] = field(default_factory=dict)
    non_finite: Collection[str] = ()

    def __post_init__(self) -> None:
        self._check_schema()
        for part, names in (
            ("key", self.key),
            ("max_null_share", self.max_null_share),
            ("warn_null_share", self.warn_null_share),
            ("typical", self.typical),
            ("typical_median", self.typical_median),
            ("open_categories", self.open_categories),
            ("non_finite", self.non_finite),
        ):
            self._refuse_unknown(part, names)
        if len(set(self.key)) < len(self.key):
            raise ProjectError(f"the contract's key {self.key} names a column twice", fix="name each column once.")
        self._check_rules()
        self._check_bounds()
        self._check_event_time()

    # Worked out once a contract: a batch of some thousand rows is judged in little more time than these take.
    @cached_property
    def dtypes(self) -> pl.Schema:
        """The Polars type of every column, in the schema's order."""
        return self._empty.schema

    @cached_property
    def event_time_expression(self) -> pl.Expr | None:
        """The wall clock that the batch's bounds are compared with, a Datetime without a zone; None without a rule."""
        if self.event_time is None:
            return None
        expression = pl.col(self.event_time) if isinstance(self.event_time, str) else self.event_time
        if isinstance(self._type_of(expression, "event_time"), pl.Date):
            return expression.cast(pl.Datetime("us"))
        return expression.dt.replace_time_zone(None)

    def without_time(self) -> "TableContract":
        """The contract without the rules that need to know which batch the rows are."""
        return replace(self, event_time=None, max_age=None)

    @cached_property
    def _empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema={name: column.dtype.type for name, column in self.schema.columns.items()})

    def _check_schema(self) -> None:
        schema = self.schema
        if not isinstance(schema, pa.DataFrameSchema):
            raise ProjectError(
                f"the contract's schema is {type(schema).__name__}, not a pandera.polars.DataFrameSchema",
                fix="import pandera.polars as pa and write pa.DataFrameSchema({...}), or Model.to_schema().",
            )
        if not schema.columns:
            raise ProjectError("the contract's schema has no columns", fix="name every column and its type.")
        for option in _ALTERING:
            if getattr(schema, option, None):
                _refuse_altering("the contract's schema", option)
        if schema.strict == "filter":
            _refuse_altering("the contract's schema", "strict='filter'")
        for name, column in schema.columns.items():
            owner = f"column {name!r} of the contract"
            if column.regex:
                raise ProjectError(f"{owner} is a pattern", fix="name each column: a contract is closed.")
            if column.dtype is None:
                raise ProjectError(f"{owner} has no type", fix="give it one, for example pl.Int64.")
            for option in _COLUMN_ALTERING:
                value = getattr(column, option, None)
                if value is not None and value is not False and value != []:
                    _refuse_altering(owner, option)
        if REASON in schema.columns:
            raise ProjectError(
                f"the contract has a column {REASON!r}, the name of the column that says why a row is in quarantine",
                fix="let the source give the column another name.",
            )

    def _check_rules(self) -> None:
        for name, rule in self.row_rules.items():
            self._refuse_unknown(f"row rule {name!r}", rule.meta.root_names())
            found = self._type_of(rule, f"row rule {name!r}")
            if not isinstance(found, pl.Boolean):
                raise ProjectError(
                    f"row rule {name!r} of the contract gives {found}, not true or false",
                    fix="write a comparison, for example pl.col('arrival') > pl.col('departure').",
                )

    def _check_bounds(self) -> None:
        shares = {
            "max_quarantined_share": self.max_quarantined_share,
            **{f"max_null_share[{name!r}]": share for name, share in self.max_null_share.items()},
            **{f"warn_null_share[{name!r}]": share for name, share in self.warn_null_share.items()},
            **{f"open_categories[{name!r}].warn_share": each.warn_share for name, each in self.open_categories.items()},
            **{
                f"open_categories[{name!r}].max_share": each.max_share
                for name, each in self.open_categories.items()
                if each.max_share is not None
            },
        }
        for part, share in shares.items():
            if not 0 <= share <= 1:
                raise ProjectError(f"{part} of the contract is {share}", fix="give a share from 0 to 1.")
        low, high = self.rows
        if low < 0 or (high is not None and high < low):
            raise ProjectError(
                f"rows of the contract is ({low}, {high})", fix="give the smallest number, then the largest or None."
            )
        dtypes = self.dtypes
        for part, bounds in (("typical", self.typical), ("typical_median", self.typical_median)):
            for name, (least, most) in bounds.items():
                if not dtypes[name].is_numeric():
                    raise ProjectError(
                        f"{part} of the contract names {name!r}, which is {dtypes[name]}", fix="name a numeric column."
                    )
                if math.isnan(least) or math.isnan(most) or most < least:
                    raise ProjectError(
                        f"{part}[{name!r}] of the contract is ({least}, {most})", fix="give the lower bound first."
                    )
        for name in self.non_finite:
            if not dtypes[name].is_float():
                raise ProjectError(
                    f"non_finite of the contract names {name!r}, which is {dtypes[name]}", fix="name a float column."
                )

    def _check_event_time(self) -> None:
        if self.event_time is None:
            if self.max_age is not None:
                raise ProjectError(
                    "the contract has max_age and no event_time", fix="set event_time, or take max_age out."
                )
            return
        expression = pl.col(self.event_time) if isinstance(self.event_time, str) else self.event_time
        self._refuse_unknown("event_time", expression.meta.root_names())
        found = self._type_of(expression, "event_time")
        if not isinstance(found, pl.Date | pl.Datetime):
            raise ProjectError(
                f"event_time of the contract gives {found}", fix="use a column or expression of dates or datetimes."
            )
        if self.max_age is not None and self.max_age <= timedelta(0):
            raise ProjectError(f"max_age of the contract is {self.max_age}", fix="give a positive timedelta.")

    def _type_of(self, expression: pl.Expr, part: str) -> pl.DataType:
        try:
            return self._empty.select(expression.alias("_")).schema["_"]
        except pl.exceptions.PolarsError as error:
            raise ProjectError(
                f"{part} of the contract cannot be computed from its columns: {' '.join(str(error).split())[:300]}",
                fix="correct the expression, or the types of the columns that it reads.",
            ) from error

    def _refuse_unknown(self, part: str, names: Iterable[str]) -> None:
        unknown = sorted(set(names) - set(self.schema.columns))
        if unknown:
            raise ProjectError(
                f"{part} of the contract names the column {unknown[0]!r}, which its schema does not have",
                fix=f"use one of: {', '.join(self.schema.columns)}.",
            )


def _refuse_altering(owner: str, option: str) -> None:
    raise ProjectError(
        f"{owner} sets {option}, which would alter the data", fix=f"take {option} out, and let the source do it."
    )
