"""How releases are written on a model's version in MLflow: the names of tags and aliases, both ways."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from gitrain.registry.releases import RegisteredRelease
from gitrain.release.versions import Version

__all__ = ["RELEASE", "alias_of", "releases_of", "tags_of_release"]

#: The newest release that serves the model, as Git tags spell it: ``v1.4.0``.
RELEASE = "gitrain.release"

_EACH = f"{RELEASE}."


def alias_of(version: str) -> str:
    """The alias that a release is found by, ``models:/NAME@v1-4-0``: MLflow allows no dots."""
    return f"v{version.replace('.', '-')}"


def tags_of_release(release: RegisteredRelease, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that say that a release serves a model, whose `tags` say which others do."""
    versions = [Version.parse(each.version) or Version(0, 0, 0) for each in (*releases_of(tags), release)]
    value = json.dumps(asdict(release), sort_keys=True)
    # The one for people comes last: the release is written once it is there.
    return {f"{_EACH}{release.version}": value, RELEASE: f"v{max(versions)}"}


def releases_of(tags: Mapping[str, str]) -> list[RegisteredRelease]:
    """The releases in the tags of a model's version, in their order; tags that others wrote are passed over."""
    found = []
    for name, value in tags.items():
        version = Version.parse(name.removeprefix(_EACH)) if name.startswith(_EACH) else None
        if version is None:
            continue
        try:
            found.append((version, RegisteredRelease(**json.loads(value))))
        except (ValueError, TypeError):
            continue
    return [release for _, release in sorted(found, key=lambda entry: entry[0])]
