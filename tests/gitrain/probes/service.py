"""A small real service that keeps the formats of `POST /predict`, and defects to sow into it.

It is run as a process, `python tests/gitrain/probes/service.py PORT DEFECT...`, or in a thread of the test.
"""

import asyncio
import contextlib
import json
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

__all__ = ["KNOWN", "application", "main", "score", "serving"]

_SCHEMAS = {
    "Row": {
        "type": "object",
        "properties": {"size": {"type": "number", "minimum": 0, "maximum": 100}, "place": {"enum": ["north", "south"]}},
        "required": ["size", "place"],
        "additionalProperties": False,
    },
    "Body": {
        "type": "object",
        "properties": {
            "parcels": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "minItems": 1, "maxItems": 100}
        },
        "required": ["parcels"],
        "additionalProperties": False,
    },
    "Answer": {
        "type": "object",
        "properties": {
            "release": {"type": "string"},
            "request_id": {"type": "string"},
            "features": {"type": "object"},
            "predictions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "probability": {"type": "number", "minimum": 0, "maximum": 1},
                        "decision": {"type": "boolean"},
                        "missing": {"type": "array", "items": {"type": "string"}},
                        "stale": {"type": "array", "items": {"type": "string"}},
                    },
                    "required": ["probability", "decision", "missing", "stale"],
                },
            },
        },
        "required": ["release", "request_id", "features", "predictions"],
    },
    "Problems": {
        "type": "object",
        "properties": {"request_id": {"type": "string"}, "problems": {"type": "array"}},
        "required": ["request_id", "problems"],
    },
}


def _json(name: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "parcels", "version": "1.4.0"},
    "paths": {
        "/predict": {
            "post": {
                "operationId": "predict",
                "requestBody": {"required": True, **_json("Body")},
                "responses": {
                    "200": {"description": "predictions", **_json("Answer")},
                    **{
                        status: {"description": "refused", **_json("Problems")}
                        for status in ("400", "413", "415", "422", "429")
                    },
                },
            }
        },
        "/release": {
            "get": {
                "responses": {
                    "200": {"description": "who", "content": {"application/json": {"schema": {"type": "object"}}}}
                }
            }
        },
    },
    "components": {"schemas": _SCHEMAS},
}


def score(row: dict[str, Any]) -> float:
    """The probability of a row."""
    return row["size"] / 200 + (0.25 if row["place"] == "north" else 0.0)


KNOWN = {
    "schema_version": 1,
    "tolerance": 1e-6,
    "rows": [
        {"inputs": row, "features": {**row, "wind": None}, "score": score(row)}
        for row in ({"size": size, "place": place} for size in (1.0, 40.0, 99.5) for place in ("north", "south"))
    ],
}


def _problem(status: int, field: str, reason: str) -> JSONResponse:
    problems = [{"field": field, "reason": reason, "value": None}]
    return JSONResponse({"request_id": "r", "problems": problems}, status_code=status)


def _wrong(body: object) -> JSONResponse | None:
    if not isinstance(body, dict) or set(body) != {"parcels"} or not isinstance(body["parcels"], list):
        return _problem(400, "", "the body is no object with the key parcels")
    if not 1 <= len(body["parcels"]) <= 100:
        return _problem(422, "parcels", "1 to 100 rows")
    for number, row in enumerate(body["parcels"]):
        at = f"parcels[{number}]"
        if not isinstance(row, dict) or set(row) != {"size", "place"}:
            return _problem(422, at, "size and place are needed, and nothing else")
        if type(row["size"]) not in {int, float} or not 0 <= row["size"] <= 100:
            return _problem(422, f"{at}.size", "a number from 0 to 100 is needed")
        if row["place"] not in ("north", "south") or not isinstance(row["place"], str):
            return _problem(422, f"{at}.place", "north or south")
    return None


def application(*defects: str) -> Starlette:
    """The service, with the defects that are named.

    Args:
        defects: ``error-ROWS``: 500 for so many rows and more; ``shift``: adds 0.01 to each score; ``stall``: the third
            second of each ten stands still; ``lies``: says another version; ``stale``, ``missing``: says so of each
            row; ``unready``: never ready; ``shape``: an answer without a field; ``refuse``: 429 for one request in ten;
            ``hang``: answers nothing; ``text``: errors as plain text; ``slow``: 0.15 s for each request, one at a time;
            ``leak``: takes 200 MiB with the first request; ``python``, ``library``: runs with others than it was
            built for; ``slow-model``: took long to read the model. As a process also ``crash`` and ``slow-start``,
            ``deaf``: does not stop when told to, ``rude``: stops at once.
    """
    said = set(defects)
    rows_of_error = next((int(each.partition("-")[2]) for each in defects if each.startswith("error-")), None)
    state: dict[str, Any] = {"requests": 0}

    async def predict(request: Request) -> Response:
        state["requests"] += 1
        if "refuse" in said and state["requests"] % 10 == 0:
            return _problem(429, "", "too many requests")
        if "hang" in said:
            await asyncio.sleep(30)
        if "slow" in said:
            time.sleep(0.15)
        if "leak" in said and "kept" not in state:
            state["kept"] = os.urandom(200 * 2**20)
        if "stall" in said and state["requests"] == 100:
            # Every request that comes now waits for this one, as behind a pause of the garbage collector.
            time.sleep(0.3)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _problem(415, "", "send application/json")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > 10 * 2**20:
                return _problem(413, "", "more than 10 MiB")
        try:
            parsed = json.loads(bytes(body), parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
        except (ValueError, RecursionError) as error:
            return _problem(400, "", str(error)[:80])
        wrong = _wrong(parsed)
        if wrong is not None:
            return Response("no", status_code=wrong.status_code) if "text" in said else wrong
        rows = parsed["parcels"]
        if rows_of_error is not None and len(rows) >= rows_of_error:
            return Response("Traceback (most recent call last)", status_code=500)
        predictions = [
            {
                "probability": min(1.0, score(row) + (0.01 if "shift" in said else 0.0)),
                "decision": score(row) >= 0.5,
                "missing": ["wind", *(["delays"] if "missing" in said else [])],
                "stale": ["arrivals"] if "stale" in said else [],
            }
            for row in rows
        ]
        if "shape" in said:
            del predictions[0]["decision"]
        return JSONResponse({"release": "1.4.0", "request_id": "r", "features": {}, "predictions": predictions})

    async def release(_: Request) -> Response:
        return JSONResponse(
            {
                "version": "1.3.0" if "lies" in said else "1.4.0",
                "commit": "0" * 40,
                "python": "3.8.1" if "python" in said else platform.python_version(),
                "machine": platform.machine(),
                "libraries": {"numpy": "1.0.0" if "library" in said else "2.0.0"},
                "model_load_seconds": 30.5 if "slow-model" in said else 0.25,
            }
        )

    async def ready(_: Request) -> Response:
        return Response(status_code=503 if "unready" in said else 200)

    async def docs(_: Request) -> Response:
        return JSONResponse(DOCUMENT)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield

    return Starlette(
        routes=[
            Route("/predict", predict, methods=["POST"]),
            Route("/release", release),
            Route("/readyz", ready),
            Route("/docs.json", docs),
        ],
        lifespan=lifespan,
    )


@contextlib.contextmanager
def serving(*defects: str) -> Iterator[str]:
    """The service on a free port of this machine, in a thread; gives its address."""
    config = uvicorn.Config(application(*defects), host="127.0.0.1", port=0, log_level="critical", ws="none")
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    port = listening.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(60)
        listening.close()


class _Ignorant(uvicorn.Server):
    """A server that knows of no signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main(port: int, *defects: str) -> None:
    """The service as a process."""
    if "crash" in defects:
        raise SystemExit("the model cannot be read from http://ada:secret@store/")
    if "slow-start" in defects:
        time.sleep(30)
    config = uvicorn.Config(application(*defects), host="127.0.0.1", port=port, log_level="warning")
    server = _Ignorant(config) if "rude" in defects or "deaf" in defects else uvicorn.Server(config)
    # uvicorn raises the signal again once it has stopped, which would end the process with it.
    signal.signal(signal.SIGTERM, (lambda *_: os._exit(0)) if "rude" in defects else (lambda *_: None))
    server.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
