"""`parametrize_with_checks`: the checks of a repository as tests, in the manner of scikit-learn's decorator."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gitrain.errors import UsageError
from gitrain.settings import load_settings

__all__ = ["MARKER", "CheckSession", "ProjectCheck", "parametrize_with_checks"]

#: The marker that the decorator puts on a test, and the plugin reads.
MARKER = "gitrain_checks"

_PASSED, _INCONCLUSIVE = "PASSED", "INCONCLUSIVE"
_LONGEST_MESSAGES = 4000


def parametrize_with_checks(
    project: str | None = None,
    *,
    groups: Sequence[str] = ("training",),
    argument: str = "check",
    directory: str | None = None,
) -> pytest.MarkDecorator:
    """Make one test of each check in these groups.

    The test function takes the check and calls it. A check that fails is an assertion with its reason and figures,
    one without enough evidence skips with its reason, one that cannot be run is an error with the way to mend it. The
    checks of a group run in one process, `gitrain check GROUP`, when the first of them is called, and only those that
    pytest has selected: what several need is worked out once a session.

    Example::

        from gitrain.testing import parametrize_with_checks

        @parametrize_with_checks("flight_delay.project:PROJECT", groups=("training", "behaviour"))
        def test_the_model(check):
            check()

    Args:
        project: ``package.module:NAME``; has to be the one in pyproject.toml, and may be left out.
        groups: names of groups, see `gitrain check list`.
        argument: the name of the test function's argument.
        directory: a folder of the repository; by default the one that pytest was started for.
    """
    marker: pytest.MarkDecorator = getattr(pytest.mark, MARKER)
    return marker(project=project, groups=tuple(groups), argument=argument, directory=directory)


@dataclass
class CheckSession:
    """The checks of one repository in one session of pytest: what was selected, and what came out.

    Attributes:
        root: the repository's root.
        selected: by group, the names of the checks that pytest has selected.
    """

    root: Path
    selected: dict[str, list[str]] = field(default_factory=dict)
    _verdicts: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    @classmethod
    def open(cls, directory: Path, project: str | None) -> "CheckSession":
        """The repository that `directory` lies in.

        Raises:
            SettingsError: there is none.
            UsageError: its project is another one.
        """
        settings = load_settings(directory)
        if project is not None and project != settings.repository.project:
            raise UsageError(
                f"the test asks for the project {project!r}, and {settings.root} has {settings.repository.project!r}",
                fix="name that one, name the folder of the other (directory=...), or leave the project out.",
            )
        return cls(root=settings.root)

    def verdicts(self, group: str, name: str) -> list[Mapping[str, Any]]:
        """The verdicts of a check; the group's process runs when the first of them is asked for.

        Raises:
            AssertionError: the process could not run the group; what it said is in the message.
        """
        wanted = self.selected.get(group, [])
        key = group if name in wanted else f"{group} {name}"
        if key not in self._verdicts:
            self._verdicts[key] = self._run(group, wanted if name in wanted else [name])
        start, _, last = name.rpartition(":")
        return [
            verdict
            for verdict in self._verdicts[key]
            if verdict["name"] == name or (last.isupper() and verdict["name"].startswith(f"{start}:"))
        ]

    def _run(self, group: str, names: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        command = [sys.executable, "-m", "gitrain", "-C", str(self.root), "check", group, "--json"]
        command += [part for name in names for part in ("--only", name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        try:
            report = json.loads(done.stdout)
        except json.JSONDecodeError:
            said = done.stderr[-_LONGEST_MESSAGES:]
            raise AssertionError(f"`gitrain check {group}` ended with exit code {done.returncode}:\n{said}") from None
        verdicts: Sequence[Mapping[str, Any]] = report["verdicts"]
        return verdicts


@dataclass(frozen=True)
class ProjectCheck:
    """One check as a test calls it.

    Attributes:
        group: its group.
        name: as the catalogue has it, or the name of one behaviour.
        catches: the defect that it finds.
    """

    group: str
    name: str
    catches: str
    session: CheckSession

    def __call__(self) -> None:
        """Run the check.

        Raises:
            AssertionError: it failed, or could not be run.
        """
        __tracebackhide__ = True
        found = self.session.verdicts(self.group, self.name)
        bad = [verdict for verdict in found if verdict["outcome"] not in (_PASSED, _INCONCLUSIVE)]
        if bad:
            raise AssertionError("\n\n".join(_told(verdict) for verdict in bad) + f"\n\nit catches: {self.catches}")
        if not found:
            pytest.skip(f"{self.name}: there was nothing to check")
        unsure = [verdict for verdict in found if verdict["outcome"] == _INCONCLUSIVE]
        if unsure:
            pytest.skip("; ".join(f"{verdict['name']}: {verdict['reason']}" for verdict in unsure))

    def __repr__(self) -> str:
        return f"<check {self.name}>"


def _told(verdict: Mapping[str, Any]) -> str:
    lines = [f"{verdict['name']} {verdict['outcome']}: {verdict['reason']}"]
    lines += [f"  {name}: {value}" for name, value in verdict["figures"].items()]
    return "\n".join(lines)
