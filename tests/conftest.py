"""Every test runs cut off from the machine: its own HOME and git configuration, no telemetry, no network, UTC."""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Set on import, before a library reads them; xdist's workers and child processes inherit them.
_ENVIRONMENT = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_WAIT_POLICY": "PASSIVE",
    # Two tests run at the same time: threads of one would take the other's core.
    "OMP_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "2",
    "NO_COLOR": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Ada Tester",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_AUTHOR_DATE": "2026-01-01T12:00:00+00:00",
    "GIT_COMMITTER_NAME": "Ada Tester",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_COMMITTER_DATE": "2026-01-01T12:00:00+00:00",
}
# What a developer's shell or a git hook may have set, and what would then decide a test.
_REMOVED_PREFIXES = ("GITHUB_", "MLFLOW_", "DVC_", "GITRAIN_", "REPO_TOKEN")
_REMOVED = ("CI", "GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
# How often the tests that kill do it decides how much they find, not what.
_KEPT = ("GITRAIN_KILLS",)

for _name in list(os.environ):
    if (_name.startswith(_REMOVED_PREFIXES) or _name in _REMOVED) and _name not in _KEPT:
        del os.environ[_name]
os.environ.update(_ENVIRONMENT)
time.tzset()

settings.register_profile(
    "ci",
    # The same examples on every machine and every run; no deadline, since a slow machine is no defect.
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    database=None,
)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=5)
settings.register_profile("thorough", settings.get_profile("ci"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# With several processes a file's tests run in one of them: files of minutes begin first, so that none of them is left
# at the end while other processes have nothing to do; then those with slow tests, then all others.
LONGEST = ("tests/gitrain/cli/test_rehearse.py", "tests/gitrain/test_second_project.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_turn(items))


def _turn(items: list[pytest.Item]) -> Callable[[pytest.Item], tuple[int, int]]:
    """When it is a file's turn, for each of its tests."""
    sizes = Counter(item.nodeid.partition("::")[0] for item in items)
    slow = {item.nodeid.partition("::")[0] for item in items if item.get_closest_marker("slow")}

    def turn(item: pytest.Item) -> tuple[int, int]:
        file = item.nodeid.partition("::")[0]
        if file in LONGEST:
            return 0, LONGEST.index(file)
        return (1, 0) if file in slow else (2, -sizes[file])

    return turn


@pytest.fixture(scope="session", autouse=True)
def isolated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty HOME, with a git configuration that a fresh machine would have."""
    home = tmp_path_factory.mktemp("home")
    configuration = home / ".gitconfig"
    configuration.write_text("[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n", encoding="utf-8")
    os.environ["HOME"] = str(home)
    os.environ["GIT_CONFIG_GLOBAL"] = str(configuration)
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        os.environ[name] = str(home / name.lower())
    for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
        os.environ[name] = str(home / name.lower())
    return home


_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")  # noqa: S104  (compared, never bound)


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Connections and name look-ups beyond this machine raise at once, in this process."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def refuse(host: object) -> None:
        if host is not None and not str(host).startswith(_LOOPBACK) and host != "":
            raise RuntimeError(f"a test tried to reach {host!r}: tests use the loopback interface alone")

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                refuse(address[0])
            return original(self, address)

        return call

    def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        refuse(host.decode() if isinstance(host, bytes) else host)
        return getaddrinfo(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(connect))
        patch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


@pytest.fixture
def git_repository(tmp_path: Path) -> Path:
    """A repository with one commit on `main` that holds a README; a new one for each test."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "README.md").write_text("# A repository\n", encoding="utf-8")
    for arguments in (("init", "-q", "-b", "main"), ("add", "README.md"), ("commit", "-q", "-m", "A start")):
        subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)
    return root


_TESTS = Path(__file__).parent


@pytest.fixture(scope="session")
def parcels(isolated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of tests/projects/parcels as a repository: pipeline run, all committed. Made once for all workers.

    Read it and leave it as it is: a test that changes something takes `parcels_copy`.
    """
    with _made_once("parcels", tmp_path_factory) as (root, made):
        if not made:
            shutil.copytree(_TESTS / "projects" / "parcels", root, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(_TESTS.parent / "requirements.lock", root)
            (root / ".gitignore").write_text("__pycache__/\n.gitrain/\nmlflow.db\nmlruns/\n", encoding="utf-8")
            git, dvc = ("git",), (sys.executable, "-m", "dvc")
            # The stages find `gitrain` beside this interpreter.
            path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
            for command in (
                (*git, "init", "-q"),
                (*dvc, "init", "-q"),
                (*dvc, "repro", "-q"),
                (*git, "add", "--all"),
                (*git, "commit", "-q", "-m", "Parcels"),
            ):
                done = subprocess.run(
                    command, cwd=root, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture(scope="session")
def released_parcels(parcels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That repository with Gitrain's source in it, as this one has, and with release 0.1.0 of its commit.

    Made once for all workers; read it and leave it as it is.
    """
    # Not every test that this file serves has all that it takes to build a release.
    import gitrain
    from gitrain.operations.build_release import build_release
    from gitrain.verdicts import Outcome
    from gitrain.wiring.bundles import open_pack_tools, open_release_tools

    with _made_once("released-parcels", tmp_path_factory) as (root, made):
        if not made:
            shutil.copytree(parcels, root, symlinks=True)
            source = Path(gitrain.__file__).parent
            shutil.copytree(source, root / "src/gitrain", ignore=shutil.ignore_patterns("__pycache__"))
            for arguments in (("add", "--all"), ("commit", "-q", "-m", "With Gitrain")):
                subprocess.run(["git", *arguments], cwd=root, check=True)
            tools = open_release_tools(str(root), lambda line: None, today=date(2026, 1, 2))
            done = build_release(tools, open_pack_tools(str(root)), base=None, bump=None)
            assert done.outcome is Outcome.PASSED, [verdict for verdict in done.verdicts if verdict.outcome.exit_code]
    return root


@contextlib.contextmanager
def _made_once(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, bool]]:
    """A folder that all workers share, and whether one of them has made it; the others wait meanwhile."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    root, finished = shared / name, shared / f"{name}.finished"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = finished.exists()
        if not made:
            shutil.rmtree(root, ignore_errors=True)
        yield root, made
        finished.touch()


@pytest.fixture
def parcels_copy(parcels: Path, tmp_path: Path) -> Path:
    """A copy of that repository, to be changed at will."""
    copy = tmp_path / "parcels"
    shutil.copytree(parcels, copy, symlinks=True)
    return copy
