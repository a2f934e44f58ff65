"""Bundles of a small service: how they are built, and what is refused."""

import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitrain.errors import ReleaseError
from gitrain.integrations.bentoml.bundle import BentoBuilder
from gitrain.release.bentofile import Bentofile
from gitrain.release.bundle import BundleManifest
from gitrain.release.packing import BundlePlan

SERVICE = """
import bentoml

import beside

NAMES = {"a", "b", "c", "d", "e"}


@bentoml.service(name="hello", envs=[{"name": "GREETING", "value": "hi"}])
class Hello:
    @bentoml.api
    async def predict(self, x: int) -> int:
        return x
"""
AT = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
REQUIREMENTS = "bentoml==1.4.39 \\\n    --hash=sha256:" + "0" * 64 + "\n"


def context(folder: Path, service: str = SERVICE) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "hello.py").write_text(service)
    (folder / "beside.py").write_text("HERE = True\n")
    (folder / "data" / "table.csv").write_text("a,b\n1,2\n")
    script = folder / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return folder


def plan(folder: Path, service: str = "hello:Hello", **values) -> BundlePlan:
    given: dict[str, Any] = {
        "context": folder,
        "bentofile": Bentofile(service=service, description="Says hello.", labels={"team": "a"}),
        "version": "1.2.3",
        "labels": {"gitrain.commit": "c" * 40},
        "requirements": REQUIREMENTS,
        "installer": "",
        "base_image": f"example.com/python@sha256:{'1' * 64}",
        "python": "3.11",
        "at": AT,
    }
    return BundlePlan(**(given | values))


def build(tmp_path: Path, name: str, **values):
    place = tmp_path / name
    (place / "working").mkdir(parents=True)
    made = plan(context(place / "context", values.pop("source", SERVICE)), **values)
    return BentoBuilder(place / "working").build(made, place / "bundle")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("bundle"), "one")


def test_a_bundle_holds_the_context_and_what_bentoml_needs(built):
    paths = {file.path for file in BundleManifest.of(built.folder).files}

    assert {"src/hello.py", "src/beside.py", "src/data/table.csv", "src/run.sh", "bento.yaml"} <= paths
    assert (built.folder / "env/python/requirements.txt").read_text() == REQUIREMENTS
    assert not any("__pycache__" in path or path.endswith("requirements.in") for path in paths)


def test_the_modules_that_were_imported_are_told(built):
    assert built.modules["beside"].name == "beside.py"
    assert "site-packages" in str(built.modules["bentoml"])


def test_times_and_rights_are_those_of_the_commit_whatever_those_of_the_builder(built):
    for path in (built.folder, *built.folder.rglob("*")):
        found = path.stat()
        assert found.st_mtime == AT.timestamp(), path
        runs = path.is_dir() or path.name in {"run.sh", "entrypoint.sh"}
        assert stat.S_IMODE(found.st_mode) == (0o755 if runs else 0o644), path


@pytest.mark.slow
def test_equal_plans_give_equal_bundles(built, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    mask = os.umask(0o077)
    try:
        again = build(tmp_path, "another place")
    finally:
        os.umask(mask)

    assert BundleManifest.of(again.folder) == BundleManifest.of(built.folder)
    assert not (tmp_path / "home").exists(), "the caller's own store is left alone"


def test_a_service_that_needs_what_is_not_packed_is_refused(tmp_path):
    with pytest.raises(ReleaseError, match="No module named 'left_behind'"):
        build(tmp_path, "one", source=SERVICE.replace("import beside", "import left_behind"))


def test_a_service_that_writes_files_when_it_is_imported_is_refused(tmp_path):
    source = SERVICE + "\nopen('written.txt', 'w').close()\n"

    with pytest.raises(ReleaseError, match=r"did not pack what it was given: written\.txt") as caught:
        build(tmp_path, "one", source=source)

    assert "writes files" in caught.value.fix


def test_a_bundle_that_names_the_place_of_its_build_is_refused(tmp_path):
    source = SERVICE.replace('"value": "hi"', '"value": __file__')

    with pytest.raises(ReleaseError, match=r"bento\.yaml in the bundle names the folder that it was built in"):
        build(tmp_path, "one", source=source)


def test_what_the_working_tree_has_besides_is_not_found(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(__file__, elsewhere / "left_behind.py")
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))

    with pytest.raises(ReleaseError, match="No module named 'left_behind'"):
        build(tmp_path, "one", source=SERVICE.replace("import beside", "import left_behind"))
