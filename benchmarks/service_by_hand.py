"""What a team would write today: FastAPI on uvicorn, pydantic, the same feature store, scikit-learn.

    uvicorn service_by_hand:app

It is given the feature store's look-up, which answers in a fraction of a millisecond; it has no metrics, no log of its
predictions, no known rows, no release, and it judges the fields of a flight alone, not the contract's rules over rows.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from fastapi import FastAPI
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime

from flight_delay.project import PROJECT
from gitrain.documents import parse_json
from gitrain.integrations.skops_served import SkopsModel
from gitrain.training.manifest import ModelManifest
from gitrain.wiring.online import open_lookup

ROOT = Path(__file__).parents[1]


class Flight(BaseModel):
    """What is known of a flight in advance."""

    model_config = ConfigDict(extra="forbid")

    carrier: Literal["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
    date: date
    dest: Annotated[str, Field(pattern=r"^[A-Z0-9]{3}$")]
    distance: Annotated[int, Field(ge=1, le=6000)]
    flight: Annotated[int, Field(ge=1, le=9999)]
    origin: Literal["EWR", "JFK", "LGA"]
    planned_minutes: Annotated[int, Field(ge=30, le=800)]
    sched_dep: AwareDatetime
    sched_dep_local: NaiveDatetime


class Request(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid")

    flights: Annotated[list[Flight], Field(min_length=1, max_length=1000)]


class Prediction(BaseModel):
    """A prediction."""

    probability: float
    decision: bool


class Answer(BaseModel):
    """An answer."""

    predictions: list[Prediction]
    newest: dict[str, datetime | None]


MODEL: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    manifest = parse_json(ModelManifest, (ROOT / "models/model.json").read_text(), source="models/model.json")
    MODEL["model"] = SkopsModel((ROOT / "models/model.skops").read_bytes(), manifest.columns, name="model.skops")
    MODEL["lookup"] = open_lookup(PROJECT.features, os.environ.get("GITRAIN_ONLINE_STORE"), ROOT)
    dtypes = PROJECT.entity_table.contract.dtypes
    MODEL["schema"] = {name: dtypes[name] for name in PROJECT.features.entity.known_in_advance}
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
async def predict(request: Request) -> Answer:
    frame = pl.DataFrame([flight.model_dump() for flight in request.flights], schema=MODEL["schema"])
    found = MODEL["lookup"].look_up(frame)
    scores = MODEL["model"].score(found.columns).tolist()
    return Answer(
        predictions=[Prediction(probability=score, decision=score >= 0.5) for score in scores], newest=found.newest
    )
