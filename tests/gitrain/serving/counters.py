"""A service of made-up parts: rows are numbers from 0 to 100, the probability is the number over 100."""

from datetime import UTC, datetime

import numpy as np
import pandera.polars as pa
import polars as pl

from gitrain.data.contracts import TableContract
from gitrain.features.definitions import AsOfFeatures, Entity, FeatureSet, History, RowFeature
from gitrain.online.given_rows import GivenRows
from gitrain.online.lookup import FoundFeatures
from gitrain.serving.answering import Answering
from gitrain.serving.model import ServedFormat
from gitrain.serving.predictor import Predictor
from gitrain.serving.requests import RequestSchema
from gitrain.training.estimators import FeatureColumns

NEWEST = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONTRACT = TableContract(
    schema=pa.DataFrameSchema(
        {"number": pa.Column(pl.Int32, pa.Check.in_range(0, 100)), "other": pa.Column(pl.Int32, nullable=True)}
    ),
    row_rules={"the other is larger": pl.col("other") > pl.col("number")},
)
FEATURES = FeatureSet(
    entity=Entity(
        table="counters",
        key=("number",),
        known_in_advance=("number", "other"),
        unit=("number", pl.col("number")),
        decision_time=pl.lit(NEWEST),
    ),
    features=(
        RowFeature(name="number", expression=pl.col("number")),
        AsOfFeatures(history="wind", by={}, columns={"gust": "gust"}, max_age=NEWEST - NEWEST),
    ),
    histories=(
        History(name="wind", table="wind", known_at=pl.col("at"), event_time=pl.col("at"), max_delay=NEWEST - NEWEST),
    ),
)
SCHEMA = RequestSchema.of(FEATURES.entity, CONTRACT)


class Lookup:
    """Knows nothing of the wind; odd numbers are stale."""

    def __init__(self):
        self.calls = []
        self.failing = None
        self.fails_for = None
        self.newest: datetime | None = NEWEST

    def look_up(self, rows):
        numbers = GivenRows.of(rows).values("number")
        self.calls.append(numbers)
        if self.failing is not None and (self.fails_for is None or self.fails_for in numbers):
            raise self.failing
        return FoundFeatures(
            columns={"number": np.array(numbers, dtype=np.float64), "gust": np.full(len(numbers), np.nan)},
            stale=tuple(("wind",) if number % 2 else () for number in numbers),
            newest={"wind": self.newest},
        )


class Model:
    format: ServedFormat = "onnx"
    columns = FeatureColumns(names=("number", "gust"))

    def __init__(self):
        self.added = 0.0

    def score(self, columns):
        return columns["number"] / 100 + self.added


class Seen:
    """Remembers what was predicted."""

    def __init__(self):
        self.rows = []
        self.newest = {}

    def predicted(self, rows, newest):
        self.rows.append(rows)
        self.newest = newest


def answering(lookup, observer, *, release="1.4.0"):
    predictor = Predictor(lookup, Model(), FEATURES, 0.5)
    return Answering(SCHEMA, predictor, release=release, clock=lambda: NEWEST, observer=observer)
