"""The part of requirements.lock that a bundle installs: what its service needs, and what that needs in turn."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gitrain.errors import SettingsError
from gitrain.pipeline.layout import REQUIREMENTS

__all__ = [
    "Closure",
    "Installed",
    "LockedRequirement",
    "Need",
    "close_over",
    "normalised",
    "parse_requirements",
    "requirements_text",
]

_ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+))?$")
_HASH = re.compile(r"^sha256:[0-9a-f]{64}$")
_LOCK_AGAIN = "resolve it again, with hashes: `uv pip compile --generate-hashes --universal`, or `make lock` here."


def normalised(name: str) -> str:
    """A package's name as PyPI compares them (PEP 503): ``Ruamel.Yaml`` is ``ruamel-yaml``."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, kw_only=True)
class LockedRequirement:
    """One entry of requirements.lock.

    Attributes:
        name: normalised.
        version: the one version.
        marker: on which machines it is installed; None for all.
        hashes: of the files that may be installed, ``sha256:`` and 64 hexadecimal digits.
        text: the entry as it stands there, without a newline at the end.
    """

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]
    text: str


def parse_requirements(text: str, *, source: str = REQUIREMENTS) -> tuple[LockedRequirement, ...]:
    """The entries of a file in pip's format in which every version is pinned; a name may stand there more than once.

    Raises:
        SettingsError: an entry that is no ``name==version``, options other than hashes, or a hash that is no SHA-256.
    """
    entries = []
    for number, lines in _statements(text):
        joined = " ".join(line.rstrip("\\").strip() for line in lines)
        head, *options = re.split(r"\s+--", joined)
        match = _ENTRY.match(head.strip())
        if match is None:
            raise SettingsError(f"{source}, line {number}: {head[:80]!r} is no pinned version", fix=_LOCK_AGAIN)
        hashes = [option.removeprefix("hash=").strip() for option in options if option.startswith("hash=")]
        if len(hashes) != len(options) or not all(_HASH.match(each) for each in hashes):
            raise SettingsError(
                f"{source}, line {number}: {match['name']} has an option that is no SHA-256", fix=_LOCK_AGAIN
            )
        entries.append(
            LockedRequirement(
                name=normalised(match["name"]),
                version=match["version"],
                marker=match["marker"].strip() if match["marker"] else None,
                hashes=tuple(hashes),
                text="\n".join(lines),
            )
        )
    return tuple(entries)


def requirements_text(entries: Iterable[LockedRequirement], names: Collection[str]) -> str:
    """The entries with these names, as they stand in requirements.lock and in its order."""
    chosen = [entry.text for entry in entries if entry.name in names]
    return "\n".join(chosen) + "\n" if chosen else ""


@dataclass(frozen=True, kw_only=True)
class Need:
    """A package that something needs.

    Attributes:
        name: normalised.
        extras: of the package that are needed with it.
        here: whether it is needed on this machine; False where only other systems or versions of Python need it.
    """

    name: str
    extras: frozenset[str] = frozenset()
    here: bool = True


class Installed(Protocol):
    """The packages that are installed on this machine."""

    def version(self, name: str) -> str | None:
        """The version of a package; None if it is not installed."""

    def needs(self, name: str, extras: Collection[str]) -> Sequence[Need]:
        """What an installed package needs with these extras, on any system; empty if it is not installed."""

    def read(self, requirement: str) -> Need:
        """What a requirement such as ``bentoml>=1.4; sys_platform != 'win32'`` asks for.

        Raises:
            SettingsError: it is none.
        """

    def applies(self, marker: str) -> bool:
        """Whether a marker holds on this machine."""

    def providers(self, module: str) -> Collection[str]:
        """The normalised names of the packages that a top-level module comes from; empty for the standard library."""

    def from_source(self, name: str, pyproject: str, *, without: Collection[str]) -> "Installed":
        """The same packages, of which one comes from source: what it needs stands in the pyproject.toml there.

        Args:
            name: of that package, normalised. Where the pyproject.toml is another's, its metadata says what it needs.
            pyproject: the text of the file.
            without: names of packages that it shall not need.

        Raises:
            SettingsError: what it needs is written in a way that nobody can read.
        """


@dataclass(frozen=True, kw_only=True)
class Closure:
    """What is needed, directly or not.

    Attributes:
        names: of packages that are in requirements.lock, on whatever system they are needed.
        direct: those of them that the service, or a package whose source is in the bundle, needs itself.
        problems: sentences: needed here and not locked, locked without a hash, installed in another version.
    """

    names: frozenset[str]
    direct: frozenset[str]
    problems: tuple[str, ...]


def close_over(
    roots: Iterable[Need], entries: Sequence[LockedRequirement], installed: Installed, *, packed: Collection[str] = ()
) -> Closure:
    """Follow what is needed through the packages that are installed.

    Packages for other systems are kept where they are locked, so that the bundle can be installed there too. What they
    need is not known here, where they are not installed: such an entry is kept alone.

    Args:
        roots: what the service needs.
        entries: of requirements.lock.
        installed: says what packages need, and which versions were judged.
        packed: names of packages whose source is in the bundle itself: they need no entry.
    """
    locked = _by_name(entries)
    reached: dict[str, set[str]] = {}
    problems: dict[str, str] = {}
    direct: set[str] = set()
    left = [(need, "the service") for need in roots]
    while left:
        need, who = left.pop(0)
        if who == "the service" or who in packed:
            direct.add(need.name)
        if need.name not in locked and need.name not in packed:
            if need.here:
                problems.setdefault(need.name, f"{need.name} is not in {REQUIREMENTS}, and {who} needs it")
            continue
        known = reached.get(need.name)
        if known is not None and need.extras <= known:
            continue
        reached[need.name] = (known or set()) | need.extras
        left += [(each, need.name) for each in installed.needs(need.name, reached[need.name])]
    for name in sorted(set(reached) - set(packed)):
        problem = _against_installed(name, locked[name], installed)
        if problem is not None:
            problems[name] = problem
    names = frozenset(set(reached) - set(packed))
    return Closure(names=names, direct=names & direct, problems=tuple(problems[name] for name in sorted(problems)))


def _against_installed(name: str, entries: Sequence[LockedRequirement], installed: Installed) -> str | None:
    """What is wrong with the entries of one package, if anything is."""
    unhashed = [entry for entry in entries if not entry.hashes]
    if unhashed:
        return f"{name} {unhashed[0].version} is in {REQUIREMENTS} without a hash"
    wanted = [entry for entry in entries if entry.marker is None or installed.applies(entry.marker)]
    if not wanted:
        return None
    version = installed.version(name)
    if version is None:
        return f"{name} {wanted[0].version} is in {REQUIREMENTS} and is not installed here"
    if version != wanted[0].version:
        return f"{name} {version} is installed, and {REQUIREMENTS} has {wanted[0].version}"
    return None


def _by_name(entries: Iterable[LockedRequirement]) -> Mapping[str, list[LockedRequirement]]:
    found: dict[str, list[LockedRequirement]] = {}
    for entry in entries:
        found.setdefault(entry.name, []).append(entry)
    return found


def _statements(text: str) -> Iterable[tuple[int, list[str]]]:
    """Lines that belong together, with the number of the first; comments and empty lines are left out."""
    lines: list[str] = []
    start = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.rstrip()
        if not lines and (not line or line.lstrip().startswith("#")):
            continue
        if not lines:
            start = number
        lines.append(line)
        if not line.endswith("\\"):
            yield start, lines
            lines = []
    if lines:
        yield start, lines
