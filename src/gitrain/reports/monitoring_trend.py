"""The trend of the monitoring page: what is tested at every look, the daily loss, labels, probabilities."""

import statistics
from collections.abc import Callable, Iterable, Sequence

from gitrain.monitoring.report import DayRow, Look, LookSequence, MonitoringReport, family_of
from gitrain.reports.markup import Child, Markup, count, decimals, element, figure, signed, table
from gitrain.reports.monitoring_parts import disclosure, legend, more, section
from gitrain.reports.monitoring_words import day_name, overall_sequences, percent, quantity
from gitrain.reports.svg import finite, range_of
from gitrain.reports.svg_series import Band, Bars, Level, Moment, Series, SeriesChart, draw_series

__all__ = ["trend"]

_SEQUENCES = 4
_ROWS = 400
_LOOKS = 60
# What is pointed at is read in a table as well: of charts behind the first there are no hints for a whole year.
_HINTS = 100
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
    by_day = {row.day: _daily(row, sequence) for row in report.days}
    daily = [by_day.get(unit) for unit in units]
    known = [look for look in looks if look is not None]
    newest = known[-1]
    level = f"limits that hold at all looks together ({100 * (1 - sequence.alpha):g} %)"
    show = _shown_as(sequence)
    yield element("h3", f"{sequence.name}, release {sequence.release}")
    yield element("p", _said(report, sequence, newest), class_="soft")
    yield legend(
        [
            ("now", "mean so far"),
            ("band", level),
            ("alarm", "alarm line: holdout and tolerance"),
            ("equal", "holdout"),
            ("dots", f"a single {report.unit}"),
        ]
    )
    moments = [
        Moment(place=units.index(day), name=f"{text} {day_name(day)}", style=style)
        for day, text, style in (
            (sequence.alarm, "alarm", "alarm"),
            (sequence.naive_alarm, "naive test", "naive"),
        )
        if day is not None and day in units
    ]
    limits = _limits(daily, known, sequence)
    hints = [_hint(unit, value, look, show) for unit, value, look in zip(units, daily, looks, strict=True)]
    yield element(
        "figure",
        draw_series(
            SeriesChart(
                name=name,
                title=f"{sequence.name} of release {sequence.release} at every look",
                description=_said(report, sequence, newest),
                units=[day_name(unit) for unit in units],
                limits=limits,
                show=show,
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
                hints=hints if name == "tested-0" or len(hints) <= _HINTS else (),
                height=280,
            )
        ),
    )
    rows = [
        (
            look.day,
            f"{look.days:,}",
            show(look.estimate),
            show(look.lower),
            show(look.upper),
            "alarm" if look.alarm else "–",
            "alarm" if look.naive_alarm else "–",
        )
        for look in known[-_LOOKS:]
    ]
    header = (report.unit, f"{report.unit}s known", "mean", "lower", "upper", "this test", "naive test")
    yield disclosure(
        "Figures of the newest looks",
        table("Newest looks", header, rows, right=(1, 2, 3, 4)),
        more(_LOOKS, known, "looks"),
    )


def _said(report: MonitoringReport, sequence: LookSequence, newest: Look) -> str:
    show = _shown_as(sequence)
    known = newest.lower is not None and newest.upper is not None
    limits = f" ({show(newest.lower)} to {show(newest.upper)})" if known else ""
    units = count(newest.days, f"{report.unit}", f"{report.unit}s")
    said = (
        f"After {units} with labels the mean {quantity(sequence.name)} is {show(newest.estimate)}{limits}; it was "
        f"{show(sequence.reference)} on the holdout, and the alarm line is {show(sequence.threshold)}."
    )
    if sequence.alarm is not None:
        return f"{said} Alarm since {sequence.alarm}."
    if sequence.naive_alarm is not None:
        return (
            f"{said} No alarm. A test that is meant for a single look would have raised one on {sequence.naive_alarm}."
        )
    return f"{said} No alarm."


def _daily(row: DayRow, sequence: LookSequence) -> float | None:
    """The day's own value of what the sequence is the mean of."""
    if family_of(sequence.name) == "performance":
        return row.excess
    if row.positive_share is None or row.probability is None:
        return None
    return row.positive_share - row.probability


def _shown_as(sequence: LookSequence) -> Callable[[float | None], str]:
    """How its values are shown: with a sign where they lie around zero."""
    return signed if family_of(sequence.name) == "calibration" else decimals


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


def _hint(unit: str, value: float | None, look: Look | None, show: Callable[[float | None], str]) -> str:
    said = f"{unit}: {show(value)} on its own" if value is not None else f"{unit}: no labels"
    if look is None:
        return said
    return f"{said}; so far {show(look.estimate)}, {show(look.lower)} to {show(look.upper)}"


def _loss(report: MonitoringReport) -> Iterable[Child]:
    if not finite(row.loss for row in report.days):
        return
    loss, base = [row.loss for row in report.days], [row.base_loss for row in report.days]
    yield element("h3", f"Loss of each {report.unit}")
    yield legend([("now", "log loss"), ("reference", f"knowing only the {report.unit}'s share of positives")])
    yield element(
        "figure",
        draw_series(
            SeriesChart(
                name="loss",
                title=f"Log loss of each {report.unit}, beside that of knowing only its share of positives",
                description=f"Log loss lies between {_extent(loss)}, that of the share alone between {_extent(base)}.",
                units=_units(report),
                limits=range_of([*loss, *base]),
                show=figure,
                series=[Series(values=base, style="reference"), Series(values=loss, style="now")],
                moments=_releases(report),
                hints=[
                    f"{row.day}: log loss {decimals(row.loss)}, of the share alone {decimals(row.base_loss)}"
                    for row in report.days
                ],
            )
        ),
    )


def _labels(report: MonitoringReport) -> Iterable[Child]:
    whole = [float(row.predictions) for row in report.days]
    part = [float(min(row.labelled, row.predictions)) for row in report.days]
    labels = report.labels
    said = (
        f"{labels.labelled:,} of {labels.mature:,} mature predictions have a label; of what is due "
        f"{percent(labels.coverage)} has come."
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
    for number, text in (
        (labels.never_came, "never came"),
        (labels.undefined, "are of what never happened, and have none"),
        (labels.repeated, "came twice and are equal"),
        (labels.contradictory, "came twice and contradict each other"),
    ):
        if number:
            yield f" {number:,} {text}."


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
                    if len(report.days) <= _HINTS
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
        "of the share alone",
        "relative",
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
        decimals(row.loss),
        decimals(row.base_loss),
        decimals(row.excess),
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
