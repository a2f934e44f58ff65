"""The pytest plugin behind `parametrize_with_checks`.

It is found by its entry point where Gitrain is installed; else name it in the top-most conftest.py:
``pytest_plugins = ["gitrain.testing.plugin"]``.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrain.errors import GitrainError
from gitrain.testing.checks import MARKER, CheckSession, ProjectCheck

if TYPE_CHECKING:
    from gitrain.project import Project

__all__ = ["pytest_collection_finish", "pytest_configure", "pytest_generate_tests"]

_SESSIONS = pytest.StashKey[dict[Path, CheckSession]]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", f"{MARKER}(project, groups): one test for each check of these groups")
    config.stash[_SESSIONS] = {}
    # A failed assertion of a suite is explained like one of the user's own tests.
    pytest.register_assert_rewrite("gitrain.testing.conformance")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each check that the decorator names."""
    for marker in metafunc.definition.iter_markers(MARKER):
        project, argument = marker.kwargs["project"], marker.kwargs["argument"]
        start = Path(marker.kwargs["directory"] or metafunc.config.rootpath)
        try:
            session = CheckSession.open(metafunc.config.rootpath / start, project)
            # Two decorators on one repository share what was worked out.
            session = metafunc.config.stash[_SESSIONS].setdefault(session.root, session)
            checks = [check for group in marker.kwargs["groups"] for check in _checks(group, session)]
        except GitrainError as error:
            raise pytest.UsageError(str(error)) from error
        metafunc.parametrize(argument, checks, ids=[check.name for check in checks])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what was selected: a group's process runs these checks and no others."""
    for item in session.items:
        callspec = getattr(item, "callspec", None)
        for value in callspec.params.values() if callspec is not None else ():
            if isinstance(value, ProjectCheck):
                names = value.session.selected.setdefault(value.group, [])
                if value.name not in names:
                    names.append(value.name)


def _checks(group: str, session: CheckSession) -> Iterator[ProjectCheck]:
    # Tests that use no checks do without these imports.
    from gitrain.checks.behaviour import BEHAVIOUR, behaviour_check
    from gitrain.operations.check_groups import GROUPS

    if group not in GROUPS:
        raise pytest.UsageError(f"there is no group of checks {group!r}; there are {', '.join(GROUPS)}")
    for definition in GROUPS[group].definitions:
        names = [definition.name]
        if definition.name == BEHAVIOUR:
            names = [behaviour_check(behaviour) for behaviour in _project(session.root).behaviours]
        for name in names:
            yield ProjectCheck(group, name, definition.catches, session)


def _project(root: Path) -> "Project":
    from gitrain.project import load_project
    from gitrain.settings import load_settings

    # As the commands do: a project need not be installed to be found.
    for folder in (root, root / "src"):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    return load_project(load_settings(root).repository.project)
