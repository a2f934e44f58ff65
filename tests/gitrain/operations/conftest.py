"""A finished run of the patients, made once and copied for each test; and a month of parcels, to be monitored."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gitrain.monitored_parcels import Month
from tests.gitrain.operations.patients import TUMOURS, commit_run, patients_stage, run_command, run_stages

from gitrain.operations.stage import Stage
from gitrain.wiring.repository import open_repository, open_stage


@pytest.fixture(scope="session")
def patients_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`main` has four batches, `change` a fifth."""
    root = tmp_path_factory.mktemp("patients") / "repository"
    shutil.copytree(TUMOURS, root, ignore=shutil.ignore_patterns("__pycache__"))
    params = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(
        params.replace("estimator: forest", "estimator: logistic_regression").replace(
            "replicates: 500", "replicates: 200"
        )
    )
    (root / ".gitignore").write_text(
        "/.gitrain/\n/data/raw\n/data/validated\n/data/quarantine\n/data/features\n/data/predictions\n/models/*.skops\n/models/serving\n"
    )
    run_command(root, "git", "init", "-q", "-b", "main")
    run_command(root, "dvc", "init", "-q")
    run_stages(root, through="0004")
    commit_run(root, "Four batches")
    run_command(root, "git", "checkout", "-q", "-b", "change")
    run_stages(root, through="0005")
    commit_run(root, "A fifth")
    return root


@pytest.fixture
def patients(patients_template: Path, tmp_path: Path) -> Path:
    """A copy of the run: alter what you like."""
    shutil.copytree(patients_template, tmp_path / "repository", symlinks=True)
    return tmp_path / "repository"


@pytest.fixture
def stage_of() -> Callable[..., Stage]:
    """Gives the surroundings of a stage in a copy."""
    return patients_stage


@pytest.fixture(scope="module")
def stage(parcels: Path) -> Stage:
    """The parcels as monitoring reads them."""
    return open_stage(str(parcels), lambda _: None)


@pytest.fixture(scope="module")
def month(parcels: Path) -> Month:
    """The parcels of a month, to be logged as if they had been predicted."""
    return Month.of(parcels, open_repository(str(parcels)).project.features)
