"""Releases: which stores there are, and a release as a folder."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gitrain.integrations.local_objects import LocalObjects
from gitrain.integrations.release_store import ObjectReleaseStore
from gitrain.operations.fetch_release import FetchedRelease, fetch_release
from gitrain.operations.find_release import LATEST
from gitrain.pipeline.layout import RELEASES
from gitrain.release.signature import Signer, TrustedKey
from gitrain.release.store import ReleaseStore
from gitrain.settings import Settings, load_settings

__all__ = [
    "fetch",
    "open_local_releases",
    "open_release",
    "open_release_keys",
    "open_release_store",
    "open_release_stores",
    "open_signer",
    "scratch",
]

_UNPACKED = ".gitrain/unpacked"


def open_local_releases(settings: Settings) -> ReleaseStore:
    """The store of this machine: where `gitrain release build` puts what it has built."""
    return _store(settings.root, RELEASES)


def open_release_store(settings: Settings, url: str | None = None) -> ReleaseStore:
    """The store that a URL or a path names; by default the one of the settings, where releases are published.

    Raises:
        UsageError: fsspec knows no such kind of URL.
        IntegrationError: the library for it is not installed.
    """
    return _store(settings.root, url or settings.repository.release_store)


def open_release_stores(settings: Settings, url: str | None = None) -> list[ReleaseStore]:
    """Where a release is looked for: in the store that is named, else on this machine and then where it is published.

    One that is both is there once. Errors as in `open_release_store`.
    """
    if url is not None:
        return [open_release_store(settings, url)]
    stores = [open_local_releases(settings), open_release_store(settings)]
    return stores if stores[0].url != stores[1].url else stores[:1]


def open_release(directory: str, version: str = LATEST, store: str | None = None) -> Path:
    """The bundle of a release as a folder, whole and verified: `fetch` without the record."""
    return fetch(directory, version, store).folder


def fetch(directory: str, version: str = LATEST, store: str | None = None) -> FetchedRelease:
    """A release of the repository that `directory` lies in, with its bundle as a folder below ``.gitrain/unpacked``.

    Args:
        directory: a folder of the repository.
        version: with or without a leading v, or ``latest``.
        store: a URL or path; by default the store of this machine, then the one of the settings.

    Raises:
        SettingsError, UsageError: no repository, no version, no such kind of store.
        ReleaseError: no store has it, or it was changed.
        IntegrationError: a store cannot be reached.
    """
    settings = load_settings(Path(directory))
    return fetch_release(open_release_stores(settings, store), settings.root / _UNPACKED, version)


def open_release_keys(settings: Settings) -> list[TrustedKey]:
    """The public keys whose signatures count.

    Raises:
        UsageError: a file that `release_keys` names is missing, or holds no Ed25519 key.
    """
    if not settings.repository.release_keys:
        return []
    # cryptography is an extra: who has no keys needs none of it.
    from gitrain.integrations.signatures import read_trusted_key

    return [read_trusted_key(settings.root / name, name) for name in settings.repository.release_keys]


def open_signer() -> Signer | None:
    """The private key that GITRAIN_SIGNING_KEY names, a file; None if the variable is not set.

    Raises:
        UsageError: the file is missing, holds no Ed25519 key, or GITRAIN_SIGNING_KEY_PASSPHRASE is wrong.
    """
    path = os.environ.get("GITRAIN_SIGNING_KEY")
    if not path:
        return None
    from gitrain.integrations.signatures import read_signer

    return read_signer(Path(path), os.environ.get("GITRAIN_SIGNING_KEY_PASSPHRASE") or None)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder that goes on leaving."""
    with tempfile.TemporaryDirectory(prefix="gitrain-release-") as folder:
        yield Path(folder)


def _store(root: Path, place: str) -> ObjectReleaseStore:
    parts = urlsplit(place)
    if "://" not in place or parts.scheme in {"file", "local"}:
        path = unquote(parts.path) if "://" in place else place
        return ObjectReleaseStore(LocalObjects((root / path).absolute()))
    # fsspec takes a tenth of a second to import, and folders need none of it.
    from gitrain.integrations.fsspec import open_objects

    return ObjectReleaseStore(open_objects(place))
