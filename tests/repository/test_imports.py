"""`import gitrain` and `gitrain --help` load no library for machine learning or data."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_HEAVY = {
    "dvc",
    "git",
    "joblib",
    "mlflow",
    "numpy",
    "pandas",
    "pandera",
    "polars",
    "pydantic",
    "scipy",
    "skops",
    "sklearn",
}

_HELP = "import contextlib, gitrain.cli\nwith contextlib.suppress(SystemExit): gitrain.cli.main(['--help'])"


def loaded(program: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after running `program`."""
    tail = "\nimport json, sys; print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", program + tail], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("program", ["import gitrain", "import gitrain.cli", _HELP])
def test_nothing_heavy_is_loaded(program: str) -> None:
    assert loaded(program) & _HEAVY == set()


def test_a_heavy_import_would_be_seen() -> None:
    assert {"numpy", "polars"} <= loaded("import gitrain, polars, numpy")


def test_what_is_imported_is_declared(root: Path) -> None:
    """A library that only comes along with another one is gone the day that the other one drops it."""
    configuration = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project = configuration["project"]
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    declared = {canonicalize_name(Requirement(text).name) for text in texts}
    graph = grimp.build_graph("gitrain", include_external_packages=True, cache_dir=None)
    providers = packages_distributions()
    vendors = {name for name in graph.modules if graph.is_module_squashed(name)} - sys.stdlib_module_names
    assert {"numpy", "pydantic"} <= vendors
    undeclared = {
        vendor
        for vendor in vendors
        if not {canonicalize_name(name) for name in providers.get(vendor.partition(".")[0], [])} & declared
    }
    assert undeclared == set()
