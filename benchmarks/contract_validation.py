"""What a contract costs: `validate` against the same checks written by hand in Polars, on the flights of 2013.

    python benchmarks/contract_validation.py [--repeats 9] [--copies 1 10]

A minute on two cores; it writes benchmarks/results/contract_validation.json and exits 1 if the contract takes more than
three times as long on any frame.

The hand-written version is what a careful engineer would write for exactly these rules: one `select` that counts the
broken rows of every rule at once, the key by `n_unique`, and only where something is broken the masks, the split and a
reason. It knows nothing but these flights; the contract also finds examples and writes findings. Both are given the
same frame and have to agree on every row. The frames:

* by month: the twelve batches one after another, as the stage `validate` sees them (with membership and freshness);
* whole: all rows as one frame, the year once and replicated with shifts of 364 days;
* broken: the same with one row in a thousand out of range, and with one in five.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import pandera
import polars as pl

from flight_delay.project import PROJECT
from gitrain.data.batches import BatchScheme, Months
from gitrain.data.contracts import TableContract
from gitrain.data.validation import Validation, validate

RESULTS = Path(__file__).parent / "results" / "contract_validation.json"
LIMIT = 3.0
FLIGHTS = PROJECT.table("flights")
MONTHS = [f"2013-{month:02d}" for month in range(1, 13)]

# By hand: what src/flight_delay/contract.py says of the columns.
TYPES = FLIGHTS.contract.dtypes
CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
RANGES = {
    "flight": (1, 9999),
    "distance": (1, 6000),
    "sched_dep_time": (0, 2400),
    "sched_arr_time": (0, 2400),
    "planned_minutes": (30, 800),
    "dep_time": (0, 2400),
    "dep_delay": (-60, 2160),
    "arr_time": (0, 2400),
    "arr_delay": (-150, 2160),
    "air_time": (10, 900),
}
NULLABLE = ("tailnum", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")
RULES = {
    **{f"{name} in range": pl.col(name).is_between(low, high) for name, (low, high) in RANGES.items()},
    "known carrier": pl.col("carrier").is_in(CARRIERS),
    "known origin": pl.col("origin").is_in(["EWR", "JFK", "LGA"]),
    "dest is a code": pl.col("dest").str.contains(r"^[A-Z0-9]{3}$"),
    **{f"{name} is there": pl.col(name).is_not_null() for name in TYPES if name not in NULLABLE},
    **FLIGHTS.contract.row_rules,
}


@dataclass(frozen=True)
class Whole:
    """All rows are one batch."""

    first: datetime
    end: datetime

    def check(self, batch: str) -> None:
        assert batch == "all"

    def following(self, batch: str) -> str:
        return batch

    def bounds(self, batch: str) -> tuple[datetime, datetime]:
        return self.first, self.end


@dataclass(frozen=True, kw_only=True)
class Case:
    """A frame, or several, and what they are judged by."""

    name: str
    frames: list[tuple[str, pl.DataFrame]]
    contract: TableContract
    scheme: BatchScheme
    membership: bool

    @property
    def rows(self) -> int:
        return sum(frame.height for _, frame in self.frames)


def by_contract(case: Case) -> list[Validation]:
    return [
        validate(
            frame,
            case.contract,
            table="flights",
            batch=batch,
            scheme=case.scheme,
            batch_of=FLIGHTS.batch_of if case.membership else None,
        )
        for batch, frame in case.frames
    ]


def by_hand(case: Case) -> list[tuple[list[str], pl.DataFrame, pl.DataFrame]]:
    return [_by_hand(case, batch, frame) for batch, frame in case.frames]


def _by_hand(case: Case, batch: str, frame: pl.DataFrame) -> tuple[list[str], pl.DataFrame, pl.DataFrame]:
    contract, failed = case.contract, []
    if frame.schema != TYPES:
        failed.append("schema")
    counts = frame.select(rule.not_().sum().alias(name) for name, rule in RULES.items()).row(0, named=True)
    broken = [name for name, count in counts.items() if count]
    kept, quarantined = frame, frame.clear()
    if broken:
        masks = frame.select(RULES[name].fill_null(True).not_().alias(name) for name in broken)
        bad = masks.select(pl.any_horizontal(pl.all())).to_series()
        reasons = masks.filter(bad).select(
            pl.concat_str([pl.when(name).then(pl.lit(name)) for name in broken], separator="; ", ignore_nulls=True)
        )
        kept, quarantined = frame.filter(~bad), frame.filter(bad).with_columns(reasons.to_series().alias("reason"))
    if quarantined.height > contract.max_quarantined_share * frame.height:
        failed.append("quarantined")
    low, high = contract.rows
    if kept.height < low or (high is not None and kept.height > high):
        failed.append("rows")
    if kept.n_unique(subset=["date", "carrier", "flight", "origin"]) != kept.height:
        failed.append("key")
    nulls = kept.null_count().row(0, named=True)
    for name, count in nulls.items():
        bound = contract.max_null_share.get(name, 1.0)
        if count == kept.height or count > bound * kept.height:
            failed.append(f"null share of {name}")
    bounds = case.scheme.bounds(batch)
    assert bounds is not None
    assert contract.max_age is not None
    newest = kept["sched_dep_local"].max()
    if not isinstance(newest, datetime) or newest >= bounds[1] or bounds[1] - newest > contract.max_age:
        failed.append("time")
    if case.membership and kept.select((pl.col("date").dt.strftime("%Y-%m") != batch).any()).item():
        failed.append("membership")
    return failed, kept, quarantined


def agree(case: Case) -> None:
    """Both must judge every row alike; else the comparison would be worth nothing."""
    for validation, (failed, kept, quarantined) in zip(by_contract(case), by_hand(case), strict=True):
        assert (validation.outcome.value == "FAILED") == bool(failed), (validation.findings, failed)
        assert validation.kept.equals(kept)
        assert validation.quarantined.drop("reason").equals(quarantined.select(kept.columns))
        fields = validation.quarantined["reason"].str.count_matches(" breaks ")
        if quarantined.height:
            assert fields.equals(quarantined["reason"].str.count_matches("; ").rename("reason") + 1)


def replicated(frame: pl.DataFrame, copies: int) -> pl.DataFrame:
    """The year so often, each copy 364 days after the one before: weekdays and keys stay right."""
    times = [name for name, dtype in frame.schema.items() if dtype.is_temporal()]
    return pl.concat(
        frame.with_columns(pl.col(name) + timedelta(days=364 * copy) for name in times) for copy in range(copies)
    ).rechunk()


def damaged(frame: pl.DataFrame, one_in: int) -> pl.DataFrame:
    hit = pl.int_range(pl.len()) % one_in == 0
    return frame.with_columns(
        distance=pl.when(hit).then(pl.lit(90_000, dtype=pl.Int32)).otherwise("distance"),
        carrier=pl.when(hit & (pl.int_range(pl.len()) % (2 * one_in) == 0)).then(pl.lit("ZZ")).otherwise("carrier"),
    )


def cases(copies: list[int]) -> Iterator[Case]:
    """One after another: ten years are half a gigabyte."""
    months = [(month, FLIGHTS.source.read(month).rechunk()) for month in MONTHS]
    contract = FLIGHTS.contract
    yield Case(name="by month", frames=months, contract=contract, scheme=Months(), membership=True)
    year = pl.concat(frame for _, frame in months).rechunk()
    any_size = replace(contract, rows=(1, None))
    for count in copies:
        frame = replicated(year, count)
        end = datetime(2014, 1, 1) + timedelta(days=364 * (count - 1))
        whole = Whole(first=datetime(2013, 1, 1), end=end)
        size = "year" if count == 1 else f"{count} years"
        for name, one_in in (("whole", None), ("broken 1 in 1,000", 1000), ("broken 1 in 5", 5)):
            judged = frame if one_in is None else damaged(frame, one_in)
            yield Case(
                name=f"{name}, {size}", frames=[("all", judged)], contract=any_size, scheme=whole, membership=False
            )


def seconds(work: Callable[[Case], object], case: Case) -> float:
    start = time.perf_counter()
    work(case)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 10])
    arguments = parser.parse_args()
    measured = []
    print(f"{'frame':<28} {'rows':>10} {'by hand':>9} {'contract':>9} {'ratio':>6}")
    for case in cases(arguments.copies):
        agree(case)
        # Alternating, so that whatever else the machine does meets both.
        pairs = [(seconds(by_hand, case), seconds(by_contract, case)) for _ in range(arguments.repeats)]
        hand, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(second / first for first, second in pairs)
        measured.append(
            {
                "frame": case.name,
                "rows": case.rows,
                "by_hand_seconds": round(hand, 4),
                "contract_seconds": round(ours, 4),
                "median_ratio": round(ratio, 3),
            }
        )
        print(f"{case.name:<28} {case.rows:>10,} {hand:>8.3f}s {ours:>8.3f}s {ratio:>6.2f}", flush=True)
    passed = all(float(str(each["median_ratio"])) <= LIMIT for each in measured)
    result = {
        "schema_version": 1,
        "limit": LIMIT,
        "passed": passed,
        "repeats": arguments.repeats,
        "threads": pl.thread_pool_size(),
        "versions": {"python": platform.python_version(), "polars": pl.__version__, "pandera": pandera.__version__},
        "measured": measured,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
