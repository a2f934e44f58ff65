"""The copy in memory gives what the file gives, however far it has fallen behind."""

from hypothesis import given
from hypothesis import strategies as st

from gitrain.integrations import sqlite_mirror
from gitrain.integrations.sqlite_features import SqliteStore
from gitrain.online.store import Change, Run, StoredText

PLACES = ["0|", "0|a", "1|b"]
RUN = st.builds(
    lambda place, since, firsts: Run(
        place=place, since=since, blocks=[(first, f"{since}:{first}".encode()) for first in sorted(firsts)]
    ),
    st.sampled_from(PLACES),
    st.integers(0, 9),
    st.sets(st.integers(0, 9), max_size=4),
).map(lambda run: Run(place=run.place, since=run.since, blocks=[each for each in run.blocks if each[0] >= run.since]))
CHANGE = st.tuples(
    st.lists(RUN, max_size=3, unique_by=lambda run: run.place),
    st.dictionaries(st.sampled_from(PLACES), st.integers(0, 9), max_size=2),
    st.sampled_from([False, False, False, True]),
)
POINTS = [(place, moment) for place in [*PLACES, "2|"] for moment in range(-1, 11)]


@given(st.lists(st.tuples(CHANGE, st.booleans()), max_size=8))
def test_it_follows_every_change(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("mirror") / "online.sqlite"
    plain, mirrored = SqliteStore(path), SqliteStore(path, mirrored=True)
    version = None
    for number, ((runs, forget, clear), looked_at) in enumerate(changes):
        state = StoredText(version=str(number), text="{}")
        assert plain.apply(Change(state=state, runs=runs, forget=forget, clear=clear), expected=version)
        version = str(number)
        if looked_at:
            assert mirrored.find(POINTS) == plain.find(POINTS)
    assert mirrored.find(POINTS) == plain.find(POINTS)
    plain.close()
    mirrored.close()


def fill(path, count, start=0, place="0|"):
    store = SqliteStore(path)
    for number in range(start, start + count):
        state = StoredText(version=str(number), text="{}")
        runs = [Run(place=place, since=number, blocks=[(number, str(number).encode())])]
        assert store.apply(Change(state=state, runs=runs), expected=str(number - 1) if number else None)
    store.close()


def test_who_has_fallen_far_behind_reads_everything_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_mirror, "_REMEMBERED", 5)
    path = tmp_path / "online.sqlite"
    fill(path, 1)
    mirrored = SqliteStore(path, mirrored=True)
    assert mirrored.find([("0|", 100)]).blocks == [b"0"]
    fill(path, 3, start=1)
    assert mirrored.find([("0|", 100)]).blocks == [b"3"]
    fill(path, 30, start=4)
    found = mirrored.find([("0|", 100), ("0|", 7)])
    assert (found.version, list(found.blocks)) == ("33", [b"33", b"7"])
    mirrored.close()


def test_a_store_that_is_too_large_is_asked_by_sql(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_mirror, "_MOST_BYTES", 20)
    path = tmp_path / "online.sqlite"
    fill(path, 40)
    mirrored = SqliteStore(path, mirrored=True)
    for _ in range(2):
        assert mirrored.find([("0|", 100), ("0|", 7)]).blocks == [b"39", b"7"]
    mirrored.close()
