"""The JSON schemas of answers and errors, for OpenAPI documents and for the documentation."""

from typing import Any

from gitrain.features.definitions import FeatureSet
from gitrain.lineage import digest_of_value
from gitrain.serving.requests import RequestSchema

__all__ = ["answer_schema", "error_schema", "interface_digest"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REQUEST_ID = {"type": "string", "description": "As in the header x-request-id of the request, else made."}


def answer_schema(features: FeatureSet) -> dict[str, Any]:
    """The JSON schema (2020-12) of the answer to a request that was accepted."""
    histories = [history.name for history in features.histories]
    newest = {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "When the newest row of this history in the store became known; null where it has none.",
    }
    prediction = _closed(
        {
            "probability": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "description": "Of what is predicted being true.",
            },
            "decision": {"type": "boolean", "description": "Whether the probability reaches the threshold."},
            "missing": {
                "type": "array",
                "items": {"type": "string", "enum": features.names},
                "description": "Features without a value; the model has its way with them.",
            },
            "stale": {
                "type": "array",
                "items": {"type": "string", "enum": histories} if histories else False,
                "description": "Histories that are further behind the decision than they should be.",
            },
        }
    )
    return {
        "$schema": _DIALECT,
        "title": f"Predictions of {features.entity.table}",
        **_closed(
            {
                "release": {"type": "string", "description": "The version of the release that answers."},
                "request_id": _REQUEST_ID,
                "features": _closed({"newest": _closed(dict.fromkeys(histories, newest))}),
                "predictions": {
                    "type": "array",
                    "minItems": 1,
                    "items": prediction,
                    "description": "One for each row of the request, in its order.",
                },
            }
        ),
    }


def error_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of the answer to a request that was refused, or that could not be answered."""
    problem = _closed(
        {
            "field": {"type": "string", "description": "Where, as in flights[3].dest; empty for the whole body."},
            "reason": {"type": "string", "description": "What is wrong, to follow the field."},
            "value": {"type": ["string", "null"], "description": "The value, shortened to 80 characters."},
        }
    )
    body = {"request_id": _REQUEST_ID, "problems": {"type": "array", "minItems": 1, "items": problem}}
    return {"$schema": _DIALECT, "title": "Why there is no prediction", **_closed(body)}


def interface_digest(requests: RequestSchema, features: FeatureSet) -> str:
    """What a client relies on: the digest of the schemas of request and answer."""
    return digest_of_value({"request": requests.json_schema(), "answer": answer_schema(features)})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }
