"""What a project's service is made with: a few lines that BentoML can serve and build.

::

    from gitrain.service import bento_service

    FlightDelay = bento_service(__file__, name="flight-delay")

``bentoml serve flight_delay.service:FlightDelay`` serves it from the repository's root; a release's bundle holds the
same lines. Importing them reads no model and no store, and not even the project: workers open these when they start.
"""

import re
import time
from typing import TYPE_CHECKING, Any

from gitrain.errors import ProjectError
from gitrain.integrations.bentoml.limits import Limits
from gitrain.integrations.bentoml.service import make_service

if TYPE_CHECKING:
    from gitrain.integrations.bentoml.application import Application

__all__ = ["Limits", "bento_service"]


def bento_service(
    module: str, *, name: str, description: str = "", workers: int = 1, limits: Limits | None = None
) -> Any:
    """The service of the project that [tool.gitrain] names.

    Args:
        module: the file of the module that calls this: ``__file__``. The root is the nearest folder at or above it
            with a release.json, or with a pyproject.toml that has [tool.gitrain].
        name: of the service and of its bundles; the project's name.
        description: shown where BentoML lists services.
        workers: processes; each takes one core and up to 350 MB.
        limits: what one worker takes on.

    Returns:
        A `bentoml.Service`.

    Raises:
        ProjectError: a name that is none.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ProjectError(
            f"the service's name is {name!r}",
            fix="use the project's: lower-case letters, digits and hyphens, starting with a letter.",
        )

    def make_application() -> "Application":
        # Polars, the project and the model take a second to import: workers do that, not who starts or builds them.
        from gitrain.integrations.bentoml.application import Application
        from gitrain.integrations.bentoml.metrics import ServiceMetrics
        from gitrain.wiring.service import describe_service, open_service, service_root

        return Application(
            open_service=lambda observer: open_service(service_root(module), observer),
            metrics=ServiceMetrics(),
            document=lambda: describe_service(service_root(module)),
            limits=limits or Limits(),
            clock=time.perf_counter,
        )

    return make_service(make_application, name=name, description=description, workers=workers)
