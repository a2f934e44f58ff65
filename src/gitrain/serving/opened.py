"""A service with everything open: what its HTTP side needs, and no more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gitrain.serving.answering import Answering, PredictionObserver
from gitrain.serving.log_records import LogObserver
from gitrain.serving.requests import RequestSchema

__all__ = ["OpenedService", "ServiceObserver"]


class ServiceObserver(PredictionObserver, LogObserver, Protocol):
    """Learns what a service does."""

    def opened(self, *, seconds: float, labels: Mapping[str, str]) -> None:
        """The model is open, after so many seconds; `labels` say which it is."""


@dataclass(frozen=True, kw_only=True)
class OpenedService:
    """What a worker has opened.

    Attributes:
        schema: of requests.
        answering: gives the answers.
        remote: whether the store is beyond a network, where a look-up may block: it then runs off the event loop.
        describe: what GET /release says, now.
        check: why the service is not ready; None where it is. It asks the store.
        close: ends what runs on its own; the prediction log is written to its end.
    """

    schema: RequestSchema
    answering: Answering
    remote: bool
    describe: Callable[[], Mapping[str, Any]]
    check: Callable[[], str | None]
    close: Callable[[], None]
