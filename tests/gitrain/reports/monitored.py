"""Monitoring reports as they may come: made up, with figures like those of a year of flights.

As a program it writes the golden reports.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.gitrain.reports.monitored_parts import (
    biased,
    calibration,
    compose,
    days,
    features,
    labels,
    number,
    recent,
    releases,
    sequence,
    slices,
    verdict,
    window,
)

from gitrain.monitoring.report import FAMILIES, FeatureDrift, Histogram, MonitoringReport, SliceRow
from gitrain.release.record import RecordedVerdict

__all__ = ["CASES", "GOLDEN", "HOSTILE", "VERSION", "alarmed", "drifting", "healthy", "hostile", "huge", "unlabelled"]

GOLDEN = Path(__file__).parent / "golden"
VERSION = "1.2.3"
HOSTILE = (
    '</td></title></style></svg><script>alert(1)</script><img src=x onerror=alert(1)> " onload="alert(1)" \' x=\'1 '
    '@everyone [x](http://evil.example) `code` | # heading \u202e\u0000\n--> ]]> &lt;b&gt; {x="1"} \\'
)


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
        "recent": recent(rows),
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
