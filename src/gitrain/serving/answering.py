"""From parsed requests to answers: the rows of many requests are judged, looked up and scored together."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from gitrain.errors import GitrainError, IntegrationError
from gitrain.online.given_rows import GivenRows
from gitrain.serving.log_records import PredictedRows
from gitrain.serving.predictor import Predictions, Predictor
from gitrain.serving.requests import Problem, Rejection, RequestSchema, Row

__all__ = ["Answer", "Answering", "Asked", "Outcome", "PredictionObserver", "utc_text"]

#: Of the problems of one request so many are told.
_PROBLEMS_TOLD = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose body has the right shape.

    Attributes:
        request_id: its name in the answer and in the log.
        rows: at least one.
        copy: whether it is a copy of a request that another release has answered.
    """

    request_id: str
    rows: Sequence[Row]
    copy: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with.

    Attributes:
        body: JSON.
    """

    body: bytes


#: An answer, a refusal, or why there is neither.
Outcome = Answer | Rejection | Exception


class PredictionObserver(Protocol):
    """Counts predictions, and keeps them."""

    def predicted(self, rows: PredictedRows, newest: Mapping[str, datetime | None]) -> None:
        """Some rows have been predicted together. Must not block."""


class Answering:
    """Answers requests.

    Args:
        schema: what a request may hold.
        predictor: gives the predictions.
        release: the version that answers.
        clock: the time now, UTC.
        observer: counts and keeps what was predicted.
    """

    def __init__(
        self,
        schema: RequestSchema,
        predictor: Predictor,
        *,
        release: str,
        clock: Callable[[], datetime],
        observer: PredictionObserver,
    ) -> None:
        self._schema = schema
        self._predictor = predictor
        self._release = release
        self._clock = clock
        self._observer = observer
        self._lists: dict[tuple[str, ...], str] = {}
        self._newest: tuple[Mapping[str, datetime | None] | None, str] = (None, "")

    def answer(self, asked: Sequence[Asked]) -> list[Outcome]:
        """An outcome for each request: one look-up and one call of the model for the rows of all of them.

        Raises nothing that one request could do to the others: where the rows together fail, each request is tried by
        itself.
        """
        if any(one.copy for one in asked) and not all(one.copy for one in asked):
            # They are logged in different places.
            apart = {copy: iter(self.answer([one for one in asked if one.copy is copy])) for copy in (False, True)}
            return [next(apart[one.copy]) for one in asked]
        try:
            return self._together(asked)
        except IntegrationError as error:
            # The store is away for all of them.
            return [error] * len(asked)
        except Exception as error:  # one request's failure must not be another's
            if len(asked) == 1:
                return [error]
            return [outcome for one in asked for outcome in self.answer([one])]

    def _together(self, asked: Sequence[Asked]) -> list[Outcome]:
        rows = self._schema.given([row for one in asked for row in one.rows])
        refused = self._refusals(asked, self._schema.rejected(rows))
        accepted = [one for one, refusal in zip(asked, refused, strict=True) if refusal is None]
        if len(accepted) < len(asked):
            rows = rows.where([refusal is None for one, refusal in zip(asked, refused, strict=True) for _ in one.rows])
        answers = iter(self._predicted(accepted, rows) if accepted else [])
        return [next(answers) if refusal is None else refusal for refusal in refused]

    def _refusals(self, asked: Sequence[Asked], problems: Sequence[tuple[Problem, ...]]) -> list[Rejection | None]:
        if not any(problems):
            return [None] * len(asked)
        refusals: list[Rejection | None] = []
        start = 0
        for one in asked:
            found = [
                self._schema.located(place, problem)
                for place in range(len(one.rows))
                for problem in problems[start + place]
            ]
            start += len(one.rows)
            rest = len(found) - _PROBLEMS_TOLD
            if rest > 0:
                found[_PROBLEMS_TOLD:] = [
                    Problem(field="", reason=f"{rest} more {'problem' if rest == 1 else 'problems'}")
                ]
            refusals.append(Rejection(status=422, problems=tuple(found)) if found else None)
        return refusals

    def _predicted(self, asked: Sequence[Asked], given: GivenRows) -> list[Outcome]:
        predictions = self._predictor.predict(given)
        if len(predictions.probabilities) != given.height:
            raise GitrainError(
                f"{given.height} rows gave {len(predictions.probabilities)} predictions", fix="report this as a defect."
            )
        self._observer.predicted(
            PredictedRows(
                time=self._clock(),
                release=self._release,
                request_ids=[one.request_id for one in asked for _ in one.rows],
                places=[place for one in asked for place in range(len(one.rows))],
                inputs=given,
                features=predictions.features,
                missing=predictions.missing,
                stale=predictions.stale,
                probabilities=predictions.probabilities,
                decisions=predictions.decisions,
                copies=asked[0].copy,
            ),
            predictions.newest,
        )
        rows = self._rows(predictions)
        newest = self._newest_text(predictions.newest)
        answers: list[Outcome] = []
        start = 0
        for one in asked:
            end = start + len(one.rows)
            # By hand: a general serialiser takes four times as long, and all strings are known to need no escapes.
            text = (
                f'{{"release": "{self._release}", "request_id": "{one.request_id}", '
                f'"features": {{"newest": {newest}}}, "predictions": [{", ".join(rows[start:end])}]}}'
            )
            answers.append(Answer(text.encode()))
            start = end
        return answers

    def _rows(self, predictions: Predictions) -> list[str]:
        return [
            f'{{"probability": {probability!r}, "decision": {"true" if decision else "false"}, '
            f'"missing": {self._list(missing)}, "stale": {self._list(stale)}}}'
            for probability, decision, missing, stale in zip(
                predictions.probabilities.tolist(),
                predictions.decisions.tolist(),
                predictions.missing,
                predictions.stale,
                strict=True,
            )
        ]

    def _newest_text(self, newest: Mapping[str, datetime | None]) -> str:
        known, text = self._newest
        # The store gives one mapping for as long as it does not change.
        if known is not newest:
            text = json.dumps({name: utc_text(when) for name, when in newest.items()})
            self._newest = newest, text
        return text

    def _list(self, names: tuple[str, ...]) -> str:
        text = self._lists.get(names)
        if text is None:
            text = json.dumps(names)
            # The combinations of features that go missing together are few; should they not be, none is kept.
            if len(self._lists) < 1000:
                self._lists[names] = text
        return text


def utc_text(when: datetime | None) -> str | None:
    """A time as answers have it: ISO 8601, UTC, with Z."""
    return None if when is None else when.astimezone(UTC).isoformat().replace("+00:00", "Z")
