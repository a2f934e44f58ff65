"""The contracts hold, and each of them can fail."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    # The tree's own packages, not the ones that are installed editable.
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "COLUMNS": "200"}
    return subprocess.run(
        [program, "--no-logo", "--no-cache"], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


def append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f"\n{line}\n")


def test_the_contracts_are_kept(tree: Path) -> None:
    outcome = lint_imports(tree)
    assert outcome.returncode == 0, outcome.stdout
    assert "4 kept, 0 broken" in outcome.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("src/gitrain/errors.py", "import gitrain.verdicts", "Imports go downwards only BROKEN"),
        ("src/gitrain/operations/stage.py", "import gitrain.integrations.files", "Imports go downwards only BROKEN"),
        ("src/gitrain/integrations/files.py", "import gitrain.operations.stage", "Imports go downwards only BROKEN"),
        ("src/gitrain/data/tables.py", "def late():\n    import gitrain.features", "Imports go downwards only BROKEN"),
        ("src/gitrain/newcomer.py", "", "Imports go downwards only BROKEN"),
        ("src/gitrain/project.py", "import flight_delay", "The framework knows nothing of flights BROKEN"),
        ("src/gitrain/operations/stage.py", "import mlflow", "Each SDK has one module that imports it"),
        ("src/gitrain/operations/stage.py", "import brand_new_sdk", "Each SDK has one module that imports it"),
        ("src/gitrain/integrations/files.py", "import dvc.api", "Each SDK has one module that imports it"),
    ],
)
def test_a_seeded_violation_is_found(tree: Path, file: str, line: str, broken: str) -> None:
    append(tree / file, line)
    outcome = lint_imports(tree)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert broken in outcome.stdout


def test_siblings_in_a_circle_are_found(tree: Path) -> None:
    append(tree / "src/flight_delay/first.py", "import flight_delay.second")
    append(tree / "src/flight_delay/second.py", "import flight_delay.first")
    outcome = lint_imports(tree)
    assert outcome.returncode == 1
    assert "Modules of one package do not import each other in a circle BROKEN" in outcome.stdout


def test_one_integration_for_two_vendors_is_refused(tree: Path) -> None:
    pyproject = tree / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(
        text.replace('"mlflow: gitrain.integrations.mlflow"', '"mlflow: gitrain.integrations.dvc"'), encoding="utf-8"
    )
    outcome = lint_imports(tree)
    assert outcome.returncode != 0
    assert "name what belongs together on one line" in outcome.stdout + outcome.stderr


def test_no_import_is_ignored(root: Path) -> None:
    configuration = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert configuration["root_packages"] == ["gitrain", "flight_delay"]
    assert all("ignore_imports" not in contract for contract in configuration["contracts"])
    (layers,) = [contract for contract in configuration["contracts"] if contract["id"] == "layers"]
    assert layers["exhaustive"] is True
    assert "exhaustive_ignores" not in layers
