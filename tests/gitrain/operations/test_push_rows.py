from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.gitrain.online.worlds import (
    DAY,
    FEATURES,
    HOUR,
    NOW,
    World,
    asked,
    asked_frame,
    assert_same,
    frame,
    many_events,
)

from gitrain.data.incoming import BatchFile
from gitrain.errors import FeatureError, IntegrationError, UsageError
from gitrain.operations.push_rows import push_rows
from gitrain.reports.online_markdown import render_push
from gitrain.testing.online_fakes import MemoryOnlineStore
from gitrain.verdicts import Outcome

ROWS = asked_frame([asked(day, hour, team=team) for day in (2, 3, 4, 5) for hour in (2, 23) for team in "ab"])


@pytest.fixture
def place(tmp_path):
    made = World(tmp_path, FEATURES, MemoryOnlineStore())
    for day in range(made.days):
        made.write(day, many_events(day, 40))
    made.materialize(since=None, through=3)
    return made


def check(place):
    assert_same(place.lookup().look_up(ROWS), *place.expected(ROWS))
    assert_same(place.lookup(many_rows=0).look_up(ROWS), *place.expected(ROWS))


def counts(done, name="past"):
    found = next(each for each in done.histories if each.history == name)
    return found.added, found.replaced, found.removed, found.unchanged, found.passed_over


def push(place, rows: pl.DataFrame, *, table: str = "events", text: bool = False, project=None):
    return push_rows(
        project or place.project,
        place.store,
        table,
        Path("pushed"),
        read=lambda path: BatchFile(frame=rows, text=text),
        clock=lambda: NOW,
    )


def test_rows_that_are_new(place):
    done = place.push(many_events(4, 10))
    assert done.changed
    assert done.outcome is Outcome.PASSED
    assert counts(done) == (10, 0, 0, 0, 0)
    check(place)


def test_pushing_twice_changes_nothing(place):
    place.push(many_events(4, 10))
    before = place.store.state()
    done = place.push(many_events(4, 10))
    assert not done.changed
    assert counts(done) == (0, 0, 0, 10, 0)
    assert place.store.state() == before
    # Nor does pushing what a batch held already.
    assert counts(place.push(many_events(3, 10))) == (0, 0, 0, 10, 0)
    assert place.store.state() == before


def test_a_correction_takes_the_place_of_a_row_of_a_batch_and_of_one_that_was_pushed(place):
    rows = many_events(3, 3) + many_events(4, 2)
    place.push(many_events(4, 2))
    for number in (1.5, 2.5):
        done = place.push([{**row, "number": number, "team": "b"} for row in rows])
        assert counts(done) == (0, 5, 0, 0, 0)
        check(place)


def test_a_correction_can_take_a_row_away_and_bring_it_back(place):
    rows = many_events(3, 5)
    gone = [{**row, "counts": None} if number % 2 else {**row, "known": None} for number, row in enumerate(rows)]
    done = place.push(gone)
    assert counts(done) == (0, 0, 5, 0, 0)
    # It happened all the same.
    assert counts(done, "happened") == (0, 0, 0, 5, 0)
    check(place)
    assert counts(place.push(rows)) == (5, 0, 0, 0, 0)
    check(place)


def test_a_later_materialisation_of_the_batch_has_the_last_word(place):
    place.push([{**row, "number": 99.0} for row in many_events(3, 5)])
    place.push(many_events(5, 5))
    place.push([{**row, "number": 99.0} for row in many_events(4, 5)])
    place.materialize(since=None, through=3)
    assert set(place.pushed) == {row["id"] for day in (4, 5) for row in many_events(day, 5)}
    check(place)
    place.materialize(since=None)
    assert set(place.pushed) == {row["id"] for row in many_events(5, 5)}
    check(place)


def test_rows_of_batches_that_are_no_longer_held_are_passed_over(place):
    done = push(place, frame(many_events(0, 4)))
    assert counts(done) == (0, 0, 0, 0, 4)
    assert not done.changed


def test_rows_that_break_the_contract_are_left_out_and_told(place):
    rows = frame(many_events(4, 4)).with_columns(id=pl.Series([400_000, -1, 400_002, 400_003]))
    done = push(place, rows)
    assert done.outcome is Outcome.FAILED
    assert (done.judged.rows, done.judged.quarantined) == (4, 1)
    assert counts(done) == (3, 0, 0, 0, 0)
    text = render_push(done)
    assert "**FAILED**: 4 rows of events, 1 refused" in text
    assert "| past | 3 | 0 | 0 | 0 | 0 |" in text
    assert done.to_json()["histories"][1]["history"] == "happened"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (frame(many_events(4, 3)).drop("lane"), "'lane' is missing"),
        (frame(many_events(4, 3)).cast({"lane": pl.Int64}), "Int64"),
        (frame([*many_events(4, 3), *many_events(4, 1)]), "id"),
    ],
)
def test_rows_that_are_no_rows_of_the_table_change_nothing(place, rows, told):
    before = place.store.state()
    done = push(place, rows)
    assert done.outcome is Outcome.FAILED
    assert any(told.replace("'", "") in finding.message.replace("'", "") for finding in done.judged.findings)
    assert place.store.state() == before
    assert "Nothing was pushed" in render_push(done)


def test_text_gets_the_types_of_the_contract_strictly(place):
    values = {"id": "400001", "event": "2024-03-05T20:00:00Z", "known": "2024-03-05T23:00:00Z", "counts": "true"}
    values |= {"team": "a", "lane": "1", "flag": "false", "number": "0.1", "whole": "7", "kind": "small"}
    done = push(place, pl.DataFrame([values]), text=True)
    assert counts(done) == (1, 0, 0, 0, 0)
    done = push(place, pl.DataFrame([{**values, "whole": "7.5"}]), text=True)
    assert done.outcome is Outcome.FAILED
    assert done.judged.findings[0].columns == ("whole",)


def test_a_row_that_contradicts_its_history_is_an_error(place):
    row = many_events(4, 1)[0]
    with pytest.raises(FeatureError, match="max_delay"):
        push(place, frame([{**row, "known": row["event"] + DAY}]))
    with pytest.raises(FeatureError, match="known before its event"):
        push(place, frame([{**row, "known": row["event"] - HOUR}]))


def test_tables_that_nothing_can_be_pushed_to(place):
    with pytest.raises(UsageError, match="has no table 'nothing'"):
        push(place, frame([]), table="nothing")
    project = place.project
    unread = replace(project, features=replace(FEATURES, features=FEATURES.features[:-1]))
    with pytest.raises(UsageError, match="no feature reads a history of table 'notes'"):
        push(place, frame([]), table="notes", project=unread)
    events, notes = project.tables
    keyless = replace(project, tables=(replace(events, contract=replace(events.contract, key=())), notes))
    with pytest.raises(UsageError, match="has no key"):
        push(place, frame([]), project=keyless)


def test_a_table_without_batches_takes_rows_too(place):
    notes = pl.DataFrame({"name": ["a"], "at": [asked(3, 0)["event"]], "price": [9.0]}).cast(
        {"at": pl.Datetime("us", "UTC")}
    )
    assert counts(push(place, notes, table="notes"), "noted") == (0, 1, 0, 0, 0)
    found = place.lookup().look_up(asked_frame([asked(2, 0), asked(4, 0)]))
    # It is known from the third day on, and it is the note of that name: before, there is none.
    assert found.columns["price"].tolist()[1] == 9.0
    assert found.columns["price"][0] != found.columns["price"][0]


def test_nothing_can_be_pushed_before_something_was_materialised(place):
    with pytest.raises(UsageError, match="nothing was materialised"):
        push_rows(
            place.project,
            MemoryOnlineStore(),
            "events",
            Path("pushed"),
            read=lambda path: BatchFile(frame=frame([]), text=False),
            clock=lambda: NOW,
        )
    changed = replace(FEATURES, categorical=("team", "kind"), features=FEATURES.features[:-2])
    with pytest.raises(UsageError, match="other feature definitions"):
        push(place, frame(many_events(4, 1)), project=replace(place.project, features=changed))


def test_others_that_change_the_store_meanwhile_are_waited_for(place):
    apply, tries = place.store.apply, []

    def overtaken(change, *, expected):
        tries.append(expected)
        if len(tries) == 1:
            # Another one is quicker.
            place.store.apply = apply
            place.push(many_events(5, 3))
            place.store.apply = overtaken
            return False
        return apply(change, expected=expected)

    place.store.apply = overtaken
    place.push(many_events(4, 3))
    assert len(tries) == 2
    check(place)
    place.store.apply = lambda change, *, expected: False
    with pytest.raises(IntegrationError, match="20 times"):
        push(place, frame(many_events(4, 9)))
