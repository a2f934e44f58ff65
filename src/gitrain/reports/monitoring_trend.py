"""The trend of the monitoring page: what is tested at every look, the daily loss, labels, probabilities."""

from collections.abc import Iterable

from gitrain.monitoring.report import DayRow, MonitoringReport
from gitrain.reports.markup import Child, Markup, decimals, element, figure, table
from gitrain.reports.monitoring_parts import disclosure, legend, more, section
from gitrain.reports.monitoring_tested import tested
from gitrain.reports.monitoring_words import day_name, percent
from gitrain.reports.svg import finite, range_of
from gitrain.reports.svg_series import Bars, Moment, Series, SeriesChart, draw_series

__all__ = ["trend"]

_ROWS = 400
# What is pointed at is read in a table as well: of charts behind the first there are no hints for a whole year.
_HINTS = 100


def trend(report: MonitoringReport) -> Markup:
    """The section."""
    nothing = element("p", "Nothing has been tested yet: there is no whole day with its outcomes.", class_="soft")
    parts: list[Child] = [tested(report, "performance") or nothing]
    if report.days:
        parts += [*_loss(report), *_labels(report), *_probabilities(report), _days_table(report)]
    return section("trend", "Performance over time", *parts)


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
        paper=False,
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
