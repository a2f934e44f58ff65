"""The decorator in a session of pytest of its own, on a real repository with a trained model."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gitrain.checks import trips

# Each test starts pytest, and most of them `gitrain check`.
pytestmark = pytest.mark.slow

_ROOT = Path(__file__).resolve().parents[3]

_TEST = """
from gitrain.testing import parametrize_with_checks

@parametrize_with_checks({project!r}, groups={groups!r})
def test_model(check):
    check()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A repository with a trained model, made once."""
    root = tmp_path_factory.mktemp("trips")
    trips.write_repository(trips.trained(root))
    return root


@pytest.fixture
def repository(model, tmp_path):
    return Path(shutil.copytree(model, tmp_path / "repository"))


def session(root, *arguments, groups=("training",), project="trips_project:PROJECT"):
    """What pytest says of a test that is decorated."""
    (root / "test_model.py").write_text(_TEST.format(project=project, groups=groups), encoding="utf-8")
    # What of pytest's plugins takes longest to load has nothing to do here.
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--strict-markers", "-p", "no:schemathesis"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "-c", "pyproject.toml", *arguments],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_check_is_a_test(repository):
    done = session(repository, groups=("training", "behaviour"), project=None)

    # A linear model of few features cannot learn 64 rows by heart.
    assert done.returncode == 1, done.stdout + done.stderr
    assert "PASSED test_model.py::test_model[training:refit-identical]" in done.stdout
    assert "PASSED test_model.py::test_model[behaviour:steeper-is-later]" in done.stdout
    assert "training:overfits-tiny-batch FAILED: fitted on 64 rows alone" in done.stdout
    assert "most: 0.1" in done.stdout
    assert "it catches: a model or preparation that cannot even learn a few rows by heart" in done.stdout
    assert "1 failed, 13 passed" in done.stdout


def test_what_is_not_selected_is_not_run(repository):
    (repository / "models" / "model.skops").unlink()
    done = session(repository, "-k", "loss-falls or sane-iteration")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed, 10 deselected" in done.stdout


def test_collecting_loads_no_model_library(repository):
    (repository / "conftest.py").write_text(
        "import sys\n"
        "def pytest_collection_finish(session):\n"
        "    print('LOADED', sorted({'sklearn', 'mlflow', 'dvc', 'skops', 'hypothesis'} & set(sys.modules)))\n",
        encoding="utf-8",
    )
    (repository / "trips_project.py").write_text("raise SystemExit('the project was imported')", encoding="utf-8")
    done = session(repository, "--collect-only", "-s", "-p", "no:hypothesispytest")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "LOADED []" in done.stdout
    assert "test_model[training:finite]" in done.stdout


def test_an_error_names_the_way_to_mend_it(repository):
    (repository / "models" / "model.json").unlink()
    done = session(repository, "-k", "finite")

    assert done.returncode == 1
    assert "models/model.json is missing" in done.stdout
    assert "run `dvc repro`" in done.stdout


def test_a_command_that_cannot_run_shows_what_it_said(repository):
    (repository / "params.yaml").write_text("nonsense: 1\n", encoding="utf-8")
    done = session(repository, "-k", "finite")

    assert done.returncode == 1
    assert "ended with exit code 2" in done.stdout
    assert "nonsense" in done.stdout


@pytest.mark.parametrize(
    ("project", "groups", "said"),
    [
        ("other:PROJECT", ("training",), "asks for the project 'other:PROJECT'"),
        (None, ("trainings",), "there is no group of checks 'trainings'"),
    ],
)
def test_a_wrong_decorator_is_told_at_once(repository, project, groups, said):
    done = session(repository, project=project, groups=groups)

    assert done.returncode in {2, 4}
    assert said in done.stdout + done.stderr
