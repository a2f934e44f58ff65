"""The conformance suite of online stores: what look-ups rely on.

Derive a class whose name begins with ``Test``, and give it the fixtures that the suite's docstring names, as with the
suites of `gitrain.testing.conformance`.
"""
# ruff: noqa: S101  (asserting is what suites do)

import threading
from collections.abc import Callable

import pytest

from gitrain.errors import IntegrationError
from gitrain.online.store import Change, OnlineStore, Run, StoredText

__all__ = ["OnlineStoreSuite"]

_ONE = StoredText(version="one", text='{"a": "é"}')
_TWO = StoredText(version="two", text="{}")
_EARLIEST, _LATEST = -(2**62), 2**62


def _run(place: str, *firsts: int, since: int = -(2**63), content: bytes = b"block") -> Run:
    return Run(place=place, since=since, blocks=[(first, content + str(first).encode()) for first in firsts])


class OnlineStoreSuite:
    """For a `gitrain.online.store.OnlineStore`.

    Fixtures: `store`, an empty one; `again`, which opens the same store once more, as another process would;
    `unreachable`, a store of the same kind that nobody serves, at an address with the password ``secret`` where the
    kind has passwords.
    """

    def test_an_empty_store(self, store: OnlineStore) -> None:
        """Nothing is there, and that is no error: a service may start before its store is filled."""
        assert store.state() is None
        found = store.find([("0|", 5), ("1|x", 5)])
        assert (found.version, list(found.blocks)) == (None, [None, None])
        assert store.find([]).version is None
        assert store.tables(["none"]) == [None]
        assert store.tables([]) == []
        assert store.places() == []

    def test_the_last_block_that_begins_at_a_moment_or_before(self, store: OnlineStore) -> None:
        """Of its own place, whatever other places are called, and at any moment there is."""
        places = ["0|", "0|a", "0|a\0", "0|b", "0|é", "0|\U0001f600", "0|" + "x" * 500]
        runs = [_run(place, -20, 0, 10, content=place.encode()) for place in places]
        assert store.apply(Change(state=_ONE, runs=runs), expected=None)
        assert sorted(store.places()) == sorted(places)
        wanted = {-21: None, -20: -20, -1: -20, 0: 0, 9: 0, 10: 10, 11: 10, _LATEST: 10, _EARLIEST: None}
        for moment, first in wanted.items():
            found = store.find([(place, moment) for place in [*places, "0|c", "", "0"]])
            assert found.version == "one"
            expected = [None if first is None else place.encode() + str(first).encode() for place in places]
            assert list(found.blocks) == [*expected, None, None, None]

    def test_moments_are_exact(self, store: OnlineStore) -> None:
        """Two moments a microsecond apart are two, also where a float could not tell them apart."""
        firsts = [2**61, 2**61 + 1, 2**61 + 2]
        store.apply(Change(state=_ONE, runs=[_run("0|", *firsts)]), expected=None)
        found = store.find([("0|", moment) for moment in (2**61 - 1, *firsts)])
        assert list(found.blocks) == [None, *(b"block" + str(first).encode() for first in firsts)]

    def test_many_points_at_once(self, store: OnlineStore) -> None:
        """As many as a bulk of rows needs, in their order."""
        store.apply(Change(state=_ONE, runs=[_run(f"0|{group}", 0, 10) for group in range(50)]), expected=None)
        points = [(f"0|{number % 60}", number % 20) for number in range(5000)]
        found = store.find(points)
        expected = [
            None if number % 60 >= 50 else (b"block10" if number % 20 >= 10 else b"block0") for number in range(5000)
        ]
        assert list(found.blocks) == expected

    def test_a_run_replaces_the_end_of_its_place(self, store: OnlineStore) -> None:
        """What began earlier stays, and so do other places; a run without blocks only removes."""
        store.apply(Change(state=_ONE, runs=[_run("0|a", 0, 10, 20), _run("0|b", 0, 10)]), expected=None)
        change = Change(state=_TWO, runs=[_run("0|a", 12, since=10, content=b"new"), _run("0|b", since=0)])
        assert store.apply(change, expected="one")
        found = store.find([("0|a", moment) for moment in (5, 11, 12, 30)])
        assert list(found.blocks) == [b"block0", b"block0", b"new12", b"new12"]
        assert list(store.find([("0|b", 30)]).blocks) == [None]

    def test_what_is_forgotten(self, store: OnlineStore) -> None:
        """Blocks before a moment go; those that the same change writes stay, wherever they begin."""
        runs = [_run("0|a", 0, 10, 20), _run("0|b", 0, 10)]
        store.apply(Change(state=_ONE, runs=runs), expected=None)
        store.apply(
            Change(state=_TWO, forget={"0|a": 10, "0|b": 10, "0|none": 3}, runs=[_run("0|b", 5, since=0)]),
            expected="one",
        )
        found = store.find([("0|a", 9), ("0|a", 10), ("0|a", 25), ("0|b", 4), ("0|b", 30)])
        assert list(found.blocks) == [None, b"block10", b"block20", None, b"block5"]

    def test_tables(self, store: OnlineStore) -> None:
        """They are kept byte by byte, replaced and dropped."""
        content = bytes(range(256)) * 1000
        store.apply(Change(state=_ONE, put={"a/b": content, "c": b""}), expected=None)
        assert store.tables(["c", "none", "a/b"]) == [b"", None, content]
        store.apply(Change(state=_TWO, put={"c": b"new"}, drop=["a/b", "none"]), expected="one")
        assert store.tables(["a/b", "c"]) == [None, b"new"]

    def test_clearing_comes_first(self, store: OnlineStore) -> None:
        """Nothing of before is left, and everything of the change is there."""
        store.apply(
            Change(state=_ONE, runs=[_run("0|a", 0), _run("0|b", 0)], put={"a": b"1", "b": b"1"}), expected=None
        )
        change = Change(state=_TWO, clear=True, runs=[_run("0|b", 5, since=5)], put={"b": b"2"})
        assert store.apply(change, expected="one")
        assert store.places() == ["0|b"]
        assert list(store.find([("0|a", 9), ("0|b", 3), ("0|b", 9)]).blocks) == [None, None, b"block5"]
        assert store.tables(["a", "b"]) == [None, b"2"]

    def test_a_change_of_another_version_is_not_made(self, store: OnlineStore) -> None:
        """Who was overtaken writes nothing."""
        assert not store.apply(Change(state=_ONE, put={"a": b"1"}), expected="one")
        assert store.state() is None
        assert store.apply(Change(state=_ONE, put={"a": b"1"}), expected=None)
        for expected in (None, "two"):
            assert not store.apply(Change(state=_TWO, put={"a": b"2"}, clear=True), expected=expected)
        assert store.state() == _ONE
        assert store.tables(["a"]) == [b"1"]

    def test_others_see_what_was_written(self, store: OnlineStore, again: Callable[[], OnlineStore]) -> None:
        """Also who had the store open before."""
        other = again()
        assert other.state() is None
        store.apply(Change(state=_ONE, runs=[_run("0|", 0)]), expected=None)
        assert other.state() == _ONE
        assert list(other.find([("0|", 3)]).blocks) == [b"block0"]
        store.apply(Change(state=_TWO, runs=[_run("0|", 1)]), expected="one")
        found = other.find([("0|", 3)])
        assert (found.version, list(found.blocks)) == ("two", [b"block1"])
        other.close()

    def test_readers_see_one_version(self, store: OnlineStore, again: Callable[[], OnlineStore]) -> None:
        """While one writes, others find blocks of one version, and of the version that they are told."""
        places = [f"0|{number}" for number in range(40)]

        def write(number: int) -> Change:
            content = f"{number}:".encode()
            runs = [_run(place, 0, content=content) for place in places]
            return Change(state=StoredText(version=str(number), text="{}"), runs=runs)

        assert store.apply(write(0), expected=None)
        done = threading.Event()
        seen: list[tuple[str | None, set[bytes | None]]] = []

        def read() -> None:
            reader = again()
            while True:
                last = done.is_set()
                found = reader.find([(place, 1) for place in places])
                seen.append((found.version, set(found.blocks)))
                if last:
                    break
            reader.close()

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(1, 31):
            assert store.apply(write(number), expected=str(number - 1))
        done.set()
        for thread in threads:
            thread.join()
        assert len(seen) >= 2
        for version, blocks in seen:
            assert blocks == {f"{version}:0".encode()}

    def test_one_of_two_writers_wins(self, store: OnlineStore, again: Callable[[], OnlineStore]) -> None:
        """Each change is made from the version that it was worked out from: no update is lost."""
        store.apply(Change(state=StoredText(version="0", text="0")), expected=None)

        def add() -> None:
            writer = again()
            for _ in range(20):
                while True:
                    state = writer.state()
                    assert state is not None
                    count = str(int(state.text) + 1)
                    if writer.apply(Change(state=StoredText(version=count, text=count)), expected=state.version):
                        break
            writer.close()

        threads = [threading.Thread(target=add) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        state = store.state()
        assert state is not None
        assert state.text == "60"

    def test_a_store_that_cannot_be_reached(self, unreachable: OnlineStore) -> None:
        """Each call says where, what to do, and no password."""
        for call in (
            unreachable.state,
            unreachable.places,
            lambda: unreachable.find([("0|", 1)]),
            lambda: unreachable.tables(["a"]),
            lambda: unreachable.apply(Change(state=_ONE), expected=None),
        ):
            with pytest.raises(IntegrationError) as caught:
                call()
            assert unreachable.address in caught.value.what
            assert "secret" not in str(caught.value)
            assert caught.value.fix
