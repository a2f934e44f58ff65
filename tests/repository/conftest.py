"""What the tests of the repository itself share."""

import shutil
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository that these tests lie in."""
    return _ROOT


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of sources, tools and configuration, to seed defects in."""
    copy = tmp_path / "tree"
    hidden = shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info")
    for folder in ("src", "tools"):
        shutil.copytree(_ROOT / folder, copy / folder, ignore=hidden)
    for name in ("pyproject.toml", "requirements.lock", "README.md", "LICENSE"):
        shutil.copy(_ROOT / name, copy / name)
    return copy
