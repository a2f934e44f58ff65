"""Packages that are installed, by their own metadata, and requirements as Python's packaging standards define them."""

import functools
import importlib.metadata
import itertools
import sys
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement

from gitrain.errors import SettingsError
from gitrain.release.requirements import Need, normalised

__all__ = ["InstalledPackages"]

# Where a release might be installed: CPython, as requirements.lock is resolved for.
_SYSTEMS = (("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"), ("win32", "Windows", "nt"))
# The first and the last of each: some markers draw their line between patches.
_PYTHONS = tuple((minor, f"{minor}.{patch}") for minor in ("3.11", "3.12", "3.13") for patch in (0, 99))
_MACHINES = ("x86_64", "aarch64", "arm64", "AMD64")


@dataclass(frozen=True)
class InstalledPackages:
    """An `Installed` by the metadata of this interpreter's packages.

    Attributes:
        declared: what packages need whose metadata may be older than their source, e.g. one that is installed from this
            very tree: normalised name to its requirements, each with its marker.
    """

    declared: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def version(self, name: str) -> str | None:
        """The version of a package; None if it is not installed."""
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    def needs(self, name: str, extras: Collection[str]) -> Sequence[Need]:
        """What an installed package needs with these extras, on any system; empty if it is not installed."""
        found = []
        for text in self._requires(name):
            requirement = Requirement(text)
            anywhere, here = _holds(requirement.marker, frozenset(extras))
            if anywhere:
                found.append(_need(requirement, here=here))
        return found

    def read(self, requirement: str) -> Need:
        """What a requirement asks for.

        Raises:
            SettingsError: it is none.
        """
        try:
            parsed = Requirement(requirement)
        except InvalidRequirement as error:
            raise SettingsError(
                f"{requirement!r} is no requirement: {' '.join(str(error).split())}",
                fix="write it as in pyproject.toml, e.g. 'redis>=6'.",
            ) from error
        return _need(parsed, here=_holds(parsed.marker, frozenset())[1])

    def applies(self, marker: str) -> bool:
        """Whether a marker holds on this machine.

        Raises:
            SettingsError: it is none.
        """
        try:
            return Marker(marker).evaluate({"extra": ""})
        except InvalidMarker as error:
            raise SettingsError(f"{marker!r} is no marker", fix="resolve requirements.lock again.") from error

    def providers(self, module: str) -> Collection[str]:
        """The normalised names of the packages that a top-level module comes from; empty for the standard library."""
        if module in sys.stdlib_module_names:
            return ()
        found = {normalised(name) for name in _modules().get(module, ())}
        # What is installed from a tree lists none of its modules.
        return found or ({normalised(module)} if self.version(module) is not None else set())

    def from_source(self, name: str, pyproject: str, *, without: Collection[str]) -> "InstalledPackages":
        """The same packages, of which one comes from source: what it needs stands in the pyproject.toml there."""
        table = tomllib.loads(pyproject).get("project", {})
        if normalised(str(table.get("name", ""))) == name:
            needed = [*table.get("dependencies", ())]
            for extra, requirements in table.get("optional-dependencies", {}).items():
                needed += [_with_extra(each, extra) for each in requirements]
        else:
            needed = list(self._requires(name))
        kept = tuple(each for each in needed if self.read(each).name not in without)
        return InstalledPackages(declared=(*(each for each in self.declared if each[0] != name), (name, kept)))

    def _requires(self, name: str) -> Sequence[str]:
        for declared, requirements in self.declared:
            if declared == name:
                return requirements
        try:
            return importlib.metadata.requires(name) or ()
        except importlib.metadata.PackageNotFoundError:
            return ()


def _with_extra(requirement: str, extra: str) -> str:
    """The requirement of an extra as metadata has it."""
    found, _, marker = requirement.partition(";")
    own = f"({marker.strip()}) and " if marker.strip() else ""
    return f"{found.strip()}; {own}extra == '{extra}'"


def _need(requirement: Requirement, *, here: bool) -> Need:
    return Need(name=normalised(requirement.name), extras=frozenset(map(normalised, requirement.extras)), here=here)


@functools.cache
def _modules() -> dict[str, list[str]]:
    # Every file of every package is read for it: a quarter of a second.
    return dict(importlib.metadata.packages_distributions())


def _holds(marker: Marker | None, extras: frozenset[str]) -> tuple[bool, bool]:
    """Whether a marker holds anywhere that a release might be installed, and whether it does here."""
    if marker is None:
        return True, True
    return _holds_text(str(marker), extras)


@functools.lru_cache(maxsize=4096)
def _holds_text(text: str, extras: frozenset[str]) -> tuple[bool, bool]:
    marker = Marker(text)
    # Extras are named as their author wrote them, and asked for as PyPI compares them.
    asked = ("", *(extras | {each.replace("-", "_") for each in extras}))
    here = any(marker.evaluate({"extra": extra}) for extra in asked)
    return here or any(
        marker.evaluate(environment | {"extra": extra}) for environment in _environments() for extra in asked
    ), here


@functools.cache
def _environments() -> tuple[dict[str, str], ...]:
    return tuple(
        {
            "sys_platform": system,
            "platform_system": platform,
            "os_name": os_name,
            "python_version": version,
            "python_full_version": full,
            "implementation_version": full,
            "platform_machine": machine,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        for (system, platform, os_name), (version, full), machine in itertools.product(_SYSTEMS, _PYTHONS, _MACHINES)
    )
