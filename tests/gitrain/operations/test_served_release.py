"""A release as it runs: from its folder, with the packages that it installs and none besides."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gitrain.served import serving

from gitrain.wiring.releases import open_release

pytestmark = pytest.mark.slow

# pandera asks for pandas by its metadata, which no blocker hides.
OPTIONAL = {"_distutils_hack", "_virtualenv", "distutils", "pandas", "pyarrow", "pytz"}
# Whatever is installed here and not by the bundle is not there for the service.
BLOCKER = """
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"the bundle does not install {{name}}", name=name)


sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def release(released_parcels):
    """The folder of a release that has Gitrain's source in it, as this repository's own has."""
    return open_release(str(released_parcels))


def installed_names(release: Path) -> set[str]:
    text = (release / "src/requirements.txt").read_text()
    return set(re.findall(r"^([a-z0-9-]+)==", text, flags=re.MULTILINE))


def test_where_onnx_is_served_nothing_that_trains_is_installed(release):
    assert json.loads((release / "src/models/serving.json").read_text())["format"] == "onnx"
    assert not installed_names(release) & {"scikit-learn", "scipy", "joblib", "skops"}
    assert (release / "src/gitrain/__init__.py").is_file()


def test_a_release_serves_known_answers_with_what_it_installs_alone(release, parcels, tmp_path):
    names = installed_names(release)
    provided = importlib.metadata.packages_distributions()
    blocked = {
        module
        for module, packages in provided.items()
        if not {re.sub(r"[-_.]+", "-", package).lower() for package in packages} & names
    } - OPTIONAL
    assert {"sklearn", "skops", "dvc", "mlflow", "onnx", "pytest", "ruff"} <= blocked
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(BLOCKER.format(blocked=blocked))
    store = f"sqlite:///{tmp_path}/online.sqlite"
    command = [sys.executable, "-m", "gitrain", "features", "materialize", "--store", store]
    subprocess.run(command, cwd=parcels, check=True, capture_output=True)
    known = json.loads((release / "src/models/known_answers.json").read_text())

    environment = {"PYTHONPATH": str(tmp_path / "path"), "GITRAIN_ONLINE_STORE": store}
    with serving(tmp_path, str(release), tmp_path / "service", **environment) as served:
        identity = json.loads(served.ask("GET", "/release")[2])
        status, answer = served.predict({"parcels": [row["inputs"] for row in known["rows"]]})

    assert status == 200
    assert answer["release"] == identity["version"] == "0.1.0"
    assert identity["commit"] == json.loads((release / "src/release.json").read_text())["commit"]
    for row, predicted in zip(known["rows"], answer["predictions"], strict=True):
        assert predicted["probability"] == pytest.approx(row["score"], abs=known["tolerance"])
