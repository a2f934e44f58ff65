"""Online equals offline: for any definitions, any past, any order of materialisations and pushes, at any moment."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gitrain.online import worlds
from tests.gitrain.online.worlds import ASKED, World, asked_frame, assert_same, event_rows, feature_sets, world

from gitrain.online import known_rows, stored_lookup
from gitrain.online.given_rows import GivenRows, RowSchema
from gitrain.testing.online_fakes import MemoryOnlineStore

DAYS = 5
_DAY = st.integers(0, DAYS - 1)
#: What happens to a store: each with what it needs to happen.
STEPS = st.one_of(
    st.tuples(st.just("write"), _DAY.flatmap(lambda day: st.tuples(st.just(day), event_rows(day)))),
    st.tuples(st.just("materialize"), st.tuples(st.none() | _DAY, st.none() | _DAY)),
    st.tuples(st.just("push"), st.integers(0, DAYS + 1).flatmap(lambda day: event_rows(day, most=4, least=1))),
    st.tuples(st.just("push"), st.integers(0, DAYS + 1).flatmap(lambda day: event_rows(day, most=4, least=1))),
    st.tuples(st.just("ask"), st.lists(ASKED, max_size=6)),
)


def _fill(place: World, days: list[list[dict[str, Any]]]) -> None:
    for day, rows in enumerate(days):
        place.write(day, rows)


def _ask(place: World, rows: pl.DataFrame) -> None:
    columns, stale = place.expected(rows)
    lookup = place.lookup()
    assert_same(lookup.look_up(rows), columns, stale)
    assert_same(lookup.look_up(GivenRows(rows.to_dicts(), RowSchema(rows.schema))), columns, stale)
    assert_same(place.lookup(many_rows=0).look_up(rows), columns, stale)


@pytest.mark.slow
@given(
    feature_sets(),
    st.tuples(*(event_rows(day) for day in range(DAYS))),
    st.lists(STEPS, max_size=7),
    st.lists(ASKED, min_size=1, max_size=8),
)
@settings(max_examples=100)
def test_online_equals_offline(features, days, steps, rows):
    with world(features, MemoryOnlineStore()) as place:
        _fill(place, days)
        place.materialize()
        for step, given_ in steps:
            match step:
                case "write":
                    place.write(*given_)
                case "materialize":
                    since, through = given_
                    if since is None or through is None or since <= through:
                        place.materialize(since, through)
                case "push":
                    if place.reads("events"):
                        place.push(given_)
                case "ask":
                    _ask(place, asked_frame(given_))
        _ask(place, asked_frame(rows))


@given(feature_sets(), st.lists(event_rows(2), min_size=2, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_pushes_in_any_order_and_twice_give_the_same(features, parts, random):
    """If no two of them are of one key; of one key the last counts."""
    rows = {row["id"]: row for part in parts for row in part}
    asked = asked_frame([worlds.asked(day, 20) for day in (2, 3, 4)])
    found = []
    for _ in range(2):
        order = list(rows.values())
        random.shuffle(order)
        with world(features, MemoryOnlineStore()) as place:
            place.materialize(through=1)
            if not place.reads("events"):
                return
            for row in order:
                place.push([row])
            assert not place.push(order).changed
            found.append(place.lookup().look_up(asked))
    columns = {name: values for name, values in found[1].columns.items()}
    assert_same(found[0], columns, found[1].stale)


def test_a_row_by_itself_has_the_bits_of_a_row_among_others():
    """Polars divides by a constant in two ways: 23 / 60 has another last bit in a column of one row."""
    with world(worlds.FEATURES, MemoryOnlineStore()) as place:
        _fill(place, [worlds.many_events(day, 20) for day in range(DAYS)])
        place.materialize()
        together = asked_frame([worlds.asked(3, 12, minute) for minute in range(60)])
        columns = place.lookup().look_up(together).columns["hour"]
        alone = [place.lookup(many_rows=many).look_up(together.slice(at, 1)) for many in (0, 9) for at in range(60)]
        assert [found.columns["hour"][0] for found in alone] == [*columns, *columns]
        assert any(value != 12 + minute / 60 for minute, value in enumerate(columns)), "Polars divides in one way now"


@given(st.lists(st.lists(ASKED, max_size=5), min_size=2, max_size=6))
@settings(max_examples=20)
def test_what_is_remembered_of_a_row_is_what_it_is(calls):
    with world(worlds.FEATURES, MemoryOnlineStore()) as place:
        place.materialize()
        lookup = place.lookup()
        # Each row comes again, in other company; and nothing is remembered of rows that differ.
        for call in [*calls, *calls[::-1], [row for rows in calls for row in rows]]:
            asked = asked_frame(call)
            assert_same(lookup.look_up(asked), *place.expected(asked))


def test_the_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(known_rows, "_MOST_REMEMBERED", 10)
    monkeypatch.setattr(stored_lookup, "_MOST_REMEMBERED", 2)
    with world(worlds.FEATURES, MemoryOnlineStore()) as place:
        place.materialize()
        lookup = place.lookup()
        for hour in range(24):
            for minute in range(0, 60, 5):
                asked = asked_frame([worlds.asked(2, hour, minute, lane=minute // 5 % 7)])
                assert lookup.look_up(asked).columns["hour"][0] == pytest.approx(hour + minute / 60)
        compiled = lookup._reader._compiled
        assert compiled is not None
        assert 0 < len(compiled[1].memo) <= 12
        assert 0 < len(lookup._places) <= 4
