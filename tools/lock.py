"""Whether requirements.lock still answers pyproject.toml: found out without a network, in a tenth of a second.

Every requirement (dependencies, extras, dependency groups, the build backend) has a pin that satisfies it on each
supported Python and platform; every pin has a SHA-256; no line names an index.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

__all__ = ["problems_of"]

_PYTHONS = ("3.11", "3.12", "3.13")
_PLATFORMS = (("linux", "Linux"), ("darwin", "Darwin"))
_MEND = "run `make lock`"


@dataclass(frozen=True)
class _Pin:
    name: str
    version: Version
    marker: Marker | None
    hashes: int


def problems_of(pyproject: str, lock: str) -> list[str]:
    """What is wrong with the text of requirements.lock, given the text of pyproject.toml; empty if nothing is."""
    problems = [f"requirements.lock: {line!r} is an option or an address; {_MEND}" for line in _foreign_lines(lock)]
    pins: dict[str, list[_Pin]] = {}
    for pin in _pins(lock):
        pins.setdefault(pin.name, []).append(pin)
        if not pin.hashes:
            problems.append(f"requirements.lock: {pin.name} has no hash; {_MEND}")
    configuration = tomllib.loads(pyproject)
    own = canonicalize_name(configuration["project"]["name"])
    for origin, text in _requirements(configuration):
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) != own:
            problems += _problems_of_one(origin, requirement, pins.get(canonicalize_name(requirement.name), []))
    return problems


def _problems_of_one(origin: str, requirement: Requirement, pins: list[_Pin]) -> list[str]:
    for environment in _environments():
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        where = f"Python {environment['python_version']} on {environment['sys_platform']}"
        active = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
        if not active:
            return [f"requirements.lock: nothing pins {requirement.name} ({origin}) for {where}; {_MEND}"]
        for pin in active:
            if not requirement.specifier.contains(pin.version, prereleases=True):
                found = f"{pin.name}=={pin.version}"
                return [f"requirements.lock: {found} is not what {origin} asks for, {requirement}; {_MEND}"]
    return []


def _requirements(configuration: dict[str, Any]) -> Iterator[tuple[str, str]]:
    project = configuration["project"]
    for text in configuration["build-system"]["requires"]:
        yield "build-system.requires", text
    for text in project.get("dependencies", []):
        yield "project.dependencies", text
    for extra, texts in project.get("optional-dependencies", {}).items():
        for text in texts:
            yield f"the extra {extra!r}", text
    for group, entries in configuration.get("dependency-groups", {}).items():
        for entry in entries:
            if isinstance(entry, str):  # else it includes another group, which is in this list itself
                yield f"the group {group!r}", entry


def _pins(lock: str) -> Iterator[_Pin]:
    for line in re.sub(r"\\\n\s*", " ", lock).splitlines():
        if not line or line.startswith(("#", "-", " ")):
            continue
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        parsed = Requirement(requirement)
        exact = re.fullmatch(r"==([^*]+)", str(parsed.specifier))
        if exact is None:
            continue  # _foreign_lines reports it
        strong = [digest for digest in hashes if re.fullmatch(r"sha256:[0-9a-f]{64}", digest)]
        yield _Pin(canonicalize_name(parsed.name), Version(exact[1]), parsed.marker, len(strong))


def _foreign_lines(lock: str) -> Iterator[str]:
    for line in lock.splitlines():
        pinned = re.match(r"[A-Za-z0-9][\w.-]*(\[[\w,-]+\])?==", line)
        if line and not pinned and not line.startswith(("#", "    --hash=sha256:")):
            yield line


def _environments() -> Iterator[dict[str, str]]:
    for python in _PYTHONS:
        for sys_platform, system in _PLATFORMS:
            environment = {key: str(value) for key, value in default_environment().items()}
            environment |= {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
            yield environment | {"sys_platform": sys_platform, "platform_system": system, "os_name": "posix"}


def main() -> int:
    problems = problems_of(
        Path("pyproject.toml").read_text(encoding="utf-8"), Path("requirements.lock").read_text(encoding="utf-8")
    )
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
