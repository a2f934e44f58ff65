"""Charts over units in order, days as a rule: lines, dots, a band, limits, and bars of a part of a whole."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gitrain.reports.markup import Markup, element, join
from gitrain.reports.svg import Plot, Scale, boxes, chart, dots, finite, label, polyline, ticks

__all__ = ["Band", "Bars", "Level", "Moment", "Series", "SeriesChart", "draw_series"]

#: Wide for screens and paper, narrow for telephones: the style sheet shows the one that fits, in letters of one size.
_WIDE, _NARROW = 920.0, 360.0
_LETTER = 6.4


@dataclass(frozen=True, kw_only=True)
class Series:
    """A value a unit; None where there is none. `style` is a class of the style sheet."""

    values: Sequence[float | None]
    style: str
    kind: Literal["line", "dots"] = "line"


@dataclass(frozen=True, kw_only=True)
class Band:
    """From a lower to an upper limit, a pair a unit."""

    low: Sequence[float | None]
    high: Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A whole a unit and the part of it that is drawn darker."""

    whole: Sequence[float]
    part: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Level:
    """A value that holds for all units, with its name."""

    value: float
    name: str
    style: str


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A unit, by its place, at which something happened."""

    place: int
    name: str
    style: str


@dataclass(frozen=True, kw_only=True)
class SeriesChart:
    """What is drawn.

    Attributes:
        name: unique in the page.
        title: what it is.
        description: what there is to see, in words.
        units: the names of the units, as the axis shows them.
        limits: the least and the greatest value that is shown; what lies beyond is drawn at the edge.
        show: a value of the axis as text.
        series: the later ones are drawn over the earlier ones.
        band: drawn below them.
        bars: likewise.
        levels: across.
        moments: upright.
        hints: a text a unit, for who points at it.
        height: of the plot, in points.
    """

    name: str
    title: str
    description: str
    units: Sequence[str]
    limits: tuple[float, float]
    show: Callable[[float], str]
    series: Sequence[Series] = ()
    band: Band | None = None
    bars: Bars | None = None
    levels: Sequence[Level] = ()
    moments: Sequence[Moment] = ()
    hints: Sequence[str] = ()
    height: float = 200.0


def draw_series(drawn: SeriesChart) -> Markup:
    """The chart twice: for wide screens and for narrow ones."""
    return join((_draw(drawn, _WIDE, "wide"), _draw(drawn, _NARROW, "narrow")))


def _draw(drawn: SeriesChart, width: float, variant: str) -> Markup:
    left, top = (58.0, 20.0) if variant == "wide" else (44.0, 20.0)
    plot = Plot(width=width, height=drawn.height, left=left, right=10.0, top=top, bottom=22.0)
    up = plot.up(*drawn.limits)
    # A unit has a column of its own, so that bars and points stand above each other in all charts.
    across = plot.across(-0.5, max(len(drawn.units), 1) - 0.5)
    wide = variant == "wide"
    parts = [
        *_value_axis(drawn, plot, up, 5 if drawn.height > 150 else 3),
        *_unit_axis(drawn.units, plot, across, 8 if wide else 4),
        *_bars(drawn.bars, across, up),
        *_band(drawn.band, across, up),
        *_levels(drawn.levels, plot, up),
        *_moments(drawn.moments, plot, across),
        *(_series(each, across, up) for each in drawn.series),
        *(_hints(drawn.hints, plot, across) if wide else ()),
    ]
    name = f"{drawn.name}-{variant}"
    return chart(plot, name, drawn.title, drawn.description, *parts, class_=f"chart {variant}")


def _value_axis(drawn: SeriesChart, plot: Plot, up: Scale, count: int) -> Iterator[Markup]:
    for value in ticks(*drawn.limits, count):
        y = up(value)
        yield element("line", x1=plot.left, x2=plot.width - plot.right, y1=y, y2=y, class_="grid")
        yield label(plot.left - 6, y + 4, drawn.show(value), anchor="end")


def _unit_axis(units: Sequence[str], plot: Plot, across: Scale, count: int) -> Iterator[Markup]:
    step = max(1, -(-len(units) // count))
    ground = plot.height - plot.bottom
    yield element("line", x1=plot.left, x2=plot.width - plot.right, y1=ground, y2=ground, class_="axis")
    for place in range(0, len(units), step):
        x = across(place)
        yield element("line", x1=x, x2=x, y1=ground, y2=ground + 4, class_="axis")
        half = len(units[place]) * _LETTER / 2
        # The first and the last name stay inside of the drawing.
        inside = min(max(x, half), plot.width - half)
        yield label(inside, plot.height - 5, units[place], anchor="middle")


def _bars(bars: Bars | None, across: Scale, up: Scale) -> Iterator[Markup]:
    if bars is None:
        return
    column = across(1) - across(0)
    # A few units are bars as well, not walls.
    thick = min(max(column * 0.76, 0.8), 46.0)
    ground = up(up.low)
    yield boxes(
        ((across(k) - thick / 2, up(value), thick, ground - up(value)) for k, value in enumerate(bars.whole)),
        class_="bar-whole",
    )
    yield boxes(
        ((across(k) - thick / 2, up(value), thick, ground - up(value)) for k, value in enumerate(bars.part)),
        class_="bar-part",
    )


def _band(band: Band | None, across: Scale, up: Scale) -> Iterator[Markup]:
    if band is None:
        return
    pairs = [
        (across(place), up(low), up(high))
        for place, (low, high) in enumerate(zip(band.low, band.high, strict=True))
        if low is not None and high is not None and len(finite((low, high))) == 2
    ]
    if len(pairs) < 2:
        return
    edge = [f"{x:.1f} {high:.1f}" for x, _, high in pairs] + [f"{x:.1f} {low:.1f}" for x, low, _ in reversed(pairs)]
    yield element("path", d="M" + "L".join(edge) + "Z", class_="band")
    # Its lower edge is what alarms: it is seen as a line of its own.
    yield polyline([(x, low) for x, low, _ in pairs], class_="edge")
    yield polyline([(x, high) for x, _, high in pairs], class_="edge")


def _levels(levels: Sequence[Level], plot: Plot, up: Scale) -> Iterator[Markup]:
    for level in levels:
        y = up(level.value)
        yield element("line", x1=plot.left, x2=plot.width - plot.right, y1=y, y2=y, class_=f"level {level.style}")
        yield label(plot.left + 5, y - 5, level.name, class_=f"note {level.style}")


def _moments(moments: Sequence[Moment], plot: Plot, across: Scale) -> Iterator[Markup]:
    for row, moment in enumerate(moments):
        x = across(moment.place)
        yield element(
            "line", x1=x, x2=x, y1=plot.top - 6, y2=plot.height - plot.bottom, class_=f"moment {moment.style}"
        )
        length = len(moment.name) * _LETTER
        # Where there is no room to the right, the name stands to the left of its line.
        leftwards = x + 5 + length > plot.width
        anchor = "end" if leftwards and x - 5 - length > 0 else "start"
        start = x + 5 if anchor == "start" else x - 5
        start = min(start, plot.width - length) if anchor == "start" else start
        yield label(start, plot.top + 4 + 15 * row, moment.name, anchor=anchor, class_=f"note {moment.style}")


def _series(series: Series, across: Scale, up: Scale) -> Markup:
    points = [
        (across(place), up(value)) if value is not None and finite((value,)) else None
        for place, value in enumerate(series.values)
    ]
    if series.kind == "dots":
        return dots([point for point in points if point], class_=f"dots {series.style}")
    return polyline(points, class_=f"line {series.style}")


def _hints(hints: Sequence[str], plot: Plot, across: Scale) -> Iterator[Markup]:
    column = (plot.width - plot.left - plot.right) / max(len(hints), 1)
    for place, hint in enumerate(hints):
        yield element(
            "rect",
            element("title", hint),
            x=max(across(place) - column / 2, 0.0),
            y=plot.top,
            width=column,
            height=plot.height - plot.bottom - plot.top,
            class_="hit",
        )
