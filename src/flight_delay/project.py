"""The project object: what Gitrain is given."""

import polars as pl

from flight_delay import contract
from flight_delay.behaviours import BEHAVIOURS
from flight_delay.features import FEATURES
from flight_delay.ingest import AirportsSource, FlightsSource, PublishedFiles, WeatherSource
from flight_delay.model import ESTIMATORS, JUDGED_BY, REPORTED, SLICES, TARGET
from gitrain.data.batches import Months
from gitrain.data.tables import Table
from gitrain.project import Project

__all__ = ["PROJECT"]

_FILES = PublishedFiles()

PROJECT = Project(
    name="flight-delay",
    tables=(
        Table(
            name="flights",
            source=FlightsSource(_FILES),
            contract=contract.FLIGHTS,
            # Months are those of the local date: in UTC 1,218 flights of 2013 leave in the next one.
            batch_of=pl.col("date").dt.strftime("%Y-%m"),
        ),
        Table(
            name="weather",
            source=WeatherSource(_FILES),
            contract=contract.WEATHER,
            batch_of=pl.col("hour_local").dt.strftime("%Y-%m"),
        ),
        Table(name="airports", source=AirportsSource(_FILES), contract=contract.AIRPORTS, batched=False),
    ),
    batches=Months(),
    features=FEATURES,
    feature_contract=contract.FEATURES,
    prediction_contract=contract.PREDICTIONS,
    target=TARGET,
    estimators=ESTIMATORS,
    metrics=JUDGED_BY,
    reported_metrics=REPORTED,
    slices=SLICES,
    behaviours=BEHAVIOURS,
)
