import importlib.metadata
from pathlib import Path

import pytest

from gitrain.errors import SettingsError
from gitrain.integrations.requirements import InstalledPackages

PYPROJECT = """\
[project]
name = "My.Own"
dependencies = ["numpy>=2", "scikit-learn"]
[project.optional-dependencies]
serving = ["bentoml>=1.4", "uvloop; sys_platform != 'win32'", "winloop; sys_platform == 'win32'"]
"""


def names(needs):
    return {need.name: need.here for need in needs}


def test_versions_and_modules_are_those_of_this_interpreter():
    installed = InstalledPackages()

    assert installed.version("numpy") == importlib.metadata.version("numpy")
    assert installed.version("no-such-package") is None
    assert installed.providers("yaml") == {"pyyaml"}
    assert "scikit-learn" in installed.providers("sklearn")
    assert not installed.providers("json")
    assert not installed.providers("no_such_module")
    # What is installed from a tree lists no modules.
    assert installed.providers("gitrain") == {"gitrain"}


def test_needs_are_followed_by_extras():
    installed = InstalledPackages()

    assert "bentoml" not in names(installed.needs("gitrain", ()))
    assert "bentoml" in names(installed.needs("gitrain", {"serving"}))
    assert installed.needs("no-such-package", ()) == []


def test_what_a_source_needs_stands_in_its_pyproject():
    installed = InstalledPackages().from_source("my-own", PYPROJECT, without={"scikit-learn"})

    assert names(installed.needs("my-own", ())) == {"numpy": True}
    found = names(installed.needs("my-own", {"serving"}))
    assert found.keys() == {"numpy", "bentoml", "uvloop", "winloop"}
    assert found["winloop"] is False
    # Everything else is as before.
    assert installed.needs("bentoml", ()) == InstalledPackages().needs("bentoml", ())


def test_a_source_without_a_pyproject_of_its_own_needs_what_its_metadata_says():
    installed = InstalledPackages().from_source("gitrain", PYPROJECT, without={"scikit-learn", "skops"})

    found = names(installed.needs("gitrain", ()))
    assert "polars" in found
    assert not {"scikit-learn", "skops"} & found.keys()


@pytest.mark.parametrize(
    ("marker", "anywhere"),
    [
        ("python_full_version < '3.11.3'", True),
        ("python_version < '3.11'", False),
        ("sys_platform == 'darwin' and platform_machine == 'arm64'", True),
        ("sys_platform == 'emscripten'", False),
        ("implementation_name == 'pypy'", False),
    ],
)
def test_what_is_needed_anywhere_that_a_release_may_run_is_kept(marker, anywhere):
    text = f'[project]\nname = "own"\ndependencies = ["thing; {marker}"]\n'

    assert ("thing" in names(InstalledPackages().from_source("own", text, without=()).needs("own", ()))) is anywhere


def test_requirements_are_read_by_the_standard():
    need = InstalledPackages().read("Pandera[Polars]>=0.35")

    assert (need.name, set(need.extras), need.here) == ("pandera", {"polars"}, True)
    assert not InstalledPackages().read("a; sys_platform == 'win32'").here
    with pytest.raises(SettingsError, match="is no requirement"):
        InstalledPackages().read("not a requirement!")
    with pytest.raises(SettingsError, match="is no marker"):
        InstalledPackages().applies("nonsense")


@pytest.mark.repository
def test_this_repository_locks_what_its_service_needs():
    from gitrain.release.requirements import close_over, parse_requirements

    root = Path(__file__).parents[3]
    locked = parse_requirements((root / "requirements.lock").read_text())
    without = {"scikit-learn", "skops"}
    installed = InstalledPackages().from_source("gitrain", (root / "pyproject.toml").read_text(), without=without)
    roots = [installed.read(each) for each in ("gitrain[serving]", "redis", "tzdata")]
    closure = close_over(roots, locked, installed, packed={"gitrain"})

    assert closure.problems == ()
    assert not closure.names & {"scikit-learn", "scipy", "dvc", "mlflow", "onnx", "skl2onnx", "pytest", "pandas"}
    assert {"bentoml", "onnxruntime", "polars", "pandera", "async-timeout"} <= closure.names
