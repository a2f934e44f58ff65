"""When a service is ready: its model gives the known answers, and its store gives features."""

import json

import numpy as np
from numpy.typing import NDArray

from gitrain.errors import GitrainError
from gitrain.online.columns import Columns
from gitrain.serving.answering import utc_text
from gitrain.serving.manifest import KnownAnswers
from gitrain.serving.model import ServedModel
from gitrain.serving.predictor import Predictor
from gitrain.serving.requests import Rejection, RequestSchema, Row

__all__ = ["Readiness", "wrong_answers"]


class Readiness:
    """Whether predictions can be made.

    The model is asked once, when it has been opened: it gives the same answers ever after. The store is asked each
    time.

    Args:
        known: rows whose answers are known.
        schema: of requests.
        predictor: what is to be ready.
    """

    def __init__(self, known: KnownAnswers, *, schema: RequestSchema, predictor: Predictor) -> None:
        self._schema = schema
        self._predictor = predictor
        self._newest: dict[str, str | None] = {}
        self._wrong = wrong_answers(known, predictor.model)
        self._rows: list[Row] = []
        # The newest of them: a store need not reach back further.
        parsed = schema.parse(json.dumps({schema.table: [known.rows[-1].inputs]}).encode())
        if isinstance(parsed, Rejection):
            first = parsed.problems[0]
            self._wrong = self._wrong or f"a known row is no request: {first.field} {first.reason}"
        else:
            self._rows = parsed

    def check(self) -> str | None:
        """Why predictions cannot be made; None where they can."""
        if self._wrong is not None:
            return self._wrong
        try:
            found = self._predictor.lookup.look_up(self._schema.frame(self._rows))
        except GitrainError as error:
            return str(error)
        self._newest = {name: utc_text(when) for name, when in found.newest.items()}
        if found.newest and not any(self._newest.values()):
            return "the online store holds none of the histories: run `gitrain features materialize`"
        return None

    def newest(self) -> dict[str, str | None]:
        """By history, when the store's newest row became known, as of the last check that the store answered."""
        return self._newest


def wrong_answers(known: KnownAnswers, model: ServedModel) -> str | None:
    """Which known answer the model does not give; None where it gives all of them."""
    try:
        scores = model.score(_columns(known, model))
    except GitrainError as error:
        return str(error)
    except KeyError as error:
        return f"the known rows have no feature {error}"
    expected = np.array([row.score for row in known.rows])
    differences = np.abs(scores - expected)
    worst = int(np.argmax(differences))
    if differences[worst] <= known.tolerance:
        return None
    return (
        f"the model gives {float(scores[worst])!r} for known row {worst}, which has to be {expected[worst].item()!r} "
        f"within {known.tolerance:g}"
    )


def _columns(known: KnownAnswers, model: ServedModel) -> Columns:
    columns: dict[str, NDArray[np.generic]] = {}
    for name in model.columns.names:
        values = [row.features[name] for row in known.rows]
        if name in model.columns.categorical:
            categories = np.empty(len(values), dtype=object)
            categories[:] = values
            columns[name] = categories
        else:
            columns[name] = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return columns
