"""Models by name and version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gitrain.tracking.runs import RunRecord

__all__ = ["ModelRegistry", "RegisteredModel"]


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """A version of a model.

    Attributes:
        name: the project's name.
        version: counted from 1 by the registry.
        model_digest: ``sha256:`` and the digest of the model's file.
        run_key: the key of the run that registered it (`RunRecord.key`).
        run_id: the store's own name of that run.
        commit: the commit that was checked out then; None before the first one.
        source: where the registry keeps the model's files.
    """

    name: str
    version: int
    model_digest: str
    run_key: str
    run_id: str
    commit: str | None
    source: str


class ModelRegistry(Protocol):
    """Keeps models by name and version. It names models; what is served where is said by files in Git."""

    def register(self, run: RunRecord, model: bytes, *, python: str, requirements: Sequence[str]) -> RegisteredModel:
        """Keep a run's model as a new version of the model named after the project.

        A model with this digest that is registered already is left as it is, and returned.

        Args:
            run: a record as `RunStore.record` returned it.
            model: the skops file.
            python: the version of Python that it was made with, e.g. ``3.12``.
            requirements: what loading it takes, as pip reads it, e.g. ``scikit-learn==1.9.0``.

        Raises:
            IntegrationError: the registry cannot be reached or refuses.
        """

    def find(self, name: str, model_digest: str) -> RegisteredModel | None:
        """The oldest version with that digest; None if there is none.

        Raises:
            IntegrationError: the registry cannot be reached.
        """
