"""The online feature store: from its address to look-ups."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from gitrain.data.incoming import BatchFile
from gitrain.errors import SettingsError
from gitrain.features.definitions import FeatureSet
from gitrain.integrations.batch_file import read_batch_file
from gitrain.integrations.row_files import read_json_lines
from gitrain.integrations.sqlite_features import SqliteStore
from gitrain.online.store import OnlineStore
from gitrain.online.stored_lookup import StoredLookup
from gitrain.online.tracks import read_histories
from gitrain.pipeline.layout import ONLINE_STORE
from gitrain.settings import load_settings

__all__ = ["open_lookup", "open_online_store", "read_pushed_file", "store_version"]

_SQLITE = "sqlite:///"


def open_online_store(url: str | None, root: Path, *, mirrored: bool = False) -> OnlineStore:
    """The online store at an address. Nothing is opened before it is used.

    Args:
        url: ``sqlite:///PATH`` (relative to `root`, or absolute with a fourth slash), or ``redis://HOST:PORT/DB``
            (``rediss://`` with TLS); None for what the environment variable GITRAIN_ONLINE_STORE says, and without it
            the file in the repository (`layout.ONLINE_STORE`).
        root: of the repository, or of a bundle.
        mirrored: keep what is looked up in memory, where the store lies in a file; for a process that goes on.

    Raises:
        SettingsError: an address of another kind.
    """
    url = url or os.environ.get("GITRAIN_ONLINE_STORE")
    if not url:
        return SqliteStore(root / ONLINE_STORE, mirrored=mirrored)
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return SqliteStore(root / url.removeprefix(_SQLITE), mirrored=mirrored)
    if urlsplit(url).scheme in ("redis", "rediss"):
        # Only who names a Redis server needs its client.
        from gitrain.integrations.redis import RedisStore

        return RedisStore(url, project=load_settings(root).repository.project)
    raise SettingsError(
        f"{url.partition('@')[2] or url!r} is no address of an online store",
        fix="write sqlite:///features.sqlite, sqlite:////absolute/features.sqlite or redis://127.0.0.1:6379/0.",
    )


def open_lookup(features: FeatureSet, url: str | None, root: Path) -> StoredLookup:
    """Look-ups of these features in the online store at an address, as in `open_online_store`.

    A project whose features read no history needs no store: its address is not looked at.
    """
    return StoredLookup(features, open_online_store(url, root, mirrored=True) if read_histories(features) else None)


def read_pushed_file(path: Path) -> BatchFile:
    """A `BatchReader` for parquet and CSV files by their names, and for JSON lines by any other name.

    Raises:
        UsageError: there is no such file.
        DataError: it cannot be read; the message says why.
    """
    return read_batch_file(path) if path.suffix.lower() in (".parquet", ".csv") else read_json_lines(path)


def store_version(url: str | None, root: Path) -> str | None:
    """What tells one content of a store from another; None for an empty one.

    Raises:
        SettingsError: as `open_online_store`.
        IntegrationError: the store cannot be reached.
    """
    store = open_online_store(url, root)
    try:
        stored = store.state()
    finally:
        store.close()
    return None if stored is None else stored.version
