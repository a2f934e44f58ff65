"""`[tool.gitrain]` in pyproject.toml: where the project object is, and nothing that params.yaml can say."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from gitrain.documents import Section, parse
from gitrain.errors import SettingsError

__all__ = ["RepositorySettings", "Settings", "find_root", "load_settings"]

_PYPROJECT = "pyproject.toml"


class RepositorySettings(Section):
    """The table `[tool.gitrain]`.

    Attributes:
        project: ``package.module:NAME`` of the project object.
        tracking_uri: MLflow's store; the environment variable MLFLOW_TRACKING_URI goes before it.
        trusted_types: types that stored models of the project's own estimators are made of, ``package.module.Class``,
            beyond scikit-learn's. Who names a type vouches for what loading it does.
    """

    project: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    tracking_uri: str = "sqlite:///mlflow.db"
    trusted_types: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A repository's settings and its root folder (absolute)."""

    root: Path
    repository: RepositorySettings


def find_root(start: Path) -> Path:
    """The nearest folder, from `start` upwards, whose pyproject.toml has a `[tool.gitrain]` table.

    Raises:
        SettingsError: there is none.
    """
    for folder in (start, *start.parents):
        if _gitrain_table(folder / _PYPROJECT) is not None:
            return folder
    raise SettingsError(
        f"no {_PYPROJECT} with a [tool.gitrain] table in {start} or above it",
        fix='run inside a repository that has one: [tool.gitrain] project = "package.module:PROJECT".',
    )


def load_settings(start: Path) -> Settings:
    """Read the settings of the repository that `start` lies in; MLFLOW_TRACKING_URI overrides the file.

    Raises:
        SettingsError: no such repository, an unknown key or an impossible value.
    """
    root = find_root(start.resolve())
    table = _gitrain_table(root / _PYPROJECT)
    repository = parse(RepositorySettings, table, source=f"{_PYPROJECT} [tool.gitrain]")
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI")
    if tracking_uri:
        repository = repository.model_copy(update={"tracking_uri": tracking_uri})
    return Settings(root=root, repository=repository)


def _gitrain_table(path: Path) -> dict[str, object] | None:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}", fix="correct the syntax.") from error
    table = content.get("tool", {}).get("gitrain")
    return table if isinstance(table, dict) else None
