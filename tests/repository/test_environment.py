"""tools/environment.sh, as far as it needs no package index: which interpreter it takes, and when it does nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A folder with what the script reads, and a .venv that is up to date."""
    folder = tmp_path / "checkout"
    (folder / "tools").mkdir(parents=True)
    for name in ("requirements.lock", "pyproject.toml", "tools/environment.sh"):
        shutil.copy(root / name, folder / name)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    content = (folder / "requirements.lock").read_bytes() + (folder / "pyproject.toml").read_bytes()
    wanted = subprocess.run(["cksum"], input=content, capture_output=True, check=True)
    (folder / ".venv" / ".complete").write_bytes(wanted.stdout)
    return folder


def environment_sh(folder: Path, path: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    shell = shutil.which("sh")
    assert shell is not None
    environment = {"PATH": str(path) if path else os.environ["PATH"], "HOME": str(folder)} | variables
    return subprocess.run(
        [shell, "tools/environment.sh"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with what the script calls and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "cksum", "awk", "sed", "cut", "rm", "mv"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def test_nothing_is_done_when_all_is_there(checkout: Path) -> None:
    outcome = environment_sh(checkout)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_file_is_noticed(checkout: Path, bare_path: Path, name: str) -> None:
    with (checkout / name).open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    outcome = environment_sh(checkout, bare_path)
    # There is no uv to go on with; what counts is that .venv no longer passes for complete.
    assert outcome.returncode != 0
    assert not (checkout / ".venv" / ".complete").exists()


def test_without_a_python_it_says_what_to_install(checkout: Path, bare_path: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    outcome = environment_sh(checkout, bare_path)
    assert outcome.returncode == 1
    assert "No Python 3.11, 3.12 or 3.13" in outcome.stderr
    assert "apt install python3 python3-venv" in outcome.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_too_new_or_does_not_run_is_passed_over(checkout: Path, bare_path: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    program(bare_path, "python3", "echo 3.14")
    program(bare_path, "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    program(
        bare_path, "python3.12", f'if [ "$1" = -c ]; then echo 3.12; else echo "$*" >{bare_path}/called; exit 9; fi'
    )
    outcome = environment_sh(checkout, bare_path)
    assert outcome.returncode == 9
    assert "with python3.12 (3.12)" in outcome.stderr
    assert (bare_path / "called").read_text(encoding="utf-8") == "-m venv .venv\n"


@pytest.mark.parametrize(
    ("answer", "words"), [("echo 3.10", "PYTHON=old is 3.10"), ("exit 1", "PYTHON=old is not a Python")]
)
def test_a_python_that_was_asked_for_and_does_not_fit_is_refused(
    checkout: Path, bare_path: Path, answer: str, words: str
) -> None:
    program(bare_path, "old", answer)
    outcome = environment_sh(checkout, bare_path, PYTHON="old")
    assert outcome.returncode == 1
    assert words in outcome.stderr
    assert (checkout / ".venv" / ".complete").exists()


def test_an_environment_that_was_left_half_done_is_made_anew(checkout: Path, bare_path: Path) -> None:
    (checkout / ".venv" / ".complete").unlink()
    (checkout / ".venv" / "cut-short").touch()
    program(bare_path, "python3.13", 'if [ "$1" = -c ]; then echo 3.13; else exit 9; fi')
    outcome = environment_sh(checkout, bare_path)
    assert outcome.returncode == 9
    assert not (checkout / ".venv" / "cut-short").exists()


def test_the_python_of_an_environment_that_goes_away_is_not_taken(checkout: Path, bare_path: Path) -> None:
    """`make` puts .venv/bin on PATH; what lies there is gone a moment later."""
    (checkout / ".venv" / ".complete").unlink()
    inside = checkout / ".venv" / "bin"
    (inside / "python3.13").symlink_to(sys.executable)
    outcome = environment_sh(checkout, Path(f"{inside}:{bare_path}"))
    assert outcome.returncode == 1
    assert "No Python 3.11, 3.12 or 3.13" in outcome.stderr


def test_elsewhere_it_says_where_to_be(tmp_path: Path, root: Path) -> None:
    (tmp_path / "tools").mkdir()
    shutil.copy(root / "tools" / "environment.sh", tmp_path / "tools")
    outcome = environment_sh(tmp_path)
    assert outcome.returncode == 1
    assert "root of the repository" in outcome.stderr
