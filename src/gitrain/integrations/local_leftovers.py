"""What deployments leave on this machine: bundles and environments of Python that no replica runs from any more.

Beside what is in use, the newest of each kind stay: going back to them is quick. Two things keep a pass that runs at
the same time from losing what it is about to start from: whatever it takes it marks as used just now, under the lock
under which is looked here, and what was used in the last hour stays.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from gitrain.lineage import digest_of_file

__all__ = ["KEPT", "UNPACKED", "VENVS", "discard_unused", "taking_bundle"]

#: Below the folder of the state: bundles, named by their digests.
UNPACKED = "unpacked"
#: Environments of Python, named by the version of Python and the digest of the requirements.
VENVS = "venvs"
#: So many of each kind stay, though nothing runs from them.
KEPT = 3

_REQUIREMENTS = "src/requirements.txt"
_COMPLETE = ".complete"
_LOCK = ".lock"
_DISCARDED = "discarded"
_GRACE_SECONDS = 3600.0
_BUNDLE = re.compile(r"[0-9a-f]{64}")
_VENV = re.compile(r"\d+\.\d+-([0-9a-f]{64})")


@contextlib.contextmanager
def taking_bundle(state: Path) -> Iterator[Path]:
    """The folder of bundles; while the context lasts, nobody discards one.

    Who takes a bundle marks it as used (`os.utime`) before the context is left.
    """
    folder = state / UNPACKED
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def discard_unused(state: Path, *, now: float, keep: int = KEPT) -> list[str]:
    """Remove bundles and environments of Python that nothing below `state` runs from.

    In use is what a replica of any environment was started from, running, standing by or dead, and what a deployment
    that is under way wants. If that cannot be found out, nothing is removed.

    Args:
        state: the folder in which all environments of this machine keep their state.
        now: seconds since 1970, as files have their times in.
        keep: so many of each kind stay, the ones used last.

    Returns:
        What was removed, relative to `state`, sorted.
    """
    removed: list[str] = []
    discarded = state / _DISCARDED
    with contextlib.suppress(OSError):
        if (state / UNPACKED).is_dir():
            with taking_bundle(state):
                used = _used(state)
                if used is None:
                    return []
                required = _required(state, used)
                bundles = [path for path in (state / UNPACKED).iterdir() if _BUNDLE.fullmatch(path.name)]
                ages = {path: now - path.stat().st_mtime for path in bundles if path.name not in used}
                removed += [_aside(path, discarded) for path in _old(ages, keep)]
            removed += _discard_venvs(state / VENVS, discarded, required, now, keep)
    # What a killed run set aside goes as well.
    for path in discarded.glob("*"):
        shutil.rmtree(path, ignore_errors=True)
    return sorted(removed)


def _discard_venvs(folder: Path, discarded: Path, required: set[str], now: float, keep: int) -> list[str]:
    ages = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        named = _VENV.fullmatch(path.name)
        if named is not None and named[1] not in required and path.is_dir():
            # One that is not complete is made at this moment, or its maker was killed.
            mark = path / _COMPLETE
            ages[path] = now - (mark if mark.exists() else path).stat().st_mtime
    removed = []
    for path in _old(ages, keep):
        with (folder / f"{path.name}.lock").open("w") as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mark = path / _COMPLETE
            if now - (mark if mark.exists() else path).stat().st_mtime > _GRACE_SECONDS:
                removed.append(_aside(path, discarded))
    return removed


def _old(ages: dict[Path, float], keep: int) -> list[Path]:
    """All but the ones used last, and those that somebody may be about to start from."""
    newest_first = sorted(ages, key=lambda path: (ages[path], path.name))
    return [path for path in newest_first[keep:] if ages[path] > _GRACE_SECONDS]


def _aside(path: Path, discarded: Path) -> str:
    """Take a folder out of the way in one step; removing it takes long, and nobody has to wait for that."""
    discarded.mkdir(exist_ok=True)
    os.rename(path, discarded / uuid.uuid4().hex)
    return f"{path.parent.name}/{path.name}"


def _used(state: Path) -> set[str] | None:
    """The digests of the bundles in use, without their prefix; None if a file cannot be read."""
    found: set[str] = set()
    environments = state / "environments"
    for path in [*environments.glob("*/replicas/*/replica.json"), *environments.glob("*/under-way.json")]:
        try:
            content = json.loads(path.read_bytes())
            releases = [content["release"], content.get("former")]
            found |= {str(each["digest"]).removeprefix("sha256:") for each in releases if each is not None}
        except FileNotFoundError:
            # Its pass has ended meanwhile.
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
    return found


def _required(state: Path, used: set[str]) -> set[str]:
    """The digests of the requirements that the bundles in use were installed from."""
    files = (state / UNPACKED / name / _REQUIREMENTS for name in used)
    return {digest_of_file(path).removeprefix("sha256:") for path in files if path.is_file()}
