"""Releases as the registry of models knows them: which of them serve which model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gitrain.registry.models import RegisteredModel

__all__ = ["RegisteredRelease", "ReleaseRegistry"]


@dataclass(frozen=True, kw_only=True)
class RegisteredRelease:
    """What a registry says of a release that serves a model.

    Attributes:
        version: without the leading v, e.g. ``1.4.0``.
        record_digest: of its record.
        bundle_digest: of its bundle.
        commit: the full hash of the commit that it was built from.
        lineage: more digests by name: of dvc.lock, the data, the environment.
    """

    version: str
    record_digest: str
    bundle_digest: str
    commit: str
    lineage: Mapping[str, str] = field(default_factory=dict)


class ReleaseRegistry(Protocol):
    """A registry that is told of releases. It names them; what is served where is said by files in Git."""

    def find(self, name: str, model_digest: str) -> RegisteredModel | None:
        """The oldest version of a model with that digest; None if there is none.

        Raises:
            IntegrationError: the registry cannot be reached.
        """

    def name_release(self, model: RegisteredModel, release: RegisteredRelease) -> bool:
        """Say of a model that a release serves it; False if that is said already. Several releases may serve one model.

        Raises:
            IntegrationError: the registry cannot be reached or refuses, or knows that version as another release.
        """

    def releases(self, model: RegisteredModel) -> Sequence[RegisteredRelease]:
        """The releases that serve a model, in the order of their versions.

        Raises:
            IntegrationError: the registry cannot be reached.
        """
