"""What tests/conftest.py promises to every test."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "example.com", "2001:db8::1"])
def test_the_network_is_out_of_reach(host: str) -> None:
    with pytest.raises(RuntimeError, match="loopback interface alone"):
        socket.create_connection((host, 443), timeout=1)
    with pytest.raises(RuntimeError, match="loopback interface alone"):
        socket.getaddrinfo(host, 443)


def test_a_server_on_this_machine_is_within_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()


def test_home_and_git_are_the_tests_own(isolated_home: Path, git_repository: Path) -> None:
    assert Path.home() == isolated_home
    shown = subprocess.run(
        ["git", "config", "--list", "--show-origin", "--show-scope"],
        cwd=git_repository,
        capture_output=True,
        text=True,
        check=True,
    )
    origins = {line.split("\t")[1] for line in shown.stdout.splitlines()}
    assert origins == {f"file:{isolated_home / '.gitconfig'}", "file:.git/config"}
    author = subprocess.run(
        ["git", "log", "--format=%an <%ae> %aI"], cwd=git_repository, capture_output=True, text=True, check=True
    )
    assert author.stdout == "Ada Tester <ada@example.com> 2026-01-01T12:00:00+00:00\n"


def test_time_is_utc_and_telemetry_is_off_in_child_processes_too() -> None:
    assert time.timezone == 0
    program = (
        "import os, time; print(time.timezone, os.environ['DVC_NO_ANALYTICS'], os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert child.stdout.split() == ["0", "1", "true"]
    assert not [name for name in os.environ if name.startswith(("GITHUB_", "MLFLOW_TRACKING"))]


def test_with_several_processes_what_takes_long_begins_first(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    conftest = Path(__file__).parents[1] / "conftest.py"
    plugin = pytestconfig.pluginmanager.get_plugin(str(conftest))
    assert plugin is not None
    longest = plugin.LONGEST
    assert [path for path in longest if not (conftest.parents[1] / path).exists()] == []
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['slow']\n")
    sources = {
        longest[0]: "def test_whole(): pass",
        "tests/test_a.py": "def test_one(): pass",
        "tests/test_b.py": "def test_one(): pass\ndef test_two(): pass",
        "tests/test_c.py": "import pytest\ndef test_one(): pass\n@pytest.mark.slow\ndef test_two(): pass",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    shutil.copy(conftest, tmp_path / "tests")

    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    given = os.environ | {"PYTEST_XDIST_WORKER": "gw0"}
    done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, check=True)
    files = dict.fromkeys(line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line)
    assert [Path(file).stem for file in files] == ["test_rehearse", "test_c", "test_b", "test_a"]
