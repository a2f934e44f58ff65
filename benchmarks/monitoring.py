"""What a look at a million predictions costs: `run_monitoring` on a log as services write it.

    python benchmarks/monitoring.py [--rows 1000000] [--repeats 3] [--evidently-rows 300000] [--out FILE]

Some minutes on two cores. A log of 90 days is made up, with 20 features (18 numbers, 2 categories) and labels for all
of them, in files of 32 MB as services write them, and a reference of 240 days. Each look is a process of its own, which
imports nothing but Gitrain and measures itself: seconds, and the largest memory that it ever had. Measured are

* the first look at a log as a service leaves it: all files but the newest, which it still writes, have the copies that
  its own program has made of them. The newest is about full: with one worker there never is more to parse;
* what that program takes for all of these copies, one after the other;
* the first look at lines alone, all of which it parses: where copies are off, or of another schema;
* a later one, when all but the newest file have been looked at before: what a daily run does without copies;
* Evidently's `DataDriftPreset` on 300,000 rows, which uv installs into an environment of its own (it needs a package
  index), and the drift part of ours on the same rows in the same run: alternating, the best of each.

Writes benchmarks/results/monitoring.json, and exits 1 if the first look at a log as a service leaves it or a later one
takes more than 3 seconds, any of them more than 1 GB, or Evidently less than ten times as long as ours, or it could not
be compared.
"""

import argparse
import fcntl
import io
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "2")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandera.polars as pa
import polars as pl

from gitrain.data.batches import Months
from gitrain.data.contracts import TableContract
from gitrain.data.tables import Table
from gitrain.features.definitions import Entity, FeatureSet, RowFeature
from gitrain.integrations.files import LocalMemo, LocalWorkspace
from gitrain.integrations.log_copies import COPIES
from gitrain.integrations.log_scan import LogScan
from gitrain.metrics import LOG_LOSS
from gitrain.monitoring.drift import feature_drift
from gitrain.monitoring.logged import logged_schema
from gitrain.monitoring.reference import reference_columns
from gitrain.operations.run_monitoring import MonitoringTools, run_monitoring
from gitrain.operations.stage import Stage
from gitrain.pipeline.params import Params
from gitrain.project import Project, Slice, Target
from gitrain.training.estimators import logistic_regression

RESULTS = Path(__file__).parent / "results" / "monitoring.json"
SECONDS, MEGABYTES, TIMES = 3.0, 1024.0, 10.0
FILE_BYTES, DAYS, REFERENCE_DAYS = 32 * 2**20, 90, 240
START = datetime(2025, 9, 1, tzinfo=UTC)
NUMBERS = tuple(f"number_{place:02d}" for place in range(18))
CATEGORIES = ("kind", "place")
EVIDENTLY = "evidently==0.7.17"
# It reads names of pandas that the third version no longer has.
PANDAS = "pandas<3"

_INPUTS = {
    "id": pa.Column(pl.Int64),
    "day": pa.Column(pl.Date),
    **{name: pa.Column(pl.String) for name in CATEGORIES},
}
_FEATURES = {
    **{name: pa.Column(pl.Float64, nullable=True) for name in NUMBERS},
    **{name: pa.Column(pl.String) for name in CATEGORIES},
}
FEATURES = FeatureSet(
    entity=Entity(table="rows", key=("id",), known_in_advance=tuple(_INPUTS), unit=("unit", pl.col("day"))),
    features=(
        # Never computed here: what they would be is in the log.
        *(RowFeature(name=name, expression=pl.col("id").cast(pl.Float64)) for name in NUMBERS),
        *(RowFeature(name=name, expression=pl.col(name)) for name in CATEGORIES),
    ),
    categorical=CATEGORIES,
)


class Nothing:
    """The rows are made up elsewhere."""

    def fingerprint(self, batch: str | None) -> str:
        return "0"

    def read(self, batch: str | None) -> pl.DataFrame:
        raise AssertionError(batch)


PROJECT = Project(
    name="made-up",
    tables=(
        Table(
            name="rows",
            source=Nothing(),
            contract=TableContract(
                schema=pa.DataFrameSchema({**_INPUTS, "outcome": pa.Column(pl.Boolean)}), key=("id",)
            ),
            batch_of=pl.col("day").dt.strftime("%Y-%m"),
        ),
    ),
    batches=Months(),
    features=FEATURES,
    feature_contract=TableContract(schema=pa.DataFrameSchema(_FEATURES)),
    prediction_contract=TableContract(schema=pa.DataFrameSchema({"score": pa.Column(pl.Float64)})),
    target=Target(name="outcome", label=pl.col("outcome")),
    estimators={"logistic_regression": logistic_regression},
    metrics=(LOG_LOSS,),
    slices=(Slice(name="kind", by=pl.col("kind"), min_rows=1_000),),
)


def made_up(rows: int, days: list[date], random: np.random.Generator) -> pl.DataFrame:
    """Rows in the order of time: what is known, the probability, the outcome. Days differ from each other."""
    day = np.sort(random.integers(0, len(days), size=rows))
    level = random.normal(0, 0.5, size=(len(days), len(NUMBERS)))
    columns: dict[str, Any] = {"day": pl.Series(days)[pl.Series(day)]}
    for place, name in enumerate(NUMBERS):
        values = pl.Series(random.normal(size=rows) + level[day, place])
        columns[name] = values.set(pl.Series(random.random(rows) < 0.1), None) if place < 3 else values
    columns["kind"] = random.choice(["a", "b", "c"], size=rows)
    columns["place"] = random.choice([f"P{number:02d}" for number in range(40)], size=rows)
    score = 1 / (1 + np.exp(1.2 - 0.8 * columns[NUMBERS[5]].to_numpy() - 0.4 * columns[NUMBERS[6]].to_numpy()))
    return pl.DataFrame(columns).with_columns(
        probability=score, outcome=pl.Series(random.random(rows) < score), second=pl.Series(random.random(rows))
    )


def days_from(start: date, count: int) -> list[date]:
    return [start + timedelta(days=number) for number in range(count)]


def prepare(folder: Path, rows: int) -> None:
    """The repository's files and the log."""
    random = np.random.default_rng(0)
    reference = made_up(max(20_000, rows // 5), days_from(date(2025, 1, 1), REFERENCE_DAYS), random)
    workspace = LocalWorkspace(folder)
    holdout = reference.tail(reference.height // 8)
    features = reference.select(pl.col("day").alias("unit"), *NUMBERS, *CATEGORIES)
    for batch, part in features.group_by(pl.col("unit").dt.strftime("%Y-%m")):
        workspace.write_table(f"data/features/{batch[0]}.parquet", part)
    workspace.write_table(
        "data/predictions/holdout.parquet",
        holdout.select(
            pl.col("day").alias("unit"),
            pl.col("outcome").alias("label"),
            pl.col("probability").alias("score"),
            pl.col("kind").alias("slice_kind"),
        ),
    )
    live = made_up(rows, days_from(START.date(), DAYS), random).with_row_index("id").cast({"id": pl.Int64})
    for batch, part in live.group_by(pl.col("day").dt.strftime("%Y-%m")):
        workspace.write_table(f"data/validated/rows/{batch[0]}.parquet", part.select(*_INPUTS, "outcome"))
    write_log(folder / "log", live)


def write_log(folder: Path, live: pl.DataFrame) -> None:
    folder.mkdir()
    known = live.with_columns(pl.col("day").cast(pl.String))
    moment = pl.col("day").str.to_datetime("%Y-%m-%d", time_unit="us") + pl.duration(
        microseconds=(pl.col("second") * 86_000_000_000).cast(pl.Int64)
    )
    records = known.sort(moment).select(
        pl.lit(1).alias("schema_version"),
        moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").alias("time"),
        pl.format("{}-1", pl.col("id").cast(pl.String).str.zfill(16)).alias("request_id"),
        pl.lit(0).alias("row"),
        pl.lit("1.4.0").alias("release"),
        pl.struct(*_INPUTS).alias("inputs"),
        pl.struct(*NUMBERS, *CATEGORIES).alias("features"),
        pl.concat_list(pl.when(pl.col(name).is_null()).then(pl.lit(name)) for name in NUMBERS[:3])
        .list.drop_nulls()
        .alias("missing"),
        pl.lit([], dtype=pl.List(pl.String)).alias("stale"),
        "probability",
        (pl.col("probability") >= 0.5).alias("decision"),
    )
    sample = io.BytesIO()
    records.head(10_000).write_ndjson(sample)
    # A hundredth to spare, since not all lines are as long; and all files as full as each other.
    files = records.height * len(sample.getvalue()) / min(10_000, records.height) / (0.99 * FILE_BYTES)
    size = math.ceil(records.height / math.ceil(files))
    for number, part in enumerate(records.iter_slices(size)):
        part.write_ndjson(folder / f"predictions-{START:%Y%m%dT%H%M%S.%fZ}-1-{number:06d}.jsonl")


def stage_of(folder: Path) -> Stage:
    return Stage(
        project=PROJECT,
        params=Params.model_validate(
            {
                "schema_version": 1,
                "data": {"from": "2025-01", "through": "2025-09"},
                "training": {"estimator": "logistic_regression"},
                "estimators": {"logistic_regression": {}},
                # Computing features again is what benchmarks/features.py measures.
                "monitoring": {"skew_rows": 0},
            }
        ),
        workspace=LocalWorkspace(folder),
        memo=LocalMemo(folder=folder / "memo", root=folder),
        code="0",
        progress=lambda _: None,
    )


def look(folder: Path) -> dict[str, Any]:
    """One look, measured by itself."""
    begun = time.perf_counter()
    report = run_monitoring(
        MonitoringTools(
            stage=stage_of(folder),
            environment="production",
            log=LogScan(folder / "log", kept=folder / "kept"),
            clock=lambda: START + timedelta(days=DAYS + 2),
            seconds=time.monotonic,
        )
    )
    seconds = time.perf_counter() - begun
    failed = [each.name for each in report.verdicts if each.outcome == "FAILED"]
    return {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), 2),
        "megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "predictions": report.labels.predictions,
        "failed": failed,
    }


# What the system says of a process that was started by a larger one counts that one's memory, too: it asks for itself.
COPY_PROGRAM = """
import json, resource, runpy
try:
    runpy.run_module("gitrain.integrations.log_copy_program", run_name="__main__", alter_sys=True)
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
    print(json.dumps({"cpu_seconds": round(used.ru_utime + used.ru_stime, 2), "megabytes": round(most / 1024, 1)}))
"""


def copy(folder: Path) -> dict[str, Any]:
    """Have the copies made that a service has made of what it has finished; what that took, as the program finds."""
    log = folder / "log"
    *finished, newest = sorted(log.glob("*.jsonl"))
    with newest.open("rb") as written, tempfile.TemporaryFile() as schema:
        fcntl.flock(written, fcntl.LOCK_EX)
        pl.DataFrame(schema=logged_schema(FEATURES, PROJECT.entity_table.contract)).write_ipc(schema)
        schema.seek(0)
        done = subprocess.run(
            [sys.executable, "-P", "-c", COPY_PROGRAM, str(log), str(os.getpid())],
            env={**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"},
            stdin=schema,
            stdout=subprocess.PIPE,
            check=True,
        )
    copies = [path.stat().st_size for path in (log / COPIES).glob("*.kept")]
    assert len(copies) == len(finished)
    return {
        "files": len(copies),
        "log_megabytes": round(sum(path.stat().st_size for path in finished) / 2**20, 1),
        "copies_megabytes": round(sum(copies) / 2**20, 1),
        **json.loads(done.stdout),
    }


def child(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def drift_alone(folder: Path, rows: int) -> float:
    """Seconds of our drift, from Parquet, as Evidently is given it."""
    begun = time.perf_counter()
    reference = pl.read_parquet(folder / "reference.parquet")
    current = pl.read_parquet(folder / "current.parquet")
    found = feature_drift(
        reference_columns([reference], FEATURES),
        {name: current[name] for name in FEATURES.names},
        days=DAYS,
        alpha=0.05,
        naive=0.2,
        windows=200,
    )
    assert len(found) == len(FEATURES.names) and current.height == rows
    return time.perf_counter() - begun


EVIDENTLY_PROGRAM = """
import sys, time
import pandas
from evidently import Report
from evidently.presets import DataDriftPreset
folder = sys.argv[1]
begun = time.perf_counter()
reference = pandas.read_parquet(folder + "/reference.parquet").drop(columns="unit")
current = pandas.read_parquet(folder + "/current.parquet").drop(columns="unit")
Report([DataDriftPreset()]).run(current, reference)
print(time.perf_counter() - begun)
"""


def beside_evidently(folder: Path, rows: int) -> dict[str, Any]:
    """Evidently's preset and our drift on the same rows; None for Evidently where it cannot be installed."""
    random = np.random.default_rng(1)
    for name, start, days in (("reference", date(2025, 1, 1), REFERENCE_DAYS), ("current", START.date(), DAYS)):
        frame = made_up(rows, days_from(start, days), random)
        frame.select(pl.col("day").alias("unit"), *NUMBERS, *CATEGORIES).write_parquet(folder / f"{name}.parquet")
    program = folder / "evidently_preset.py"
    program.write_text(EVIDENTLY_PROGRAM, encoding="utf-8")
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    command = [uv, "run", "--isolated", "--no-project", "--python", sys.executable]
    command += [part for needed in (EVIDENTLY, PANDAS, "pyarrow") for part in ("--with", needed)]
    ours, theirs = [], []
    for _ in range(3):
        ours.append(drift_alone(folder, rows))
        done = subprocess.run([*command, str(program), str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"Evidently is left out: {' '.join(done.stderr.split())[-300:]}", file=sys.stderr)
            break
        theirs.append(float(done.stdout.split()[-1]))
    return {
        "rows": rows,
        "ours_seconds": round(min(ours), 3),
        "evidently_seconds": round(min(theirs), 2) if theirs else None,
        "times": round(min(theirs) / min(ours), 1) if theirs else None,
        "evidently": EVIDENTLY,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="what a look at a million predictions costs")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--evidently-rows", type=int, default=300_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.look is not None:
        print(json.dumps(look(arguments.look)))
        return 0
    if arguments.prepare is not None:
        prepare(arguments.prepare, arguments.rows)
        print("{}")
        return 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        child("--prepare", str(folder), "--rows", str(arguments.rows))
        copies, aside = folder / "log" / COPIES, folder / "aside"
        copying = copy(folder)
        newest = sorted((folder / "log").glob("*.jsonl"))[-1]
        left, first, later = [], [], []
        for _ in range(arguments.repeats):
            shutil.rmtree(folder / "kept", ignore_errors=True)
            left.append(child("--look", str(folder)))
            shutil.rmtree(folder / "kept")
            copies.rename(aside)
            first.append(child("--look", str(folder)))
            os.utime(newest)
            later.append(child("--look", str(folder)))
            aside.rename(copies)
        drift = beside_evidently(folder, arguments.evidently_rows)
        newest_size = newest.stat().st_size
        size = sum(path.stat().st_size for path in (folder / "log").glob("*.jsonl"))
    found = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "polars": pl.__version__},
        "predictions": arguments.rows,
        "features": len(FEATURES.names),
        "log_megabytes": round(size / 2**20, 1),
        "newest_file_megabytes": round(newest_size / 2**20, 1),
        "copying": copying,
        "first_look_as_a_service_leaves_it": min(left, key=lambda each: each["seconds"]),
        "first_look_at_lines_alone": min(first, key=lambda each: each["seconds"]),
        "later_look": min(later, key=lambda each: each["seconds"]),
        "drift": drift,
        "limits": {"seconds": SECONDS, "megabytes": MEGABYTES, "times_evidently": TIMES},
    }
    passed = (
        max(found[name]["seconds"] for name in ("first_look_as_a_service_leaves_it", "later_look")) <= SECONDS
        and max(each["megabytes"] for each in (*left, *first, *later)) <= MEGABYTES
        and drift["times"] is not None
        and drift["times"] >= TIMES
    )
    arguments.out.write_text(json.dumps({**found, "passed": passed}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({**found, "passed": passed}, indent=2))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
