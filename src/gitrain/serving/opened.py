"""A service with everything open: what its HTTP side needs, and no more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gitrain.serving.answering import Answering, PredictionObserver
from gitrain.serving.log_records import LogObserver
from gitrain.serving.requests import RequestSchema
from gitrain.serving.shadow import Compared, CopyOutcome

__all__ = ["OpenedService", "ServiceObserver"]


class ServiceObserver(PredictionObserver, LogObserver, Protocol):
    """Learns what a service does."""

    def opened(self, *, seconds: float, labels: Mapping[str, str]) -> None:
        """The model is open, after so many seconds; `labels` say which it is."""

    def copied(self, outcome: CopyOutcome, compared: Compared | None) -> None:
        """What became of a copy of a request. Called from the thread that sends them, and from the one that answers."""


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
        copy: takes over a request that was answered with 200, by its name, its body and its answer, to send a copy of
            it where it is told to; never waits. None: nobody tells this service anything of copies.
    """

    schema: RequestSchema
    answering: Answering
    remote: bool
    describe: Callable[[], Mapping[str, Any]]
    check: Callable[[], str | None]
    close: Callable[[], None]
    copy: Callable[[str, bytes, bytes], None] | None = None
