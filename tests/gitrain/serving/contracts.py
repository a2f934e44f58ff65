"""Columns of every type that a request can hold, with checks and values near the edges of both."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandera.polars as pa
import polars as pl
from hypothesis import strategies as st

from gitrain.data.contracts import TableContract
from gitrain.features.definitions import Entity

__all__ = ["columns", "contract_of", "entity", "values_of"]

_WHOLE = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)
_EDGES = (
    -(2**63),
    -(2**31),
    -129,
    -128,
    -3,
    -1,
    0,
    1,
    2,
    3,
    127,
    128,
    255,
    256,
    2**31 - 1,
    2**31,
    2**53 + 1,
    2**63 - 1,
)
_TEXTS = ("", "a", "A", "ab", "abc", "ABC", "Z01", "z", "ä", "\n", "ABC\n", 'say "a"', "☃☃☃", "a\u0000b", "😀")
_CATEGORIES = ["a", "b", "ABC"]
_DAYS = (date(1, 1, 1), date(1900, 2, 28), date(1970, 1, 1), date(2024, 2, 29), date(2024, 3, 1), date(9999, 12, 31))
_MOMENTS = (
    datetime(1, 1, 1),
    datetime(1899, 12, 31, 23, 59, 59, 999000),
    datetime(1970, 1, 1),
    datetime(2024, 3, 31, 2, 30),
    datetime(2024, 3, 31, 2, 30, 15, 123000),
    datetime(9999, 12, 31, 23, 59, 59),
)


def entity(*names: str) -> Entity:
    return Entity(table="things", key=names[:1], known_in_advance=names, unit=("unit", pl.col(names[0])))


def contract_of(found: dict[str, pa.Column], **options) -> TableContract:
    return TableContract(schema=pa.DataFrameSchema(found), **options)


def _bounds(numbers):
    some = st.sampled_from(numbers)
    # pandera refuses ranges without a value.
    pairs = st.tuples(some, some).map(sorted).filter(lambda pair: pair[0] != pair[1])
    inclusive = st.booleans()
    return st.one_of(
        st.builds(pa.Check.ge, some),
        st.builds(pa.Check.gt, some),
        st.builds(pa.Check.le, some),
        st.builds(pa.Check.lt, some),
        st.builds(pa.Check.eq, some),
        st.builds(pa.Check.ne, some),
        st.builds(
            lambda pair, low, high: pa.Check.in_range(*pair, include_min=low, include_max=high),
            pairs,
            inclusive,
            inclusive,
        ),
    )


def _sets(values):
    some = st.lists(st.sampled_from(values), min_size=1, max_size=4, unique=True)
    return st.one_of(some.map(pa.Check.isin), some.map(pa.Check.notin))


def _even(data):
    return data.lazyframe.select(pl.col(data.key) % 2 == 0)


def _not_a(data):
    return data.lazyframe.select(~pl.col(data.key).cast(pl.String).str.starts_with("a"))


_SMALL = (-3, -1, 0, 1, 2, 3, 100)
_TEXT_CHECKS = st.one_of(
    _sets(_TEXTS),
    st.sampled_from(["^[A-Z0-9]{3}$", "[a-z]+", "a|b", "(?i)abc", r"^\w+$", "."]).map(pa.Check.str_matches),
    st.sampled_from(["b", "C$", "☃"]).map(pa.Check.str_contains),
    st.sampled_from(["a", "A", "☃"]).map(pa.Check.str_startswith),
    st.sampled_from(["c", "\n"]).map(pa.Check.str_endswith),
    st.sampled_from([(0, 2), (1, None), (None, 3), (2, 3)]).map(lambda pair: pa.Check.str_length(*pair)),
    st.sampled_from([0, 1, 3]).map(lambda exact: pa.Check.str_length(exact_value=exact)),
    st.sampled_from(_TEXTS).map(pa.Check.eq),
    st.just(pa.Check(_not_a)),
)


@st.composite
def columns(draw) -> tuple[pa.Column, pl.DataType]:
    """A column of a contract, and its type."""
    kind = draw(st.sampled_from(["whole", "float", "text", "enum", "bool", "date", "naive", "zoned"]))
    match kind:
        case "whole":
            dtype = draw(st.sampled_from(_WHOLE))()
            numbers = _SMALL if not dtype.is_unsigned_integer() else _SMALL[2:]
            checks = st.one_of(
                _bounds((*numbers, 2.5, 1.0)) if not dtype.is_unsigned_integer() else _bounds(numbers),
                _sets(numbers),
                st.just(pa.Check(_even)),
            )
        case "float":
            dtype = draw(st.sampled_from((pl.Float64, pl.Float32)))()
            checks = _bounds((-2.5, -1, 0, 0.1, 1, 1.5, 3, 1e300) if dtype == pl.Float64 else (-2.5, 0, 0.5, 1.5))
        case "text":
            dtype, checks = pl.String(), _TEXT_CHECKS
        case "enum":
            dtype, checks = pl.Enum(_CATEGORIES), st.just(pa.Check(_not_a))
        case "bool":
            dtype, checks = pl.Boolean(), st.sampled_from([True, False]).map(pa.Check.eq)
        case "date":
            dtype, checks = pl.Date(), _bounds(_DAYS)
        case "naive":
            dtype, checks = pl.Datetime(draw(st.sampled_from(["ms", "us"]))), _bounds(_MOMENTS)
        case _:
            zone = draw(st.sampled_from(["UTC", "Europe/Berlin"]))
            dtype = pl.Datetime(draw(st.sampled_from(["ms", "us"])), zone)
            # Polars compares no moments of different zones.
            checks = _bounds([moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)) for moment in _MOMENTS[1:-1]])
    found = draw(st.lists(checks, max_size=2))
    for check in found:
        check.raise_warning = draw(st.sampled_from([False, False, False, True]))
    return pa.Column(dtype, found, nullable=draw(st.booleans())), dtype


def values_of(dtype: pl.DataType) -> st.SearchStrategy[tuple[object, object]]:
    """Pairs of a value as JSON has it, and as Python has it."""
    if dtype.is_integer():
        return (st.sampled_from(_EDGES) | st.integers(-4, 4)).map(lambda value: (value, value))
    if dtype.is_float():
        numbers = st.sampled_from([-2.5, -0.0, 0, 0.1, 0.5, 1, 1.5, 3, 1e38, 1e300, -(10**20), 5e-324])
        return numbers.map(lambda value: (value, float(value)))
    if isinstance(dtype, pl.Boolean):
        return st.booleans().map(lambda value: (value, value))
    if isinstance(dtype, pl.Date):
        return st.sampled_from(_DAYS).map(lambda value: (value.isoformat(), value))
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            return st.sampled_from(_MOMENTS).map(lambda value: (value.isoformat(), value))
        moments = st.sampled_from([moment.replace(tzinfo=UTC) for moment in _MOMENTS[1:-1]])
        offsets = st.sampled_from([timedelta(0), timedelta(hours=5, minutes=30), timedelta(hours=-9)])
        return st.tuples(moments, offsets).map(
            lambda pair: ((pair[0].replace(tzinfo=None) + pair[1]).isoformat() + _offset(pair[1]), pair[0])
        )
    texts = (
        st.sampled_from(_CATEGORIES) if isinstance(dtype, pl.Enum) else st.sampled_from(_TEXTS) | st.text(max_size=4)
    )
    return texts.map(lambda value: (value, value))


def _offset(length: timedelta) -> str:
    if not length:
        return "Z"
    minutes = int(length.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
