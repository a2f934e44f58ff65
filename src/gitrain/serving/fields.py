"""One column of a request: what the contract says of it, as a validator, as a JSON schema and in words.

A check of the contract that JSON schema can say is judged while the JSON is read; what is left (checks of one's own,
bounds of dates, Float32, whose values are rounded first) is judged on the frame, by the contract itself.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pandera.polars as pa
import polars as pl

from gitrain.data.row_checks import describe
from gitrain.errors import ProjectError

__all__ = ["RequestField", "request_field"]

_DAY = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{{1,{digits}}}0{{0,3}})?)?"
_OFFSET = r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_DIGITS = {"ms": 3, "us": 6, "ns": 6}

# So many values of a closed category are named in a sentence.
_NAMED = 12
# What Rust's regular expressions have and those of JSON schema (ECMA 262) do not.
_NOT_PORTABLE = re.compile(r"\(\?(?!:)|\\[pPAzQ]|\[\[:|&&|--|~~")
_LARGEST_FLOAT32 = 3.4028234663852886e38
# No value of JSON is it.
_NOTHING = object()


@dataclass(frozen=True, kw_only=True)
class RequestField:
    """One column of a request.

    Attributes:
        name: the column.
        validator: a schema of pydantic's core for the value.
        json_schema: of the value (2020-12), with a description.
        expected: what the value must be, to follow "must be".
        left: checks of the contract that the validator does not judge.
        quoted: JSON writes the value as a string.
        nullable: null is a value; then the field may be left out, too.
    """

    name: str
    validator: dict[str, Any]
    json_schema: dict[str, Any]
    expected: str
    left: tuple[pa.Check, ...]
    quoted: bool
    nullable: bool


def request_field(name: str, column: pa.Column, dtype: pl.DataType) -> RequestField:
    """What the contract says of a column, for a request.

    Raises:
        ProjectError: the column has a type that no JSON value stands for.
    """
    # A check that only warns refuses nothing. One that judges nulls cannot leave them to the validator.
    checks = [check for check in column.checks if not check.raise_warning]
    judged = [check for check in checks if check.ignore_na or not column.nullable]
    shape = _shape(name, dtype, judged)
    left = (*shape.left, *(check for check in checks if check not in judged))
    expected = shape.expected + (" or null" if column.nullable else "")
    kept = "; ".join(describe(check) for check in left)
    sentence = expected[0].upper() + expected[1:] + (f"; it keeps {kept}" if kept else "") + "."
    schema = shape.json_schema | {"description": " ".join(filter(None, (column.description, sentence)))}
    if column.title:
        schema["title"] = column.title
    if column.nullable:
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
        schema["type"] = [schema["type"], "null"]
    return RequestField(
        name=name,
        validator={"type": "nullable", "schema": shape.validator} if column.nullable else shape.validator,
        json_schema=schema,
        expected=expected,
        left=left,
        quoted=shape.quoted,
        nullable=bool(column.nullable),
    )


@dataclass(kw_only=True)
class _Shape:
    validator: dict[str, Any]
    json_schema: dict[str, Any]
    expected: str
    quoted: bool = False
    left: list[pa.Check] = field(default_factory=list)


def _shape(name: str, dtype: pl.DataType, checks: list[pa.Check]) -> _Shape:
    if isinstance(dtype, pl.Boolean):
        return _Shape(
            validator={"type": "bool", "strict": True},
            json_schema={"type": "boolean"},
            expected="true or false",
            left=checks,
        )
    if dtype.is_integer() and not isinstance(dtype, pl.Int128):
        return _whole_number(dtype, checks)
    if dtype.is_float():
        return _number(dtype, checks)
    if isinstance(dtype, pl.Enum):
        return _text(dtype.categories.to_list(), checks)
    if isinstance(dtype, pl.String):
        return _text(None, checks)
    if isinstance(dtype, pl.Categorical):
        shape = _text(None, [])
        shape.left = checks
        return shape
    if isinstance(dtype, pl.Date):
        return _moment(rf"^{_DAY}$", date.fromisoformat, "a date such as 2013-05-01", "date", checks)
    if isinstance(dtype, pl.Datetime):
        return _datetime(dtype, checks)
    raise ProjectError(
        f"the column {name!r} is known in advance and is {dtype}, which no request can hold",
        fix="use numbers, strings, booleans, dates or datetimes for what a request sends, or take it out of "
        "known_in_advance.",
    )


# --- numbers ------------------------------------------------------------------------------------------------------

_BOUNDS = ("greater_than_or_equal_to", "greater_than", "less_than_or_equal_to", "less_than", "in_range", "equal_to")


@dataclass(frozen=True)
class _Bound:
    value: float
    is_open: bool


def _bounds_of(check: pa.Check) -> tuple[_Bound | None, _Bound | None] | None:
    """The lower and the upper bound that a check sets; None if it sets none, or is about something else."""
    found = check.statistics or {}
    low, high = found.get("min_value"), found.get("max_value")
    if check.registry_name == "equal_to":
        low = high = found.get("value")
    if check.registry_name not in _BOUNDS or not all(_is_number(value) for value in (low, high) if value is not None):
        return None
    low_open = check.registry_name == "greater_than" or not found.get("include_min", True)
    high_open = check.registry_name == "less_than" or not found.get("include_max", True)
    return (
        None if low is None else _Bound(low, low_open),
        None if high is None else _Bound(high, high_open),
    )


def _is_number(value: object) -> bool:
    # Infinity bounds nothing that JSON can say, and comparisons with NaN are Polars' own.
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole_number(dtype: pl.DataType, checks: list[pa.Check]) -> _Shape:
    low, high = _limits(dtype)
    values: set[int] | None = None
    left = []
    for check in checks:
        allowed = (check.statistics or {}).get("allowed_values")
        bounds = _bounds_of(check)
        if check.registry_name == "isin" and _all(allowed, int) and values is None:
            values = set(allowed or ())
        elif bounds is not None and all(_is_exact(bound) for bound in bounds if bound is not None):
            lower, upper = bounds
            if lower is not None:
                low = max(low, math.floor(lower.value) + 1 if lower.is_open else math.ceil(lower.value))
            if upper is not None:
                high = min(high, math.ceil(upper.value) - 1 if upper.is_open else math.floor(upper.value))
        else:
            left.append(check)
    kept = sorted(value for value in values or () if low <= value <= high)
    if kept:
        return _Shape(
            validator={"type": "literal", "expected": kept},
            json_schema={"type": "integer", "enum": kept},
            expected=_one_of(kept),
            left=left,
        )
    if values is not None:
        # Nothing keeps such a contract: no whole number lies between 1 and 0.
        low, high = 1, 0
    return _Shape(
        validator={"type": "int", "strict": True, "ge": low, "le": high},
        json_schema={"type": "integer", "minimum": low, "maximum": high},
        expected=f"a whole number from {low} to {high}",
        left=left,
    )


def _limits(dtype: pl.DataType) -> tuple[int, int]:
    low, high = pl.select(dtype.min().alias("low"), dtype.max().alias("high")).row(0)  # type: ignore[attr-defined]
    return int(low), int(high)


def _is_exact(bound: _Bound) -> bool:
    """Whether comparing integers with it means the same to Python and to Polars, which may compare as floats."""
    return isinstance(bound.value, int) or abs(bound.value) < 2**31


def _number(dtype: pl.DataType, checks: list[pa.Check]) -> _Shape:
    validator: dict[str, Any] = {"type": "float", "strict": True, "allow_inf_nan": False}
    if not isinstance(dtype, pl.Float64):
        validator |= {"ge": -_LARGEST_FLOAT32, "le": _LARGEST_FLOAT32}
        return _Shape(
            validator=validator,
            json_schema={"type": "number", "minimum": -_LARGEST_FLOAT32, "maximum": _LARGEST_FLOAT32},
            expected="a number",
            left=checks,
        )
    low: _Bound | None = None
    high: _Bound | None = None
    left = []
    for check in checks:
        bounds = _bounds_of(check)
        if bounds is None or any(abs(bound.value) > 2**53 for bound in bounds if bound is not None):
            left.append(check)
            continue
        lower, upper = bounds
        if lower is not None and (low is None or (lower.value, lower.is_open) > (low.value, low.is_open)):
            low = lower
        if upper is not None and (high is None or (-upper.value, upper.is_open) > (-high.value, high.is_open)):
            high = upper
    schema: dict[str, Any] = {"type": "number"}
    if low is not None:
        validator["gt" if low.is_open else "ge"] = low.value
        schema["exclusiveMinimum" if low.is_open else "minimum"] = low.value
    if high is not None:
        validator["lt" if high.is_open else "le"] = high.value
        schema["exclusiveMaximum" if high.is_open else "maximum"] = high.value
    return _Shape(validator=validator, json_schema=schema, expected=_number_in_words(low, high), left=left)


def _number_in_words(low: _Bound | None, high: _Bound | None) -> str:
    if low is not None and high is not None and not low.is_open and not high.is_open:
        return f"a number from {low.value} to {high.value}"
    parts = []
    if low is not None:
        parts.append(f"{'above' if low.is_open else 'of at least'} {low.value}")
    if high is not None:
        parts.append(f"{'below' if high.is_open else 'of at most'} {high.value}")
    return " ".join(("a number", " and ".join(parts))).strip()


# --- texts --------------------------------------------------------------------------------------------------------


def _text(categories: list[str] | None, checks: list[pa.Check]) -> _Shape:
    values = categories
    pattern: str | None = None
    low, high = 0, None
    left: list[pa.Check] = []
    # A closed category is a look-up; whatever else is said of it is judged with the rest.
    closed = categories is not None or any(_closes(check) for check in checks)
    for check in checks:
        found = check.statistics or {}
        if _closes(check):
            allowed = found["allowed_values"]
            values = [value for value in (sorted(allowed) if values is None else values) if value in allowed]
        elif check.registry_name in ("str_matches", "str_contains") and not closed and pattern is None:
            pattern = _pattern_of(check)
        elif check.registry_name == "str_length" and not closed:
            exact = found.get("exact_value")
            least, most = (exact, exact) if exact is not None else (found.get("min_value"), found.get("max_value"))
            low = max(low, least or 0)
            high = high if most is None else most if high is None else min(high, most)
        else:
            left.append(check)
    if values is not None:
        # Nothing keeps a contract without a value that is left: no text is one of none.
        return _Shape(
            validator={"type": "literal", "expected": values or [_NOTHING]},
            json_schema={"type": "string", "enum": values},
            expected=_one_of(values),
            quoted=True,
            left=left,
        )
    validator: dict[str, Any] = {"type": "str", "strict": True}
    schema: dict[str, Any] = {"type": "string"}
    expected = "a text"
    if low or high is not None:
        validator |= {"min_length": low} | ({} if high is None else {"max_length": high})
        schema |= {"minLength": low} | ({} if high is None else {"maxLength": high})
        expected += f" of {low} characters or more" if high is None else f" of {low} to {high} characters"
    if pattern is not None:
        validator["pattern"] = pattern
        expected += f" that matches {pattern}"
        if _is_portable(pattern):
            schema["pattern"] = pattern
    return _Shape(validator=validator, json_schema=schema, expected=expected, quoted=True, left=left)


def _closes(check: pa.Check) -> bool:
    return check.registry_name == "isin" and _all((check.statistics or {}).get("allowed_values"), str)


def _all(values: object, kind: type) -> bool:
    """Whether these are values of one type, and none of another that equals one of them, as True does 1."""
    if isinstance(values, str) or not isinstance(values, Sequence | set | frozenset) or not values:
        return False
    return all(type(value) is kind for value in values)


def _pattern_of(check: pa.Check) -> str:
    pattern = (check.statistics or {})["pattern"]
    text = pattern.pattern if isinstance(pattern, re.Pattern) else str(pattern)
    # As pandera has it: a match starts at the beginning.
    return f"^{text}" if check.registry_name == "str_matches" and not text.startswith("^") else text


def _is_portable(pattern: str) -> bool:
    if _NOT_PORTABLE.search(pattern):
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _one_of(values: Sequence[object]) -> str:
    named = ", ".join(str(value) for value in values[:_NAMED])
    rest = len(values) - _NAMED
    return f"one of {named}" + (f" and {rest} more" if rest > 0 else "")


# --- dates and times ----------------------------------------------------------------------------------------------


def _datetime(dtype: pl.Datetime, checks: list[pa.Check]) -> _Shape:
    clock = _CLOCK.format(digits=_DIGITS[dtype.time_unit])
    read = _within_nanoseconds if dtype.time_unit == "ns" else datetime.fromisoformat
    if dtype.time_zone is None:
        expected = "a date and a time without an offset, such as 2013-05-01T06:00:00"
        return _moment(rf"^{_DAY}T{clock}$", read, expected, None, checks)
    expected = "a date and a time with their offset from UTC, such as 2013-05-01T06:00:00Z"
    return _moment(rf"^{_DAY}T{clock}{_OFFSET}$", lambda text: _utc(read(text)), expected, "date-time", checks)


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("beyond the years 1 to 9999 in UTC") from error


# Nanoseconds since 1970 have to fit 64 bits; a whole day is left for offsets.
_FIRST, _LAST = datetime(1677, 9, 23), datetime(2262, 4, 10)


def _within_nanoseconds(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if not _FIRST <= moment.replace(tzinfo=None) <= _LAST:
        raise ValueError("beyond the years 1677 to 2262")
    return moment


def _moment(
    pattern: str, read: Callable[[str], date], expected: str, form: str | None, checks: list[pa.Check]
) -> _Shape:
    # pydantic's own dates take numbers in strings as seconds since 1970.
    text = {"type": "str", "strict": True, "pattern": pattern}
    schema = {"type": "string", "pattern": pattern} | ({} if form is None else {"format": form})
    return _Shape(
        validator={"type": "function-after", "function": {"type": "no-info", "function": read}, "schema": text},
        json_schema=schema,
        expected=expected,
        quoted=True,
        left=checks,
    )
