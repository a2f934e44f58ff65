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
_VARIABLES = {"tracking_uri": "MLFLOW_TRACKING_URI", "release_store": "GITRAIN_RELEASE_STORE"}


class RepositorySettings(Section):
    """The table `[tool.gitrain]`.

    Attributes:
        project: ``package.module:NAME`` of the project object.
        tracking_uri: MLflow's store; the environment variable MLFLOW_TRACKING_URI goes before it.
        trusted_types: types that stored models of the project's own estimators are made of, ``package.module.Class``,
            beyond scikit-learn's. Who names a type vouches for what loading it does.
        release_store: where releases are published: a folder, relative to the root, or a URL that fsspec knows, e.g.
            ``s3://bucket/releases``; the environment variable GITRAIN_RELEASE_STORE goes before it.
        release_keys: files with the public keys (OpenSSH, Ed25519) that may sign releases; with one of them a release
            that none has signed is refused.
    """

    project: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    tracking_uri: str = "sqlite:///mlflow.db"
    trusted_types: tuple[str, ...] = ()
    release_store: str = Field(default=".gitrain/releases", min_length=1)
    release_keys: tuple[str, ...] = ()


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
    """Read the settings of the repository that `start` lies in; variables of the environment override the file.

    Raises:
        SettingsError: no such repository, an unknown key or an impossible value.
    """
    root = find_root(start.resolve())
    table = _gitrain_table(root / _PYPROJECT)
    repository = parse(RepositorySettings, table, source=f"{_PYPROJECT} [tool.gitrain]")
    given = {key: os.environ.get(name) for key, name in _VARIABLES.items()}
    repository = repository.model_copy(update={key: value for key, value in given.items() if value})
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
