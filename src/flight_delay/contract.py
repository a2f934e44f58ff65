"""What the data must be like. The bounds are wider than what 2013 showed; "seen" in a comment is what it showed.

A row that breaks a row rule goes to quarantine: in all of 2013 that is one hour of weather, with a wind of 1048 mph.
"""

from datetime import timedelta

import pandera.polars as pa
import polars as pl

from gitrain.data.contracts import OpenCategory, TableContract

__all__ = ["AIRPORTS", "CARRIERS", "DESTINATIONS", "FEATURES", "FLIGHTS", "KEY", "ORIGINS", "PREDICTIONS", "WEATHER"]

KEY = ("date", "carrier", "flight", "origin")
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
ORIGINS = ("EWR", "JFK", "LGA")
_SEEN_DESTINATIONS = """
ABQ ACK ALB ANC ATL AUS AVL BDL BGR BHM BNA BOS BQN BTV BUF BUR BWI BZN CAE CAK CHO CHS CLE CLT CMH CRW CVG
DAY DCA DEN DFW DSM DTW EGE EYW FLL GRR GSO GSP HDN HNL HOU IAD IAH ILM IND JAC JAX LAS LAX LEX LGA LGB MCI
MCO MDW MEM MHT MIA MKE MSN MSP MSY MTJ MVY MYR OAK OKC OMA ORD ORF PBI PDX PHL PHX PIT PSE PSP PVD PWM RDU
RIC ROC RSW SAN SAT SAV SBN SDF SEA SFO SJC SJU SLC SMF SNA SRQ STL STT SYR TPA TUL TVC TYS XNA
"""
# Open: new ones come in most months, and the model takes them as unknown.
DESTINATIONS = OpenCategory(known=frozenset(_SEEN_DESTINATIONS.split()), warn_share=0.001, max_share=0.05)

_UTC = pl.Datetime("us", "UTC")
_LOCAL = pl.Datetime("us")


def _number(kind: type[pl.DataType], low: float, high: float, *, nullable: bool = False) -> pa.Column:
    return pa.Column(kind, pa.Check.in_range(low, high), nullable=nullable)


def _carrier() -> pa.Column:
    return pa.Column(pl.String, pa.Check.isin(CARRIERS))


def _origin() -> pa.Column:
    return pa.Column(pl.String, pa.Check.isin(ORIGINS))


def _airport() -> pa.Column:
    return pa.Column(pl.String, pa.Check.str_matches(r"^[A-Z0-9]{3}$"))


def _clock(*, nullable: bool = False) -> pa.Column:
    """HHMM; the file writes midnight as 0000 or 2400."""
    return _number(pl.Int32, 0, 2400, nullable=nullable)


def _minute_of_day(column: str) -> pl.Expr:
    return pl.col(column) // 100 * 60 + pl.col(column) % 100


def _agrees_on_the_clock(scheduled: pl.Expr, delay: str, actual: str) -> pl.Expr:
    """Scheduled time and delay lead to the actual time, on a clock of 24 hours; null where there is no delay."""
    return (scheduled + pl.col(delay) - _minute_of_day(actual)) % 1440 == 0


def _implies(condition: pl.Expr, consequence: pl.Expr) -> pl.Expr:
    return ~condition | consequence


_DEPARTURE = pl.col("sched_dep_local").dt.hour().cast(pl.Int32) * 100 + pl.col("sched_dep_local").dt.minute()
_CANCELLED = pl.col("dep_time").is_null()
_COMPLETED = pl.col("arr_delay").is_not_null()
# Minutes between gate and gate that were not in the air; seen 5 to 235.
_ON_THE_GROUND = pl.col("planned_minutes") + pl.col("arr_delay") - pl.col("dep_delay") - pl.col("air_time")

_DUE = pl.col("sched_dep") + pl.duration(minutes=pl.col("planned_minutes"))
# As docs/reference-project.md says of completed, diverted and cancelled flights.
_OUTCOME_KNOWN_AT = (
    pl.when(_COMPLETED)
    .then(_DUE + pl.duration(minutes=pl.col("arr_delay")))
    .when(~_CANCELLED)
    .then(_DUE + pl.duration(minutes=pl.col("dep_delay").clip(lower_bound=0)))
    .otherwise(pl.col("sched_dep"))
)

FLIGHTS = TableContract(
    schema=pa.DataFrameSchema(
        {
            "date": pa.Column(pl.Date),
            "carrier": _carrier(),
            "flight": _number(pl.Int32, 1, 9999),
            "origin": _origin(),
            "dest": _airport(),
            # Seen null up to 1.8 % a month, only for cancelled flights.
            "tailnum": pa.Column(pl.String, nullable=True),
            # Seen 17 (one cancelled flight from Newark to LaGuardia) to 4983 miles.
            "distance": _number(pl.Int32, 1, 6000),
            "sched_dep_time": _clock(),
            "sched_arr_time": _clock(),
            "sched_dep": pa.Column(_UTC),
            "sched_dep_local": pa.Column(_LOCAL),
            # Seen 50 to 700.
            "planned_minutes": _number(pl.Int32, 30, 800),
            "dep_time": _clock(nullable=True),
            # Minutes; seen -43 to 1301. Earlier than an hour ahead or later than a day and a half is another flight.
            "dep_delay": _number(pl.Int32, -60, 2160, nullable=True),
            "arr_time": _clock(nullable=True),
            # Seen -86 to 1272.
            "arr_delay": _number(pl.Int32, -150, 2160, nullable=True),
            # Seen 20 to 695.
            "air_time": _number(pl.Int32, 10, 900, nullable=True),
            "outcome_known_at": pa.Column(_UTC),
        },
        strict=True,
    ),
    key=KEY,
    row_rules={
        "leaves and lands elsewhere": pl.col("origin") != pl.col("dest"),
        "date is that of the departure": pl.col("date") == pl.col("sched_dep_local").dt.date(),
        "sched_dep_time is that of the departure": pl.col("sched_dep_time") == _DEPARTURE,
        "a cancelled flight has no outcome": _implies(
            _CANCELLED,
            pl.all_horizontal(pl.col("dep_delay", "arr_time", "arr_delay", "air_time").is_null()),
        ),
        "a completed flight has all its times": _implies(
            _COMPLETED,
            pl.all_horizontal(pl.col("dep_time", "dep_delay", "arr_time", "air_time").is_not_null()),
        ),
        "a departed flight has its delay": _CANCELLED | pl.col("dep_delay").is_not_null(),
        "dep_delay leads to dep_time": _agrees_on_the_clock(_minute_of_day("sched_dep_time"), "dep_delay", "dep_time"),
        "arr_delay leads to arr_time": _agrees_on_the_clock(_minute_of_day("sched_arr_time"), "arr_delay", "arr_time"),
        "delays and time in the air fit the plan": _ON_THE_GROUND.is_between(0, 480),
        "outcome_known_at is when the outcome was known": pl.col("outcome_known_at") == _OUTCOME_KNOWN_AT,
    },
    # Seen 0.9 to 5.4 % of flights without an outcome; a hurricane cancels a quarter of a month.
    max_null_share={"dep_time": 0.25, "dep_delay": 0.25, "arr_time": 0.25, "arr_delay": 0.25, "air_time": 0.25},
    warn_null_share={
        "tailnum": 0.036,
        "dep_time": 0.10,
        "dep_delay": 0.10,
        "arr_time": 0.11,
        "arr_delay": 0.11,
        "air_time": 0.11,
    },
    # Seen 24,951 to 29,425.
    rows=(21_000, 34_000),
    event_time="sched_dep_local",
    # Departures end at 23:59 of a month's last day.
    max_age=timedelta(hours=12),
    # Miles and minutes: kilometres, hours and seconds have other means. Seen 1001 to 1065, 184 to 194 and 143 to 163.
    typical={
        "distance": (800, 1_300),
        "planned_minutes": (150, 230),
        "air_time": (115, 195),
        # Seen 5 to 22 and -4 to 17.
        "dep_delay": (-10, 60),
        "arr_delay": (-20, 60),
    },
    open_categories={"dest": DESTINATIONS},
)

_MEASUREMENTS = {
    # Fahrenheit; seen 10.9 to 100 and -9.9 to 78.
    "temp": _number(pl.Float64, -30, 120, nullable=True),
    "dewp": _number(pl.Float64, -40, 90, nullable=True),
    # Per cent; seen 12.7 to 100.
    "humid": _number(pl.Float64, 0, 100, nullable=True),
    "wind_dir": _number(pl.Float64, 0, 360, nullable=True),
    # Miles an hour; seen up to 43, and 1048 once. Gusts seen 16 to 67.
    "wind_speed": _number(pl.Float64, 0, 100, nullable=True),
    "wind_gust": _number(pl.Float64, 0, 120, nullable=True),
    # Inches; seen up to 1.21.
    "precip": _number(pl.Float64, 0, 5, nullable=True),
    # Millibars; seen 984 to 1042.
    "pressure": _number(pl.Float64, 940, 1060, nullable=True),
    # Miles; the instruments end at 10.
    "visib": _number(pl.Float64, 0, 10, nullable=True),
}

WEATHER = TableContract(
    schema=pa.DataFrameSchema(
        {
            "origin": _origin(),
            "hour": pa.Column(_UTC),
            "hour_local": pa.Column(_LOCAL),
            "known_at": pa.Column(_UTC),
            **_MEASUREMENTS,
        },
        strict=True,
    ),
    key=("origin", "hour"),
    row_rules={
        "it cannot be drier than the dew point": (pl.col("dewp") <= pl.col("temp")),
        "gusts are faster than the wind": (pl.col("wind_gust") >= pl.col("wind_speed")),
        "an hour is known when it has passed": pl.col("known_at") == pl.col("hour") + timedelta(hours=1),
    },
    max_null_share={
        **dict.fromkeys(("temp", "dewp", "humid", "wind_speed", "precip", "visib"), 0.10),
        "wind_dir": 0.30,
        "pressure": 0.60,
    },
    # Twice what a month showed; gusts are null where there is no gust (64 to 90 %), so they have no bound.
    warn_null_share={
        **dict.fromkeys(("temp", "dewp", "humid", "wind_speed", "precip", "visib"), 0.002),
        "wind_dir": 0.06,
        "pressure": 0.30,
    },
    # Three airports, 24 hours, 28 to 31 days: seen 2,010 to 2,232.
    rows=(1_850, 2_238),
    event_time="hour_local",
    # Seen: December's weather ends on the 30th at 18:00.
    max_age=timedelta(hours=36),
    # An hour of nonsense is the instrument's; a day of it at all three airports is somebody's mistake.
    max_quarantined_share=0.03,
    # Fahrenheit, miles an hour, millibars, miles. Seen 34 to 80, 22 to 67, 9 to 13, 1013 to 1023 and 8.5 to 9.7.
    typical={
        "temp": (22, 92),
        "dewp": (8, 80),
        "wind_speed": (6, 20),
        "pressure": (1_005, 1_030),
        "visib": (6, 10),
    },
)

AIRPORTS = TableContract(
    schema=pa.DataFrameSchema(
        {
            "faa": _airport(),
            "name": pa.Column(pl.String),
            "lat": _number(pl.Float64, -90, 90, nullable=True),
            "lon": _number(pl.Float64, -180, 180, nullable=True),
            "tzone": pa.Column(pl.String, pa.Check.str_matches(r"^[A-Z][A-Za-z_]+/[A-Z][A-Za-z_/]+$"), nullable=True),
        },
        strict=True,
    ),
    key=("faa",),
    max_null_share={"lat": 0.01, "lon": 0.01, "tzone": 0.01},
    # Seen 1,458, and four added.
    rows=(1_000, 5_000),
)


_KEY = {
    "date": pa.Column(pl.Date),
    "carrier": _carrier(),
    "flight": _number(pl.Int32, 1, 9999),
    "origin": _origin(),
}
# Feature to the largest share of nulls that a month showed: nothing flies at night, little to small destinations.
_SHARES_SEEN_NULL = {
    **dict.fromkeys(("late_carrier_14d", "late_carrier_origin_14d"), 0.01),
    "late_route_14d": 0.02,
    "not_left_1h": 0.12,
    **dict.fromkeys(("not_left_origin_1h", "not_left_origin_3h"), 0.14),
    "not_left_carrier_origin_3h": 0.21,
    "not_left_dest_3h": 0.30,
    "not_left_in_an_hour_origin_3h": 0.20,
    **dict.fromkeys(("not_landed_origin_24h", "not_landed_carrier_24h"), 0.01),
}
_DELAYS_SEEN_NULL = {
    "arr_delay_3h": 0.02,
    "arr_delay_origin_3h": 0.12,
    "arr_delay_dest_3h": 0.41,
    "arr_delay_dest_24h": 0.02,
    "arr_delay_carrier_24h": 0.01,
    "arr_delay_route_24h": 0.03,
}
# The same for the weather: it ends a day before the year does. A gust is null where there is none.
_WEATHER_SEEN_NULL = {
    **dict.fromkeys(("temp", "dewp", "humid", "wind_speed", "precip", "visib"), 0.03),
    "wind_dir": 0.05,
    "pressure": 0.19,
}

FEATURES = TableContract(
    schema=pa.DataFrameSchema(
        {
            **_KEY,
            "day": pa.Column(pl.Date),
            "decision_time": pa.Column(_UTC),
            "hour": _number(pl.Float64, 0, 24),
            "weekday": _number(pl.Int32, 1, 7),
            "dest": _airport(),
            "distance": _number(pl.Int32, 1, 6000),
            "planned_minutes": _number(pl.Int32, 30, 800),
            **_MEASUREMENTS,
            **{name: _number(pl.Float64, 0, 1, nullable=True) for name in _SHARES_SEEN_NULL},
            **{name: _number(pl.Float64, -60, 240, nullable=True) for name in _DELAYS_SEEN_NULL},
            # A fortnight has less than 17,000 flights.
            **{name: _number(pl.Int64, 0, 17_000) for name in ("flights_carrier_origin_14d", "flights_route_14d")},
            "late": pa.Column(pl.Boolean, nullable=True),
        },
        strict=True,
    ),
    key=KEY,
    # A month of which most has no weather, or no past, is not one to learn from.
    max_null_share={"late": 0.25, **dict.fromkeys((*_WEATHER_SEEN_NULL, "not_left_1h", "late_carrier_14d"), 0.6)},
    warn_null_share={
        name: 2 * share for name, share in (_SHARES_SEEN_NULL | _DELAYS_SEEN_NULL | _WEATHER_SEEN_NULL).items()
    },
    rows=(20_000, 34_000),
)

PREDICTIONS = TableContract(
    schema=pa.DataFrameSchema({**_KEY, "score": _number(pl.Float64, 0, 1)}, strict=True),
    key=KEY,
    max_quarantined_share=0.0,
)
