"""The trend of the monitoring page: what is tested at every look, the daily loss, labels, probabilities."""

import statistics
from collections.abc import Iterable, Sequence

from gitrain.monitoring.report import DayRow, Look, LookSequence, MonitoringReport
from gitrain.reports.markup import Child, Markup, element, figure, signed, table
from gitrain.reports.monitoring_parts import disclosure, legend, more, section
from gitrain.reports.monitoring_words import day_name, overall_sequences, percent
from gitrain.reports.svg import finite, range_of
from gitrain.reports.svg_series import Band, Bars, Level, Moment, Series, SeriesChart, draw_series

__all__ = ["trend"]

_SEQUENCES = 4
_ROWS = 400
# The interval of the first looks is as wide as the world: the scale is made for those after them.
_SETTLED = 0.25


def trend(report: MonitoringReport) -> Markup:
    """The section."""
    parts: list[Child] = []
    sequences = overall_sequences(report)
    for place, sequence in enumerate(sequences[:_SEQUENCES]):
        parts += _tested(report, sequence, f"tested-{place}")
    parts.append(more(_SEQUENCES, sequences, "sequences"))
    if not sequences:
        parts.append(
            element("p", "Nothing has been tested yet: no prediction of a whole day has its label.", class_="soft")
        )
    if report.days:
        parts += [*_loss(report), *_labels(report), *_probabilities(report), _days_table(report)]
    return section("trend", "Performance over time", *parts)


def _tested(report: MonitoringReport, sequence: LookSequence, name: str) -> Iterable[Child]:
    units, looks = _placed(report, sequence)
    by_day = {row.day: row.excess for row in report.days}
    daily = [by_day.get(unit) for unit in units]
    known = [look for look in looks if look is not None]
    newest = known[-1]
    level = f"{1 - sequence.alpha:.0%} interval, valid at all looks together"
    yield element("h3", f"{sequence.name}, release {sequence.release}")
    yield element("p", _said(report, sequence, newest), class_="soft")
    yield legend(
        [
            ("now", "mean so far"),
            ("band", level),
            ("alarm", "alarm line: the interval must not lie wholly above it"),
            ("dots", f"a single {report.unit}"),
        ]
    )
    moments = [
        Moment(place=units.index(day), name=f"{text} {day_name(day)}", style=style)
        for day, text, style in (
            (sequence.alarm, "alarm", "alarm"),
            (sequence.naive_alarm, "naive test: alarm", "naive"),
        )
        if day is not None and day in units
    ]
    limits = _limits(daily, known, sequence)
    yield element(
        "figure",
        draw_series(
            SeriesChart(
                name=name,
                title=f"{sequence.name} of release {sequence.release} at every look",
                description=_said(report, sequence, newest),
                units=[day_name(unit) for unit in units],
                limits=limits,
                show=signed,
                band=Band(
                    low=[look and look.lower for look in looks],
                    high=[look and look.upper for look in looks],
                ),
                series=[
                    Series(values=daily, style="faint", kind="dots"),
                    Series(values=[look and look.estimate for look in looks], style="now"),
                ],
                levels=[
                    Level(value=sequence.threshold, name="alarm line", style="alarm"),
                    Level(value=sequence.reference, name="", style="zero"),
                ],
                moments=moments,
                hints=[_hint(unit, value, look) for unit, value, look in zip(units, daily, looks, strict=True)],
                height=280,
            )
        ),
    )
    rows = [
        (
            look.day,
            f"{look.days:,}",
            signed(look.estimate),
            signed(look.lower),
            signed(look.upper),
            "alarm" if look.alarm else "–",
            "alarm" if look.naive_alarm else "–",
        )
        for look in known[-_ROWS:]
    ]
    header = (report.unit, f"{report.unit}s known", "mean", "lower", "upper", "this test", "naive test")
    yield disclosure(
        "Figures of every look", table("Every look", header, rows, right=(1, 2, 3, 4)), more(_ROWS, known, "looks")
    )


def _said(report: MonitoringReport, sequence: LookSequence, newest: Look) -> str:
    interval = f"{signed(newest.estimate)}, between {signed(newest.lower)} and {signed(newest.upper)}"
    said = f"After {newest.days:,} {report.unit}s with labels the mean loss beyond what was promised is {interval}"
    said += f"; the alarm line is {signed(sequence.threshold)}."
    if sequence.alarm is not None:
        said += f" Alarm since {sequence.alarm}."
    elif sequence.naive_alarm is not None:
        said += f" No alarm; a test meant for one look would have raised a false one on {sequence.naive_alarm}."
    else:
        said += " No alarm."
    return said


def _placed(report: MonitoringReport, sequence: LookSequence) -> tuple[list[str], list[Look | None]]:
    """The looks beside the units of the report, so that all charts share an axis; a look keeps until the next."""
    by_day = {look.day: look for look in sequence.looks}
    units = [row.day for row in report.days]
    if not set(by_day) <= set(units):
        units = list(by_day)
    return units, [by_day.get(unit) for unit in units]


def _limits(daily: Sequence[float | None], looks: Sequence[Look], sequence: LookSequence) -> tuple[float, float]:
    settled = looks[int(len(looks) * _SETTLED) :] or looks
    values = [sequence.threshold, sequence.reference]
    values += [value for look in settled for value in (look.estimate, look.lower, look.upper)]
    found = sorted(finite(daily))
    if len(found) >= 4:
        # A stray day is drawn at the edge, rather than making everything else flat.
        cuts = statistics.quantiles(found, n=20, method="inclusive")
        values += [cuts[0], cuts[-1]]
    else:
        values += found
    return range_of(values)


def _hint(unit: str, value: float | None, look: Look | None) -> str:
    said = f"{unit}: {signed(value)} on its own" if value is not None else f"{unit}: no labels"
    if look is None:
        return said
    return f"{said}; so far {signed(look.estimate)}, between {signed(look.lower)} and {signed(look.upper)}"


def _loss(report: MonitoringReport) -> Iterable[Child]:
    if not finite(row.loss for row in report.days):
        return
    loss, base = [row.loss for row in report.days], [row.base_loss for row in report.days]
    yield element("h3", f"Loss of each {report.unit}")
    yield legend([("now", "log loss"), ("reference", "what was promised: the reference at the same rate of positives")])
    yield element(
        "figure",
        draw_series(
            SeriesChart(
                name="loss",
                title=f"Log loss of each {report.unit} beside the reference",
                description=f"Log loss lies between {_extent(loss)}, the reference between {_extent(base)}.",
                units=_units(report),
                limits=range_of([*loss, *base]),
                show=figure,
                series=[Series(values=base, style="reference"), Series(values=loss, style="now")],
                moments=_releases(report),
                hints=[
                    f"{row.day}: log loss {figure(row.loss)}, reference {figure(row.base_loss)}" for row in report.days
                ],
            )
        ),
    )


def _labels(report: MonitoringReport) -> Iterable[Child]:
    whole = [float(row.predictions) for row in report.days]
    part = [float(min(row.labelled, row.predictions)) for row in report.days]
    labels = report.labels
    said = (
        f"{labels.labelled:,} of {labels.mature:,} mature predictions have their label ({percent(labels.coverage)})."
        if labels.mature
        else "No prediction is mature yet."
    )
    yield element("h3", "Predictions, and how many have their label")
    yield element("p", said, *_unlabelled(report), class_="soft")
    yield legend([("bar-part", "with a label"), ("bar-whole", "without one")])
    yield element(
        "figure",
        draw_series(
            SeriesChart(
                name="labels",
                title=f"Predictions of each {report.unit} and their labels",
                description=said,
                units=_units(report),
                limits=(0.0, max([*whole, 1.0]) * 1.05),
                show=lambda value: f"{value:,.0f}",
                bars=Bars(whole=whole, part=part),
                hints=[
                    f"{row.day}: {row.predictions:,} predictions, {row.labelled:,} with a label "
                    f"({percent(row.labelled / row.predictions if row.predictions else None)})"
                    for row in report.days
                ],
                height=140,
            )
        ),
    )


def _unlabelled(report: MonitoringReport) -> Iterable[str]:
    labels = report.labels
    for count, text in (
        (labels.never_came, "never came"),
        (labels.undefined, "are of what never happened, and have none"),
        (labels.repeated, "came twice and are equal"),
    ):
        if count:
            yield f" {count:,} {text}."


def _probabilities(report: MonitoringReport) -> Iterable[Child]:
    mean, share = [row.probability for row in report.days], [row.positive_share for row in report.days]
    if not finite([*mean, *share]):
        return
    yield element("h3", "Predicted and observed rate")
    yield legend([("now", "mean probability of all predictions"), ("reference", "share of positives, where known")])
    yield element(
        "figure",
        draw_series(
            SeriesChart(
                name="rates",
                title=f"Mean probability and share of positives of each {report.unit}",
                description=f"The mean probability lies between {_extent(mean)}, positives between {_extent(share)}.",
                units=_units(report),
                limits=range_of([*mean, *share, 0.0], margin=0.02),
                show=lambda value: percent(value, digits=0),
                series=[Series(values=share, style="reference"), Series(values=mean, style="now")],
                hints=[
                    f"{row.day}: mean probability {percent(row.probability)}, positives {percent(row.positive_share)}"
                    for row in report.days
                ],
                height=160,
            )
        ),
    )


def _days_table(report: MonitoringReport) -> Markup:
    rows = [_day(row) for row in report.days[-_ROWS:]]
    header = (
        report.unit,
        "predictions",
        "labelled",
        "loss",
        "reference",
        "beyond",
        "mean probability",
        "positives",
        "not known",
    )
    return disclosure(
        f"Figures of every {report.unit}",
        table(f"Every {report.unit}", header, rows, right=range(1, 9)),
        more(_ROWS, report.days, f"{report.unit}s"),
    )


def _day(row: DayRow) -> tuple[str, ...]:
    return (
        row.day,
        f"{row.predictions:,}",
        f"{row.labelled:,}",
        figure(row.loss),
        figure(row.base_loss),
        signed(row.excess),
        percent(row.probability),
        percent(row.positive_share),
        percent(row.missing_share),
    )


def _releases(report: MonitoringReport) -> list[Moment]:
    """Where a release began to answer that did not from the start."""
    places = {row.day: place for place, row in enumerate(report.days)}
    found = [(places.get(f"{each.first:%Y-%m-%d}"), each.version) for each in report.releases]
    return [
        Moment(place=place, name=version if len(version) <= 16 else version[:15] + "…", style="release")
        for place, version in found
        if place
    ][-3:]


def _units(report: MonitoringReport) -> list[str]:
    return [day_name(row.day) for row in report.days]


def _extent(values: Iterable[float | None]) -> str:
    found = finite(values)
    return f"{figure(min(found))} and {figure(max(found))}" if found else "nothing and nothing"
