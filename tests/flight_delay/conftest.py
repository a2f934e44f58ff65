"""The year is read once a session."""

import polars as pl
import pytest

from flight_delay.project import PROJECT

MONTHS = [f"2013-{month:02d}" for month in range(1, 13)]


@pytest.fixture(scope="session")
def flights() -> pl.DataFrame:
    return pl.concat([PROJECT.table("flights").source.read(month) for month in MONTHS])


@pytest.fixture(scope="session")
def weather() -> pl.DataFrame:
    return pl.concat([PROJECT.table("weather").source.read(month) for month in MONTHS])
