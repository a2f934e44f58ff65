"""The OpenAPI description of a service: what GET /docs.json gives."""

from collections.abc import Sequence
from typing import Any

from gitrain.features.definitions import FeatureSet
from gitrain.serving.openapi import answer_schema, error_schema
from gitrain.serving.requests import RequestSchema, Row

__all__ = ["service_document"]

_TEXT = {"text/plain": {"schema": {"type": "string"}}}


def service_document(
    schema: RequestSchema, features: FeatureSet, *, name: str, version: str, examples: Sequence[Row] = ()
) -> dict[str, Any]:
    """OpenAPI 3.1, whose schemas are JSON schema 2020-12.

    Args:
        schema: of requests.
        features: of the project.
        name: the project's.
        version: the release's.
        examples: rows as JSON has them.
    """
    request = schema.json_schema(examples=examples)
    schemas = {"Request": request, "Answer": answer_schema(features), "Problems": error_schema()}
    for part in schemas.values():
        # The document names the dialect once for all.
        part.pop("$schema", None)
    request_id = {
        "name": "x-request-id",
        "in": "header",
        "description": "Names the request in the answer and in the log; one that has another form is replaced.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    }
    named = {"x-request-id": {"description": "The request's name.", "schema": {"type": "string"}}}
    later = {"retry-after": {"description": "Seconds.", "schema": {"type": "integer"}}}
    answers = {"200": {"description": "One prediction a row.", "headers": named, "content": _json("Answer")}}
    for status, (description, headers) in {
        "400": ("No JSON, or not of this shape.", named),
        "408": ("The body did not arrive in time.", named),
        "413": ("Too long, or too many rows.", named),
        "415": ("Not application/json, or compressed.", named),
        "422": ("Values that break the data contract; field and reason are told.", named),
        "429": ("The service has as much to do as it takes on.", named | later),
        "503": ("Not ready, or the feature store cannot be reached.", named | later),
    }.items():
        answers[status] = {"description": description, "headers": headers, "content": _json("Problems")}
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": name,
            "version": version,
            "description": f"Predictions of {schema.table}. Features come from the online store: a request has what is "
            "known in advance and nothing else.",
        },
        "servers": [{"url": "."}],
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Predict one or many rows",
                    "parameters": [request_id],
                    "requestBody": {"required": True, "content": _json("Request")},
                    "responses": answers,
                }
            },
            "/release": {
                "get": {
                    "operationId": "release",
                    "summary": "Which release answers, from which commit, data, model and environment",
                    "responses": {
                        "200": {
                            "description": "The release.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        },
                        "503": {"description": "Not ready.", "content": _json("Problems")},
                    },
                }
            },
            "/livez": {"get": _probe("livez", "Whether the process lives", "It does.")},
            "/readyz": {
                "get": _probe("readyz", "Whether predictions can be made", "They can.")
                | {"responses": {"200": _said("They can."), "503": _said("They cannot; the log says why.")}}
            },
            "/metrics": {"get": _probe("metrics", "Numbers for Prometheus", "In its text format.")},
        },
        "components": {"schemas": schemas},
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _said(description: str) -> dict[str, Any]:
    return {"description": description, "content": _TEXT}


def _probe(operation: str, summary: str, description: str) -> dict[str, Any]:
    return {"operationId": operation, "summary": summary, "responses": {"200": _said(description)}}
