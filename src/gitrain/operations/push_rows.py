"""`gitrain features push`: rows that became known since the last materialisation enter the online store."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl

from gitrain.data.contracts import TableContract
from gitrain.data.incoming import BatchReader, cast_text
from gitrain.data.tables import Table
from gitrain.data.validation import batch_of_expression, validate
from gitrain.data.validation_report import BatchValidation
from gitrain.errors import DataError, IntegrationError, UsageError
from gitrain.features.definitions import FeatureSet, History
from gitrain.features.history import EVENT_TIME, history_columns, prepare_history, taken
from gitrain.features.lookback import check_event_times
from gitrain.online.history_rows import BATCH, HistoryRows, as_stored, with_row_keys
from gitrain.online.materialization import Push, PushedHistory
from gitrain.online.revision import Revision, load_history, pushed_table, read_state, runs, summary
from gitrain.online.state import StoredHistory, StoreState
from gitrain.online.store import Change, OnlineStore, Run
from gitrain.online.tracks import definitions_digest, read_histories, tracks_of
from gitrain.pipeline.layout import WHOLE
from gitrain.project import Project
from gitrain.verdicts import Outcome

__all__ = ["push_rows"]

_ATTEMPTS = 20


def push_rows(
    project: Project,
    store: OnlineStore,
    table_name: str,
    path: Path,
    *,
    read: BatchReader,
    clock: Callable[[], datetime],
) -> Push:
    """Judge rows by their table's contract and put those that keep it into the store, in one step.

    A row takes the place of the one with the same key, so that pushing twice changes nothing, a correction replaces,
    and the order in which rows arrive does not matter. Rows that break a rule are left out and reported. Rules of whole
    batches (how many rows, which share of nulls) are not asked: these rows are no batch.

    Args:
        project: whose tables and histories.
        store: where to; something has been materialised there.
        table_name: whose rows they are.
        path: the file.
        read: reads it.
        clock: gives the time, UTC.

    Raises:
        UsageError: a table without a key, or that no history reads; nothing was materialised in the store, or with
            other definitions.
        DataError: the file cannot be read.
        FeatureError: rows that contradict a history's declaration.
        IntegrationError: the store cannot be reached, or others keep changing it.
    """
    table = project.table(table_name)
    histories = [each for each in read_histories(project.features) if each.table == table.name]
    if not histories:
        raise UsageError(f"no feature reads a history of table {table.name!r}", fix="push rows of another table.")
    if not table.contract.key:
        raise UsageError(
            f"the contract of table {table.name!r} has no key: nobody could tell a correction from another row",
            fix="give the contract a key.",
        )
    judged, rows = _judged(project, table, path, read)
    if judged.outcome is Outcome.FAILED:
        return Push(store=store.address, changed=False, judged=judged, histories=())
    work = _Work(project, store, table, histories, rows, clock)
    for _ in range(_ATTEMPTS):
        done = work.attempt(judged)
        if done is not None:
            return done
    raise IntegrationError(
        f"{store.address} was changed by others {_ATTEMPTS} times while rows were pushed",
        fix="push rows together rather than one by one, and run it again.",
    )


def _judged(project: Project, table: Table, path: Path, read: BatchReader) -> tuple[BatchValidation, pl.DataFrame]:
    """What there is to say of the rows, and those that may be used, with the batch that each belongs to."""
    file = read(path)
    contract = _of_rows(table.contract)
    frame, findings = cast_text(file.frame, contract) if file.text else (file.frame, [])
    validation = validate(frame, contract, table=table.name, batch=None, scheme=project.batches)
    summary = validation.summary
    if findings:
        told = [*findings, *(each for each in summary.findings if each.rule != "type")]
        summary = BatchValidation.of(
            table.name, None, rows=frame.height, quarantined=summary.quarantined, findings=told
        )
    if summary.outcome is Outcome.FAILED:
        return summary, validation.kept
    membership = batch_of_expression(table.batch_of) if table.batched else None
    name = pl.lit(WHOLE) if membership is None else membership.cast(pl.String)
    rows = validation.kept.with_columns(name.alias(BATCH))
    if membership is not None:
        for batch in rows[BATCH].unique().sort():
            if batch is None:
                raise DataError(
                    f"rows of table {table.name!r} belong to no batch", fix="let the contract refuse such rows."
                )
            project.batches.check(batch)
    return summary, rows


def _of_rows(contract: TableContract) -> TableContract:
    """The contract without what it asks of a whole batch."""
    return replace(
        contract,
        rows=(0, None),
        max_null_share=dict.fromkeys(contract.schema.columns, 1.0),
        warn_null_share={},
        max_quarantined_share=1.0,
        event_time=None,
        max_age=None,
        typical={},
        typical_median={},
        open_categories={},
    )


class _Work:
    """What one call does, as often as others change the store under its hands."""

    def __init__(
        self,
        project: Project,
        store: OnlineStore,
        table: Table,
        histories: list[History],
        rows: pl.DataFrame,
        clock: Callable[[], datetime],
    ) -> None:
        self._project, self._store, self._table, self._clock = project, store, table, clock
        self._histories = histories
        self._tracks = tracks_of(project.features)
        features = with_row_keys(project.features, {table.name: table.contract.key})
        self._prepared = {each.name: self._prepare(features, each, rows) for each in histories}

    def attempt(self, judged: BatchValidation) -> Push | None:
        """None if the store changed meanwhile."""
        stored = self._store.state()
        if stored is None:
            raise UsageError(
                f"nothing was materialised in {self._store.address} yet",
                fix="run `gitrain features materialize` first: it says from when on the store holds all rows.",
            )
        state = read_state(stored, address=self._store.address)
        self._check(state)
        histories = dict(state.histories)
        found: list[Run] = []
        put: dict[str, bytes] = {}
        drop: list[str] = []
        told = []
        for history in self._histories:
            known = state.histories[history.name]
            before = load_history(self._store, known)
            if before is None:
                return None
            after, revision, counts = self._merged(history, known, before)
            told.append(counts)
            if revision is None:
                continue
            pushed, content = pushed_table(history.name, after.pushed)
            revised = summary(history.name, after, held_from=known.held_from, batches=known.batches, pushed=pushed)
            histories[history.name] = revised
            found += runs(self._project.features, self._tracks, revision, revised, self._store.find)
            put |= content
            if known.pushed is not None and (pushed is None or known.pushed.name != pushed.name):
                drop.append(known.pushed.name)
        if histories != state.histories:
            after_state = state.model_copy(update={"histories": histories, "pushed_at": self._clock()})
            change = Change(state=after_state.to_stored(), runs=found, put=put, drop=drop)
            if not self._store.apply(change, expected=stored.version):
                return None
        changed = histories != state.histories
        return Push(store=self._store.address, changed=changed, judged=judged, histories=tuple(told))

    def _check(self, state: StoreState) -> None:
        keys = {state.histories[each.name].key for each in self._histories if each.name in state.histories}
        if state.definitions != definitions_digest(self._project.features) or keys != {self._table.contract.key}:
            raise UsageError(
                f"{self._store.address} was materialised with other feature definitions",
                fix="run `gitrain features materialize` with these.",
            )

    def _prepare(self, features: FeatureSet, history: History, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows as the store keeps pushed ones: also those that do not count, which may take the place of others."""
        key = {name: taken(name) for name in self._table.contract.key}
        every = rows.select(pl.col(name).alias(alias) for name, alias in key.items()).with_columns(rows[BATCH])
        counted = as_stored(prepare_history(features, history, rows.select(history_columns(features, history))))
        columns = list(key.values())
        counted = counted.join(every, on=columns, how="left", nulls_equal=True, maintain_order="left")
        if self._table.batched:
            for (batch,), part in counted.group_by(BATCH):
                span = part[EVENT_TIME].min(), part[EVENT_TIME].max()
                check_event_times(history, self._project.batches, str(batch), span)  # type: ignore[arg-type]
        others = every.join(counted, on=columns, how="anti", nulls_equal=True)
        return pl.concat([counted, others], how="diagonal")

    def _merged(
        self, history: History, known: StoredHistory, before: HistoryRows
    ) -> tuple[HistoryRows, Revision | None, PushedHistory]:
        columns = before.columns
        rows = self._prepared[history.name]
        if self._table.batched:
            # What is older than all that is held, no feature reads.
            rows = rows.filter(pl.col(BATCH) >= min(known.batches))
        passed_over = self._prepared[history.name].height - rows.height
        earlier = before.pushed
        if earlier is not None:
            kept = earlier.join(rows, on=columns, how="anti", nulls_equal=True)
            rows = pl.concat([kept, rows.select(kept.columns)])
        after = HistoryRows(before.key, before.batches, rows if rows.height else None)
        mine = self._prepared[history.name].select(columns)
        old, new = before.replaced(mine), after.replaced(mine)
        same = old.join(new, on=old.columns, how="semi", nulls_equal=True)
        had = old.select(columns)
        added = new.join(had, on=columns, how="anti", nulls_equal=True).height
        removed = old.join(new.select(columns), on=columns, how="anti", nulls_equal=True).height
        counts = PushedHistory(
            history=history.name,
            added=added,
            replaced=new.height - added - same.height,
            removed=removed,
            unchanged=same.height,
            passed_over=passed_over,
        )
        if same.height == old.height == new.height:
            return before, None, counts
        changed = pl.concat([old, new.select(old.columns)])
        return after, Revision(name=history.name, after=after, changed=changed), counts
