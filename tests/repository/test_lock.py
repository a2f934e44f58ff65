"""The check of requirements.lock, on the real files and on files with a defect."""

from pathlib import Path

import pytest

from tools.lock import problems_of

_PYPROJECT = """
[build-system]
requires = ["hatchling>=1"]
[project]
name = "example"
dependencies = ["polars>=2"]
[project.optional-dependencies]
plot = ["altair>=5; python_version >= '3.12'"]
all = ["example[plot]"]
[dependency-groups]
dev = [{include-group = "lint"}]
lint = ["Ruff_Thing>=1"]
"""


def pin(name: str, version: str, marker: str = "") -> str:
    return f"{name}=={version}{f' ; {marker}' if marker else ''} \\\n    --hash=sha256:{'0' * 64}\n"


_LOCK = (
    pin("altair", "5.1", "python_full_version >= '3.12'")
    + pin("hatchling", "1.3")
    + pin("polars", "2.1")
    + pin("ruff-thing", "1.0")
)


def test_the_lock_of_this_repository_is_current(root: Path) -> None:
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    assert problems_of((root / "pyproject.toml").read_text(encoding="utf-8"), lock) == []


def test_a_current_lock_has_no_problems() -> None:
    assert problems_of(_PYPROJECT, _LOCK) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (pin("polars", "2.1"), "", "nothing pins polars (project.dependencies)"),
        (pin("polars", "2.1"), pin("polars", "1.9"), "polars==1.9 is not what project.dependencies asks for"),
        (pin("ruff-thing", "1.0"), "", "nothing pins Ruff_Thing (the group 'lint')"),
        (pin("hatchling", "1.3"), "", "nothing pins hatchling (build-system.requires)"),
        ("python_full_version >= '3.12'", "python_full_version >= '3.13'", "for Python 3.12 on linux"),
        ("altair==5.1 ; python_full_version >= '3.12'", "altair==5.1 ; sys_platform == 'linux'", "on darwin"),
        (pin("polars", "2.1"), "polars==2.1\n", "polars has no hash"),
        (pin("polars", "2.1"), "polars==2.1 \\\n    --hash=md5:00\n", "is an option or an address"),
        (pin("polars", "2.1"), "--index-url https://example.com\n" + pin("polars", "2.1"), "an option or an address"),
        (pin("polars", "2.1"), "polars @ https://example.com/polars.whl\n", "is an option or an address"),
    ],
)
def test_a_defect_is_found(old: str, new: str, problem: str) -> None:
    assert old in _LOCK
    found = problems_of(_PYPROJECT, _LOCK.replace(old, new))
    assert any(problem in line for line in found), found
