"""`gitrain features materialize`: fill the online store from the validated tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from gitrain.errors import IntegrationError, UsageError
from gitrain.features.definitions import History
from gitrain.features.history import taken
from gitrain.features.partitions import Partitions
from gitrain.online.coverage import held_from
from gitrain.online.history_rows import BATCH, HistoryRows, as_stored, to_bytes, with_row_keys
from gitrain.online.materialization import Materialization, MaterializedHistory
from gitrain.online.revision import Revision, forgotten, load_history, pushed_table, read_state, runs, summary
from gitrain.online.state import StoredHistory, StoredTable, StoreState
from gitrain.online.store import Change, OnlineStore, Run, StoredText
from gitrain.online.tracks import definitions_digest, read_histories, tracks_of
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import VALIDATED, WHOLE, partition

__all__ = ["materialize_features"]

_ATTEMPTS = 5


def materialize_features(
    stage: Stage,
    store: OnlineStore,
    *,
    since: str | None = None,
    through: str | None = None,
    clock: Callable[[], datetime],
) -> Materialization:
    """Make the store hold the histories of these batches: exactly their rows, whatever was pushed of them before.

    A batch whose file has not changed is not read again; one that has is replaced. Batches before `since` and after
    `through` are removed. All of it is one step: readers see the former features or the new ones.

    Args:
        stage: a tree whose tables are validated.
        store: where to.
        since: the first batch; by default the first that decisions in the holdout, and after it, look back on.
        through: the last batch; by default the last one there is.
        clock: gives the time, UTC.

    Raises:
        UsageError: `since` or `through` is no batch of the project, or the other way round.
        DataError, FeatureError: a table that cannot be read, or whose features cannot be computed.
        IntegrationError: the store cannot be reached, or others keep changing it.
    """
    if not read_histories(stage.project.features):
        return Materialization(store=store.address, changed=False, histories=())
    work = _Work(stage, store, _wanted(stage, since, through), clock)
    for _ in range(_ATTEMPTS):
        done = work.attempt()
        if done is not None:
            return done
    raise IntegrationError(
        f"{store.address} was changed by others {_ATTEMPTS} times while the features were worked out",
        fix="let one process at a time materialise, and run it again.",
    )


def _wanted(stage: Stage, since: str | None, through: str | None) -> dict[str, list[str | None]]:
    """By history the batches that the store shall hold; [None] for a table that is read whole."""
    batches = stage.batches
    for option, batch in (("--since", since), ("--through", through)):
        if batch is not None and batch not in batches:
            raise UsageError(
                f"{option} is {batch!r}, and there are the batches {batches[0]} to {batches[-1]}",
                fix="name one of them, or move data.through on.",
            )
    if through is not None:
        batches = batches[: batches.index(through) + 1]
    if since is not None and since > batches[-1]:
        raise UsageError(f"--since {since} comes after the last batch, {batches[-1]}", fix="name an earlier one.")
    partitions = _partitions(stage)
    if since is None:
        holdout = batches[-stage.params.evaluation.holdout_batches :]
        wanted = partitions.needed(batches, partitions.decisions(holdout[0]))
        # What is needed for the first batch of the holdout, and all that came after.
        return {
            name: found if found == [None] else [*batches[batches.index(str(found[0])) :]]
            for name, found in wanted.items()
        }
    chosen: list[str | None] = [*batches[batches.index(since) :]]
    whole = {table.name for table in stage.project.tables if not table.batched}
    return {each.name: [None] if each.table in whole else chosen for each in stage.project.features.histories}


def _partitions(stage: Stage) -> Partitions:
    project = stage.project
    keys = {table.name: table.contract.key for table in project.tables}
    whole = [table.name for table in project.tables if not table.batched]
    return Partitions(stage.workspace, with_row_keys(project.features, keys), project.batches, whole)


@dataclass(frozen=True)
class _Rewritten:
    """A history after an attempt."""

    stored: StoredHistory
    revision: Revision | None
    put: Mapping[str, bytes]
    dropped: Sequence[str]
    told: MaterializedHistory


class _Work:
    """What one call does, as often as others change the store under its hands."""

    def __init__(
        self,
        stage: Stage,
        store: OnlineStore,
        wanted: Mapping[str, list[str | None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._stage, self._store, self._wanted, self._clock = stage, store, wanted, clock
        self._features = stage.project.features
        self._definitions = definitions_digest(self._features)
        self._tracks = tracks_of(self._features)
        self._partitions = _partitions(stage)
        self._read: dict[str, tuple[StoredTable, pl.DataFrame]] = {}

    def attempt(self) -> Materialization | None:
        """None if the store changed meanwhile."""
        stored = self._store.state()
        former = self._former(stored)
        rewritten: dict[str, _Rewritten] = {}
        for history in read_histories(self._features):
            known = None if former is None else former.histories.get(history.name)
            before = None if known is None else load_history(self._store, known)
            if known is not None and before is None:
                return None
            rewritten[history.name] = self._rewrite(history, known, before)
        state = StoreState(
            schema_version=1,
            definitions=self._definitions,
            histories={name: each.stored for name, each in rewritten.items()},
            materialized_at=self._clock(),
            pushed_at=None if former is None else former.pushed_at,
        )
        told = tuple(each.told for each in rewritten.values())
        if former is not None and former.histories == state.histories:
            return Materialization(store=self._store.address, changed=False, histories=told)
        change = self._change(state, former, rewritten)
        if not self._store.apply(change, expected=None if stored is None else stored.version):
            return None
        return Materialization(store=self._store.address, changed=True, histories=told)

    def _former(self, stored: StoredText | None) -> StoreState | None:
        """The state that this one follows; None if the store is empty or was made with other definitions."""
        if stored is None:
            return None
        try:
            state = read_state(stored, address=self._store.address)
        except IntegrationError:
            return None
        keys = {each.name: self._key(each) for each in read_histories(self._features)}
        same = state.definitions == self._definitions
        return state if same and {name: each.key for name, each in state.histories.items()} == keys else None

    def _key(self, history: History) -> tuple[str, ...]:
        return self._stage.project.table(history.table).contract.key

    def _rewrite(self, history: History, known: StoredHistory | None, before: HistoryRows | None) -> _Rewritten:
        had = {} if known is None else known.batches
        tables: dict[str, StoredTable] = {}
        frames: dict[str, pl.DataFrame] = {}
        for batch in self._wanted[history.name]:
            name = batch or WHOLE
            digest = self._stage.workspace.digest(partition(VALIDATED, history.table, batch))
            if before is not None and name in had and had[name].source == digest:
                tables[name], frames[name] = had[name], before.batches[name]
            else:
                tables[name], frames[name] = self._prepared(history, batch, digest)
        first = self._wanted[history.name][0]
        start = held_from(history, self._stage.project.batches, first, earliest=self._stage.batches[0])
        kept = None if before is None else _kept_pushes(before.pushed, frames, first)
        pushed, content = pushed_table(history.name, kept)
        after = HistoryRows(self._key(history), frames, kept)
        stored = summary(history.name, after, held_from=start, batches=tables, pushed=pushed)
        new = {name for name, table in tables.items() if name not in had or had[name] != table}
        gone = {name for name, table in had.items() if name not in tables or tables[name] != table}
        # What lies before all that is held is forgotten, not subtracted: no window that is answered begins there.
        pruned = {name for name in gone if first is not None and name < first}
        changed = [frames[name] for name in sorted(new)]
        if before is not None:
            changed += [before.batches[name] for name in sorted(gone - pruned)]
            changed += _released(before, frames, kept)
        put = {tables[name].name: to_bytes(frames[name]) for name in new} | content
        names = {table.name for table in (*tables.values(), *([pushed] if pushed else ()))}
        old = [*had.values(), *([known.pushed] if known is not None and known.pushed else ())]
        revision = Revision(name=history.name, after=after, changed=pl.concat(changed)) if changed else None
        told = MaterializedHistory(
            history=history.name,
            read=tuple(sorted(new)),
            kept=tuple(sorted(set(tables) - new)),
            removed=tuple(sorted(set(had) - set(tables))),
            rows=stored.rows,
            held_from=stored.held_from,
            newest=stored.newest,
        )
        return _Rewritten(stored, revision, put, [each.name for each in old if each.name not in names], told)

    def _prepared(self, history: History, batch: str | None, digest: str) -> tuple[StoredTable, pl.DataFrame]:
        name = f"{history.name}/{batch or WHOLE}/{self._definitions[7:15]}-{digest[7:23]}"
        if name not in self._read:
            self._stage.progress(f"online {history.name}: reading {batch or 'its table'}")
            rows = as_stored(self._partitions.histories({history.name: [batch]})[history.name])
            self._read[name] = StoredTable(name=name, source=digest, rows=rows.height), rows
        return self._read[name]

    def _change(self, state: StoreState, former: StoreState | None, rewritten: Mapping[str, _Rewritten]) -> Change:
        find = None if former is None else self._store.find
        found: list[Run] = []
        forget: dict[str, int] = {}
        for name, each in rewritten.items():
            if each.revision is not None:
                self._stage.progress(f"online {name}: {each.revision.changed.height:,} rows changed")
                found += runs(self._features, self._tracks, each.revision, each.stored, find)
            if former is not None and find is not None and former.histories[name].held_from < each.stored.held_from:
                moment = each.stored.held_from
                forget |= forgotten(self._tracks, name, moment, self._store.places(), find)
        return Change(
            state=state.to_stored(),
            clear=former is None,
            runs=found,
            forget=forget,
            put={name: content for each in rewritten.values() for name, content in each.put.items()},
            drop=[name for each in rewritten.values() for name in each.dropped],
        )


def _kept_pushes(
    pushed: pl.DataFrame | None, frames: Mapping[str, pl.DataFrame], first: str | None
) -> pl.DataFrame | None:
    """Pushed rows of batches that are still to come; those of a batch that is materialised give way to it."""
    if pushed is None or first is None:
        return None
    kept = pushed.filter(~pl.col(BATCH).is_in(list(frames)) & (pl.col(BATCH) > first))
    return kept if kept.height else None


def _released(before: HistoryRows, frames: Mapping[str, pl.DataFrame], kept: pl.DataFrame | None) -> list[pl.DataFrame]:
    """Pushed rows that are no longer held, and the rows whose places they had taken."""
    if before.pushed is None:
        return []
    columns = [taken(name) for name in before.key]
    gone = before.pushed if kept is None else before.pushed.join(kept, on=columns, how="anti", nulls_equal=True)
    held = HistoryRows(before.key, dict(frames), None).rows
    return [before.replaced(gone).select(held.columns), held.join(gone, on=columns, how="semi", nulls_equal=True)]
