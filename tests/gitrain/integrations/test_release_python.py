"""Which Python serves a release: this one, or one made once by what stands for uv."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitrain.deployment.deployer import Bundle
from gitrain.errors import DeploymentError, SettingsError
from gitrain.integrations.release_python import ReleasePython, find_uv
from gitrain.integrations.requirements import InstalledPackages
from gitrain.release.requirements import Need
from gitrain.testing.releases import make_release

HERE = ".".join(platform.python_version_tuple()[:2])
NUMPY = f"numpy==2.3.0 --hash=sha256:{'0' * 64}\n"
UV = """#!/bin/sh
echo "$@" >> {log}
if [ "$1" = venv ]; then for last; do :; done; mkdir -p "$last/bin"; touch "$last/bin/python"; fi
{more}
"""


class Installed:
    """An `Installed` that is told."""

    def __init__(self, **versions):
        self.versions = versions

    def version(self, name):
        return self.versions.get(name)

    def applies(self, marker):
        return InstalledPackages().applies(marker)

    def needs(self, name, extras):
        return []

    def read(self, requirement):
        return Need(name=requirement)

    def providers(self, module):
        return []

    def from_source(self, name, pyproject, *, without):
        return self


@pytest.fixture
def bundle(tmp_path):
    made = make_release(tmp_path / "bundle")
    (made.bundle / "src/requirements.txt").write_text(NUMPY)
    return Bundle(record=made.record.model_copy(update={"python": HERE}), folder=made.bundle)


@pytest.fixture
def uv(tmp_path):
    def write(more=""):
        (tmp_path / "uv").write_text(UV.format(log=tmp_path / "log", more=more))
        (tmp_path / "uv").chmod(0o755)
        return lambda: str(tmp_path / "uv")

    return write


def test_this_python_serves_if_it_has_everything(tmp_path, bundle):
    found = ReleasePython(tmp_path / "venvs", Installed(numpy="2.3.0"), program=lambda: pytest.fail("uv is not needed"))
    assert found(bundle) == Path(sys.executable)
    assert not (tmp_path / "venvs").exists()


@pytest.mark.parametrize(
    ("installed", "text", "difference"),
    [
        ({"numpy": "2.3.1"}, None, "numpy 2.3.0, and 2.3.1 is installed"),
        ({}, None, "numpy 2.3.0, and none is installed"),
        ({}, "numpy==2.3.0 ; sys_platform == 'nowhere' --hash=sha256:" + "0" * 64, None),
        ({"a": "1"}, "a==1 ; python_version < '3' \\\n    --hash=sha256:" + "0" * 64, None),
    ],
)
def test_what_this_python_lacks(tmp_path, bundle, installed, text, difference):
    if text is not None:
        (bundle.folder / "src/requirements.txt").write_text(text)
    assert ReleasePython(tmp_path, Installed(**installed)).difference(bundle) == difference


def test_another_python_is_a_difference(tmp_path, bundle):
    other = Bundle(record=bundle.record.model_copy(update={"python": "3.9"}), folder=bundle.folder)
    said = ReleasePython(tmp_path, Installed(numpy="2.3.0")).difference(other)
    assert said == f"Python 3.9, and this is {HERE}"


def test_an_environment_is_made_once_with_hashes(tmp_path, bundle, uv):
    said = []
    found = ReleasePython(tmp_path / "venvs", Installed(), program=uv(), progress=said.append)
    python = found(bundle)
    assert python == tmp_path / "venvs" / f"{HERE}-{bundle.record.requirements_digest[7:]}" / "bin/python"
    venv, install = (tmp_path / "log").read_text().splitlines()
    assert venv == f"venv --quiet --python {HERE} {python.parents[1]}"
    assert "--require-hashes --no-deps" in install
    assert install.endswith(f"--python {python} --requirement {bundle.folder / 'src/requirements.txt'}")
    assert said == ["making an environment for release 1.4.0 (it needs numpy 2.3.0, and none is installed)"]
    assert found(bundle) == python
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_an_environment_that_was_left_half_made_is_made_anew(tmp_path, bundle, uv):
    (bundle.folder / "src/requirements.txt").write_text(f"numpy==2.3.0 --hash=sha256:{'0' * 64}\n")
    fails = ReleasePython(
        tmp_path / "venvs", Installed(), program=uv('[ "$1" = venv ] || { echo "no such file" >&2; exit 1; }')
    )
    with pytest.raises(DeploymentError, match="no such file"):
        fails(bundle)
    left = next(path for path in (tmp_path / "venvs").iterdir() if path.is_dir())
    (left / "stale").touch()
    python = ReleasePython(tmp_path / "venvs", Installed(), program=uv())(bundle)
    assert python.exists()
    assert not (left / "stale").exists()


def test_requirements_that_cannot_be_read(tmp_path, bundle):
    (bundle.folder / "src/requirements.txt").write_text("numpy\n")
    with pytest.raises(SettingsError):
        ReleasePython(tmp_path, Installed())(bundle)


def test_without_uv(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(DeploymentError, match="uv is not on this machine"):
        find_uv()


def test_uv_is_found_beside_this_python(monkeypatch, tmp_path):
    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_uv() in {str(program), "/usr/bin/uv", "/bin/uv"}
    assert subprocess.run([str(program)], check=False).returncode == 0
