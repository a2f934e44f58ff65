"""What is tested at every look, on the monitoring page: the mean so far, its limits, the alarm line."""

import statistics
from collections.abc import Callable, Iterable, Sequence

from gitrain.monitoring.report import DayRow, Look, LookSequence, MonitoringReport, family_of
from gitrain.reports.markup import Child, Markup, count, decimals, element, join, signed, table
from gitrain.reports.monitoring_parts import disclosure, legend, more
from gitrain.reports.monitoring_words import day_name, overall_sequences, quantity
from gitrain.reports.svg import finite, range_of
from gitrain.reports.svg_series import Band, Level, Moment, Series, SeriesChart, draw_series

__all__ = ["tested"]

_OPEN = 2
_SEQUENCES = 4
_LOOKS = 60
# What is pointed at is read in a table as well: of charts behind the first there are no hints for a whole year.
_HINTS = 100
# The limits of the first looks are as wide as the world: the scale is made for those after them.
_SETTLED = 0.25


def tested(report: MonitoringReport, family: str) -> Markup:
    """The charts of a family's sequences: of the release that is judged first, and those of others folded away.

    Empty where nothing of it was tested.
    """
    found = [each for each in overall_sequences(report) if family_of(each.name) == family]
    drawn = [
        join(_tested(report, sequence, f"{family}-{place}", hinted=place == 0))
        for place, sequence in enumerate(found[:_SEQUENCES])
    ]
    folded = drawn[_OPEN:]
    return join(
        (
            *drawn[:_OPEN],
            disclosure(f"{len(folded)} more", *folded) if folded else None,
            more(_SEQUENCES, found, "sequences"),
        )
    )


def _tested(report: MonitoringReport, sequence: LookSequence, name: str, *, hinted: bool) -> Iterable[Child]:
    units, looks = _placed(report, sequence)
    by_day = {row.day: _daily(row, sequence) for row in report.days}
    # What other releases answered on other days is none of this one's.
    daily = [by_day.get(unit) if look is not None else None for unit, look in zip(units, looks, strict=True)]
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
            *([("dots", f"a single {report.unit}")] if finite(daily) else []),
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
                    low=[None if look is None else look.lower for look in looks],
                    high=[None if look is None else look.upper for look in looks],
                ),
                series=[
                    Series(values=daily, style="faint", kind="dots"),
                    Series(values=[None if look is None else look.estimate for look in looks], style="now"),
                ],
                levels=[
                    Level(value=sequence.threshold, name="alarm line", style="alarm"),
                    Level(value=sequence.reference, name="", style="zero"),
                ],
                moments=moments,
                hints=hints if hinted or len(hints) <= _HINTS else (),
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
        paper=False,
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
    """The day's own value of what the sequence is the mean of, where the report has it."""
    return row.excess if family_of(sequence.name) == "performance" else None


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
    values: list[float | None] = [sequence.threshold, sequence.reference]
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
    if look is None:
        return f"{unit}: not counted"
    said = f"{unit}: {show(value)} on its own; " if value is not None else f"{unit}: "
    return f"{said}so far {show(look.estimate)}, {show(look.lower)} to {show(look.upper)}"
