"""The composition root: settings and files become the arguments of operations."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gitrain
from gitrain.documents import parse_yaml
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.lineage import digest_of_file, digest_of_files, digest_of_value
from gitrain.operations.stage import Stage
from gitrain.pipeline.layout import MEMO, PARAMS, REQUIREMENTS
from gitrain.pipeline.params import Params
from gitrain.project import Project, load_project
from gitrain.settings import Settings, load_settings

__all__ = ["Surroundings", "open_repository", "open_stage"]


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
