"""Intervals of many groups on one scale, a table's cell each, and the calibration curve."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gitrain.reports.markup import Markup, element
from gitrain.reports.svg import Plot, Scale, boxes, chart, finite, label, polyline, ticks

__all__ = ["Point", "calibration_curve", "interval"]

_MOST, _LEAST = 7.0, 2.2


@dataclass(frozen=True, kw_only=True)
class Point:
    """A bin of the calibration curve.

    Attributes:
        predicted: the mean probability.
        observed: the share of positives.
        reference: the same on the holdout.
        weight: its rows.
        hint: the same in words.
    """

    predicted: float
    observed: float
    reference: float | None
    weight: int
    hint: str


def interval(
    limits: tuple[float, float], low: float | None, value: float | None, high: float | None, threshold: float | None
) -> Markup:
    """An interval with its estimate and the alarm line, 180 points wide; the row that it stands in says the figures."""
    plot = Plot(width=180, height=22, left=4, right=4, top=0, bottom=0)
    across = plot.across(*limits)
    parts: list[Markup] = []
    if threshold is not None and finite((threshold,)):
        parts.append(_upright(across, threshold, "alarm"))
    above = threshold is not None and low is not None and low > threshold
    style = "alarm" if above else "now"
    if low is not None and high is not None and len(finite((low, high))) == 2:
        parts.append(element("line", x1=across(low), x2=across(high), y1=11, y2=11, class_=f"span {style}"))
    if value is not None and finite((value,)):
        parts.append(element("circle", cx=across(value), cy=11, r=3.6, class_=f"dot {style}"))
    return element("svg", *parts, viewbox="0 0 180 22", class_="interval", aria_hidden="true")


def calibration_curve(name: str, title: str, description: str, points: Sequence[Point]) -> Markup:
    """The share of positives over the mean probability; dots are larger where there are more rows."""
    plot = Plot(width=400, height=400, left=44, right=12, top=12, bottom=72)
    across, up = plot.across(0, 1), plot.up(0, 1)
    most = max((point.weight for point in points), default=1)
    parts = [
        *_grid(plot, across, up),
        element("line", x1=across(0), y1=up(0), x2=across(1), y2=up(1), class_="level zero"),
        polyline(
            [None if point.reference is None else (across(point.predicted), up(point.reference)) for point in points],
            class_="line reference",
        ),
        polyline([(across(point.predicted), up(point.observed)) for point in points], class_="line now"),
        *(
            element(
                "circle",
                element("title", point.hint),
                cx=across(point.predicted),
                cy=up(point.observed),
                r=_LEAST + (_MOST - _LEAST) * (point.weight / most) ** 0.5,
                class_="dot now",
            )
            for point in points
        ),
        *_rows(plot, across, points, most),
    ]
    return chart(plot, name, title, description, *parts, class_="chart square")


def _grid(plot: Plot, across: Scale, up: Scale) -> Iterator[Markup]:
    for value in ticks(0, 1, 5):
        yield element("line", x1=across(0), x2=across(1), y1=up(value), y2=up(value), class_="grid")
        yield element("line", x1=across(value), x2=across(value), y1=up(0), y2=up(1), class_="grid")
        yield label(plot.left - 6, up(value) + 4, f"{100 * value:.0f} %", anchor="end")
        yield label(min(across(value), plot.width - 16), up(0) + 15, f"{100 * value:.0f} %", anchor="middle")
    yield label(across(0.5), plot.height - 36, "mean probability →", anchor="middle")
    yield label(across(0.02), up(1) + 13, "↑ share of positives")


def _rows(plot: Plot, across: Scale, points: Sequence[Point], most: int) -> Iterator[Markup]:
    """How many rows each bin has, as bars below the curve."""
    ground, highest = plot.height - 2, 24.0
    wide = (across(1) - across(0)) / 24
    heights = [highest * point.weight / most for point in points]
    yield boxes(
        (
            (across(point.predicted) - wide / 2, ground - height, wide, height)
            for point, height in zip(points, heights, strict=True)
        ),
        class_="bar-whole",
    )
    yield label(plot.left - 6, ground - 3, "rows", anchor="end")


def _upright(across: Scale, value: float, style: str) -> Markup:
    return element("line", x1=across(value), x2=across(value), y1=1, y2=21, class_=f"level {style}")
