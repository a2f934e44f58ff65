"""A repository as commands find it: its settings and files become the arguments of operations."""

import contextlib
import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import gitrain
from gitrain.documents import parse_yaml
from gitrain.errors import IntegrationError
from gitrain.integrations.batch_file import read_batch_file
from gitrain.integrations.dvc import DvcCache
from gitrain.integrations.dvc_sandbox import DvcSandbox
from gitrain.integrations.files import LocalMemo, LocalWorkspace, replacing, scratch_folder
from gitrain.integrations.git import GitRepository
from gitrain.integrations.process import LocalShell
from gitrain.integrations.yaml_file import YamlFile
from gitrain.lineage import digest_of_file, digest_of_files, digest_of_value
from gitrain.operations.check_groups import CheckTools
from gitrain.operations.publish_release import ReleaseRecordStore
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import MEMO, PARAMS, REQUIREMENTS
from gitrain.pipeline.params import Params
from gitrain.pipeline.scratch import Scratch
from gitrain.pipeline.stages import PipelineTree
from gitrain.project import Project, load_project
from gitrain.settings import Settings, load_settings
from gitrain.training.model_format import ModelFormat
from gitrain.wiring.models import open_served_model

__all__ = [
    "Surroundings",
    "empty_folder",
    "open_artifact_cache",
    "open_check_tools",
    "open_git",
    "open_model_format",
    "open_params_file",
    "open_repository",
    "open_run_store",
    "open_scratch",
    "open_shell",
    "open_stage",
    "open_workspace",
    "read_batch_file",
    "write_report",
]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """A repository as commands find it: its settings, project object, parameters and files."""

    settings: Settings
    project: Project
    params: Params
    workspace: LocalWorkspace


def open_repository(directory: str) -> Surroundings:
    """Read the repository that `directory` lies in.

    Raises:
        SettingsError, ProjectError: what is wrong with pyproject.toml, params.yaml or the project object.
    """
    settings = load_settings(Path(directory))
    # As ASGI servers do: a project need not be installed to be found, and this tree goes before an installed one.
    for folder in (settings.root, settings.root / "src"):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    workspace = LocalWorkspace(settings.root)
    params = parse_yaml(Params, workspace.read_text(PARAMS), source=PARAMS)
    project = load_project(settings.repository.project)
    return Surroundings(settings=settings, project=project, params=params, workspace=workspace)


def open_stage(directory: str, progress: Callable[[str], None]) -> Stage:
    """Everything that a stage of the pipeline needs."""
    found = open_repository(directory)
    root = found.settings.root
    return Stage(
        project=found.project,
        params=found.params,
        workspace=found.workspace,
        memo=LocalMemo(folder=root / MEMO, root=root),
        code=_digest_of_code(root, found.settings.repository.project),
        progress=progress,
    )


def open_workspace(folder: Path) -> LocalWorkspace:
    """The files below a folder."""
    return LocalWorkspace(folder)


def open_params_file(found: Surroundings) -> YamlFile:
    """params.yaml, to be edited."""
    return YamlFile(found.settings.root / PARAMS)


def open_model_format(root: Path) -> ModelFormat:
    """How the repository's models are stored."""
    # scikit-learn takes a second to import, and most stages need none of it.
    from gitrain.integrations.skops import SkopsFormat

    return SkopsFormat(trusted=load_settings(root).repository.trusted_types)


def open_git(root: Path) -> GitRepository:
    """The Git repository that the workspace lies in."""
    return GitRepository(root)


def open_artifact_cache(root: Path) -> DvcCache:
    """DVC's cache, and behind it the remote."""
    return DvcCache(root)


def open_check_tools(directory: str, progress: Callable[[str], None], *, base: str | None) -> CheckTools:
    """Everything that checks need; DVC and scikit-learn are imported by the groups that use them."""
    stage = open_stage(directory, progress)
    root = stage.workspace.root

    def pipeline() -> AbstractContextManager[PipelineTree]:
        # DVC takes half a second to import.
        from gitrain.integrations.dvc_tree import open_dvc_tree

        return open_dvc_tree(root)

    return CheckTools(
        stage=stage,
        open_model_format=lambda: open_model_format(root),
        open_served_model=open_served_model,
        open_pipeline=pipeline,
        open_scratch=open_scratch,
        repository=open_git(root),
        cache=open_artifact_cache(root),
        sandbox=DvcSandbox(root=root),
        clock=time.monotonic,
        base=base,
    )


def open_run_store(settings: Settings, *, with_models: bool = False) -> ReleaseRecordStore:
    """Where runs and models are recorded; `with_models` where a model is to be registered."""
    # MLflow takes more than a second to import, and only these commands need it.
    from gitrain.integrations.mlflow import MlflowRunStore

    trusted: tuple[str, ...] = ()
    if with_models:
        from gitrain.integrations.skops import TRUSTED

        trusted = (*TRUSTED, *settings.repository.trusted_types)
    return MlflowRunStore(uri=settings.repository.tracking_uri, root=settings.root, trusted_types=trusted)


def open_shell(folder: Path, log: Path) -> LocalShell:
    """Commands in a folder, with a log of what they print."""
    return LocalShell(folder, log)


@contextlib.contextmanager
def open_scratch() -> Iterator[Scratch]:
    """An empty folder away from the repository; it is removed on leaving."""
    with tempfile.TemporaryDirectory(prefix="gitrain-scratch-") as folder:
        root = Path(folder) / "tree"
        root.mkdir()
        yield Scratch(workspace=LocalWorkspace(root), shell=LocalShell(root, Path(folder) / "log"))


def empty_folder(path: Path) -> Path:
    """An empty scratch folder."""
    return scratch_folder(path)


def write_report(path: Path, text: str) -> None:
    """Replace a report in one step. Raises IntegrationError where that cannot be, and what was there stays."""
    try:
        with replacing(path) as stream:
            stream.write(text.encode())
    except OSError as error:
        # As an error of its own a crash would end with 1, which is a verdict.
        raise IntegrationError(
            f"{path} cannot be written: {error.strerror or error}", fix="make room, or name another place."
        ) from error


def _digest_of_code(root: Path, reference: str) -> str:
    """The digest of gitrain, of the project's package and of requirements.lock.

    Any change of code makes remembered batches worthless: more than needed, and never less.
    """
    requirements = root / REQUIREMENTS
    top = importlib.import_module(reference.partition(":")[0].partition(".")[0])
    return digest_of_value(
        {
            "gitrain": _digest_of_package(Path(gitrain.__file__).parent),
            "project": _digest_of_module(Path(top.__file__)) if top.__file__ else None,
            "requirements": digest_of_file(requirements) if requirements.exists() else None,
        }
    )


def _digest_of_module(file: Path) -> str:
    return _digest_of_package(file.parent) if file.name == "__init__.py" else digest_of_file(file)


def _digest_of_package(folder: Path) -> str:
    return digest_of_files(folder.rglob("*.py"), root=folder)
