"""A writer that is killed at any point has written everything or nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gitrain.online.worlds import FEATURES, World, asked, asked_frame, assert_same, many_events
from tests.gitrain.redis_server import redis_server

from gitrain.integrations.redis import RedisStore
from gitrain.integrations.sqlite_features import SqliteStore
from gitrain.online.store import OnlineStore

_ROOT = Path(__file__).parents[3]
_ASKED = asked_frame([asked(day, hour, team=team) for day in (2, 3, 4, 5) for hour in (1, 12) for team in "ab"])


def _materialize(url: str, root: Path, day: int, step: int) -> int:
    """Materialise through a day in a process that kills itself; its exit code."""
    command = [sys.executable, "-m", "tests.gitrain.online.killed", url, str(root), str(day), str(step)]
    done = subprocess.run(command, cwd=_ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def _check_killed(url: str, open_store: Callable[[], OnlineStore], root: Path, steps: list[int]) -> None:
    place = World(root, FEATURES, open_store())
    for day in range(place.days):
        place.write(day, many_events(day, 300))
    place.materialize(since=None, through=2)
    former = place.expected(_ASKED), place.store.state()
    assert_same(place.lookup().look_up(_ASKED), *former[0])
    ended = 0
    for step in steps:
        ended += _materialize(url, root, 4, step) == 0
        # As a process that starts afterwards finds it.
        store = open_store()
        found = World(root, FEATURES, store, writes=False).lookup().look_up(_ASKED)
        if not ended:
            assert store.state() == former[1]
            assert_same(found, *former[0])
        store.close()
    assert ended == 1, "the last step is one that is never reached, and no other is"
    place.materialize(since=None, through=4)
    assert place.store.state() != former[1]
    assert_same(place.lookup().look_up(_ASKED), *place.expected(_ASKED))
    place.store.close()


@pytest.mark.slow
def test_sqlite_is_never_half_written(tmp_path):
    path = tmp_path / "online.sqlite"
    _check_killed(str(path), lambda: SqliteStore(path), tmp_path, [1, 400, 800, 10**9])


@pytest.mark.slow
def test_redis_is_never_half_written(tmp_path):
    with redis_server(tmp_path) as url:
        _check_killed(url, lambda: RedisStore(url, project="killed"), tmp_path, [2_000, 20_000, 10**9])
