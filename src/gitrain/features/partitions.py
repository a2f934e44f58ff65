"""Validated tables by batch: the rows to predict, and the part of each history that a batch looks back on."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import polars as pl

from gitrain.data.batches import BatchScheme
from gitrain.errors import FeatureError
from gitrain.features.definitions import FeatureSet, History
from gitrain.features.engine import decision_times
from gitrain.features.history import EVENT_TIME, history_columns, prepare_history
from gitrain.features.lookback import batches_to_read, check_event_times
from gitrain.pipeline.layout import VALIDATED, partition
from gitrain.pipeline.workspace import Workspace

__all__ = ["Partitions"]


class Partitions:
    """Reads what the features of one batch after another need; what the next batch needs too is kept.

    Args:
        workspace: where the validated tables are.
        features: the definitions.
        scheme: how data arrives.
        whole: the tables that have no batches; a history over one is read whole.
    """

    def __init__(self, workspace: Workspace, features: FeatureSet, scheme: BatchScheme, whole: Collection[str]) -> None:
        self._workspace = workspace
        self._features = features
        self._scheme = scheme
        self._whole = whole
        self._prepared: dict[tuple[str, str | None], pl.DataFrame] = {}

    def entity_path(self, batch: str) -> str:
        """The file of the rows to predict."""
        return partition(VALIDATED, self._features.entity.table, batch)

    def entity_rows(self, batch: str, *more: str) -> pl.DataFrame:
        """The rows to predict: the columns of `known_in_advance`, and `more`.

        Raises:
            DataError: the file is missing, damaged or lacks a column.
        """
        columns = dict.fromkeys([*self._features.entity.known_in_advance, *more])
        return self._workspace.read_table(self.entity_path(batch), list(columns))

    def decisions(self, batch: str) -> tuple[datetime, datetime] | None:
        """The first and the last decision time of a batch, UTC; None without rows or without histories."""
        entity = self._features.entity
        if entity.decision_time is None or not self._features.histories:
            return None
        columns = sorted(set(entity.decision_time.meta.root_names()))
        rows = self._workspace.read_table(self.entity_path(batch), columns)
        return _span(decision_times(entity, rows)) if rows.height else None

    def needed(
        self, batches: Sequence[str], decisions: tuple[datetime, datetime] | None
    ) -> dict[str, list[str | None]]:
        """For each history the batches to read, of `batches` (in order); [None] for a table that is read whole."""
        return {
            history.name: [None]
            if history.table in self._whole
            else list(batches_to_read(self._features, history, self._scheme, batches, decisions))
            for history in self._features.histories
        }

    def paths(self, needed: Mapping[str, list[str | None]]) -> dict[str, list[str]]:
        """The files of what is needed, by history."""
        return {
            name: [partition(VALIDATED, self._features.history(name).table, batch) for batch in batches]
            for name, batches in needed.items()
        }

    def histories(self, needed: Mapping[str, list[str | None]]) -> dict[str, pl.DataFrame]:
        """The prepared histories, for `compute_features`. What was kept from earlier calls and is not needed is let go.

        Raises:
            DataError: a file is missing, damaged or lacks a column.
            FeatureError: rows that contradict the history's declaration.
        """
        wanted = {(name, batch) for name, batches in needed.items() for batch in batches}
        for entry in set(self._prepared) - wanted:
            del self._prepared[entry]
        found = {}
        for name, batches in needed.items():
            history = self._features.history(name)
            found[name] = pl.concat([self._part(history, batch) for batch in batches])
        return found

    def tables(self, needed: Mapping[str, list[str | None]]) -> dict[str, pl.DataFrame]:
        """For each history the rows of its table as they are, with the columns that its features need."""
        return {
            name: pl.concat([self._raw(self._features.history(name), batch) for batch in batches])
            for name, batches in needed.items()
        }

    def _raw(self, history: History, batch: str | None) -> pl.DataFrame:
        path = partition(VALIDATED, history.table, batch)
        return self._workspace.read_table(path, history_columns(self._features, history))

    def _part(self, history: History, batch: str | None) -> pl.DataFrame:
        if (history.name, batch) not in self._prepared:
            path = partition(VALIDATED, history.table, batch)
            try:
                part = prepare_history(self._features, history, self._raw(history, batch))
                if batch is not None:
                    check_event_times(history, self._scheme, batch, _span(part[EVENT_TIME]) if part.height else None)
            except FeatureError as error:
                raise FeatureError(f"{path}: {error.what}", fix=error.fix) from error
            self._prepared[history.name, batch] = part
        return self._prepared[history.name, batch]


def _span(times: pl.Series) -> tuple[datetime, datetime]:
    first, last = times.min(), times.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise TypeError(f"{times.name} holds no times")
    return first, last
