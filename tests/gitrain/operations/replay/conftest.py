import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import gitrain.wiring.replay
from gitrain.pipeline.replay import ReplayReport
from gitrain.wiring.replay import replay_folder, replay_repository
from gitrain.wiring.repository import open_stage

_TESTS = Path(__file__).parents[3]


def live(root: Path, folder: Path, **options) -> tuple[ReplayReport, list[str]]:
    """A replay of a repository, and what it told."""
    told: list[str] = []
    options = {"bootstrap": 2, "through": None, "keep_log": True} | options
    with replay_folder(folder):
        return replay_repository(str(root), folder, progress=told.append, **options), told


def project(folder: Path) -> Path:
    """The parcels as a repository in which nothing has been run."""
    shutil.copytree(_TESTS / "projects" / "parcels", folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_TESTS.parent / "requirements.lock", folder)
    return folder


def timeless(report: ReplayReport) -> ReplayReport:
    """Without what differs from run to run: how long things took."""
    seconds = ("training_seconds", "gates_seconds", "monitoring_seconds", "serving_seconds", "logging_seconds")
    batches = tuple(each.model_copy(update=dict.fromkeys(seconds, 0.0) | {"reused": False}) for each in report.batches)
    return report.model_copy(update={"batches": batches, "seconds": 0.0, "training_seconds": 0.0})


@dataclass(frozen=True)
class Lived:
    """A replay that has ended: the repository, the scratch folder, the report and what was told."""

    root: Path
    folder: Path
    report: ReplayReport
    told: list[str]
    seconds: float


@pytest.fixture(scope="package", autouse=True)
def one_code():
    """Candidates and batches are kept by the digest of the code: whoever edits it meanwhile changes nothing here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gitrain.wiring.replay, "open_stage", lambda *given: replace(open_stage(*given), code="code"))
        yield


@pytest.fixture(scope="package")
def lived(tmp_path_factory, one_code):
    """The year of the parcels, lived once: tests read it and leave it as it is."""
    root = project(tmp_path_factory.mktemp("replay") / "parcels")
    folder = root.parent / "scratch"
    start = time.monotonic()
    report, told = live(root, folder)
    return Lived(root=root, folder=folder, report=report, told=told, seconds=time.monotonic() - start)
