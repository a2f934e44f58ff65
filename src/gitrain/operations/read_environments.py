"""Read the files of all environments as they are in a commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitrain.deployment.commits import CommitHistory
from gitrain.environments.document import FOLDER, Environment, environment_path, parse_environment
from gitrain.errors import UsageError

__all__ = ["EnvironmentFiles", "read_environments"]

_SUFFIX = ".yaml"


@dataclass(frozen=True, kw_only=True)
class EnvironmentFiles:
    """The environments of a commit.

    Attributes:
        texts: of the files, by the environments' names.
        environments: what they say, by name.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)

    def require(self, name: str) -> Environment:
        """One of them.

        Raises:
            UsageError: there is no such environment.
        """
        path = environment_path(name)
        if name not in self.environments:
            known = ", ".join(sorted(self.environments))
            raise UsageError(
                f"there is no environment {name!r}: {path} is missing",
                fix=f"name one of these: {known}." if known else f"write {path}, commit and push it.",
            )
        return self.environments[name]


def read_environments(history: CommitHistory, commit: str) -> EnvironmentFiles:
    """The files `environments/NAME.yaml` of a commit.

    Raises:
        SettingsError: one of them says something impossible.
        UsageError: one of them has a name that no environment can have.
    """
    names = [
        path.removeprefix(f"{FOLDER}/").removesuffix(_SUFFIX)
        for path in history.files(commit, FOLDER)
        if path.endswith(_SUFFIX)
    ]
    texts = {name: history.read(commit, environment_path(name)) or "" for name in names}
    return EnvironmentFiles(
        texts=texts, environments={name: parse_environment(text, name) for name, text in texts.items()}
    )
