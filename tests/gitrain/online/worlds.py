"""Made-up projects whose online store is filled, pushed to and asked; and what it has to answer, worked out naively."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
from hypothesis import strategies as st

from gitrain.data.contracts import TableContract
from gitrain.data.incoming import BatchFile
from gitrain.data.tables import Table
from gitrain.documents import parse
from gitrain.features.definitions import (
    Aggregation,
    AsOfFeatures,
    Entity,
    FeatureSet,
    History,
    RowFeature,
    WindowFeatures,
)
from gitrain.features.engine import compute_features
from gitrain.features.history import KNOWN_AT, prepare_history
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.metrics import ROC_AUC
from gitrain.online.columns import Columns, columns_of
from gitrain.online.lookup import FoundFeatures
from gitrain.online.materialization import Materialization, Push
from gitrain.online.store import OnlineStore
from gitrain.online.stored_lookup import StoredLookup
from gitrain.operations.materialize_features import materialize_features
from gitrain.operations.push_rows import push_rows
from gitrain.operations.stage import Stage
from gitrain.pipeline.params import Params
from gitrain.project import Project, Target
from gitrain.training.estimators import Estimator, FeatureColumns

START = datetime(2024, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2024, 4, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
KIND = pl.Enum(["small", "large", "medium"])

Row = Mapping[str, Any]


class Days:
    """A batch a day."""

    def check(self, batch: str) -> None:
        date.fromisoformat(batch)

    def following(self, batch: str) -> str:
        return (date.fromisoformat(batch) + DAY).isoformat()

    def bounds(self, batch: str) -> tuple[datetime, datetime]:
        start = datetime.fromisoformat(batch)
        return start, start + DAY


class NoSource:
    def fingerprint(self, batch: str | None) -> str:
        return "none"

    def read(self, batch: str | None) -> pl.DataFrame:
        raise AssertionError("the online store is filled from validated tables, never from a source")


def no_estimator(parameters: Mapping[str, Any], columns: FeatureColumns, seed: int) -> Estimator:
    raise AssertionError("nothing is fitted here")


EVENTS = TableContract(
    schema=pa.DataFrameSchema(
        {
            "id": pa.Column(pl.Int64, pa.Check.ge(0)),
            "event": pa.Column(TIME),
            "known": pa.Column(TIME, nullable=True),
            "counts": pa.Column(pl.Boolean, nullable=True),
            "team": pa.Column(pl.String, nullable=True),
            "lane": pa.Column(pl.Int32, nullable=True),
            "flag": pa.Column(pl.Boolean, nullable=True),
            "number": pa.Column(pl.Float64, nullable=True),
            "whole": pa.Column(pl.Int64, nullable=True),
            "kind": pa.Column(KIND, nullable=True),
        },
        strict=True,
    ),
    key=("id",),
    non_finite=("number",),
)
NOTES = TableContract(
    schema=pa.DataFrameSchema({"name": pa.Column(pl.String), "at": pa.Column(TIME), "price": pa.Column(pl.Float64)}),
    key=("name",),
)
PAST = History(
    name="past",
    table="events",
    known_at=pl.col("known"),
    event_time=pl.col("event"),
    max_delay=6 * HOUR,
    where=pl.col("counts"),
    stale_after=DAY,
)
HAPPENED = History(
    name="happened", table="events", known_at=pl.col("event"), event_time=pl.col("event"), max_delay=timedelta(0)
)
NOTED = History(
    name="noted",
    table="notes",
    known_at=pl.col("at"),
    event_time=pl.col("at"),
    max_delay=timedelta(0),
    stale_after=400 * DAY,
)
ENTITY = Entity(
    table="events",
    key=("id",),
    known_in_advance=("id", "event", "team", "lane", "flag", "kind"),
    unit=("day", pl.col("event").dt.date()),
    decision_time=pl.col("event") - HOUR,
)
ROW_FEATURES = (
    RowFeature(name="hour", expression=pl.col("event").dt.hour() + pl.col("event").dt.minute() / 60),
    RowFeature(name="one", expression=pl.lit(1)),
    RowFeature(name="team", expression=pl.col("team")),
    RowFeature(name="lane", expression=pl.col("lane")),
    RowFeature(name="flag", expression=pl.col("flag")),
    RowFeature(name="kind", expression=pl.col("kind").cast(pl.String)),
)

_VALUES = {
    "number": pl.col("number"),
    "product": pl.col("number") * pl.col("whole"),
    "whole": pl.col("whole"),
    "flag": pl.col("flag"),
    # Polars has another last bit for one row alone than for one among others.
    "share": pl.col("whole") / 7.0,
    "always": (pl.col("number") > 0).fill_null(True),
}
_BY = st.lists(st.sampled_from(["team", "lane", "flag", "kind"]), unique=True, max_size=3).map(
    lambda names: {name: name for name in names}
)
_LENGTHS = st.dictionaries(
    st.sampled_from(["a", "b"]), st.sampled_from([HOUR, 3 * HOUR, DAY, 3 * DAY]), min_size=1, max_size=2
)


@st.composite
def _window(draw: st.DrawFn, number: int) -> WindowFeatures:
    history = draw(st.sampled_from(["past", "happened"]))
    aggregation: Aggregation = draw(st.sampled_from(["mean", "sum", "count"]))
    return WindowFeatures(
        prefix=f"w{number}",
        history=history,
        by=draw(_BY),
        value=_VALUES[draw(st.sampled_from(sorted(_VALUES)))],
        aggregation=aggregation,
        windows=draw(_LENGTHS),
    )


@st.composite
def _newest(draw: st.DrawFn, number: int) -> AsOfFeatures:
    taken = draw(st.lists(st.sampled_from(["number", "whole", "flag", "team", "kind"]), unique=True, min_size=1))
    return AsOfFeatures(
        history=draw(st.sampled_from(["past", "happened"])),
        by=draw(_BY),
        columns={f"n{number}_{name}": name for name in taken},
        max_age=draw(st.sampled_from([timedelta(0), 2 * HOUR, DAY, 30 * DAY])),
    )


_PRICE = AsOfFeatures(history="noted", by={"team": "name"}, columns={"price": "price"}, max_age=300 * DAY)


@st.composite
def feature_sets(draw: st.DrawFn) -> FeatureSet:
    """Definitions with one to five features that read histories."""
    count = draw(st.integers(1, 4))
    made: list[AsOfFeatures | WindowFeatures] = []
    for number in range(count):
        made.append(draw(_window(number)) if draw(st.booleans()) else draw(_newest(number)))
    if draw(st.booleans()):
        made.append(_PRICE)
    text = [name for each in made if isinstance(each, AsOfFeatures) for name in each.columns]
    return FeatureSet(
        entity=ENTITY,
        features=(*ROW_FEATURES, *made),
        categorical=("team", "kind", *(name for name in text if name.endswith(("_team", "_kind")))),
        histories=(PAST, HAPPENED, NOTED),
    )


_SOME: tuple[tuple[Aggregation, str, str, tuple[str, ...]], ...] = (
    ("mean", "number", "past", ("team",)),
    ("sum", "whole", "happened", ("lane", "team")),
    ("mean", "flag", "past", ()),
    ("count", "always", "happened", ("kind",)),
)
#: Something of everything.
FEATURES = FeatureSet(
    entity=ENTITY,
    features=(
        *ROW_FEATURES,
        *(
            WindowFeatures(
                prefix=f"{how}_{name}",
                history=history,
                by={column: column for column in by},
                value=_VALUES[name],
                aggregation=how,
                windows={"3h": 3 * HOUR, "1d": DAY},
            )
            for how, name, history, by in _SOME
        ),
        AsOfFeatures(
            history="past", by={"team": "team"}, columns={"last_number": "number", "last_kind": "kind"}, max_age=DAY
        ),
        _PRICE,
    ),
    categorical=("team", "kind", "last_kind"),
    histories=(PAST, HAPPENED, NOTED),
)

NUMBERS = [0.1, 0.2, -3.0, 1e16, -1e16, 7.5, -0.0, 5e-324, 1e308, -2.5e-310, float("inf")]
WHOLES = [-3, -1, 0, 1, 2, 2**62, -(2**62)]
_VALUE = {
    "delay": st.none() | st.integers(0, 6),
    "counts": st.sampled_from([None, False, True, True, True]),
    "team": st.none() | st.sampled_from(["a", "b", "1:a", "1|", "é"]),
    "lane": st.none() | st.integers(-1, 1),
    "flag": st.none() | st.booleans(),
    "number": st.none() | st.sampled_from(NUMBERS) | st.floats(allow_nan=False, allow_infinity=False),
    "whole": st.none() | st.sampled_from(WHOLES),
    "kind": st.none() | st.sampled_from(KIND.categories.to_list()),
}


def event_rows(day: int, most: int = 8, least: int = 0) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows of a day; their identifiers are the day's. With `least` there may be a single one."""
    row = st.fixed_dictionaries({"slot": st.integers(0, 9), "hour": st.integers(0, 23), **_VALUE})
    rows = st.lists(row, max_size=most, min_size=least, unique_by=lambda each: each["slot"])
    # A batch of one row has no company: what it is divided by gives other bits in training too.
    return rows.map(lambda found: [_event(day, each) for each in found] if least or len(found) != 1 else [])


def _event(day: int, drawn: Row) -> dict[str, Any]:
    event = START + day * DAY + drawn["hour"] * HOUR
    rest = {name: value for name, value in drawn.items() if name not in ("slot", "hour", "delay")}
    known = None if drawn["delay"] is None else event + drawn["delay"] * HOUR
    return {"id": day * 10 + drawn["slot"], "event": event, "known": known, **rest}


def many_events(day: int, count: int) -> list[dict[str, Any]]:
    """Rows of a day, always the same."""
    random = np.random.default_rng(day)
    return [
        {
            "id": day * 100_000 + number,
            "event": _at(day, int(random.integers(20, 24))),
            "known": _at(day, 24) + int(random.integers(0, 3)) * HOUR,
            "counts": True,
            "team": str(random.choice(["a", "b", "é"])),
            "lane": int(random.integers(-1, 2)),
            "flag": bool(random.integers(0, 2)),
            "number": float(random.normal()),
            "whole": int(random.integers(-9, 9)),
            "kind": str(random.choice(KIND.categories.to_list())),
        }
        for number in range(count)
    ]


def frame(rows: Sequence[Row]) -> pl.DataFrame:
    """Rows of the table `events`."""
    schema = dict(EVENTS.dtypes)
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)


def asked(day: int, hour: int, minute: int = 0, **values: Any) -> dict[str, Any]:
    """A row to look up: the decision is an hour before."""
    event = _at(day, hour) + timedelta(minutes=minute)
    return {"id": 0, "team": "a", "lane": 0, "flag": True, "kind": "small", **values, "event": event}


def _at(day: int, hour: int) -> datetime:
    return START + day * DAY + hour * HOUR


def asked_frame(rows: Sequence[Row]) -> pl.DataFrame:
    schema = {name: EVENTS.dtypes[name] for name in ENTITY.known_in_advance}
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)


ASKED = st.builds(
    asked,
    st.integers(-1, 7),
    st.integers(0, 23),
    st.sampled_from([0, 0, 0, 23, 31, 59]),
    team=_VALUE["team"],
    lane=_VALUE["lane"],
    flag=_VALUE["flag"],
    kind=_VALUE["kind"],
)


def batch_of(day: int) -> str:
    return (START.date() + day * DAY).isoformat()


@dataclass
class World:
    """A repository, an online store, and what the store should hold.

    Attributes:
        root: of the repository.
        features: the definitions.
        store: the store.
        days: so many batches there are.
        files: the rows of each batch.
        held: the rows of every batch when features were last materialised, also of those that were left out.
        first: by history, the first batch that is held.
        pushed: rows that were pushed since, by key.
        writes: make the files; else they are there.
    """

    root: Path
    features: FeatureSet
    store: OnlineStore
    days: int = 5
    writes: bool = True
    files: dict[str, list[Row]] = field(default_factory=dict)
    held: dict[str, list[Row]] | None = None
    first: dict[str, str] = field(default_factory=dict)
    pushed: dict[int, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.writes:
            return
        times = [START - DAY, START + DAY, START - 5 * DAY]
        notes = pl.DataFrame({"name": ["a", "b", "é"], "at": times, "price": [1.5, 2.5, -0.0]}, schema=NOTES.dtypes)
        LocalWorkspace(self.root).write_table("data/validated/notes/all.parquet", notes)
        for day in range(self.days):
            self.write(day, [])

    def write(self, day: int, rows: Sequence[Row]) -> None:
        """Replace the file of a batch."""
        self.files[batch_of(day)] = list(rows)
        path = f"data/validated/events/{batch_of(day)}.parquet"
        LocalWorkspace(self.root).write_table(path, frame(rows))

    @property
    def project(self) -> Project:
        return Project(
            name="worlds",
            tables=(
                Table(name="events", source=NoSource(), contract=EVENTS, batch_of=pl.col("event").dt.strftime("%F")),
                Table(name="notes", source=NoSource(), contract=NOTES, batched=False),
            ),
            batches=Days(),
            features=self.features,
            feature_contract=replace(EVENTS, key=()),
            prediction_contract=replace(EVENTS, key=()),
            target=Target(name="late", label=pl.col("flag")),
            estimators={"none": no_estimator},
            metrics=(ROC_AUC,),
        )

    @property
    def stage(self) -> Stage:
        written = {
            "schema_version": 1,
            "data": {"from": batch_of(0), "through": batch_of(self.days - 1)},
            "training": {"estimator": "none"},
            "estimators": {"none": {}},
        }
        return Stage(
            project=self.project,
            params=parse(Params, written, source="params.yaml"),
            workspace=LocalWorkspace(self.root),
            memo=LocalMemo(folder=self.root / "memo", root=self.root),
            code="code",
            progress=lambda line: None,
        )

    def materialize(self, since: int | None = 0, through: int | None = None) -> Materialization:
        """Materialise from a day on; None: what the last day looks back on."""
        last = self.days - 1 if through is None else through
        done = materialize_features(
            self.stage,
            self.store,
            since=None if since is None else batch_of(since),
            through=None if through is None else batch_of(through),
            clock=lambda: NOW,
        )
        self.held = {batch: list(rows) for batch, rows in self.files.items() if batch <= batch_of(last)}
        self.first = {each.history: min(each.read + each.kept) for each in done.histories}
        self.pushed = {key: row for key, row in self.pushed.items() if _batch(row) > batch_of(last)}
        return done

    def push(self, rows: Sequence[Row]) -> Push:
        """Push rows of `events`."""
        done = push_rows(
            self.project,
            self.store,
            "events",
            Path("pushed"),
            read=lambda path: BatchFile(frame=frame(rows), text=False),
            clock=lambda: NOW,
        )
        self.pushed |= {row["id"]: row for row in rows}
        return done

    def reads(self, table: str) -> bool:
        """Whether a feature reads a history of a table."""
        read = {each.history for each in self.features.features if not isinstance(each, RowFeature)}
        return any(each.name in read and each.table == table for each in self.features.histories)

    def lookup(self, **options: Any) -> StoredLookup:
        return StoredLookup(self.features, self.store, **options)

    def expected(self, rows: pl.DataFrame) -> tuple[Columns, tuple[tuple[str, ...], ...]]:
        """The features as they are computed from everything there is, with what cannot be known taken out of them."""
        names = [each.name for each in self.features.histories]
        read = {each.history for each in self.features.features if not isinstance(each, RowFeature)}
        prepared = {name: self._prepared(name) for name in names if name in read}
        # In company: see `gitrain.features.company`.
        computed = compute_features(self.features, _twice(rows), prepared).head(rows.height)
        columns = columns_of(computed, FeatureColumns(names=self.features.names, categorical=self.features.categorical))
        columns = {name: values.copy() for name, values in columns.items()}
        decisions = rows.select(ENTITY.decision_time).to_series().to_list()
        stale: list[set[str]] = [set() for _ in decisions]
        for row, decision in enumerate(decisions):
            for feature in self.features.features:
                if isinstance(feature, RowFeature):
                    continue
                start = self._held_from(feature.history)
                for name, length in _lengths(feature):
                    if decision - length >= start:
                        continue
                    if isinstance(feature, AsOfFeatures) and self._seen(prepared, feature, rows, row, start):
                        continue
                    columns[name][row] = None if name in self.features.categorical else np.nan
                    stale[row].add(feature.history)
            for name in prepared:
                patience = self.features.history(name).stale_after
                newest = self._prepared(name, held=True)[KNOWN_AT].max()
                if newest is None or (patience is not None and decision - newest > patience):
                    stale[row].add(name)
        return columns, tuple(tuple(sorted(names)) for names in stale)

    def _held_from(self, name: str) -> datetime:
        history = self.features.history(name)
        if history.table == "notes" or self.first[name] == batch_of(0):
            return datetime.min.replace(tzinfo=UTC)
        return datetime.fromisoformat(self.first[name]).replace(tzinfo=UTC) + DAY + history.max_delay

    def _rows(self, name: str, *, held: bool = False) -> pl.DataFrame:
        if self.features.history(name).table == "notes":
            return LocalWorkspace(self.root).read_table("data/validated/notes/all.parquet")
        assert self.held is not None
        rows = [row for batch in self.held.values() for row in batch if row["id"] not in self.pushed]
        rows += self.pushed.values()
        return frame([row for row in rows if not held or _batch(row) >= self.first[name]])

    def _prepared(self, name: str, *, held: bool = False) -> pl.DataFrame:
        history, rows = self.features.history(name), self._rows(name, held=held)
        if rows.height == 1:
            return prepare_history(self.features, history, _twice(rows)).head(1)
        return prepare_history(self.features, history, rows)

    def _seen(
        self, prepared: Mapping[str, pl.DataFrame], feature: AsOfFeatures, rows: pl.DataFrame, row: int, start: datetime
    ) -> bool:
        """Whether the group's newest row before the decision became known when all rows are held."""
        decision = rows.select(ENTITY.decision_time).to_series()[row]
        past = self._rows(feature.history)
        history = self.features.history(feature.history)
        past = past.with_columns(history.known_at.alias("(known at)"))
        past = past if history.where is None else past.filter(history.where)
        past = past.filter(pl.col("(known at)").is_between(start, decision))
        for column, other in feature.by.items():
            value = rows[column][row]
            past = past.filter(pl.lit(False) if value is None else pl.col(other) == value)
        return past.height > 0


def _twice(rows: pl.DataFrame) -> pl.DataFrame:
    """Each row twice, as values of its own."""
    return pl.DataFrame({name: rows[name].to_list() * 2 for name in rows.columns}, schema=rows.schema)


def _lengths(feature: AsOfFeatures | WindowFeatures) -> Iterator[tuple[str, timedelta]]:
    if isinstance(feature, AsOfFeatures):
        return ((name, feature.max_age) for name in feature.columns)
    return zip(feature.names, feature.windows.values(), strict=True)


def _batch(row: Row) -> str:
    return row["event"].date().isoformat()


@contextmanager
def world(features: FeatureSet, store: OnlineStore) -> Iterator[World]:
    """A world in a folder of its own: an example of hypothesis' leaves nothing to the next."""
    with tempfile.TemporaryDirectory() as folder:
        yield World(Path(folder), features, store)


def assert_same(found: FoundFeatures, columns: Columns, stale: tuple[tuple[str, ...], ...]) -> None:
    """Equal to the last bit; NaN is NaN."""
    assert list(found.columns) == list(columns)
    for name, values in columns.items():
        got = found.columns[name]
        assert got.dtype == values.dtype, name
        if values.dtype == object:
            assert got.tolist() == values.tolist(), name
        else:
            same = (got.view(np.int64) == values.view(np.int64)) | (np.isnan(got) & np.isnan(values))
            assert same.all(), (name, got[~same], values[~same])
    assert found.stale == stale
