"""What the model is expected to do, whatever its metrics are."""

import polars as pl

from gitrain.checks.behaviour import Behaviour, Direction, Invariance

__all__ = ["BEHAVIOURS"]

# How the last hours went at the origin: the shares of flights that should have left and have not.
_AT_THE_ORIGIN = (
    "not_left_1h",
    "not_left_origin_1h",
    "not_left_origin_3h",
    "not_left_in_an_hour_origin_3h",
)
_MANY = 0.6

BEHAVIOURS: tuple[Behaviour, ...] = (
    Direction(
        name="more-overdue-at-the-origin",
        change={name: pl.lit(_MANY) for name in _AT_THE_ORIGIN},
        direction="up",
        # Where little is overdue: most mornings, and most days.
        where=pl.all_horizontal(pl.col(name) < 0.3 for name in _AT_THE_ORIGIN),
        share=0.95,
    ),
    Invariance(
        name="unknown-destinations-are-alike",
        start={"dest": pl.lit("ZZ1")},
        change={"dest": pl.lit("ZZ2")},
        # The contract takes destinations that nobody has seen: their names mean nothing.
        tolerance=0.0,
    ),
    Invariance(
        name="readings-within-instrument-precision",
        # A thermometer's and a barometer's last digit.
        change={"temp": pl.col("temp") + 0.18, "dewp": pl.col("dewp") + 0.18, "pressure": pl.col("pressure") + 0.1},
        tolerance=0.05,
        share=0.95,
    ),
)
