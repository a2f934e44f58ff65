import json
import time
from datetime import UTC, date, datetime

import jsonschema  # type: ignore[import-untyped]
import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json
from tests.gitrain.serving.contracts import columns, contract_of, entity, values_of

from gitrain.data.contracts import TableContract
from gitrain.data.row_checks import judge_rows
from gitrain.errors import ProjectError
from gitrain.features.definitions import Entity
from gitrain.online.given_rows import GivenRows
from gitrain.serving.problems import Problem, Rejection
from gitrain.serving.requests import RequestSchema, Row, known_contract

UTC_TIME = pl.Datetime("us", "UTC")
TRIPS = contract_of(
    {
        "trip": pa.Column(pl.Int64, pa.Check.ge(0)),
        "from": pa.Column(pl.String, pa.Check.isin(["AMS", "BRU", "CGN"])),
        "to": pa.Column(pl.String, pa.Check.str_matches("^[A-Z]{3}$")),
        "day": pa.Column(pl.Date),
        "leaves": pa.Column(UTC_TIME),
        "leaves_local": pa.Column(pl.Datetime("us")),
        "weight": pa.Column(pl.Float64, pa.Check.in_range(0, 60)),
        "fragile": pa.Column(pl.Boolean),
        "note": pa.Column(pl.String, nullable=True),
        "late": pa.Column(pl.Boolean, nullable=True),
    },
    row_rules={
        "ends elsewhere": pl.col("from") != pl.col("to"),
        "leaves on its day": pl.col("day") == pl.col("leaves_local").dt.date(),
        "late is known": pl.col("late").is_not_null(),
    },
)
KNOWN = tuple(name for name in TRIPS.schema.columns if name != "late")
SCHEMA = RequestSchema.of(entity(*KNOWN), TRIPS, max_rows=50)
TRIP = {
    "trip": 7,
    "from": "AMS",
    "to": "BRU",
    "day": "2024-03-31",
    "leaves": "2024-03-31T04:30:00+02:00",
    "leaves_local": "2024-03-31T04:30:00",
    "weight": 2,
    "fragile": False,
    "note": "☃",
}
PARSED = {
    "trip": 7,
    "from": "AMS",
    "to": "BRU",
    "day": date(2024, 3, 31),
    "leaves": datetime(2024, 3, 31, 2, 30, tzinfo=UTC),
    "leaves_local": datetime(2024, 3, 31, 4, 30),
    "weight": 2.0,
    "fragile": False,
    "note": "☃",
}


def body(*rows) -> bytes:
    return json.dumps({"things": list(rows)}).encode()


def parsed(content, schema=SCHEMA) -> list[Row]:
    found = schema.parse(content)
    assert isinstance(found, list), found
    return found


def refused(found) -> Rejection:
    assert isinstance(found, Rejection)
    return found


def one_problem(found) -> Problem:
    (problem,) = refused(found).problems
    return problem


def test_rows_are_python_values_in_the_contract_s_order():
    (row,) = parsed(body(dict(reversed(TRIP.items()))))

    assert row == PARSED
    assert list(row) == list(KNOWN)
    assert row["leaves"].tzinfo is UTC


def test_a_frame_has_the_contract_s_types():
    frame = SCHEMA.frame([PARSED, PARSED])

    assert frame.schema == {name: TRIPS.dtypes[name] for name in KNOWN}
    assert frame.to_dicts() == [PARSED, PARSED]
    assert SCHEMA.frame([]).schema == frame.schema
    assert SCHEMA.rejected(frame) == [(), ()]


def test_what_may_be_null_may_be_left_out():
    without = {name: value for name, value in TRIP.items() if name != "note"}

    for rows in ([without], [TRIP | {"note": None}], [TRIP, without, TRIP | {"note": None}]):
        assert parsed(body(*rows))[-1] == PARSED | {"note": None}


@pytest.mark.parametrize(
    ("change", "field", "reason", "value"),
    [
        ({"trip": "7"}, "trip", "must be a whole number from 0 to 9223372036854775807", '"7"'),
        ({"trip": 7.0}, "trip", "must be a whole number from 0 to 9223372036854775807", "7.0"),
        ({"trip": True}, "trip", "must be a whole number from 0 to 9223372036854775807", "true"),
        ({"trip": -1}, "trip", "must be a whole number from 0 to 9223372036854775807", "-1"),
        ({"trip": 2**63}, "trip", "must be a whole number from 0 to 9223372036854775807", str(2**63)),
        ({"from": "XXX"}, "from", "must be one of AMS, BRU, CGN", '"XXX"'),
        ({"from": None}, "from", "must be one of AMS, BRU, CGN", "null"),
        ({"to": "brU"}, "to", "must be a text that matches ^[A-Z]{3}$", '"brU"'),
        ({"to": "BRU\n"}, "to", "must be a text that matches ^[A-Z]{3}$", '"BRU\\n"'),
        ({"weight": 61}, "weight", "must be a number from 0 to 60", "61"),
        ({"weight": "1"}, "weight", "must be a number from 0 to 60", '"1"'),
        ({"weight": [1]}, "weight", "must be a number from 0 to 60", "an array"),
        ({"fragile": 0}, "fragile", "must be true or false", "0"),
        ({"note": {"a": 1}}, "note", "must be a text or null", "an object"),
        ({"day": "2024-02-30"}, "day", "must be a date such as 2013-05-01", '"2024-02-30"'),
        ({"day": "20240331"}, "day", "must be a date such as 2013-05-01", '"20240331"'),
        ({"day": "1711843200"}, "day", "must be a date such as 2013-05-01", '"1711843200"'),
        ({"day": "2024-03-31T00:00:00"}, "day", "must be a date such as 2013-05-01", '"2024-03-31T00:00:00"'),
    ],
)
def test_a_wrong_value_is_told_with_its_place_what_was_expected_and_itself(change, field, reason, value):
    found = SCHEMA.parse(body(TRIP, TRIP | change))

    assert refused(found).status == 422
    assert one_problem(found) == Problem(field=f"things[1].{field}", reason=reason, value=value)


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-31T02:30:00",
        "2024-03-31",
        "1711852200",
        "2024-03-31 02:30:00Z",
        "2024-03-31T02:30:00.1234567Z",
        "2024-03-31T24:00:00Z",
        "2024-03-31T02:30:60Z",
        "2024-03-31T02:30:00+0200",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:30:00-01:00",
        "2024-W13-7T02:30:00Z",
    ],
)
def test_a_moment_has_one_form_and_its_offset(text):
    problem = one_problem(SCHEMA.parse(body(TRIP | {"leaves": text})))

    assert problem.field == "things[0].leaves"
    assert problem.reason.startswith("must be a date and a time with their offset from UTC")


@pytest.mark.parametrize("text", ["2024-03-31T04:30:00Z", "2024-03-31T04:30:00+02:00"])
def test_a_local_time_has_no_offset(text):
    problem = one_problem(SCHEMA.parse(body(TRIP | {"leaves_local": text})))

    assert problem.reason.startswith("must be a date and a time without an offset")


@pytest.mark.parametrize(("text", "seconds"), [("04:30", 0.0), ("04:30:15", 15.0), ("04:30:15.123456", 15.123456)])
def test_seconds_and_their_parts_may_be_left_out(text, seconds):
    (row,) = parsed(body(TRIP | {"leaves_local": f"2024-03-31T{text}"}))

    assert row["leaves_local"].second + row["leaves_local"].microsecond / 1e6 == pytest.approx(seconds)


def test_an_unknown_field_is_named_with_the_nearest_known_one():
    found = SCHEMA.parse(body(TRIP, {"wieght" if name == "weight" else name: value for name, value in TRIP.items()}))

    assert refused(found).problems == (
        Problem(field="things[1].wieght", reason="is unknown; did you mean 'weight'?"),
        Problem(field="things[1].weight", reason="is missing; it must be a number from 0 to 60"),
    )
    assert one_problem(SCHEMA.parse(body(TRIP | {"q\n": 1}))) == Problem(
        field="things[0].q\\n", reason=f"is unknown; known are {', '.join(KNOWN)}"
    )
    # What was not known in advance is unknown too.
    assert one_problem(SCHEMA.parse(body(TRIP | {"late": False}))).field == "things[0].late"


def test_a_field_that_stands_twice_is_refused_however_it_is_written():
    text = body(TRIP).decode()
    for again in ('"trip": 7', '"tri\\u0070": 7', '"note": null', '"weight":2'):
        for changed in (text.replace("}]", f", {again}}}]"), text.replace("[{", f"[{{{again}, ")):
            problem = one_problem(SCHEMA.parse(changed.encode()))
            assert problem.field == f"things[0].{json.loads('{' + again + '}').popitem()[0]}"
            assert problem.reason == "stands twice"
    twice = f'{{"things": [], {text[1:]}'
    assert one_problem(SCHEMA.parse(twice.encode())) == Problem(field="things", reason="stands twice")


def test_quotation_marks_in_texts_are_no_keys():
    (row,) = parsed(body(TRIP | {"note": '"trip": 1, "\\"'}))

    assert row["note"] == '"trip": 1, "\\"'


@pytest.mark.parametrize(
    ("content", "status", "field", "reason"),
    [
        (b"", 400, "", "must be JSON: EOF while parsing a value at line 1 column 0"),
        (b"{", 400, "", "must be JSON: EOF while parsing an object at line 1 column 1"),
        (b"\xff\xfe", 400, "", "must be JSON: expected value at line 1 column 1"),
        (b"[]", 400, "", "must be an object with the key 'things'"),
        (b"null", 400, "", "must be an object with the key 'things'"),
        (b"{}", 400, "things", "is missing"),
        (b'{"things": {}}', 400, "things", "must be an array of rows"),
        (b'{"things": []}', 422, "things", "must have at least one row"),
        (b'{"things": [7]}', 422, "things[0]", "must be an object"),
        (b'{"things": [' + b",".join([b"{}"] * 51) + b"]}", 413, "things", "must not have more than 50 rows"),
        (b" " * 600_000, 413, "", "must not be longer than 524,288 bytes"),
    ],
)
def test_another_shape_is_refused_as_a_whole(content, status, field, reason):
    found = refused(SCHEMA.parse(content))

    assert found.status == status
    assert (found.problems[0].field, found.problems[0].reason) == (field, reason)


def test_a_misspelt_table_is_named():
    found = refused(SCHEMA.parse(json.dumps({"thing": [TRIP]}).encode()))

    assert [problem.reason for problem in found.problems] == ["is missing", "is unknown; did you mean 'things'?"]
    assert one_problem(SCHEMA.parse(json.dumps({"things": [TRIP], "a": 1}).encode())).field == "a"


def test_twenty_problems_are_told_and_the_others_counted():
    found = refused(SCHEMA.parse(body(*[{}] * 3)))

    assert len(found.problems) == 21
    assert found.problems[-1] == Problem(field="", reason="4 more problems")
    assert len(refused(SCHEMA.parse(body({f"k{n}": 1 for n in range(9_000)}))).problems) == 21


def test_values_are_shortened():
    for value in ("x" * 1000, 10**3000, {"a": "b" * 1000}, "\u202e" * 90):
        problem = one_problem(SCHEMA.parse(body(TRIP | {"weight": value})))
        assert problem.value is not None
        assert len(problem.value) <= 80
        assert problem.value.isprintable()


def test_rules_over_what_is_known_are_judged_row_by_row():
    same = PARSED | {"to": "AMS"}
    other_day = PARSED | {"day": date(2024, 3, 30)}
    problems = SCHEMA.rejected(SCHEMA.frame([PARSED, same, other_day, same | {"day": date(2024, 3, 30)}]))

    assert [len(each) for each in problems] == [0, 1, 1, 2]
    assert problems[1][0] == Problem(
        field="", reason="must keep the rule: ends elsewhere", value='from = "AMS", to = "AMS"'
    )
    assert SCHEMA.located(1, problems[1][0]).field == "things[1]"
    assert SCHEMA.located(3, Problem(field="to", reason="")).field == "things[3].to"


def test_checks_of_one_s_own_are_judged_by_the_contract():
    column = pa.Column(
        pl.Int32,
        [
            pa.Check(lambda data: data.lazyframe.select(pl.col(data.key) % 2 == 0), error="even"),
            pa.Check.notin([4]),
            pa.Check(lambda data: data.lazyframe.select(pl.col(data.key) < 100), error="small", raise_warning=True),
        ],
    )
    schema = RequestSchema.of(entity("x"), contract_of({"x": column}))
    rows = parsed(json.dumps({"things": [{"x": value} for value in (2, 3, 4, 200)]}).encode(), schema)

    problems = schema.rejected(schema.frame(rows))
    assert problems == [
        (),
        (Problem(field="x", reason="must keep even", value="3"),),
        (Problem(field="x", reason="must keep notin(4)", value="4"),),
        (),
    ]
    described = schema.json_schema()["properties"]["things"]["items"]["properties"]["x"]["description"]
    assert described.endswith("it keeps even; notin(4).")


def test_a_rule_that_fails_for_one_row_says_nothing_of_the_others():
    contract = contract_of({"text": pa.Column(pl.String)}, row_rules={"a number": pl.col("text").cast(pl.Int64) > 0})
    schema = RequestSchema.of(entity("text"), contract)
    problems = schema.rejected(schema.frame([{"text": "1"}, {"text": "one"}, {"text": "0"}]))

    assert problems[0] == ()
    assert problems[1][0].reason.startswith("cannot be judged by the contract's rules: ")
    assert problems[2][0].reason == "must keep the rule: a number"


@pytest.mark.parametrize(
    "dtype", [pl.Duration("us"), pl.Time(), pl.Binary(), pl.List(pl.Int32), pl.Decimal(10, 2)], ids=str
)
def test_a_type_that_no_request_can_hold_is_the_project_s_mistake(dtype):
    with pytest.raises(ProjectError, match=r"'x' is known in advance and is .*, which no request can hold"):
        RequestSchema.of(entity("x"), contract_of({"x": pa.Column(dtype)}))


def test_a_pattern_that_is_none_is_the_project_s_mistake():
    with pytest.raises(ProjectError, match="the contract of column 'x' cannot judge requests"):
        RequestSchema.of(entity("x"), contract_of({"x": pa.Column(pl.String, pa.Check.str_matches("(?<=a)b"))}))


def test_the_known_contract_leaves_out_outcomes_and_batches():
    known = known_contract(entity("trip", "from", "to"), TRIPS, "day")

    assert list(known.schema.columns) == ["trip", "from", "to", "day"]
    assert list(known.row_rules) == ["ends elsewhere"]
    assert known.key == ()


def test_the_json_schema_is_one_and_has_the_bounds_of_the_contract():
    schema = SCHEMA.json_schema(examples=[TRIP])
    jsonschema.Draft202012Validator.check_schema(schema)
    row = schema["properties"]["things"]["items"]

    assert row["additionalProperties"] is False
    assert row["required"] == [name for name in KNOWN if name != "note"]
    assert row["properties"]["from"]["enum"] == ["AMS", "BRU", "CGN"]
    assert row["properties"]["weight"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 60,
        "description": "A number from 0 to 60.",
    }
    assert row["properties"]["note"]["type"] == ["string", "null"]
    assert row["properties"]["leaves"]["format"] == "date-time"
    assert "ends elsewhere; leaves on its day" in row["description"]
    assert "late is known" not in row["description"]
    assert schema["examples"] == [{"things": [TRIP]}]


def test_the_digest_is_that_of_what_a_request_may_be():
    columns = dict(TRIPS.schema.columns)
    again = RequestSchema.of(entity(*KNOWN), TRIPS, max_rows=50)
    wider = RequestSchema.of(
        entity(*KNOWN),
        contract_of(columns | {"weight": pa.Column(pl.Float64, pa.Check.in_range(0, 61))}),
        max_rows=50,
    )

    assert again.digest == SCHEMA.digest
    assert wider.digest != SCHEMA.digest


@pytest.mark.parametrize(
    ("dtype", "check", "kept", "broken"),
    [
        (pl.Int32, pa.Check.gt(2), [3], [2, 1]),
        (pl.Int32, pa.Check.gt(2.5), [3], [2]),
        (pl.Int32, pa.Check.ge(2), [2], [1]),
        (pl.Int32, pa.Check.lt(2), [1], [2, 3]),
        (pl.Int32, pa.Check.lt(2.5), [2], [3]),
        (pl.Int32, pa.Check.le(2), [2], [3]),
        (pl.Int32, pa.Check.in_range(1, 3, include_min=False, include_max=False), [2], [1, 3]),
        (pl.Int32, pa.Check.eq(2), [2], [1, 3]),
        (pl.Int32, pa.Check.ne(2), [1], [2]),
        (pl.Int32, pa.Check.isin([1, 3]), [1, 3], [2]),
        (pl.Int32, pa.Check.notin([1, 3]), [2], [1]),
        (pl.UInt8, pa.Check.ge(0), [0, 255], [-1, 256]),
        (pl.Float64, pa.Check.gt(2), [2.0000000000000004], [2, 2.0]),
        (pl.Float64, pa.Check.lt(2), [1.9999999999999998], [2, 2.0]),
        (pl.Float64, pa.Check.in_range(0, 1, include_max=False), [0, -0.0, 0.5], [1, -5e-324]),
        (pl.Float32, pa.Check.le(0.5), [0.5, 0.50000000001], [0.5000001, 1e39]),
        (pl.String, pa.Check.str_length(1, 2), ["a", "☃☃"], ["", "abc"]),
        (pl.String, pa.Check.str_length(exact_value=2), ["ab"], ["a", "abc"]),
        (pl.String, pa.Check.str_matches("b"), ["ba"], ["ab"]),
        (pl.String, pa.Check.str_contains("b"), ["ba", "ab"], ["a"]),
        (pl.Date, pa.Check.gt(date(2024, 3, 1)), ["2024-03-02"], ["2024-03-01"]),
        (pl.Boolean, pa.Check.eq(True), [True], [False]),
    ],
    ids=str,
)
@pytest.mark.parametrize("nullable", [False, True])
def test_checks_hold_at_their_very_bounds(dtype, check, kept, broken, nullable):
    schema = RequestSchema.of(entity("x"), contract_of({"x": pa.Column(dtype, check, nullable=nullable)}))

    def accepted(value) -> bool:
        found = schema.parse(json.dumps({"things": [{"x": value}]}).encode())
        return isinstance(found, list) and schema.rejected(schema.frame(found)) == [()]

    assert [accepted(value) for value in kept] == [True] * len(kept)
    assert [accepted(value) for value in broken] == [False] * len(broken)
    assert accepted(None) == nullable


def test_a_check_that_judges_nulls_is_asked_about_them():
    check = pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_not_null()), ignore_na=False, error="there")
    checks = [check, pa.Check.le(5, ignore_na=False)]
    schema = RequestSchema.of(entity("x"), contract_of({"x": pa.Column(pl.Int32, checks, nullable=True)}))

    found = schema.rejected(schema.frame(parsed(b'{"things": [{"x": 5}, {"x": 6}, {"x": null}]}', schema)))
    assert [[problem.reason for problem in each] for each in found] == [
        [],
        ["must keep less_than_or_equal_to(5)"],
        ["must keep there", "must keep less_than_or_equal_to(5)"],
    ]


def test_a_rule_that_is_null_counts_as_kept():
    contract = contract_of(
        {"a": pa.Column(pl.Int32), "b": pa.Column(pl.Int32, nullable=True)},
        row_rules={"b is more": pl.col("b") > pl.col("a")},
    )
    schema = RequestSchema.of(entity("a", "b"), contract)

    found = schema.rejected(schema.frame(parsed(b'{"things": [{"a": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 2}]}', schema)))
    assert [len(each) for each in found] == [0, 1, 0]


def told(value):
    """All of a value but the name that its zone has."""
    return value.isoformat() if isinstance(value, date) else repr(value)


@given(st.data())
def test_a_row_is_accepted_exactly_if_the_contract_keeps_it(data):
    drawn = data.draw(st.lists(columns(), min_size=1, max_size=3))
    names = [f"c{number}" for number in range(len(drawn))]
    contract = contract_of({name: column for name, (column, _) in zip(names, drawn, strict=True)})
    schema = RequestSchema.of(entity(*names), contract)
    pairs = {
        name: data.draw(values_of(dtype) | st.just((None, None))) for name, (_, dtype) in zip(names, drawn, strict=True)
    }

    request = {"things": [{name: text for name, (text, _) in pairs.items()}]}
    found = schema.parse(json.dumps(request).encode())
    frame = schema.frame(found) if isinstance(found, list) else None
    accepted = frame is not None and schema.rejected(frame) == [()]
    if frame is not None:
        jsonschema.validate(request, schema.json_schema())

    try:
        row = pl.DataFrame([{name: value for name, (_, value) in pairs.items()}], schema=contract.dtypes, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        # The column's type has no such value.
        assert not accepted
        return
    kept = not [broken for broken in judge_rows(row, contract, names).broken if not broken.warns]
    assert accepted == kept
    if frame is not None and isinstance(found, list):
        assert frame.equals(row)
        assert frame.schema == contract.dtypes
        # What look-ups and the log take from the rows themselves is what the frame has, to the last bit.
        rows = schema.given(found)
        for name in names:
            assert [(type(value), told(value)) for value in rows.values(name)] == [
                (type(value), told(value)) for value in frame[name].to_list()
            ]
        assert to_json(rows.by_row()) == to_json(GivenRows.of(frame).by_row())


NO_CATEGORY = pa.Column(pl.String, [pa.Check.isin(["a"]), pa.Check.isin(["b"])])


@pytest.mark.parametrize("value", [None, "a", "", 0])
def test_where_no_category_is_left_no_value_is_one(value):
    schema = RequestSchema.of(entity("c0"), contract_of({"c0": NO_CATEGORY}))
    found = schema.parse(json.dumps({"things": [{"c0": value}]}).encode())

    assert isinstance(found, Rejection)
    assert [problem.field for problem in found.problems] == ["things[0].c0"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"things": [{"c0": value}]}, schema.json_schema())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([*map(str, TRIP.values())]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["things", *KNOWN]) | st.text(), inner, max_size=9)
    ),
    max_leaves=30,
)


def judged(content: bytes) -> None:
    found = SCHEMA.parse(content)
    if isinstance(found, Rejection):
        assert 1 <= len(found.problems) <= 21
        json.dumps([[problem.field, problem.reason, problem.value] for problem in found.problems]).encode()
    else:
        frame = SCHEMA.frame(found)
        assert len(SCHEMA.rejected(frame)) == frame.height >= 1


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_a_rejection(content):
    judged(content)
    judged(b'{"things": [' + content + b"]}")


@given(JSON)
def test_any_json_is_rows_or_a_rejection(value):
    judged(json.dumps(value).encode())
    judged(json.dumps({"things": value}).encode())
    judged(json.dumps({"things": [value]}).encode())


@given(st.dictionaries(st.sampled_from(KNOWN), JSON, max_size=3), st.integers(0, 400), st.binary(max_size=3))
def test_a_row_with_damage_is_rows_or_a_rejection(change, place, damage):
    content = json.dumps({"things": [TRIP | change]}).encode()
    judged(content)
    judged(content[:place] + damage + content[place + len(damage) :])


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 300_000,
        b'{"things":' * 50_000,
        b'{"things":[' + b"[" * 150 + b"]" * 150 + b"]}",
        b'{"things":[{"trip":' + b"9" * 5000 + b"}]}",
        b'{"things":[{"trip":' + b"9" * 4000 + b"}]}",
        b'{"things":[{"weight":' + b"9" * 400 + b"}]}",
        b'{"things":[{"weight":1e999}]}',
        b'{"things":[{"weight":NaN,"trip":Infinity}]}',
        b'{"things":[{"note":"\\ud800"}]}',
        b'{"things":[{"note":"\xed\xa0\x80"}]}',
        b'{"things":[{"note":"\xff"}]}',
        b'{"things":[{"note":"a\x00"}]}',
        b"\xef\xbb\xbf" + b'{"things":[]}',
        b'{"things":[{' + b'"a":1,' * 80_000 + b'"a":1}]}',
        b'{"things":[' + b"{}," * 150_000 + b"{}]}",
        b'{"a":[' + b"{}," * 150_000 + b"{}]}",
    ],
    ids=range(16),
)
def test_hostile_bodies_are_refused(content):
    judged(content)
    assert isinstance(SCHEMA.parse(content), Rejection)


@pytest.mark.parametrize("place", ["things", "a", "row", "value", "key"])
@pytest.mark.parametrize("item", ["[]", "{}", "[{}]", "1", '""', '{"a":{}}'])
def test_half_a_megabyte_of_anything_is_refused_in_less_than_a_second(place, item):
    many = ",".join([item] * (500_000 // (len(item) + 1)))
    keys = ",".join(f'"{number}": {item}' for number in range(490_000 // (len(item) + 9)))
    content = {
        "things": f'{{"things": [{many}]}}',
        "a": f'{{"things": [{{}}], "a": [{many}]}}',
        "row": f'{{"things": [[{many}]]}}',
        "value": f'{{"things": [{{"note": [{many}]}}]}}',
        "key": f'{{"things": [{{{keys}}}]}}',
    }[place].encode()
    begun = time.process_time()
    found = SCHEMA.parse(content)
    spent = time.process_time() - begun

    assert refused(found).problems
    # It takes a tenth of it; pydantic alone would take up to two seconds, and a service answers nobody meanwhile.
    assert spent < 1.0


def test_brackets_in_texts_are_none():
    note = "[{" * 2000
    (row,) = parsed(body(TRIP | {"note": note}))

    assert row["note"] == note


def test_an_accepted_null_character_stays_one():
    (row,) = parsed(body(TRIP | {"note": "a\u0000b"}))

    assert row["note"] == "a\u0000b"
    assert SCHEMA.frame([row])["note"].to_list() == ["a\u0000b"]


def test_an_unknown_key_in_the_place_of_one_that_may_be_null_is_refused() -> None:
    contract = TableContract(
        schema=pa.DataFrameSchema({"number": pa.Column(pl.Int64), "other": pa.Column(pl.Int64, nullable=True)})
    )
    entity = Entity(
        table="counters", key=("number",), known_in_advance=("number", "other"), unit=("number", pl.col("number"))
    )
    found = RequestSchema.of(entity, contract).parse(b'{"counters": [{"number": 1, "ohter": 1}]}')
    assert isinstance(found, Rejection)
    assert [(problem.field, problem.reason) for problem in found.problems] == [
        ("counters[0].ohter", "is unknown; did you mean 'other'?")
    ]
