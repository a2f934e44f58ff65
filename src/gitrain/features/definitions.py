"""What a feature is: a function of a row, or of the history known at the moment of the decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import polars as pl

from gitrain.errors import ProjectError

__all__ = ["Aggregation", "AsOfFeatures", "Entity", "FeatureSet", "History", "RowFeature", "WindowFeatures"]

Aggregation = Literal["mean", "sum", "count"]


@dataclass(frozen=True, kw_only=True)
class Entity:
    """The rows that predictions are made for.

    Attributes:
        table: the table whose rows they are.
        key: the columns that identify one.
        known_in_advance: the columns that are known at the decision; row features may read these and no others.
        decision_time: when the prediction is made, an expression (UTC datetime) over `known_in_advance`; None where
            the project has no time, and then no history.
        unit: the name and the expression of the resampling unit (a day, a patient), over `known_in_advance`: rows of
            one unit are correlated, and bootstraps draw whole units.

    Raises:
        ProjectError: no key, or nothing that is known in advance.
    """

    table: str
    key: tuple[str, ...]
    known_in_advance: tuple[str, ...]
    unit: tuple[str, pl.Expr]
    decision_time: pl.Expr | None = None

    def __post_init__(self) -> None:
        for part, columns in (("key", self.key), ("known_in_advance", self.known_in_advance)):
            if not columns:
                raise ProjectError(f"the entity of table {self.table!r} has an empty {part}", fix=f"name its {part}.")


@dataclass(frozen=True, kw_only=True)
class History:
    """Rows of a table that become known at some moment.

    Attributes:
        name: how features refer to it.
        table: the table whose rows they are.
        known_at: when a row's values are known, an expression (UTC datetime) over the table's columns.
        event_time: the time that places a row in its batch, likewise.
        max_delay: the bound of ``known_at - event_time``: it limits how far back a batch has to look. A row beyond it
            is an error, and so is one that is known before its event: a batch never looks into later batches.
        where: which rows count; all by default.
        stale_after: in service, a store whose newest row became known longer than this before a decision is behind:
            answers say so. None: never.

    All expressions are functions of one row: no `mean()`, `shift()` or `over()`. ``gitrain features verify`` proves it.

    Raises:
        ProjectError: a negative `max_delay` or `stale_after`.
    """

    name: str
    table: str
    known_at: pl.Expr
    event_time: pl.Expr
    max_delay: timedelta
    where: pl.Expr | None = None
    stale_after: timedelta | None = None

    def __post_init__(self) -> None:
        if self.max_delay < timedelta(0):
            raise ProjectError(
                f"history {self.name!r} has max_delay={self.max_delay}", fix="give a length of time, zero or more."
            )
        if self.stale_after is not None and self.stale_after < timedelta(0):
            raise ProjectError(
                f"history {self.name!r} has stale_after={self.stale_after}", fix="give a length of time, zero or more."
            )


@dataclass(frozen=True, kw_only=True)
class RowFeature:
    """A function of columns that are known in advance."""

    name: str
    expression: pl.Expr


@dataclass(frozen=True, kw_only=True)
class AsOfFeatures:
    """The newest row of a history that is known at the decision, within one group.

    Attributes:
        history: the history's name.
        by: entity column to history column; they must be equal.
        columns: feature name to the history column it takes.
        max_age: rows known for longer than this at the decision are too old; the feature is null.

    Among rows that became known at the same moment the one with the newest event time counts, then the one with the
    greatest values in `columns` (in their order): the order of rows in a file never decides.

    Raises:
        ProjectError: no columns, or a negative `max_age`.
    """

    history: str
    by: Mapping[str, str]
    columns: Mapping[str, str]
    max_age: timedelta

    def __post_init__(self) -> None:
        if not self.columns or self.max_age < timedelta(0):
            raise ProjectError(
                f"as-of features of history {self.history!r} have columns={dict(self.columns)}, max_age={self.max_age}",
                fix="name at least one column, and an age of zero or more.",
            )


@dataclass(frozen=True, kw_only=True)
class WindowFeatures:
    """An aggregate of the history rows that became known within windows before the decision.

    For the decision time t and a window w it covers the rows with ``t - w < known_at <= t``. One feature a window,
    named ``{prefix}_{label}``.

    Attributes:
        prefix: the start of the features' names.
        history: the history's name.
        by: entity column to history column; they must be equal; empty for one group of all.
        value: an expression over the history's columns; nulls are passed over. Not used by ``count``.
        aggregation: mean (null where nothing is known), sum (0 where nothing is known), or count of the rows, whatever
            their value (0 where there are none).
        windows: label to length.

    Raises:
        ProjectError: no windows, or one that is not longer than zero.
    """

    prefix: str
    history: str
    by: Mapping[str, str]
    value: pl.Expr
    aggregation: Aggregation
    windows: Mapping[str, timedelta]

    def __post_init__(self) -> None:
        bad = {label: str(length) for label, length in self.windows.items() if length <= timedelta(0)}
        if bad or not self.windows:
            raise ProjectError(
                f"window features {self.prefix!r} have the windows {bad or 'none'}",
                fix="give each window a label and a length above zero.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, one a window."""
        return tuple(f"{self.prefix}_{label}" for label in self.windows)


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """All features of a project, in the order of their columns.

    Attributes:
        entity: whose features they are.
        features: the definitions.
        categorical: the features that are categories; all others are numbers.
        histories: what the definitions refer to.
    """

    entity: Entity
    features: tuple[RowFeature | AsOfFeatures | WindowFeatures, ...]
    categorical: tuple[str, ...] = ()
    histories: tuple[History, ...] = field(default=())

    def history(self, name: str) -> History:
        """The history of that name. Raises ProjectError if there is none."""
        for history in self.histories:
            if history.name == name:
                return history
        raise ProjectError(f"no history is named {name!r}", fix="declare it in FeatureSet.histories.")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all feature columns, in order."""
        found: list[str] = []
        for feature in self.features:
            match feature:
                case RowFeature():
                    found.append(feature.name)
                case AsOfFeatures():
                    found.extend(feature.columns)
                case WindowFeatures():
                    found.extend(feature.names)
        return tuple(found)
