"""Shadow mode: what a service is told to copy, and how far two answers to one request are apart. Pure.

A release on trial sees copies of requests that the release which runs has answered; its answers are compared and
logged, and nobody gets them. The service that answers users sends the copies: no proxy that is embedded can.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from gitrain.documents import Document

__all__ = ["COPIES", "COPY_HEADER", "FAR", "Compared", "CopyOrder", "CopyOutcome", "compare_answers", "judge_status"]

#: Marks a copy that a service sends to another past the proxy; the proxy takes it off what users send.
COPY_HEADER = "X-Gitrain-Copy"
#: The name of the file that says where copies go, in the folder of an environment.
COPIES = "copies.json"
#: Probabilities that are further apart than this are far from each other: retrained models seldom are.
FAR = 0.3

#: compared: both have answered. failed: no answer to the copy, a 5xx, or one that is none. refused: a 4xx. dropped: it
#: was not sent, or the other one was busy.
CopyOutcome = Literal["compared", "failed", "refused", "dropped"]


class CopyOrder(Document):
    """Where copies of requests go: the file that services look at once a second.

    Attributes:
        port: of the replica that gets them, on the loopback interface.
        release: its version.
        percent: of the requests are copied.
    """

    port: int = Field(ge=1, le=65_535)
    release: str = Field(max_length=100)
    percent: int = Field(ge=1, le=100)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two answers to one request, row by row.

    Attributes:
        rows: of the request.
        decisions: that differ.
        far: probabilities that are further apart than `FAR`.
    """

    rows: int
    decisions: int
    far: int


def compare_answers(answer: bytes, copy: bytes) -> Compared | None:
    """Compare the answer that a user got with the one to its copy; None if the latter is no answer to it."""
    try:
        pairs = list(zip(_predictions(answer), _predictions(copy), strict=True))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return Compared(
        rows=len(pairs),
        decisions=sum(mine[1] is not other[1] for mine, other in pairs),
        far=sum(abs(mine[0] - other[0]) > FAR for mine, other in pairs),
    )


def judge_status(status: int) -> CopyOutcome:
    """What a status says of a copy; ``compared`` for 200, where its body decides."""
    if status == 200:
        return "compared"
    if status == 429:
        return "dropped"
    return "refused" if 400 <= status < 500 else "failed"


def _predictions(answer: bytes) -> list[tuple[float, bool]]:
    found: list[tuple[float, bool]] = []
    for each in json.loads(answer)["predictions"]:
        probability: Any = each["probability"]
        decision: Any = each["decision"]
        sound = isinstance(probability, float | int) and not isinstance(probability, bool) and 0 <= probability <= 1
        if not sound or not isinstance(decision, bool):
            raise ValueError("no prediction")
        found.append((float(probability), decision))
    return found
