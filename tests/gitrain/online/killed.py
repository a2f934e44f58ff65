"""A process that materialises and kills itself on the way: ``python -m tests.gitrain.online.killed URL ROOT DAY STEP``.

With SQLite it dies at the STEP-th instruction of the database's machine within the change, with Redis after STEP bytes
were sent. A STEP that is never reached lets it end well.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from tests.gitrain.online.worlds import FEATURES, World

from gitrain.integrations import sqlite_features
from gitrain.integrations.redis import RedisStore
from gitrain.integrations.sqlite_features import SqliteStore
from gitrain.online.store import Change, OnlineStore


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_sqlite(step: int) -> None:
    """Die in the midst of what SQLite does."""
    connect, write = sqlite3.connect, sqlite_features._write
    steps = -(10**12)

    def count() -> int:
        nonlocal steps
        steps += 1
        if steps == step:
            die()
        return 0

    def counted(connection: sqlite3.Connection, change: Change) -> None:
        nonlocal steps
        steps = 0
        write(connection, change)

    class Module:
        def __getattr__(self, name: str) -> Any:
            return getattr(sqlite3, name)

        @staticmethod
        def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*arguments, **options)
            connection.set_progress_handler(count, 1)
            return connection

    sqlite_features._write = counted
    setattr(sqlite_features, "sqlite3", Module())  # noqa: B010  (mypy knows that it is no export)


def in_redis(step: int) -> None:
    """Die in the midst of what is sent to Redis."""
    send: Callable[..., None] = redis.connection.Connection.send_packed_command
    sent = 0

    def send_some(self: Any, command: Any, check_health: bool = True) -> None:
        nonlocal sent
        chunks = [command] if isinstance(command, bytes | str) else list(command)
        for chunk in chunks:
            content = chunk.encode() if isinstance(chunk, str) else bytes(chunk)
            if sent + len(content) > step:
                send(self, [content[: step - sent]], check_health=False)
                die()
            sent += len(content)
            send(self, [content], check_health=False)

    redis.connection.Connection.send_packed_command = send_some  # type: ignore[method-assign]


def main(url: str, root: str, day: str, step: str) -> None:
    store: OnlineStore
    if url.startswith("redis"):
        in_redis(int(step))
        store = RedisStore(url, project="killed")
    else:
        in_sqlite(int(step))
        store = SqliteStore(Path(url))
    World(Path(root), FEATURES, store, writes=False).materialize(through=int(day))


if __name__ == "__main__":
    main(*sys.argv[1:])
