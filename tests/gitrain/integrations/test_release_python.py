"""Which Python serves a release: this one, or one made once by what stands for uv."""

import hashlib
import platform
import shutil
import subprocess
import sys
import zipfile
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
UV_HERE = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
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
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_uv() == str(program)


def test_uv_on_path_goes_before_the_one_beside_this_python(monkeypatch, tmp_path):
    for folder in ("path", "beside"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "uv").write_text("#!/bin/sh\n")
        (tmp_path / folder / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "beside/python"))
    assert find_uv() == str(tmp_path / "path/uv")


class Elsewhere(Installed):
    """An `Installed` of which it is said that every marker applies."""

    def applies(self, marker):
        return True


@pytest.mark.skipif(UV_HERE is None, reason="uv is not on this machine")
def test_the_real_uv_makes_an_environment_and_knows_the_options_that_it_is_given(monkeypatch, tmp_path, bundle):
    """Of requirements of which none applies here: nothing is asked of any index."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    hashed = f"--hash=sha256:{'0' * 64}"
    (bundle.folder / "src/requirements.txt").write_text(f"numpy==2.3.0 ; sys_platform == 'nowhere' {hashed}\n")
    found = ReleasePython(tmp_path / "venvs", Elsewhere(), program=lambda: str(UV_HERE))
    python = found(bundle)
    asked = "import sys, platform; print(platform.python_version(), sys.prefix)"
    said = subprocess.run([str(python), "-I", "-c", asked], check=True, capture_output=True, text=True).stdout.split()
    assert said[0].startswith(f"{HERE}.")
    assert Path(said[1]).resolve() == python.parents[1].resolve()
    assert list(python.parents[1].rglob("*.dist-info")) == []
    # It is finished, so it is not made again.
    assert ReleasePython(tmp_path / "venvs", Elsewhere(), program=lambda: pytest.fail("made again"))(bundle) == python


@pytest.mark.skipif(UV_HERE is None, reason="uv is not on this machine")
def test_the_real_uv_takes_no_package_of_another_content(monkeypatch, tmp_path, bundle):
    wheel = tmp_path / "wheels/nothing-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("nothing.py", "")
        archive.writestr("nothing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
        archive.writestr("nothing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("nothing-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_FIND_LINKS", str(wheel.parent))
    requirements = bundle.folder / "src/requirements.txt"
    requirements.write_text(f"nothing==1.0 --hash=sha256:{'0' * 64}\n")
    found = ReleasePython(tmp_path / "venvs", Installed(), program=lambda: str(UV_HERE))
    with pytest.raises(DeploymentError, match=r"(?i)\bhash"):
        found(bundle)
    requirements.write_text(f"nothing==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    python = found(bundle)
    subprocess.run([str(python), "-I", "-c", "import nothing"], check=True)
