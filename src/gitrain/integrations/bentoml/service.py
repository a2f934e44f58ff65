"""A BentoML service around an `Application`."""

import gc
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import bentoml
from bentoml import Service

if TYPE_CHECKING:
    from gitrain.integrations.bentoml.application import Application

__all__ = ["make_service"]

# Of the worker; what is set outside goes before. One worker is one core's: threads of Polars or OpenMP would only wake
# each other up.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "POLARS_MAX_THREADS": "1"}
# Objects, and collections of the younger ones; Python's own are 700, 10 and 10.
_COLLECT_AFTER = (10_000, 10, 10)
# A request waits no longer than that for a thread beside the loop.
_SWITCH_SECONDS = 0.0005


class _FrontedService(Service[Any]):  # type: ignore[misc]  # BentoML loads its names late, so that they are Any
    """A service whose own paths are answered before BentoML's middlewares."""

    def to_asgi(self, is_main: bool = True) -> Any:
        application: Application = self.inner.application()
        return application.before(super().to_asgi(is_main))


def make_service(make_application: Callable[[], "Application"], *, name: str, description: str, workers: int) -> Any:
    """A `bentoml.Service` that ``bentoml serve`` and ``bentoml build`` take.

    Args:
        make_application: gives what answers the requests; called once, in the worker.
        name: lower-case letters, digits and hyphens.
        description: shown by BentoML.
        workers: processes.
    """
    made: list[Application] = []

    class Predictions:
        @staticmethod
        def application() -> "Application":
            if not made:
                made.append(make_application())
            return made[0]

        def __init__(self) -> None:
            # uvicorn puts together a line for each request that nobody is shown.
            logging.getLogger("uvicorn.access").propagate = False
            self.application().open()
            # What stays for good is left alone by the garbage collector: else it looks through all of it every few
            # seconds, and nobody is answered for 100 to 180 ms.
            gc.collect()
            gc.freeze()
            # What a request leaves behind is freed without it: it may look for rings less often.
            gc.set_threshold(*_COLLECT_AFTER)
            # The thread that writes the log would else keep the interpreter for five milliseconds at a time.
            sys.setswitchinterval(_SWITCH_SECONDS)

        async def __is_ready__(self) -> bool:
            return await self.application().ready()

        @bentoml.on_shutdown  # type: ignore[untyped-decorator]
        def close(self) -> None:
            self.application().close()

    Predictions.__doc__ = description
    decorate = bentoml.service(
        name=name,
        description=description,
        service_class=_FrontedService,
        workers=workers,
        envs=[{"name": key, "value": value} for key, value in _ENVIRONMENT.items()],
        # A line for each request is what the prediction log is for.
        logging={"access": {"enabled": False}},
        metrics={"enabled": False},
        endpoints={"livez": "/livez", "readyz": "/readyz"},
    )
    return decorate(Predictions)
