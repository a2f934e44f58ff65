"""The online store in Redis: read by one script a look-up, written in one transaction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis

from gitrain.errors import IntegrationError, SettingsError
from gitrain.online.store import Change, Found, Point, StoredText

__all__ = ["RedisStore"]

# A look-up is waited for by a caller; a materialisation of months may take its time.
_READ_SECONDS = 2.0
_WRITE_SECONDS = 60.0
# Redis runs a script from beginning to end without anybody else in between, so all it reads is of one version.
_FIND = """
local found = {redis.call('HGET', KEYS[1], 'version')}
local prefix = ARGV[1]
for number = 2, #ARGV, 2 do
  local newest = redis.call('ZREVRANGEBYLEX', prefix .. ARGV[number], '(' .. ARGV[number + 1], '-', 'LIMIT', 0, 1)
  found[#found + 1] = newest[1] or false
end
return found
"""
# Points a call of the script: Lua's tables and Redis' patience are not endless.
_POINTS_AT_ONCE = 2000
_MOMENT_BYTES = 8
_SIGN = 2**63


class RedisStore:
    """An `OnlineStore` in a Redis database.

    All keys begin with ``gitrain:{PROJECT}:``; other keys are left alone. Of each place there is a sorted set whose
    members are the blocks behind the moments that they begin at, in an order of bytes that is the order of time.

    Args:
        url: ``redis://HOST:PORT/DATABASE``, with ``USER:PASSWORD@`` before the host where needed.
        project: which project's keys.

    Raises:
        SettingsError: an address that cannot be understood.
    """

    def __init__(self, url: str, *, project: str) -> None:
        self._address = _without_password(url)
        # The braces keep all keys in one slot of a cluster.
        self._prefix = f"gitrain:{{{project}}}:"
        try:
            self._reader = _client(url, _READ_SECONDS)
            self._writer = _client(url, _WRITE_SECONDS)
        except ValueError as error:
            raise SettingsError(
                f"{self._address} is no address of a Redis server: {error}",
                fix="write redis://HOST:PORT/DATABASE, for example redis://127.0.0.1:6379/0.",
            ) from error
        self._find = self._reader.register_script(_FIND)

    @property
    def address(self) -> str:
        """Where it is, without a password."""
        return self._address

    def state(self) -> StoredText | None:
        """The newest state; None before anything was written."""
        with self._reporting():
            version, text = self._reader.hmget(self._key("state"), ["version", "text"])
        return None if version is None else StoredText(version=version.decode(), text=text.decode())

    def find(self, points: Sequence[Point]) -> Found:
        """The blocks that hold at these points; all from one version, or it is asked again."""
        if not points:
            stored = self.state()
            return Found(version=None if stored is None else stored.version, blocks=[])
        while True:
            parts = [self._part(points[at : at + _POINTS_AT_ONCE]) for at in range(0, len(points), _POINTS_AT_ONCE)]
            if len({part.version for part in parts}) == 1:
                return Found(version=parts[0].version, blocks=[block for part in parts for block in part.blocks])

    def tables(self, names: Sequence[str]) -> list[bytes | None]:
        """Tables by name; None for what is not there."""
        if not names:
            return []
        with self._reporting():
            found: list[bytes | None] = self._reader.hmget(self._key("tables"), list(names))
        return found

    def places(self) -> list[str]:
        """All places that have blocks."""
        with self._reporting():
            return sorted(place.decode() for place in self._reader.smembers(self._key("places")))

    def apply(self, change: Change, *, expected: str | None) -> bool:
        """Make a change in one transaction: Redis runs it once it has all of it."""
        with self._reporting(), self._writer.pipeline(transaction=True) as pipeline:
            try:
                pipeline.watch(self._key("state"))
                version = pipeline.hget(self._key("state"), "version")
                if (None if version is None else version.decode()) != expected:
                    return False
                kept = set() if not change.clear else pipeline.smembers(self._key("places"))
                pipeline.multi()
                if change.clear:
                    pipeline.unlink(self._key("places"), self._key("tables"), *(self._block(name) for name in kept))
                self._queue(pipeline, change)
                pipeline.execute()
            except redis.WatchError:
                return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._writer.close()

    def _queue(self, pipeline: Any, change: Change) -> None:
        for place, moment in change.forget.items():
            pipeline.zremrangebylex(self._block(place), b"-", b"(" + _moment(moment))
        for run in change.runs:
            key = self._block(run.place)
            pipeline.zremrangebylex(key, b"[" + _moment(run.since), b"+")
            if run.blocks:
                pipeline.zadd(key, {_moment(first) + block: 0 for first, block in run.blocks})
        places = [run.place for run in change.runs if run.blocks]
        if places:
            pipeline.sadd(self._key("places"), *places)
        if change.drop:
            pipeline.hdel(self._key("tables"), *change.drop)
        if change.put:
            pipeline.hset(self._key("tables"), mapping=dict(change.put))
        state = {"version": change.state.version, "text": change.state.text}
        pipeline.hset(self._key("state"), mapping=state)

    def _part(self, points: Sequence[Point]) -> Found:
        arguments: list[str | bytes] = [self._key("block:")]
        for place, moment in points:
            # The first member beyond the moment is left out.
            arguments += (place, _moment(moment + 1))
        with self._reporting():
            version, *members = self._find(keys=[self._key("state")], args=arguments)
        blocks = [None if member is None else member[_MOMENT_BYTES:] for member in members]
        return Found(version=None if version is None else version.decode(), blocks=blocks)

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _block(self, place: str | bytes) -> bytes:
        return self._key("block:").encode() + (place if isinstance(place, bytes) else place.encode())

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise IntegrationError(
                f"the online store {self._address} cannot be used: {_told(error)}",
                fix="start the Redis server, or correct the address, user or password.",
            ) from error


def _client(url: str, seconds: float) -> Any:
    return redis.Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=_READ_SECONDS)


def _moment(moment: int) -> bytes:
    """Eight bytes that are in the order of the moments."""
    return min(max(moment + _SIGN, 0), 2 * _SIGN - 1).to_bytes(_MOMENT_BYTES, "big")


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "redis://"
    return f"{parts.scheme}://{host}{parts.path}"
