"""Monitoring reports as they may come: made up, with figures like those of a year of flights.

As a program it writes the golden reports.
"""

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
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
    SeenRelease,
    SliceRow,
    Window,
    family_of,
    outcome_of,
)
from gitrain.release.record import RecordedVerdict

__all__ = ["CASES", "GOLDEN", "HOSTILE", "VERSION", "alarmed", "drifting", "healthy", "hostile", "huge", "unlabelled"]

GOLDEN = Path(__file__).parent / "golden"
VERSION = "1.2.3"
START = date(2013, 10, 1)
HOSTILE = (
    '</td></title></style></svg><script>alert(1)</script><img src=x onerror=alert(1)> " onload="alert(1)" \' x=\'1 '
    '@everyone [x](http://evil.example) `code` | # heading \u202e\u0000\n--> ]]> &lt;b&gt; {x="1"} \\'
)
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
    ordered = sorted(verdicts, key=lambda each: FAMILIES.index(family_of(each.name)))  # type: ignore[arg-type]
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


def service() -> list[RecordedVerdict]:
    return [
        verdict("service:errors", "PASSED", "2 of 28,312 requests ended in an error", requests=28_312, errors=2,
                error_share=0.0000706, limit=0.001),
        verdict("service:latency", "PASSED", "99 % of requests took 7.1 ms or less", p50_ms=1.9, p99_ms=7.1),
        verdict("service:missing", "PASSED", "3.9 % of feature values were not known", share=0.039, reference=0.036),
        verdict("service:stale", "PASSED", "0.2 % of rows had a history behind its freshness", share=0.002, limit=0.05),
        verdict("service:clock", "PASSED", "no prediction lies in the future", future=0),
        verdict("service:log", "PASSED", "every record of the log could be read", records=28_324, unreadable=0),
        verdict("data:contract", "PASSED", "28,312 live rows keep the contract", rows=28_312, broken=0),
        verdict("data:duplicates", "PASSED", "12 records repeat another and count once", duplicates=12),
        verdict("skew:all", "PASSED", "21 features of 28,312 rows equal those of training", rows=28_312, features=21),
    ]  # fmt: skip


def drifts(rows: Sequence[FeatureDrift]) -> list[RecordedVerdict]:
    return [
        verdict(
            f"drift:{row.name}",
            "FAILED" if row.moved else "PASSED",
            f"PSI {row.psi:.3g}; whole days differ by up to {row.threshold:.3g}",
            psi=row.psi,
            threshold=row.threshold,
        )
        for row in rows
    ]


def healthy() -> MonitoringReport:
    """A month as it should be."""
    generator = random.Random(5)
    rows = days(generator, 31, 30)
    found = features(generator)
    tested = sequence(rows)
    newest = tested.looks[-1]
    verdicts = [
        *service(),
        verdict("data:labels", "PASSED", "97.4 % of mature predictions have their label", coverage=0.974, wanted=0.9),
        verdict("performance:log_loss", "PASSED",
                f"the relative loss is {newest.estimate:.3f} ({newest.lower:.3f} to {newest.upper:.3f}) over 31 days, "
                "and 0.800 on the holdout: no worse than is tolerated",
                estimate=newest.estimate, lower=newest.lower, upper=newest.upper, threshold=0.82),
        verdict("calibration:underestimates", "PASSED", "probabilities are off by 0.011", error=0.011, limit=0.06),
        *drifts(found),
    ]  # fmt: skip
    content = {
        "window": window(rows), "releases": releases(rows, "1.4.0"), "labels": labels(rows), "days": rows,
        "features": found, "slices": slices(generator), "calibration": calibration(generator, 0.0),
        "sequences": (tested, biased(rows, "calibration:underestimates"), biased(rows, "calibration:overestimates")),
        "notes": ("Labels are mature 24 h after the decision.",),
    }  # fmt: skip
    return compose(content, verdicts)


def drifting() -> MonitoringReport:
    """Much has moved, and the model copes: drift explains, performance decides."""
    generator = random.Random(11)
    rows = days(generator, 61, 60)
    faults = {
        "temp": (1.7, 0.9),
        "dewp": (1.5, 0.9),
        "late_origin_24h": (-0.7, 0.8),
        "pressure": (-0.5, 1.3),
        "visib": (0.5, 0.6),
    }
    found = features(generator, faults=faults)
    tested = sequence(rows)
    newest = tested.looks[-1]
    verdicts = [
        *service(),
        verdict("data:labels", "PASSED", "97.4 % of mature predictions have their label", coverage=0.974, wanted=0.9),
        verdict("performance:log_loss", "PASSED",
                f"the relative loss is {newest.estimate:.3f} ({newest.lower:.3f} to {newest.upper:.3f}) over 61 days, "
                "and 0.800 on the holdout: no worse than is tolerated",
                estimate=newest.estimate, lower=newest.lower, upper=newest.upper, threshold=0.82),
        verdict("calibration:underestimates", "FAILED", "outcomes are 0.07 more frequent, at most 0.06", error=0.07),
        *drifts(found),
    ]  # fmt: skip
    content = {
        "window": window(rows), "releases": releases(rows, "1.3.2", "1.4.0"), "labels": labels(rows), "days": rows,
        "features": found, "slices": slices(generator), "calibration": calibration(generator, -0.06),
        "sequences": (tested,), "notes": ("Labels are mature 24 h after the decision.",),
    }  # fmt: skip
    return compose(content, verdicts)


def alarmed() -> MonitoringReport:
    """A feature is scaled by 1.8 from the 20th day on: the model becomes worse, and an alarm says so."""
    generator = random.Random(23)
    rows = days(generator, 45, 43, worse=lambda day: 0.2 if day >= 20 else 0.0)
    faults = {"temp": (2.4, 1.8), "late_carrier_24h": (0.9, 1.2), "delay_origin_3h": (0.6, 1.2)}
    found = features(generator, faults=faults)
    tested = sequence(rows, release="1.4.1")
    newest = tested.looks[-1]
    verdicts = [
        *(each for each in service() if each.name not in ("skew:all", "data:contract")),
        verdict("data:contract", "FAILED", "1,204 of 43,512 live rows break the contract: temp is above 130",
                rows=43_512, broken=1_204),
        verdict("data:labels", "PASSED", "97.1 % of mature predictions have their label", coverage=0.971, wanted=0.9),
        verdict("skew:temp", "FAILED", "temp differs in 25,113 of 43,512 rows, by up to 78.2", differ=25_113),
        verdict("performance:log_loss", "FAILED",
                f"the relative loss is {newest.estimate:.3f} after 44 days ({newest.lower:.3f} at least), and 0.800 "
                f"on the holdout: an alarm since {tested.alarm}",
                estimate=newest.estimate, lower=newest.lower, upper=newest.upper, threshold=0.82, alarm=tested.alarm),
        verdict("performance:origin=LGA", "FAILED", "LGA is above its alarm line 0.85", group="LGA"),
        verdict("performance:carrier=F9", "INCONCLUSIVE", "F9 has 512 rows with a label, fewer than 800", rows=512),
        verdict("calibration:underestimates", "FAILED", "outcomes are 0.09 more frequent, at most 0.06", error=0.09),
        *drifts(found),
    ]  # fmt: skip
    content = {
        "window": window(rows), "releases": releases(rows, "1.3.2", "1.4.0", "1.4.1"), "labels": labels(rows),
        "days": rows, "features": found, "slices": slices(generator, worse={"LGA": 0.12, "MQ": 0.13, "US": 0.05}),
        "calibration": calibration(generator, 0.09),
        "sequences": (
            sequence(rows[:14], release="1.3.2"), sequence(rows[15:29], release="1.4.0"), tested,
            sequence(rows[:30], name="performance:origin=LGA"), biased(rows, "calibration:underestimates"),
            biased(rows, "calibration:overestimates"),
        ),
        "notes": ("Labels are mature 24 h after the decision.", "3 predictions of before the window were left out."),
    }  # fmt: skip
    return compose(content, verdicts)


def unlabelled() -> MonitoringReport:
    """Three days old: nothing has a label yet."""
    generator = random.Random(31)
    rows = days(generator, 3, -1)
    found = features(generator)
    verdicts = [
        *service(),
        verdict("data:labels", "INCONCLUSIVE", "no prediction is mature yet", mature=0),
        verdict("performance:log_loss", "INCONCLUSIVE", "no day has labels yet", days=0),
        verdict("calibration:all", "INCONCLUSIVE", "no prediction has a label yet", rows=0),
        *drifts(found),
    ]
    content = {
        "window": window(rows), "releases": releases(rows, "1.4.1"), "labels": labels(rows, mature=0, undefined=0),
        "days": rows, "features": found,
        "slices": tuple(
            SliceRow(slice="origin", group=group, predictions=900, labelled=0, judged=False)
            for group in ("EWR", "JFK", "LGA")
        ),
    }  # fmt: skip
    return compose(content, verdicts)


def hostile(text: str = HOSTILE) -> MonitoringReport:
    """Whatever can be a string from elsewhere is `text`."""
    moved = number("temp", 40.0, 11.0, shift=2.0).model_copy(update={"name": text})
    groups = Histogram(categories=(text, "b"), reference=(0.4, 0.5, 0.1), current=(0.7, 0.2, 0.1))
    sorted_ = moved.model_copy(update={"kind": "category", "histogram": groups, "wasserstein": None})
    report = alarmed()
    rows = tuple(row.model_copy(update={"day": text}) for row in report.days[:5])
    content = {
        "project": text, "target": text, "unit": text, "environment": text,
        "window": report.window, "labels": report.labels,
        "releases": tuple(each.model_copy(update={"version": text}) for each in report.releases),
        "days": rows, "features": (moved, sorted_), "calibration": report.calibration, "notes": (text,),
        "slices": tuple(each.model_copy(update={"slice": text, "group": text}) for each in report.slices[:3]),
        "sequences": tuple(
            each.model_copy(update={"name": name, "release": text, "looks": tuple(
                look.model_copy(update={"day": text}) for look in each.looks)})
            for each, name in zip(report.sequences[2:4], ("performance:log_loss", f"performance:{text}=x"), strict=True)
        ),
    }  # fmt: skip
    verdicts = [verdict(f"{family}:{text}", "FAILED", text, **{text: text}) for family in FAMILIES]
    return compose(content, verdicts)


def huge() -> MonitoringReport:
    """A year, 400 features, 600 groups, as many verdicts."""
    generator = random.Random(41)
    rows = days(generator, 365, 364)
    found = tuple(
        number(f"feature_{place:03}_with_a_name_that_is_rather_long", 0.0, 1.0, shift=0.9 - place * 0.002)
        for place in range(400)
    )
    groups = tuple(
        row.model_copy(update={"group": f"group {place} {row.group}"})
        for place in range(40)
        for row in slices(generator)
    )
    content = {
        "window": window(rows), "releases": releases(rows, *(f"1.{minor}.0" for minor in range(12))),
        "labels": labels(rows),
        "days": rows, "features": found, "slices": groups, "calibration": calibration(generator, 0.0),
        "sequences": tuple(sequence(rows, release=f"1.{minor}.0") for minor in range(12)),
    }  # fmt: skip
    passed = verdict("performance:log_loss", "PASSED", "as on the holdout")
    return compose(content, [passed, *drifts(found)])


CASES: Mapping[str, Callable[[], MonitoringReport]] = {
    "healthy": healthy,
    "drifting": drifting,
    "alarmed": alarmed,
    "unlabelled": unlabelled,
}


if __name__ == "__main__":
    from tests.gitrain.reports.page import outline

    from gitrain.reports.monitoring_html import render_monitoring_html
    from gitrain.reports.monitoring_markdown import render_monitoring
    from gitrain.reports.monitoring_prometheus import render_monitoring_metrics

    for name, case in CASES.items():
        (GOLDEN / f"monitoring_{name}.md").write_text(render_monitoring(case()), encoding="utf-8")
        page = render_monitoring_html(case(), version=VERSION)
        (GOLDEN / f"monitoring_{name}.txt").write_text(outline(page), encoding="utf-8")
    (GOLDEN / "monitoring.prom").write_text(render_monitoring_metrics(alarmed()), encoding="utf-8")
