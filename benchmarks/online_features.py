"""The online store: filling it with a month of flights, and looking up all features of one flight.

    python benchmarks/online_features.py [--rows 2000] [--repeats 5]

It needs the validated tables (`dvc repro`), takes a minute, writes benchmarks/results/online_features.json, and exits 1
if a bound does not hold: a month from nothing under 2 s, all 35 features of one flight from SQLite under 0.2 ms
(median, one thread, Polars with one thread, as a service runs).

* a month: `materialize_features` of September 2013 into an empty store (28 thousand flights, five histories, weather);
  the next month beside the former; a second run that finds nothing to do; a push of the flights of one hour.
* one flight: `look_up` of different flights of September one after another, each seen once; of flights whose times were
  asked before (what is computed from them is remembered); against `compute_features` of the same row with the
  histories in memory, which is what the look-up saves; and calls of 16 and of all flights.

Redis is measured if there is a redis-server. Before anything is measured the answers have to be those of
`compute_features`, bit by bit.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
import polars as pl

from gitrain.data.incoming import BatchFile
from gitrain.features.engine import compute_features
from gitrain.online.columns import Columns, columns_of
from gitrain.online.store import OnlineStore
from gitrain.operations.build_features import partitions_of
from gitrain.operations.materialize_features import materialize_features
from gitrain.operations.push_rows import push_rows
from gitrain.operations.stage import Stage
from gitrain.training.estimators import FeatureColumns
from gitrain.wiring.online import open_lookup, open_online_store
from gitrain.wiring.repository import open_stage

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "online_features.json"
MOST_MILLISECONDS, MOST_SECONDS = 0.2, 2.0
MONTH, BEFORE = "2013-09", "2013-08"
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fill(stage: Stage, store: OnlineStore, since: str, through: str = MONTH) -> float:
    return timed(lambda: materialize_features(stage, store, since=since, through=through, clock=lambda: NOW))


def push(stage: Stage, store: OnlineStore, rows: pl.DataFrame) -> None:
    file = BatchFile(frame=rows, text=False)
    push_rows(stage.project, store, "flights", Path("hour"), read=lambda path: file, clock=lambda: NOW)


def materialized(stage: Stage, urls: Iterator[str], repeats: int) -> dict[str, Any]:
    """Seconds, the median of each."""
    month, following, nothing, pushed = [], [], [], []
    flights = pl.read_parquet(ROOT / f"data/validated/flights/{MONTH}.parquet")
    hour = flights.filter(pl.col("sched_dep").dt.truncate("1h") == flights["sched_dep"].dt.truncate("1h").mode()[0])
    for _ in range(repeats):
        store = open_online_store(next(urls), ROOT)
        month.append(fill(stage, store, MONTH))
        store.close()
        store = open_online_store(next(urls), ROOT)
        fill(stage, store, BEFORE, BEFORE)
        pushed.append(timed(partial(push, stage, store, hour)))
        following.append(fill(stage, store, BEFORE))
        nothing.append(fill(stage, store, BEFORE))
        store.close()
    return {
        "a_month": round(statistics.median(month), 3),
        "the_next_month": round(statistics.median(following), 3),
        "nothing_new": round(statistics.median(nothing), 3),
        "push_of_an_hour": {"flights": hour.height, "seconds": round(statistics.median(pushed), 3)},
    }


def looked_up(stage: Stage, url: str, count: int) -> dict[str, Any]:
    """Milliseconds of look-ups, after they have been proved equal to `compute_features`."""
    features, partitions = stage.project.features, partitions_of(stage)
    rows = partitions.entity_rows(MONTH)
    histories = partitions.histories(partitions.needed([BEFORE, MONTH], partitions.decisions(MONTH)))
    columns = FeatureColumns(names=features.names, categorical=features.categorical)
    wanted = columns_of(compute_features(features, rows, histories), columns)
    lookup = open_lookup(features, url, ROOT)
    places = np.random.default_rng(7).choice(rows.height, size=count + 200, replace=False).tolist()
    singles = [rows.slice(place, 1) for place in places]
    for place, row in zip(places[:200], singles[:200], strict=True):
        agree(lookup.look_up(row).columns, wanted, [place])
    agree(lookup.look_up(rows).columns, wanted, list(range(rows.height)))
    one = [timed(partial(lookup.look_up, row)) for row in singles[200:]]
    again = [timed(partial(lookup.look_up, row)) for row in singles[200:] for _ in range(2)][1::2]
    engine = [timed(partial(compute_features, features, row, histories)) for row in singles[:30]]
    sixteen = [timed(partial(lookup.look_up, rows.slice(place, 16))) for place in places[:200]]
    whole = [timed(partial(lookup.look_up, rows)) for _ in range(3)]
    lookup.close()
    return {
        "one_flight": figures(one),
        "one_flight_of_a_known_time": figures(again),
        "compute_features_of_one": round(1e3 * statistics.median(engine), 3),
        "sixteen_flights_each": round(1e3 * statistics.median(sixteen) / 16, 4),
        "all_flights": {"rows": rows.height, "milliseconds": round(1e3 * statistics.median(whole), 1)},
    }


def figures(seconds: list[float]) -> dict[str, float]:
    return {
        "median": round(1e3 * statistics.median(seconds), 4),
        "p99": round(1e3 * float(np.quantile(seconds, 0.99)), 4),
        "best": round(1e3 * min(seconds), 4),
    }


def agree(found: Columns, wanted: Columns, places: list[int]) -> None:
    for name, values in wanted.items():
        if values.dtype == object:
            assert found[name].tolist() == values[places].tolist(), name
        else:
            assert np.array_equal(found[name], values[places], equal_nan=True), name


@contextmanager
def redis_urls(folder: Path) -> Iterator[Iterator[str] | None]:
    """Addresses of empty databases; None without a redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    arguments = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--databases", "64", "--dir", str(folder)]
    server = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield (f"redis://127.0.0.1:{port}/{number}" for number in range(64))
    finally:
        server.terminate()
        server.wait()


def measured(stage: Stage, urls: Iterator[str], rows: int, repeats: int) -> dict[str, Any]:
    seconds = materialized(stage, urls, repeats)
    url = next(urls)
    store = open_online_store(url, ROOT)
    fill(stage, store, BEFORE)
    store.close()
    return {"seconds": seconds, "milliseconds": looked_up(stage, url, rows)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    stage = open_stage(str(ROOT), lambda line: None)
    stores: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="gitrain-online-") as folder:
        files = (f"sqlite:///{folder}/{number}.sqlite" for number in range(1000))
        stores["sqlite"] = measured(stage, files, arguments.rows, arguments.repeats)
        print("sqlite", json.dumps(stores["sqlite"], indent=2), flush=True)
        with redis_urls(Path(folder)) as urls:
            if urls is not None:
                stores["redis"] = measured(stage, urls, arguments.rows, arguments.repeats)
                print("redis", json.dumps(stores["redis"], indent=2), flush=True)
            else:
                print("there is no redis-server: SQLite alone was measured", file=sys.stderr)
    passed = (
        stores["sqlite"]["milliseconds"]["one_flight"]["median"] < MOST_MILLISECONDS
        and stores["sqlite"]["seconds"]["a_month"] < MOST_SECONDS
    )
    result = {
        "schema_version": 1,
        "limits": {"one_flight_milliseconds": MOST_MILLISECONDS, "a_month_seconds": MOST_SECONDS},
        "passed": passed,
        "rows": arguments.rows,
        "repeats": arguments.repeats,
        "versions": {
            "python": platform.python_version(),
            "polars": pl.__version__,
            "sqlite": sqlite3.sqlite_version,
        },
        "stores": stores,
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
