"""The errors that Gitrain raises. A failed gate or check is a value (`gitrain.verdicts`), never one of these.

::

    GitrainError                 exit code 3: something broke
    ├── UsageError               exit code 2: the call or the configuration is wrong
    │   ├── SettingsError        a file such as pyproject.toml or params.yaml
    │   └── ProjectError         the project object that a repository hands over
    ├── DataError                data that cannot be read, or is not what it says it is
    ├── FeatureError             features that cannot be computed as they are defined
    ├── TrainingError            a model that cannot be fitted
    ├── ModelError               a stored model that is missing, altered, untrusted or unreadable
    ├── PipelineError            dvc.lock, the DVC cache, the repository's state
    ├── ReleaseError             a release that is missing, altered, or in the way of another
    ├── DeploymentError          what runs in an environment cannot be seen or changed
    └── IntegrationError         a tool or server that we call answered with an error

Every error says what is wrong and what to do about it.
"""

from typing import ClassVar

__all__ = [
    "DataError",
    "DeploymentError",
    "FeatureError",
    "GitrainError",
    "IntegrationError",
    "ModelError",
    "PipelineError",
    "ProjectError",
    "ReleaseError",
    "SettingsError",
    "TrainingError",
    "UsageError",
]


class GitrainError(Exception):
    """The base of all errors.

    Args:
        what: one sentence that names the file, the column or key, and the value.
        fix: one sentence that says what to do.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, what: str, *, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n  to mend it: {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword arguments do not survive the trip between processes by themselves.
        return (_rebuild, (type(self), self.what, self.fix))


def _rebuild(kind: type[GitrainError], what: str, fix: str) -> GitrainError:
    return kind(what, fix=fix)


class UsageError(GitrainError):
    """The call or the configuration is wrong: nothing was tried."""

    exit_code = 2


class SettingsError(UsageError):
    """A configuration file cannot be read, or holds an unknown key or an impossible value."""


class ProjectError(UsageError):
    """The project object is missing, or its parts do not fit together."""


class DataError(GitrainError):
    """Data cannot be read, or is not what it says it is."""


class FeatureError(GitrainError):
    """Features cannot be computed as they are defined."""


class TrainingError(GitrainError):
    """A model cannot be fitted."""


class ModelError(GitrainError):
    """A stored model is missing, altered, untrusted or unreadable."""


class PipelineError(GitrainError):
    """`dvc.lock`, the DVC cache or the repository is not in the state that the command needs."""


class ReleaseError(GitrainError):
    """A release is missing, was altered, or another one stands in its way."""


class DeploymentError(GitrainError):
    """What runs in an environment cannot be seen or changed."""


class IntegrationError(GitrainError):
    """A tool or a server that Gitrain calls answered with an error."""
