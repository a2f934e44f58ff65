"""bentofile.yaml: BentoML's own file. What of it a release takes, and what it sees to itself."""

import re
from typing import Self

from pydantic import Field, model_validator

from gitrain.documents import Section, parse_yaml

__all__ = ["BASE_IMAGES", "BENTOFILE", "Bentofile", "BentofileDocker", "BentofileEnv", "BentofilePython"]

BENTOFILE = "bentofile.yaml"

#: By minor version of Python, what images are built on: small, without a compiler, named by its content.
BASE_IMAGES = {
    "3.11": "docker.io/library/python:3.11-slim-bookworm"
    "@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b",
    "3.12": "docker.io/library/python:3.12-slim-bookworm"
    "@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254",
    "3.13": "docker.io/library/python:3.13-slim-bookworm"
    "@sha256:67a1e1f215ccda113cfc024e8639049257e88f273898f595b61476d128d387e8",
}

_SERVICE = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")


class BentofilePython(Section):
    """The key `python`.

    Attributes:
        packages: what the service needs beyond `gitrain[serving]`, without versions: requirements.lock has those.
    """

    packages: tuple[str, ...] = ()


class BentofileDocker(Section):
    """The key `docker`.

    Attributes:
        base_image: what the image is built on, named by its digest; the default follows the version of Python.
    """

    base_image: str | None = Field(default=None, pattern=r"^[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}$")


class BentofileEnv(Section):
    """A variable of the environment that the service runs in.

    Attributes:
        name: of the variable.
        value: its value. It is part of the bundle, so it can be no secret.
    """

    name: str = Field(pattern=r"^[A-Za-z_]\w*$")
    value: str


class Bentofile(Section):
    """The keys of bentofile.yaml that a release knows. What else BentoML has, a release decides by itself.

    Attributes:
        service: ``package.module:NAME`` of the service.
        name: the bundle's name; that of the service by default.
        description: for people; Markdown.
        labels: more labels of the bundle.
        include: patterns of files that are packed, besides the packages of project and service.
        exclude: patterns of files that are left out of those packages.
        envs: variables of the environment that the service runs in.
        python: packages.
        docker: the image.
    """

    service: str
    name: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9_.-]*[a-z0-9])?$", max_length=63)
    description: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    envs: tuple[BentofileEnv, ...] = ()
    python: BentofilePython = BentofilePython()
    docker: BentofileDocker = BentofileDocker()

    @model_validator(mode="after")
    def _service_is_a_module(self) -> Self:
        if not _SERVICE.match(self.service) or ".py:" in self.service:
            raise ValueError("service is 'package.module:NAME', as `bentoml serve` takes it from the root")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the file.

        Raises:
            SettingsError: not YAML, an impossible value, or a key that a release does not know.
        """
        return parse_yaml(cls, text, source=BENTOFILE)
