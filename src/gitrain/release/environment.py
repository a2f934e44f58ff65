"""Whether this environment is the one that a release was built for, as far as its predictions go."""

from collections.abc import Callable, Iterable, Sequence

from gitrain.errors import UsageError
from gitrain.release.record import ReleaseRecord
from gitrain.release.requirements import LockedRequirement, normalised

__all__ = ["refuse_differences"]


def refuse_differences(
    record: ReleaseRecord,
    requirements: Iterable[LockedRequirement],
    *,
    names: Sequence[str],
    python: str,
    installed: Callable[[str], str | None],
) -> None:
    """Refuse an environment in which the release could predict otherwise than it was judged to.

    Args:
        record: of the release.
        requirements: of the bundle.
        names: the packages that matter; those that the bundle does not need are passed over.
        python: the minor version of Python that runs, e.g. ``3.12``.
        installed: gives a package's version here; None where it is not installed.

    Raises:
        UsageError: naming the first difference.
    """
    version = record.identity.version
    fix = f"run it with an environment made from the release's own requirements, or in its image (v{version})."
    if python != record.python:
        raise UsageError(f"release {version} was built for Python {record.python}, and this is {python}", fix=fix)
    locked: dict[str, set[str]] = {}
    for each in requirements:
        locked.setdefault(each.name, set()).add(each.version)
    for name in map(normalised, names):
        found = installed(name)
        if name in locked and found not in locked[name]:
            wanted = " or ".join(sorted(locked[name]))
            here = f"{name} {found} is installed" if found is not None else f"{name} is not installed"
            raise UsageError(f"release {version} was built with {name} {wanted}, and {here}", fix=fix)
