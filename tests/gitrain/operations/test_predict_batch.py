import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from gitrain.cli.main import main
from gitrain.data.validation_report import Finding
from gitrain.errors import IntegrationError, UsageError
from gitrain.operations.predict_batch import predict_batch
from gitrain.serving.batch_report import BatchReport, PartSummary
from gitrain.serving.requests import RequestSchema
from gitrain.verdicts import Outcome
from gitrain.wiring.serving import open_batch

COLUMNS = ("parcel", "depot", "zone", "weight", "sent", "promised_hours")
PART_ROWS = 150


@pytest.fixture(scope="module")
def store(parcels, tmp_path_factory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'online.sqlite'}"
    assert main(["-C", str(parcels), "features", "materialize", "--store", url]) == 0
    return url


@pytest.fixture(scope="module")
def rows(parcels) -> pl.DataFrame:
    return pl.read_parquet(parcels / "data/validated/parcels/2024-04.parquet")


@pytest.fixture
def source(rows, tmp_path) -> Path:
    file = tmp_path / "parcels.parquet"
    # More columns than are asked for, in another order.
    rows.select("known_at", *reversed(COLUMNS), note=pl.lit("x")).write_parquet(file)
    return file


@pytest.fixture
def run(parcels, store, source, tmp_path):
    def call(
        file=source, output=tmp_path / "out.parquet", changed=lambda files: files.batch, part_rows=PART_ROWS, **options
    ):
        with open_batch(str(parcels), str(file), str(output), store=store) as files:
            return predict_batch(
                changed(files),
                files.source,
                files.output,
                workspace=files.workspace,
                part_rows=part_rows,
                progress=options.pop("progress", lambda line: None),
                **options,
            )

    return call


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "parcels.parquet")


def test_every_row_is_predicted_in_order(run, rows, parcels, tmp_path):
    report = run()
    found = pl.read_parquet(tmp_path / "out.parquet")

    assert found.columns == ["parcel", "probability", "decision", "missing", "stale", "release"]
    assert found["parcel"].equals(rows["parcel"])
    assert found["decision"].equals((found["probability"] >= 0.4).rename("decision"))
    assert found["release"].unique().to_list() == ["0.0.0+unreleased"]
    assert (report.outcome, report.rows, report.predicted, report.quarantined) == (Outcome.PASSED, 900, 900, 0)
    assert report.decided == found["decision"].sum()
    assert report.missing == {name: count for name, count in counted(found["missing"]).items() if count}
    assert names(tmp_path) == ["out.parquet"]

    # As the pipeline scored the holdout with the model that was judged.
    judged = pl.read_parquet(parcels / "data/predictions/holdout.parquet").join(found, on="parcel", validate="1:1")
    assert judged.height > 800
    assert (judged["score"] - judged["probability"]).abs().max() < 1e-9


def counted(lists: pl.Series) -> dict[str, int]:
    exploded = lists.explode().drop_nulls()
    return {name: exploded.eq(name).sum() for name in sorted(exploded.unique())}


def test_a_service_gives_the_same_bits_whatever_it_predicts_together(run, rows, parcels, store, source, tmp_path):
    run()
    found = pl.read_parquet(tmp_path / "out.parquet")
    with open_batch(str(parcels), str(source), str(tmp_path / "other.parquet"), store=store) as files:
        project, predictor = files.batch.project, files.batch.predictor
        schema = RequestSchema.of(project.features.entity, project.entity_table.contract)
        start = 0
        for size in (1, 2, 3, 5, 1, 16, 17, 401, 454):
            content = [
                row | {"sent": row["sent"].isoformat()}
                for row in rows.slice(start, size).select(COLUMNS).iter_rows(named=True)
            ]
            parsed = schema.parse(json.dumps({"parcels": content}).encode())
            assert isinstance(parsed, list)
            frame = schema.frame(parsed)
            assert not any(schema.rejected(frame))
            served = predictor.predict(frame)
            batch = found.slice(start, size)
            assert served.probabilities.tolist() == batch["probability"].to_list()
            assert served.decisions.tolist() == batch["decision"].to_list()
            assert [list(each) for each in served.missing] == batch["missing"].to_list()
            assert [list(each) for each in served.stale] == batch["stale"].to_list()
            start += size
    assert start == rows.height


@pytest.mark.parametrize(("part_rows", "workers"), [(1000, 1), (PART_ROWS, 2), (67, 3)])
def test_parts_and_workers_change_no_byte(run, tmp_path, part_rows, workers):
    one = run()
    other = run(output=tmp_path / "other.parquet", part_rows=part_rows, workers=workers)

    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()
    assert one == other


def test_rows_that_no_request_could_hold_are_in_quarantine_with_their_reasons(run, rows, source, tmp_path):
    broken = rows.select(COLUMNS).with_columns(
        weight=pl.when(pl.col("parcel") % 300 == 1).then(pl.lit(61.0)).otherwise("weight"),
        zone=pl.when(pl.col("parcel") % 450 == 2).then(None).otherwise("zone"),
    )
    broken.write_parquet(source)
    report = run()

    found, quarantined = (
        pl.read_parquet(tmp_path / name) for name in ("out.parquet", "out.parquet.quarantine.parquet")
    )
    bad = broken.filter((pl.col("weight") > 60) | pl.col("zone").is_null())
    assert quarantined.drop("reason").equals(bad)
    assert set(quarantined["reason"]) == {"weight = 61.0 breaks in_range(0, 60)", "zone = null breaks not null"}
    assert found["parcel"].equals(broken.join(bad, on="parcel", how="anti")["parcel"])
    assert report.outcome is Outcome.PASSED
    assert report.quarantined == bad.height
    assert {(each.rule, each.columns, each.count) for each in report.findings} == {
        ("in_range", ("weight",), int((broken["weight"] > 60).sum())),
        ("not_null", ("zone",), broken["zone"].null_count()),
    }
    # A run without such rows leaves none behind.
    rows.write_parquet(source)
    run()
    assert names(tmp_path) == ["out.parquet"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("zone"), "the column zone is missing"),
        (lambda frame: frame.drop("parcel"), "the column parcel is missing"),
        (
            lambda frame: frame.with_columns(pl.col("promised_hours").cast(pl.Int64)),
            "the column promised_hours is Int64, and Int32 is expected",
        ),
        (
            lambda frame: frame.with_columns(pl.col("sent").dt.replace_time_zone(None)),
            "the column sent is Datetime(time_unit='us', time_zone=None), "
            "and Datetime(time_unit='us', time_zone='UTC') is expected",
        ),
    ],
)
def test_other_columns_than_the_contract_s_fail_the_file(run, rows, source, tmp_path, change, message):
    change(rows).write_parquet(source)
    report = run()

    assert report.outcome is Outcome.FAILED
    assert [finding.message for finding in report.findings] == [message]
    assert (report.predicted, report.output_digest) == (0, None)
    assert names(tmp_path) == []


def test_no_rows_give_no_predictions(run, rows, source, tmp_path):
    rows.clear().write_parquet(source)
    report = run()

    assert (report.outcome, report.rows) == (Outcome.PASSED, 0)
    assert pl.read_parquet(tmp_path / "out.parquet").schema == {
        "parcel": pl.Int64,
        "probability": pl.Float64,
        "decision": pl.Boolean,
        "missing": pl.List(pl.String),
        "stale": pl.List(pl.String),
        "release": pl.String,
    }


class Interrupted:
    """A predictor that fails for one row, and remembers what it was asked for."""

    def __init__(self, predictor, *, fails_for=None):
        self.predictor = predictor
        self.fails_for = fails_for
        self.asked = []

    def predict(self, frame):
        # Of several threads, in whichever order.
        self.asked.append(frame["parcel"][0])
        if self.fails_for in frame["parcel"]:
            raise IntegrationError("the store is away", fix="wait.")
        return self.predictor.predict(frame)


@pytest.fixture
def interrupted(run, rows, tmp_path):
    """Has the third of six parts fail; how many were done: what had begun by then is ended."""
    third = rows["parcel"][2 * PART_ROWS]

    def call() -> int:
        with pytest.raises(IntegrationError):
            run(
                changed=lambda files: replace(
                    files.batch, predictor=Interrupted(files.batch.predictor, fails_for=third)
                )
            )
        done = {path.stem for path in (tmp_path / "out.parquet.parts").glob("*.json")} - {"plan"}
        assert {"000000", "000001"} <= done
        assert "000002" not in done
        return len(done)

    return call


def again(run, **changes) -> int:
    """How many parts another run predicts."""
    seen = []

    def changed(files):
        seen.append(Interrupted(files.batch.predictor))
        return replace(files.batch, predictor=seen[0], **changes)

    assert run(changed=changed).predicted == 900
    return len(seen[0].asked)


def test_what_is_done_is_not_done_again(run, interrupted):
    done = interrupted()
    assert again(run) == 6 - done


@pytest.mark.parametrize("file", ["000001.parquet", "000001.json", "000000.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"PAR1PAR1"])
def test_a_damaged_part_is_done_again(run, interrupted, tmp_path, file, content):
    done = interrupted()
    (tmp_path / "out.parquet.parts" / file).write_bytes(content)
    assert again(run) == 6 - done + 1


def test_another_release_or_store_or_part_size_starts_anew(run, interrupted):
    interrupted()
    assert again(run, digest="another") == 6
    interrupted()
    assert again(lambda **options: run(part_rows=300, **options)) == 3


def test_other_rows_start_anew(run, interrupted, rows, source):
    interrupted()
    rows.with_columns(weight=pl.col("weight") / 2).write_parquet(source)
    assert again(run) == 6


def test_one_run_at_a_time_writes_an_output(run, parcels, store, source, tmp_path):
    with (
        open_batch(str(parcels), str(source), str(tmp_path / "out.parquet"), store=store),
        pytest.raises(UsageError, match=r"another run is writing .*out\.parquet"),
    ):
        run()
    assert run().predicted == 900


# It ends itself by SIGKILL at a write to the output's folder: before it, or when the file is in its place.
CHILD = textwrap.dedent(
    """
    import os, signal, sys
    from dataclasses import replace
    from gitrain.integrations.files import LocalWorkspace
    from gitrain.operations.predict_batch import predict_batch
    from gitrain.wiring.serving import open_batch

    root, source, output, store, number, when = sys.argv[1:]

    class Killed(LocalWorkspace):
        count = 0

        def write_bytes(self, path, content):
            Killed.count += 1
            if Killed.count == int(number) and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            if Killed.count == int(number) and when == "within":
                (self.root / path).with_name("." + (self.root / path).name + ".123.part").write_bytes(content[:9])
                os.kill(os.getpid(), signal.SIGKILL)
            super().write_bytes(path, content)
            if Killed.count == int(number) and when == "after":
                os.kill(os.getpid(), signal.SIGKILL)

    with open_batch(root, source, output, store=store) as files:
        predict_batch(files.batch, files.source, files.output, workspace=Killed(files.workspace.root),
                      progress=lambda line: print(line, file=sys.stderr), part_rows=150)
    """
)


def killed(parcels, source, output, store, number, when) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(parcels), str(source), str(output), store, str(number), when],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.slow
def test_killed_anywhere_and_run_again_gives_the_same_bytes(run, rows, parcels, store, source, tmp_path):
    # The plan, six parts of two files (and one in quarantine), then the quarantine and the output: sixteen writes.
    rows.with_columns(weight=pl.when(pl.col("parcel") % 900 == 1).then(61.0).otherwise("weight")).write_parquet(source)
    whole = run(output=tmp_path / "whole.parquet")
    assert whole.quarantined == 1
    kills = ((1, "after", 0), (4, "within", 1), (9, "after", 4), (16, "before", 6))
    for number, when, finished in kills:
        output = tmp_path / f"killed{number}.parquet"
        killed(parcels, source, output, store, number, when)
        assert len(list(Path(f"{output}.parts").glob("*.json"))) == finished
        lines: list[str] = []
        report = run(output=output, progress=lines.append)

        assert report == whole
        assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
        quarantine = Path(f"{output}.quarantine.parquet").read_bytes()
        assert quarantine == (tmp_path / "whole.parquet.quarantine.parquet").read_bytes()
        assert sum("by an earlier run" in line for line in lines) == finished
    assert not [path for path in tmp_path.iterdir() if path.name.endswith((".parts", ".part"))]


def test_the_command_reads_text_too_and_says_what_it_did(parcels, store, rows, source, tmp_path, capsys):
    assert command(parcels, store, source, tmp_path / "out.parquet") == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("## ✅ Batch prediction: PASSED\n\n900 rows for release 0.0.0+unreleased of `parcels`:")
    assert "900 of 900 rows" in shown.err

    known = rows.select(COLUMNS)
    known.write_csv(tmp_path / "in.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    lines = [json.dumps(row | {"sent": row["sent"].isoformat()}) for row in known.iter_rows(named=True)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for name in ("in.csv", "in.jsonl", f"file://{tmp_path / 'in.jsonl'}"):
        path = name if "://" in name else tmp_path / name
        assert command(parcels, store, path, tmp_path / "text.parquet", "--json") == 0
        report = BatchReport.model_validate_json(capsys.readouterr().out)
        assert report.predicted == 900
        assert (tmp_path / "text.parquet").read_bytes() == (tmp_path / "out.parquet").read_bytes()


def test_text_that_has_no_such_type_fails_the_file_with_the_row(parcels, store, rows, tmp_path, capsys):
    text = rows.select(COLUMNS).with_columns(pl.lit("12.5").alias("promised_hours"))
    text.write_csv(tmp_path / "in.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")

    assert command(parcels, store, tmp_path / "in.csv", tmp_path / "out.parquet", "--json") == 1
    report = BatchReport.model_validate_json(capsys.readouterr().out)
    assert [(each.rule, each.columns, each.count) for each in report.findings] == [("type", ("promised_hours",), 900)]
    assert report.findings[0].examples[0].value == "12.5"
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("absent.parquet", "out.parquet", "absent.parquet is no file"),
        ("in.xlsx", "out.parquet", "is no .parquet, .csv, .jsonl or .ndjson file"),
        ("parcels.parquet", "out.csv", "is no .parquet file"),
        ("parcels.parquet", "parcels.parquet", "input and output are one file"),
        ("memory://absent.parquet", "out.parquet", "memory://absent.parquet"),
    ],
)
def test_wrong_names_are_told(parcels, store, source, output, message, tmp_path, capsys, rows):
    rows.write_parquet(tmp_path / "parcels.parquet")
    path = source if "://" in source else tmp_path / source
    assert command(parcels, store, path, tmp_path / output) == 2
    assert message in capsys.readouterr().err
    assert names(tmp_path) == []


def command(parcels, store, source, output, *more) -> int:
    with contextlib.chdir(output.parent):
        return main(
            ["-C", str(parcels), "predict", "--input", str(source), "--output", output.name, "--store", store, *more]
        )


def test_reports_add_up():
    def finding(count) -> Finding:
        return Finding(
            rule="in_range",
            severity="quarantine",
            columns=("x",),
            message=f"x: {count} rows break the rule in_range(0, 1)",
            count=count,
            share=0.5,
        )

    part = {"decided": 1, "missing": {"a": 2}, "stale": {}, "newest": {"h": None}, "digests": {}}
    parts = [
        PartSummary(rows=10, quarantined=5, findings=(finding(5),), **part),
        PartSummary(rows=10, quarantined=1, findings=(finding(1),), **part),
    ]
    report = BatchReport.of("p", "1.0.0", parts, input_digest="i", output_digest="o")

    assert (report.rows, report.predicted, report.quarantined, report.decided) == (20, 14, 6, 2)
    assert report.missing == {"a": 4}
    (merged,) = report.findings
    assert (merged.count, merged.share, merged.message) == (6, 0.3, "x: 6 rows break the rule in_range(0, 1)")
