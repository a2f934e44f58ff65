"""The suite of online stores on the fake, on SQLite and on Redis; it finds a fake that is spoilt."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import redis
from tests.gitrain.redis_server import redis_server

from gitrain.integrations.free_ports import free_port
from gitrain.integrations.redis import RedisStore
from gitrain.integrations.sqlite_features import SqliteStore
from gitrain.online.store import Change, Found, Point
from gitrain.testing.online_conformance import OnlineStoreSuite
from gitrain.testing.online_fakes import MemoryOnlineStore


class TestMemoryOnlineStore(OnlineStoreSuite):
    @pytest.fixture
    def store(self):
        return MemoryOnlineStore()

    @pytest.fixture
    def again(self, store):
        return lambda: store

    @pytest.fixture
    def unreachable(self):
        pytest.skip("memory can always be reached")


class TestSqliteStore(OnlineStoreSuite):
    @pytest.fixture
    def store(self, tmp_path):
        store = SqliteStore(tmp_path / "folder" / "online.sqlite")
        yield store
        store.close()

    @pytest.fixture
    def again(self, tmp_path):
        return lambda: SqliteStore(tmp_path / "folder" / "online.sqlite")

    @pytest.fixture
    def unreachable(self, tmp_path):
        (tmp_path / "folder.sqlite").mkdir()
        return SqliteStore(tmp_path / "folder.sqlite")


class TestMirroredSqliteStore(TestSqliteStore):
    @pytest.fixture
    def store(self, tmp_path):
        store = SqliteStore(tmp_path / "folder" / "online.sqlite", mirrored=True)
        yield store
        store.close()

    @pytest.fixture
    def again(self, tmp_path):
        return lambda: SqliteStore(tmp_path / "folder" / "online.sqlite", mirrored=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


class TestRedisStore(OnlineStoreSuite):
    @pytest.fixture
    def store(self, server):
        client = redis.Redis.from_url(server)
        client.flushdb()
        # What is not ours.
        client.set("other", b"1")
        store = RedisStore(server, project="conformance")
        other = RedisStore(server, project="another")
        yield store
        assert client.get("other") == b"1"
        assert other.state() is None
        for each in (client, store, other):
            each.close()

    @pytest.fixture
    def again(self, server):
        return lambda: RedisStore(server, project="conformance")

    @pytest.fixture
    def unreachable(self):
        store = RedisStore(f"redis://user:secret@127.0.0.1:{free_port()}/0", project="conformance")
        yield store
        store.close()


def failed_tests(store: object) -> set[str]:
    """The tests of the suite that a store does not pass."""
    suite, found = OnlineStoreSuite(), set()
    for name in vars(OnlineStoreSuite):
        if name.startswith("test_") and name not in {"test_a_store_that_cannot_be_reached"}:
            own = store()
            arguments = {"store": own, "again": lambda own=own: own}
            test = getattr(suite, name)
            wanted = test.__code__.co_varnames[1 : test.__code__.co_argcount]
            try:
                test(**{argument: arguments[argument] for argument in wanted})
            except AssertionError:
                found.add(name)
    return found


class Forgetful(MemoryOnlineStore):
    """Takes every change, whoever was faster."""

    def apply(self, change: Change, *, expected: str | None) -> bool:
        del expected
        return super().apply(change, expected=None if self._state is None else self._state.version)


class Rounding(MemoryOnlineStore):
    """Keeps moments as floats."""

    def find(self, points: Sequence[Point]) -> Found:
        return super().find([(place, int(float(moment))) for place, moment in points])


class Lumping(MemoryOnlineStore):
    """Takes one place for another that begins like it."""

    def find(self, points: Sequence[Point]) -> Found:
        return super().find([(place[:3], moment) for place, moment in points])


class Hoarding(MemoryOnlineStore):
    """Never lets go."""

    def apply(self, change: Change, *, expected: str | None) -> bool:
        return super().apply(replace(change, forget={}, clear=False), expected=expected)


class Exclusive(MemoryOnlineStore):
    """A block does not hold at the moment that it begins at."""

    def find(self, points: Sequence[Point]) -> Found:
        return super().find([(place, moment - 1) for place, moment in points])


@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        (Forgetful, {"test_a_change_of_another_version_is_not_made"}),
        (Rounding, {"test_moments_are_exact"}),
        (Lumping, {"test_the_last_block_that_begins_at_a_moment_or_before", "test_many_points_at_once"}),
        (Hoarding, {"test_clearing_comes_first", "test_what_is_forgotten"}),
        (Exclusive, {"test_the_last_block_that_begins_at_a_moment_or_before", "test_moments_are_exact"}),
    ],
)
def test_the_suite_finds_a_spoilt_fake(spoilt: Callable[[], object], expected: set[str]):
    assert expected <= failed_tests(spoilt)


def test_the_fake_is_not_spoilt():
    assert failed_tests(MemoryOnlineStore) == set()
