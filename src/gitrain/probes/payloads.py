"""What is sent to `POST /predict`, and what its answers say."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gitrain.errors import IntegrationError, UsageError
from gitrain.serving.manifest import KnownAnswer, KnownAnswers

__all__ = [
    "Answered",
    "Payload",
    "body_of",
    "missing_in",
    "payloads_of",
    "predictions_in",
    "read_answer",
    "read_payloads",
    "table_in",
]


@dataclass(frozen=True, kw_only=True)
class Payload:
    """One request's body, and what is known of its rows.

    Attributes:
        body: JSON.
        missing: for each row the features of which it is known that they are missing.
    """

    body: bytes
    missing: tuple[frozenset[str], ...] = ()


class Answered(NamedTuple):
    """What is counted of an answer.

    Attributes:
        rows: predictions.
        missing: of these, how many lack a feature that is known to be there.
        stale: of these, how many were made from stale features.
    """

    rows: int
    missing: int
    stale: int


def body_of(table: str, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The body of a request.

    Args:
        table: the key that the rows stand under.
        rows: what is known in advance of each.
    """
    return json.dumps({table: list(rows)}, allow_nan=False).encode()


def missing_in(known: KnownAnswer) -> frozenset[str]:
    """The features of a known row that the pipeline did not know either."""
    return frozenset(name for name, value in known.features.items() if value is None)


def payloads_of(known: KnownAnswers, table: str) -> tuple[Payload, ...]:
    """One request a known row."""
    return tuple(Payload(body=body_of(table, [row.inputs]), missing=(missing_in(row),)) for row in known.rows)


def read_payloads(text: str, table: str, *, source: str) -> tuple[Payload, ...]:
    """One request a line of a file of JSON lines: a row's fields, or a whole body.

    Raises:
        UsageError: the file has no rows, or a line is no JSON object.
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise UsageError(
                f"line {number} of {source} is not JSON: {error}", fix="write one object a line."
            ) from error
        if not isinstance(value, dict):
            raise UsageError(f"line {number} of {source} is no object", fix="write the fields of one row a line.")
        found.append(Payload(body=line.encode() if table in value else body_of(table, [value])))
    if not found:
        raise UsageError(f"{source} has no rows", fix="write the fields of one row a line, as JSON.")
    return tuple(found)


def predictions_in(body: bytes) -> list[dict[str, Any]] | None:
    """The predictions of an answer; None if it is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    predictions = answer.get("predictions") if isinstance(answer, dict) else None
    if not isinstance(predictions, list) or not all(isinstance(each, dict) for each in predictions):
        return None
    return predictions


def read_answer(body: bytes, payload: Payload) -> Answered | None:
    """Count what an answer says; None if it is no answer to the payload."""
    predictions = predictions_in(body)
    if predictions is None or (payload.missing and len(predictions) != len(payload.missing)):
        return None
    known = payload.missing or (frozenset(),) * len(predictions)
    try:
        missing = sum(bool(set(each["missing"]) - gone) for each, gone in zip(predictions, known, strict=True))
        stale = sum(bool(each["stale"]) for each in predictions)
    except (KeyError, TypeError):
        return None
    return Answered(len(predictions), missing, stale)


def table_in(document: object) -> str:
    """The key that rows stand under in the body of `POST /predict`, from the service's OpenAPI document.

    Raises:
        IntegrationError: the document does not say.
    """
    found: Any = document
    for key in ("paths", "/predict", "post", "requestBody", "content", "application/json", "schema"):
        found = _follow(found, document)
        found = found.get(key) if isinstance(found, dict) else None
    schema = _follow(found, document)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    arrays = [
        str(name)
        for name, part in (properties.items() if isinstance(properties, dict) else ())
        if isinstance(resolved := _follow(part, document), dict) and resolved.get("type") == "array"
    ]
    if len(arrays) != 1:
        raise IntegrationError(
            "the service's /docs.json does not say what the rows of POST /predict stand under",
            fix="ask a service made by gitrain.service, or mend its description.",
        )
    return arrays[0]


def _follow(part: Any, document: Any) -> Any:
    """What a reference inside of the document stands for."""
    for _ in range(8):
        if not isinstance(part, dict) or not isinstance(part.get("$ref"), str):
            return part
        found = document
        for key in part["$ref"].removeprefix("#/").split("/"):
            found = found.get(key) if isinstance(found, dict) else None
        part = found
    return None
