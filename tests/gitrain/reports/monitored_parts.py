"""What made-up monitoring reports are composed of, with figures like those of a year of flights."""

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import NormalDist

from gitrain.monitoring.report import (
    FAMILIES,
    CalibrationRow,
    DayRow,
    FeatureDrift,
    Histogram,
    LabelCounts,
    Look,
    LookSequence,
    MonitoringReport,
    RecentDays,
    SeenRelease,
    SliceRow,
    Window,
    family_of,
    outcome_of,
)
from gitrain.release.record import RecordedVerdict

__all__ = [
    "START",
    "biased",
    "calibration",
    "category",
    "compose",
    "days",
    "features",
    "index",
    "labels",
    "normal",
    "number",
    "recent",
    "releases",
    "rounded",
    "sequence",
    "slices",
    "verdict",
    "window",
]

START = date(2013, 10, 1)
NUMBERS = (
    ("late_origin_3h", 0.24, 0.2), ("late_origin_24h", 0.24, 0.14), ("late_carrier_24h", 0.24, 0.13),
    ("late_route_7d", 0.23, 0.1), ("delay_origin_3h", 7.0, 20.0), ("delay_route_30d", 6.9, 9.0), ("temp", 40.0, 11.0),
    ("dewp", 27.0, 13.0), ("humid", 62.0, 19.0), ("wind_speed", 11.0, 5.5), ("wind_gust", 26.0, 6.0),
    ("precip", 0.01, 0.03), ("pressure", 1017.0, 8.0), ("visib", 9.1, 2.1), ("distance", 1030.0, 730.0),
    ("planned_minutes", 200.0, 90.0), ("hour", 13.2, 4.7), ("minute", 26.0, 19.0),
)  # fmt: skip
CATEGORIES = (
    ("origin", ("EWR", "JFK", "LGA")),
    ("carrier", ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "(other)")),
    ("weekday", ("1", "2", "3", "4", "5", "6", "7")),
)


def verdict(name: str, outcome: str, reason: str, **figures: float | int | str | None) -> RecordedVerdict:
    return RecordedVerdict.model_validate({"name": name, "outcome": outcome, "reason": reason, "figures": figures})


def rounded(value: float) -> float:
    return float(f"{value:.5g}")


def normal(edges: Sequence[float], mean: float, deviation: float, missing: float) -> list[float]:
    """The shares of a normal distribution's bins, and of what is missing."""
    below = [0.5 * (1 + math.erf((edge - mean) / deviation / math.sqrt(2))) for edge in edges]
    below[0], below[-1] = 0.0, 1.0
    shares = [later - earlier for earlier, later in itertools.pairwise(below)]
    return [rounded(share * (1 - missing)) for share in shares] + [missing]


def index(reference: Sequence[float], current: Sequence[float]) -> float:
    pairs = [(max(a, 1e-4), max(b, 1e-4)) for a, b in zip(reference, current, strict=True)]
    return rounded(sum((b - a) * math.log(b / a) for a, b in pairs))


def number(
    name: str, mean: float, deviation: float, *, shift: float, scale: float = 1.0, missing: tuple[float, float] = (0, 0)
) -> FeatureDrift:
    inner = NormalDist(mean, deviation)
    edges = tuple(rounded(inner.inv_cdf(share)) for share in (0.001, *(part / 10 for part in range(1, 10)), 0.999))
    reference = normal(edges, mean, deviation, missing[0])
    current = normal(edges, mean + shift * deviation, deviation * scale, missing[1])
    psi = index(reference, current)
    return FeatureDrift(
        name=name,
        kind="number",
        psi=psi,
        wasserstein=rounded(abs(shift) + 0.4 * abs(scale - 1)),
        threshold=0.31,
        p_value=0.001 if psi > 0.31 else 0.42,
        moved=psi > 0.31,
        naive=psi > 0.2,
        missing=missing[1],
        reference_missing=missing[0],
        histogram=Histogram(edges=edges, reference=tuple(reference), current=tuple(current)),
    )


def category(name: str, groups: Sequence[str], generator: random.Random, spread: float) -> FeatureDrift:
    weights = [1 / (place + 1.5) for place in range(len(groups))]
    moved = [weight * math.exp(generator.gauss(0, spread)) for weight in weights]
    reference = (*(rounded(weight / sum(weights)) for weight in weights), 0.0)
    current = (*(rounded(weight / sum(moved)) for weight in moved), 0.0)
    psi = index(reference, current)
    return FeatureDrift(
        name=name,
        kind="category",
        psi=psi,
        threshold=0.12,
        p_value=0.002 if psi > 0.12 else 0.6,
        moved=psi > 0.12,
        naive=psi > 0.2,
        missing=0.0,
        reference_missing=0.0,
        histogram=Histogram(categories=tuple(groups), reference=reference, current=current),
    )


def features(generator: random.Random, *, faults: Mapping[str, tuple[float, float]] = {}) -> tuple[FeatureDrift, ...]:
    rows = []
    for name, mean, deviation in NUMBERS:
        shift, scale = faults.get(name, (generator.gauss(0, 0.12), 1 + generator.gauss(0, 0.04)))
        missing = (0.77, 0.79) if name == "wind_gust" else (0.1, 0.12) if name == "pressure" else (0.0, 0.0)
        rows.append(number(name, mean, deviation, shift=shift, scale=scale, missing=missing))
    rows += [category(name, groups, generator, 0.05) for name, groups in CATEGORIES]
    rows.append(number("prediction", 0.24, 0.15, shift=0.35 if faults else 0.04))
    return tuple(sorted(rows, key=lambda row: -row.psi))


def days(
    generator: random.Random, count: int, labelled: int, *, worse: Callable[[int], float] = lambda day: 0.0
) -> tuple[DayRow, ...]:
    rows = []
    for day in range(count):
        predictions = 880 + 90 * ((day % 7) < 5) + generator.randrange(-30, 30)
        known = round(predictions * (0.985 - 0.02 * generator.random())) if day < labelled else 0
        if day == labelled:
            known = round(predictions * 0.37)
        share = min(0.6, max(0.05, 0.2 + 0.07 * generator.gauss(0, 1)))
        base = -share * math.log(share) - (1 - share) * math.log(1 - share)
        excess = 0.8 + 0.035 * generator.gauss(0, 1) + worse(day)
        rows.append(
            DayRow(
                day=(START + timedelta(days=day)).isoformat(),
                predictions=predictions,
                labelled=known,
                loss=rounded(base * excess) if known else None,
                base_loss=rounded(base) if known else None,
                excess=rounded(excess) if known else None,
                probability=rounded(max(0.02, share + 0.02 * generator.gauss(0, 1) - worse(day) / 2)),
                positive_share=rounded(share) if known else None,
                missing_share=rounded(0.035 + 0.008 * generator.random()),
            )
        )
    return tuple(rows)


def sequence(rows: Sequence[DayRow], *, name: str = "performance:log_loss", release: str = "1.4.0") -> LookSequence:
    looks: list[Look] = []
    total = 0.0
    first, naive = None, None
    for place, row in enumerate((row for row in rows if row.excess is not None), start=1):
        total += row.excess or 0.0
        estimate = total / place
        half = 0.035 * math.sqrt((math.log(1 + place) + 4) * (1 / place + 1 / 30))
        alarm, careless = estimate - half > 0.82, estimate - 0.06 / math.sqrt(place) > 0.82 and place > 3
        first = first or (row.day if alarm else None)
        naive = naive or (row.day if careless else None)
        looks.append(
            Look(
                day=row.day,
                days=place,
                estimate=rounded(estimate),
                lower=rounded(estimate - half) if place > 2 else None,
                upper=rounded(estimate + half) if place > 2 else None,
                alarm=alarm,
                naive_alarm=careless,
            )
        )
    return LookSequence(
        name=name, release=release, threshold=0.82, reference=0.8, reference_days=30, alpha=0.05, looks=tuple(looks),
        alarm=first, naive_alarm=naive,
    )  # fmt: skip


def biased(rows: Sequence[DayRow], name: str) -> LookSequence:
    """How far outcomes are more frequent than probabilities, or less."""
    sign = 1.0 if name.endswith("underestimates") else -1.0
    known = [row for row in rows if row.positive_share is not None]
    values = [sign * ((row.positive_share or 0.0) - (row.probability or 0.0)) for row in known]
    looks: list[Look] = []
    for place in range(1, len(known) + 1):
        estimate, half = sum(values[:place]) / place, 0.1 / math.sqrt(place)
        looks.append(
            Look(
                day=known[place - 1].day, days=place, estimate=rounded(estimate), lower=rounded(estimate - half),
                upper=rounded(estimate + half), alarm=estimate - half > 0.03, naive_alarm=False,
            )
        )  # fmt: skip
    return LookSequence(
        name=name, release="1.4.1", threshold=0.03, reference=0.0, reference_days=30, alpha=0.025, looks=tuple(looks),
        alarm=next((look.day for look in looks if look.alarm), None),
    )  # fmt: skip


def slices(generator: random.Random, *, worse: Mapping[str, float] = {}) -> tuple[SliceRow, ...]:
    groups: dict[str, Sequence[str | None]] = {
        "origin": ("EWR", "JFK", "LGA"),
        "hour_band": ("morning", "midday", "evening"),
        "carrier": ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "F9", None),
    }
    rows = []
    for name, members in groups.items():
        for place, group in enumerate(members):
            labelled = round(22_000 / (place + 1.6) / len(members) * 2.2)
            judged = labelled > 700 and group is not None
            excess = 0.8 + 0.012 * generator.gauss(0, 1) + worse.get(str(group), 0.0)
            half = 0.9 / math.sqrt(labelled) + 0.008
            loss = 0.48 + 0.04 * generator.gauss(0, 1)
            rows.append(
                SliceRow(
                    slice=name,
                    group=group,
                    predictions=round(labelled * 1.06),
                    labelled=labelled,
                    coverage=rounded(0.99 - 0.03 * generator.random()),
                    loss=rounded(loss * excess),
                    reference_loss=rounded(loss * 0.8) if group is not None else None,
                    excess=rounded(excess) if judged else None,
                    excess_low=rounded(excess - half) if judged else None,
                    excess_high=rounded(excess + half) if judged else None,
                    threshold=0.85 if judged else None,
                    roc_auc=rounded(0.75 + 0.02 * generator.gauss(0, 1)) if judged else None,
                    positive_share=rounded(0.2 + 0.05 * generator.gauss(0, 1)),
                    probability=rounded(0.2 + 0.04 * generator.gauss(0, 1)),
                    judged=judged,
                )
            )
    return tuple(rows)


def calibration(generator: random.Random, off: float) -> tuple[CalibrationRow, ...]:
    rows = []
    for place in range(9):
        predicted = place / 10 + 0.05 + 0.01 * generator.gauss(0, 1)
        rows.append(
            CalibrationRow(
                low=place / 10,
                high=(place + 1) / 10,
                rows=max(14, round(9_000 * math.exp(-((place - 1.2) ** 2) / 5))),
                predicted=rounded(predicted),
                observed=rounded(min(0.97, max(0.01, predicted + off + 0.012 * generator.gauss(0, 1)))),
                reference=rounded(max(0.01, predicted + 0.01 * generator.gauss(0, 1))) if place < 8 else None,
            )
        )
    return tuple(rows)


def compose(content: Mapping[str, object], verdicts: Sequence[RecordedVerdict]) -> MonitoringReport:
    decides = ("performance", "data", "service", "skew")
    ordered = sorted(verdicts, key=lambda each: FAMILIES.index(family_of(each.name)))
    whole = {
        "schema_version": 1,
        "project": "flight-delay",
        "target": "late",
        "unit": "day",
        "environment": "production",
        "generated": datetime(2013, 11, 1, 4, 30, tzinfo=UTC),
        "outcome": outcome_of(ordered, decides),
        "decides": decides,
        "verdicts": tuple(ordered),
        "inputs_digest": f"sha256:{'3c' * 32}",
        "seconds": 1.84,
    }
    return MonitoringReport.model_validate({**whole, **content})


def window(rows: Sequence[DayRow]) -> Window:
    since = datetime.combine(START, datetime.min.time(), tzinfo=UTC)
    return Window(since=since, through=since + timedelta(days=len(rows)), days=len(rows))


def recent(rows: Sequence[DayRow]) -> RecentDays:
    """The last seven days."""
    until = window(rows).through
    predictions = sum(row.predictions for row in rows[-7:])
    return RecentDays(since=until - timedelta(days=7), through=until, predictions=predictions, days=7)


def releases(rows: Sequence[DayRow], *versions: str) -> tuple[SeenRelease, ...]:
    since = window(rows).since
    total = sum(row.predictions for row in rows)
    step = timedelta(days=len(rows)) / len(versions)
    return tuple(
        SeenRelease(
            version=version,
            predictions=total // len(versions),
            first=since + place * step + timedelta(minutes=3),
            last=since + (place + 1) * step - timedelta(minutes=2),
        )
        for place, version in enumerate(versions)
    )


def labels(rows: Sequence[DayRow], **changes: int) -> LabelCounts:
    predictions, labelled = sum(row.predictions for row in rows), sum(row.labelled for row in rows)
    mature = sum(row.predictions for row in rows if row.labelled)
    content = {
        "predictions": predictions, "mature": mature, "labelled": labelled, "undefined": (mature - labelled) * 2 // 3,
        "never_came": (mature - labelled) // 3, "duplicates": 12,
    }  # fmt: skip
    content |= changes
    coverage = rounded(content["labelled"] / content["mature"]) if content["mature"] else None
    return LabelCounts.model_validate({**content, "coverage": coverage})
