"""What goes into a bundle: which files of a commit, and what the builder is told and tells."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Protocol

from gitrain.errors import SettingsError
from gitrain.release.bentofile import BENTOFILE, Bentofile

__all__ = ["BuiltBundle", "BundleBuilder", "BundlePlan", "packed_files", "packed_packages"]

_SOURCES = "src/"


@dataclass(frozen=True, kw_only=True)
class BundlePlan:
    """What a bundle is built from.

    Attributes:
        context: a folder that holds what the bundle's `src/` will hold, and nothing else.
        bentofile: the project's bentofile.yaml.
        version: of the release.
        labels: what the bundle is labelled with.
        requirements: the text of the bundle's own requirements, each with its hashes.
        installer: the text of the requirements that install those in an image; empty where none is locked.
        base_image: what an image is built on.
        python: the minor version of Python, e.g. ``3.12``.
        at: the time that all files get: that of the commit.
    """

    context: Path
    bentofile: Bentofile
    version: str
    labels: Mapping[str, str]
    requirements: str
    installer: str
    base_image: str
    python: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class BuiltBundle:
    """A bundle that was built.

    Attributes:
        folder: holds it.
        modules: what was imported to import the service: each module's name to its file.
    """

    folder: Path
    modules: Mapping[str, Path]


class BundleBuilder(Protocol):
    """Builds bundles. Equal plans give equal bundles, wherever and whenever they are built."""

    def build(self, plan: BundlePlan, folder: Path) -> BuiltBundle:
        """Build a bundle in an empty folder.

        Raises:
            ReleaseError: the service cannot be imported from what is packed, or the bundle is not what was planned.
            IntegrationError: the builder is not installed, or failed.
        """


def packed_packages(files: Iterable[str]) -> frozenset[str]:
    """The top-level modules below `src/`, and those in the root: names without ``.py``."""
    found = set()
    for path in files:
        parts = PurePosixPath(path.removeprefix(_SOURCES)).parts
        if len(parts) == 1 and parts[0].endswith(".py"):
            found.add(parts[0].removesuffix(".py"))
        elif len(parts) > 1 and parts[1] == "__init__.py":
            found.add(parts[0])
    return frozenset(found)


def packed_files(files: Sequence[str], bentofile: Bentofile, *, modules: Iterable[str]) -> dict[str, str]:
    """Where the sources of a commit go in a bundle: its path to that in the bundle's `src/`.

    All of `src/` is packed, flat. A module that is needed and does not lie there is taken from the root; so is what the
    bentofile includes. What it excludes is left out.

    Args:
        files: the paths of the commit.
        bentofile: the project's.
        modules: the top-level modules of the project and of the service.

    Raises:
        SettingsError: a module is not in the commit, or two files would have one place.
    """
    placed = {path: path.removeprefix(_SOURCES) for path in files if path.startswith(_SOURCES)}
    for module in modules:
        if module in packed_packages(placed):
            continue
        own = [path for path in files if path == f"{module}.py" or path.startswith(f"{module}/")]
        if not own:
            raise SettingsError(
                f"the commit has no module {module!r}, neither below src/ nor in the root",
                fix=f"add it to Git, or correct the service in {BENTOFILE} and the project in pyproject.toml.",
            )
        placed |= {path: path for path in own}
    for path in files:
        if path not in placed and _matches(path, bentofile.include):
            placed[path] = path
    placed = {path: target for path, target in placed.items() if not _matches(path, bentofile.exclude)}
    taken: dict[str, str] = {}
    for path, target in placed.items():
        if target in taken:
            raise SettingsError(
                f"{taken[target]} and {path} would both be {target} in the bundle",
                fix=f"exclude one of them in {BENTOFILE}.",
            )
        taken[target] = path
    return placed


def _matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path, or a folder that it lies in, matches a pattern of a shell; ``*`` matches slashes, too."""
    folders = [str(parent) for parent in PurePosixPath(path).parents][:-1]
    return any(fnmatch.fnmatchcase(each, pattern.rstrip("/")) for pattern in patterns for each in (path, *folders))
