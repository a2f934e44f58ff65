from dataclasses import replace

import polars as pl
import pytest
from tests.gitrain.online.worlds import (
    DAY,
    FEATURES,
    HOUR,
    NOW,
    START,
    World,
    asked,
    asked_frame,
    assert_same,
    batch_of,
    many_events,
)

from gitrain.errors import FeatureError, IntegrationError, UsageError
from gitrain.features.definitions import RowFeature
from gitrain.integrations.sqlite_features import SqliteStore
from gitrain.online.state import EVERYTHING
from gitrain.online.store import Change, StoredText
from gitrain.operations.materialize_features import materialize_features
from gitrain.reports.online_markdown import render_materialization
from gitrain.testing.online_fakes import MemoryOnlineStore

ROWS = asked_frame([asked(day, hour, team=team) for day in (1, 3, 4, 5) for hour in (2, 23) for team in "ab"])


@pytest.fixture
def place(tmp_path):
    made = World(tmp_path, FEATURES, MemoryOnlineStore())
    for day in range(made.days):
        made.write(day, many_events(day, 40))
    return made


def blocks(store):
    return sum(map(len, store._blocks.values()))


def history(done, name="past"):
    return next(each for each in done.histories if each.history == name)


def test_by_default_it_holds_what_the_holdout_looks_back_on(place):
    done = place.materialize(since=None)
    # A day of windows, six hours of delay and a day for midnights elsewhere, before a day that begins at 19:00.
    assert history(done).read == tuple(batch_of(day) for day in (2, 3, 4))
    assert history(done, "noted").read == ("all",)
    assert history(done).held_from == int((START + 3 * DAY + 6 * HOUR).timestamp() * 1e6)
    assert history(done, "noted").held_from == EVERYTHING
    columns, stale = place.expected(ROWS)
    found = place.lookup().look_up(ROWS)
    assert_same(found, columns, stale)
    holdout = asked_frame([asked(4, hour) for hour in range(20, 24)])
    assert set(place.lookup().look_up(holdout).stale) == {()}


def test_a_second_run_reads_and_writes_nothing(place):
    place.materialize(since=None)
    before = place.store.state()
    done = place.materialize(since=None)
    assert not done.changed
    assert history(done).read == ()
    assert len(history(done).kept) == 3
    assert place.store.state() == before


def test_a_batch_whose_file_changed_is_replaced_and_no_other(place):
    place.materialize(since=None)
    place.write(3, many_events(3, 41)[5:])
    done = place.materialize(since=None)
    assert history(done).read == (batch_of(3),)
    assert_same(place.lookup().look_up(ROWS), *place.expected(ROWS))


def test_moving_on_lets_go_of_what_nothing_looks_back_on(place):
    place.materialize(since=None, through=3)
    done = place.materialize(since=None)
    assert history(done).removed == (batch_of(1),)
    assert history(done).read == (batch_of(4),)
    assert_same(place.lookup().look_up(ROWS), *place.expected(ROWS))
    # Nothing of the batch is left but what windows begin with.
    other = World(place.root, FEATURES, MemoryOnlineStore(), writes=False)
    other.materialize(since=None)
    assert blocks(place.store) <= blocks(other.store) + len(place.store.places())


def test_decisions_before_all_that_is_held_are_told_and_never_zero(place):
    place.materialize(since=3)
    found = place.lookup().look_up(asked_frame([asked(2, 12)]))
    assert found.stale == (("happened", "past"),)
    for name in ("mean_number_1d", "sum_whole_1d", "mean_flag_1d", "count_always_1d", "last_number"):
        assert found.columns[name][0] != found.columns[name][0], name
    assert found.columns["price"][0] == 1.5


def test_an_empty_store_is_told_and_never_zero(place):
    found = place.lookup().look_up(ROWS.head(2))
    assert found.stale == (("happened", "noted", "past"),) * 2
    assert set(found.newest.values()) == {None}
    assert found.columns["sum_whole_1d"][0] != found.columns["sum_whole_1d"][0]
    assert found.columns["last_kind"].tolist() == [None, None]
    assert found.columns["hour"].tolist() == [2.0, 2.0]


def test_a_store_of_other_definitions_is_refused_and_made_anew(place):
    place.materialize(since=None)
    features = replace(FEATURES, categorical=("team", "kind", "last_kind"), features=FEATURES.features[:-1])
    other = World(place.root, features, place.store, writes=False)
    with pytest.raises(IntegrationError, match="other feature definitions") as caught:
        other.lookup().look_up(ROWS)
    assert "gitrain features materialize" in caught.value.fix
    other.files = place.files
    done = other.materialize(since=None)
    assert history(done).kept == ()
    assert_same(other.lookup().look_up(ROWS), *other.expected(ROWS))
    with pytest.raises(IntegrationError, match="other feature definitions"):
        place.lookup(many_rows=0).look_up(ROWS)


def test_a_state_that_cannot_be_read_is_made_anew(place):
    assert place.store.apply(Change(state=StoredText(version="old", text='{"schema_version": 7}')), expected=None)
    with pytest.raises(IntegrationError, match="cannot be read"):
        place.lookup().look_up(ROWS)
    place.materialize(since=None)
    assert_same(place.lookup().look_up(ROWS), *place.expected(ROWS))


def test_batches_that_are_none(place):
    with pytest.raises(UsageError, match="--since is '2025-01-01'"):
        materialize_features(place.stage, place.store, since="2025-01-01", clock=lambda: NOW)
    with pytest.raises(UsageError, match="comes after the last batch"):
        place.materialize(since=3, through=2)


def test_batches_without_a_time_are_held_whole_or_not_at_all(place):
    stage = place.stage

    class Timeless:
        check, following = staticmethod(stage.project.batches.check), staticmethod(stage.project.batches.following)

        def bounds(self, batch: str) -> None:
            return None

    timeless = replace(stage, project=replace(stage.project, batches=Timeless()))
    with pytest.raises(UsageError, match="have no time"):
        materialize_features(timeless, place.store, since=batch_of(1), clock=lambda: NOW)
    done = materialize_features(timeless, place.store, clock=lambda: NOW)
    assert history(done).held_from == EVERYTHING


def test_a_project_without_histories_needs_no_store(place):
    features = replace(FEATURES, features=FEATURES.features[:6], categorical=("team", "kind"), histories=())
    other = World(place.root, features, place.store, writes=False)
    done = materialize_features(other.stage, place.store, clock=lambda: NOW)
    assert (done.changed, done.histories) == (False, ())
    assert place.store.state() is None
    assert "no history" in render_materialization(done)
    found = other.lookup().look_up(ROWS)
    assert set(found.stale) == {()}
    assert found.columns["one"].tolist() == [1.0] * ROWS.height


def test_others_that_change_the_store_meanwhile_are_waited_for(place):
    class Restless(MemoryOnlineStore):
        def apply(self, change, *, expected):
            return False

    store = Restless()
    with pytest.raises(IntegrationError, match="changed by others 5 times"):
        materialize_features(place.stage, store, clock=lambda: NOW)


def test_a_damaged_table_is_an_error_that_says_so(place):
    place.materialize(since=None)
    for name in place.store._tables:
        place.store._tables[name] = b"ARROW1" + b"nonsense"
    with pytest.raises(IntegrationError, match="is damaged"):
        place.lookup(many_rows=0).look_up(ROWS)


def test_keys_of_another_type_are_an_error_as_in_training(place):
    place.materialize(since=None)
    wrong = ROWS.with_columns(team=ROWS["lane"])
    for rows in (0, 400):
        with pytest.raises(FeatureError, match="of type"):
            place.lookup(many_rows=rows).look_up(wrong)


def test_a_row_without_a_decision_is_an_error_that_names_it(place):
    place.materialize(since=None)
    rows = ROWS.with_columns(event=ROWS["event"].set(ROWS["lane"] == 0, None))
    with pytest.raises(FeatureError, match="row 0 of table 'events' has no decision time"):
        place.lookup().look_up(rows)
    with pytest.raises(FeatureError, match="lack the column 'lane'"):
        place.lookup().look_up(ROWS.drop("lane"))


def test_a_feature_that_cannot_be_computed_is_named(place):
    bad = RowFeature(name="bad", expression=pl_error())
    features = replace(FEATURES, features=(bad, *FEATURES.features))
    with pytest.raises(FeatureError, match="'bad' cannot be computed"):
        World(place.root, features, place.store, writes=False).lookup().look_up(ROWS)


def pl_error():
    return pl.col("team") + pl.col("nothing")


def test_the_report_says_what_is_held(place):
    done = place.materialize(since=None)
    text = render_materialization(done)
    assert "| past | 2024-03-03, 2024-03-04, 2024-03-05 | – | – | 120 | 2024-03-04 06:00 |" in text
    assert "| noted | all | – | – | 3 | its start |" in text
    written = done.to_json()
    assert written["histories"][0]["held_from"] == "2024-03-04T06:00:00+00:00"
    assert render_materialization(place.materialize(since=None)).startswith("Nothing to do")


@pytest.mark.parametrize("mirrored", [False, True])
def test_sqlite_serves_it_too(place, tmp_path, mirrored):
    store = SqliteStore(tmp_path / "a" / "online.sqlite", mirrored=mirrored)
    other = World(place.root, FEATURES, store, writes=False)
    other.files = place.files
    lookup = other.lookup()
    assert lookup.look_up(ROWS).stale[0] == ("happened", "noted", "past")
    other.materialize(since=None)
    assert_same(lookup.look_up(ROWS), *other.expected(ROWS))
    # The file of before is gone: look-ups notice.
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    assert lookup.look_up(ROWS).stale[0] == ("happened", "noted", "past")
    other.materialize(since=None)
    assert_same(lookup.look_up(ROWS), *other.expected(ROWS))
    lookup.close()
