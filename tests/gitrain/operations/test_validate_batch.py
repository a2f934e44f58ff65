"""Every kind of broken input, one by one: what goes in, and the one clear answer that must come out."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import pytest
from tests.gitrain.data.stations import MemorySource, at, contents, project, readings, stage

from gitrain.data.validation_report import Finding, ValidationReport
from gitrain.errors import ProjectError, SettingsError, UsageError
from gitrain.integrations.batch_file import read_batch_file
from gitrain.operations.ingest import ingest
from gitrain.operations.validate_batch import validate_batch
from gitrain.operations.validate_data import validate_data
from gitrain.verdicts import Outcome

MARCH = "2024-03"
HOSTILE = "`|</td><script>alert(1)</script>\n# @everyone ![x](http://evil.example/x) [a](b)\u202e"


def at_row(row: int, column: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """The frame with one value replaced."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        replaced = pl.lit(value, dtype=frame.schema[column])
        return frame.with_columns(pl.when(pl.int_range(pl.len()) == row).then(replaced).otherwise(column).alias(column))

    return change


def of_column(column: str, expression: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda frame: frame.with_columns(expression.alias(column))


def as_csv(frame: pl.DataFrame) -> bytes:
    return frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ").encode()


def as_parquet(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()


def swapped(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rename({"temperature": "pressure", "pressure": "temperature"}).select(frame.columns)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """One kind of broken batch.

    Attributes:
        kind: what is wrong.
        make: makes it of a batch without a fault.
        rule, column, value: what a finding must name.
        severity: of that finding.
        quarantined: how many rows must be in quarantine; None where the whole batch fails anyway.
    """

    kind: str
    make: Callable[[pl.DataFrame], pl.DataFrame]
    rule: str
    column: str = ""
    value: str = ""
    severity: str = "fail"
    quarantined: int | None = None


def to_quarantine(kind: str, row: int, column: str, value: object, rule: str, shown: str) -> Broken:
    return Broken(
        kind=kind, make=at_row(row, column, value), rule=rule, column=column, value=shown, severity="quarantine",
        quarantined=1,
    )  # fmt: skip


KINDS = [
    Broken(kind="missing column", make=lambda f: f.drop("pressure"), rule="missing_column", column="pressure"),
    Broken(
        kind="extra column",
        make=lambda f: f.with_columns(gusts=pl.lit(1)),
        rule="extra_column",
        column="gusts",
        value="Int32",
    ),
    Broken(
        kind="retyped column",
        make=of_column("flashes", pl.col("flashes").cast(pl.String)),
        rule="type",
        column="flashes",
        value="String, and Int64",
    ),
    Broken(
        kind="time zone lost",
        make=of_column("taken_at", pl.col("taken_at").dt.replace_time_zone(None)),
        rule="type",
        column="taken_at",
        value="time_zone=None), and Datetime(time_unit='us', time_zone='UTC')",
    ),
    Broken(
        kind="other time unit",
        make=of_column("taken_at", pl.col("taken_at").dt.cast_time_unit("ms")),
        rule="type",
        column="taken_at",
        value="time_unit='ms'",
    ),
    Broken(
        kind="duplicate keys",
        make=lambda f: pl.concat([f, f[10:12]]),
        rule="duplicate_key",
        column="station",
        value="station = beta, taken_at = 2024-03-01 18:00:00+00:00 (2 rows)",
    ),
    Broken(
        kind="all-null column",
        make=of_column("pressure", pl.lit(None, dtype=pl.Float64)),
        rule="all_null",
        column="pressure",
        value="372 rows",
    ),
    Broken(
        kind="all-null column that must have values",
        make=of_column("temperature", pl.lit(None, dtype=pl.Float64)),
        rule="all_null",
        column="temperature",
    ),
    Broken(
        kind="null share beyond its bound",
        make=of_column("pressure", pl.when(pl.int_range(pl.len()) % 5 == 0).then("pressure")),
        rule="null_share",
        column="pressure",
        value="more than 50.00%",
    ),
    to_quarantine("out of range", 7, "temperature", 212.0, "in_range", "212.0"),
    to_quarantine("huge integer", 7, "flashes", 2**63 - 1, "in_range", "9223372036854775807"),
    to_quarantine("huge float", 7, "pressure", 1.7e308, "in_range", "1.7e+308"),
    to_quarantine("unknown category", 7, "station", "omega", "isin", "omega"),
    to_quarantine("hostile string", 7, "station", HOSTILE, "isin", "`|</td><script>alert(1)</script>\\n#"),
    to_quarantine("NaN", 7, "pressure", math.nan, "finite", "nan"),
    to_quarantine("infinity", 7, "pressure", math.inf, "finite", "inf"),
    to_quarantine("minus infinity", 7, "temperature", -math.inf, "finite", "-inf"),
    to_quarantine("null in a column without nulls", 7, "flashes", None, "not_null", "null"),
    Broken(
        kind="row rule",
        make=at_row(7, "dew_point", 40.0),
        rule="row_rule:no drier than the dew point",
        column="dew_point",
        value="temperature = 17.0, dew_point = 40.0",
        severity="quarantine",
        quarantined=1,
    ),
    Broken(
        kind="too many rows for quarantine",
        make=of_column("temperature", pl.when(pl.int_range(pl.len()) < 20).then(99.0).otherwise("temperature")),
        rule="quarantined_share",
        value="20 of 372 rows (5.38%)",
        quarantined=20,
    ),
    Broken(
        kind="unknown values of an open category",
        make=at_row(7, "sky", "hail"),
        rule="unknown_values",
        column="sky",
        value="hail (1 row)",
        severity="warn",
        quarantined=0,
    ),
    Broken(
        kind="future timestamps",
        make=at_row(7, "taken_at", at(2, 3, month=5)),
        rule="future",
        column="taken_at",
        value="2024-05-02 03:00:00+00:00",
    ),
    Broken(kind="wrong month", make=lambda f: readings("2024-02"), rule="batch", column="taken_at", value="2024-02 ("),
    Broken(
        kind="rows of another month",
        make=lambda f: pl.concat([f, readings("2024-02")[-3:]]),
        rule="batch",
        column="taken_at",
        value="2024-02 (3 rows)",
    ),
    Broken(
        kind="mixed units",
        make=of_column("temperature", pl.col("temperature") * 9 / 5 + 32),
        rule="quarantined_share",
        value="in_range(-60, 60)",
    ),
    Broken(
        kind="mixed units within the range",
        make=of_column("temperature", pl.col("temperature") * 9 / 5 + 20),
        rule="typical_mean",
        column="temperature",
        value="outside 5 to 30",
    ),
    Broken(kind="swapped columns", make=swapped, rule="in_range", column="pressure", severity="quarantine"),
    Broken(kind="zero rows", make=lambda f: f.clear(), rule="rows", value="0 rows"),
    Broken(kind="too few rows", make=lambda f: f[-10:], rule="rows", value="10 rows"),
    Broken(
        kind="stale", make=lambda f: f.filter(pl.col("taken_at").dt.day() < 20), rule="freshness", column="taken_at"
    ),
]


def named(findings: tuple[Finding, ...], broken: Broken) -> list[Finding]:
    return [
        finding
        for finding in findings
        if finding.rule == broken.rule
        and finding.severity == broken.severity
        and (not broken.column or broken.column in finding.columns)
    ]


def check(report: ValidationReport, broken: Broken) -> None:
    findings = report.batches[-1].findings
    found = named(findings, broken)
    assert len(found) == 1, [finding.message for finding in findings]
    told = " ".join(f"{each.message} {[example.value for example in each.examples]}" for each in findings)
    text = " ".join([found[0].message, *(example.value for example in found[0].examples)])
    assert broken.value in text or broken.value in told
    if broken.column:
        assert broken.column in text or broken.column in found[0].columns
    if broken.quarantined is not None:
        assert report.batches[-1].quarantined == broken.quarantined


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A workspace in which February and March were ingested and judged."""
    root = tmp_path_factory.mktemp("repository")
    given = stage(root, project())
    ingest(given)
    assert validate_data(given).outcome is Outcome.PASSED
    return root


@pytest.mark.parametrize("broken", KINDS, ids=lambda broken: broken.kind)
def test_a_broken_batch_gets_its_answer_and_changes_nothing(tmp_path, repository, broken):
    before = contents(repository, "data", "reports")
    file = tmp_path / "incoming.parquet"
    file.write_bytes(as_parquet(broken.make(readings(MARCH))))
    report = validate_batch(project(), "readings", file, MARCH, read=read_batch_file)
    check(report, broken)
    fails = broken.severity == "fail" or broken.quarantined is None
    assert report.outcome is (Outcome.FAILED if fails else Outcome.PASSED)
    assert contents(repository, "data", "reports") == before


@pytest.mark.parametrize("broken", KINDS, ids=lambda broken: broken.kind)
def test_a_broken_batch_in_the_pipeline_overwrites_nothing(tmp_path, broken):
    given = stage(tmp_path, project())
    ingest(given)
    validate_data(given)
    before = contents(tmp_path, "data/validated", "data/quarantine")
    source = MemorySource(lambda b: broken.make(readings(str(b))) if b == "2024-04" else readings(str(b)))
    given = stage(tmp_path, project(source), through="2024-04")
    ingest(given)
    report = validate_data(given)
    april = next(batch for batch in report.batches if batch.batch == "2024-04")
    assert named(april.findings, broken)
    after = contents(tmp_path, "data/validated", "data/quarantine")
    assert {path: after.get(path) for path in before} == before
    written = [path for path in after if "2024-04" in path]
    if april.outcome is Outcome.FAILED:
        assert written == []
    else:
        assert "data/validated/readings/2024-04.parquet" in written
        assert ("data/quarantine/readings/2024-04.parquet" in written) == bool(broken.quarantined)


def without_offset(frame: pl.DataFrame) -> bytes:
    return frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S").encode()


def with_text(frame: pl.DataFrame) -> bytes:
    return as_csv(frame).replace(b",16.0,", b",16 C,", 1)


def latin(frame: pl.DataFrame) -> bytes:
    return as_csv(frame.with_columns(sky=pl.lit("trüb"))).decode().encode("latin-1")


@dataclass(frozen=True, kw_only=True)
class BrokenFile:
    """A file that is broken as a file, or whose text is no value of its column."""

    kind: str
    name: str
    make: Callable[[pl.DataFrame], bytes]
    rule: str = "readable"
    said: str


FILES = [
    BrokenFile(kind="truncated parquet", name="b.parquet", make=lambda f: as_parquet(f)[:-100], said="is cut short"),
    BrokenFile(
        kind="damaged parquet",
        name="b.parquet",
        make=lambda f: as_parquet(f)[:-60] + b"\xff" * 40 + as_parquet(f)[-20:],
        said="is a damaged parquet file",
    ),
    BrokenFile(kind="a CSV named parquet", name="b.parquet", make=as_csv, said="does not start as a parquet file"),
    BrokenFile(kind="empty parquet", name="b.parquet", make=lambda f: b"", said="is empty (0 bytes)"),
    BrokenFile(kind="empty CSV", name="b.csv", make=lambda f: b"", said="is empty (0 bytes)"),
    BrokenFile(kind="blank CSV", name="b.csv", make=lambda f: b"\n \n", said="is empty (3 bytes)"),
    BrokenFile(kind="encoding", name="b.csv", make=latin, said="is not UTF-8: line 2 has the byte 0xfc"),
    BrokenFile(kind="UTF-16", name="b.csv", make=lambda f: as_csv(f).decode().encode("utf-16"), said="is not UTF-8"),
    BrokenFile(
        kind="wrong delimiter",
        name="b.csv",
        make=lambda f: as_csv(f).replace(b",", b";"),
        said="its fields are not separated by commas",
    ),
    BrokenFile(kind="cut short CSV", name="b.csv", make=lambda f: as_csv(f)[:-12], said="fields in line 373 and 7"),
    BrokenFile(
        kind="an unquoted comma",
        name="b.csv",
        make=lambda f: as_csv(f).replace(b"clear", b"clear, mostly", 1),
        said="8 fields in line 2 and 7 in its header",
    ),
    BrokenFile(kind="an open quote", name="b.csv", make=lambda f: as_csv(f) + b'"alpha', said="is no valid CSV"),
    BrokenFile(
        kind="a column twice",
        name="b.csv",
        make=lambda f: as_csv(f).replace(b"pressure", b"temperature", 1),
        said="has the column 'temperature' twice",
    ),
    BrokenFile(
        kind="text in a column of numbers",
        name="b.csv",
        make=with_text,
        rule="type",
        said="temperature has 1 value that is no Float64 ['16 C']",
    ),
    BrokenFile(
        kind="time zone lost in text",
        name="b.csv",
        make=without_offset,
        rule="type",
        said="the offset from UTC is lost",
    ),
    BrokenFile(
        kind="a decimal in a column of integers",
        name="b.csv",
        make=lambda f: as_csv(f.with_columns(pl.col("flashes").cast(pl.Float64))),
        rule="type",
        said="flashes has 372 values that are no Int64",
    ),
]


@pytest.mark.parametrize("broken", FILES, ids=lambda broken: broken.kind)
def test_a_broken_file_gets_one_clear_answer(tmp_path, broken):
    file = tmp_path / broken.name
    file.write_bytes(broken.make(readings(MARCH)))
    for batch in (MARCH, None):
        report = validate_batch(project(), None, file, batch, read=read_batch_file)
        assert report.outcome is Outcome.FAILED
        found = [finding for finding in report.batches[0].findings if finding.rule == broken.rule]
        assert len(found) == 1
        assert broken.said in f"{found[0].message} {[example.value for example in found[0].examples]}"
        assert sum(finding.severity == "fail" for finding in report.batches[0].findings) <= 2
    assert [path.name for path in tmp_path.iterdir()] == [broken.name]


@pytest.mark.parametrize("name", ["b.csv", "b.parquet"])
@pytest.mark.parametrize("batch", [MARCH, None])
def test_a_good_file_passes_and_its_batch_is_found_in_its_rows(tmp_path, name, batch):
    file = tmp_path / name
    file.write_bytes(as_csv(readings(MARCH)) if name.endswith("csv") else as_parquet(readings(MARCH)))
    report = validate_batch(project(), "readings", file, batch, read=read_batch_file)
    assert report.outcome is Outcome.PASSED, report.batches[0].findings
    assert (report.batches[0].table, report.batches[0].batch, report.batches[0].rows) == ("readings", MARCH, 372)


def test_rows_of_several_batches_ask_for_the_name(tmp_path):
    file = tmp_path / "b.parquet"
    file.write_bytes(as_parquet(pl.concat([readings(MARCH), readings("2024-02")[:2]])))
    report = validate_batch(project(), None, file, None, read=read_batch_file)
    (finding,) = report.batches[0].findings
    assert report.outcome is Outcome.FAILED
    assert "2 batches" in finding.message
    assert "--name" in finding.message
    assert [example.value for example in finding.examples] == ["2024-03 (372 rows)", "2024-02 (2 rows)"]


def test_a_table_without_batches_is_judged_as_a_whole(tmp_path):
    file = tmp_path / "places.csv"
    file.write_text("\ufeffstation,height\nalpha,12.5\nalpha,\n", encoding="utf-8")
    report = validate_batch(project(), "places", file, None, read=read_batch_file)
    assert {finding.rule for finding in report.batches[0].findings} == {"not_null", "quarantined_share"}
    with pytest.raises(UsageError, match="has no batches"):
        validate_batch(project(), "places", file, MARCH, read=read_batch_file)


def test_wrong_calls_are_no_verdicts(tmp_path):
    (tmp_path / "b.txt").write_text("x")
    with pytest.raises(UsageError, match="is no file"):
        validate_batch(project(), None, tmp_path / "none.parquet", MARCH, read=read_batch_file)
    with pytest.raises(UsageError, match=r"neither a \.parquet nor a \.csv"):
        validate_batch(project(), None, tmp_path / "b.txt", MARCH, read=read_batch_file)
    with pytest.raises(SettingsError, match="'March' is not a month"):
        validate_batch(project(), None, tmp_path / "b.txt", "March", read=read_batch_file)
    with pytest.raises(ProjectError, match="no table 'planes'"):
        validate_batch(project(), "planes", tmp_path / "b.txt", None, read=read_batch_file)
