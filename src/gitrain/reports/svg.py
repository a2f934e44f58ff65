"""What charts are made of: scales, ticks, paths, and the frame that says in words what a chart shows.

Colours are classes of the style sheet, so that one drawing serves light, dark and paper.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gitrain.reports.markup import Child, Markup, element

__all__ = ["Plot", "Scale", "boxes", "chart", "dots", "finite", "label", "polyline", "range_of", "steps", "ticks"]

_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """From values to points along an axis; what lies outside is drawn at the edge.

    Attributes:
        low: the value at `start`.
        high: the value at `end`.
        start: where the axis begins.
        end: where it ends; below `start` for an axis that points up.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The point of a value."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A drawing's size and its margins, in points."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float

    def across(self, low: float, high: float) -> Scale:
        """The scale from left to right."""
        return Scale(low, high, self.left, self.width - self.right)

    def up(self, low: float, high: float) -> Scale:
        """The scale from the bottom to the top."""
        return Scale(low, high, self.height - self.bottom, self.top)


def chart(plot: Plot, name: str, title: str, description: str, *children: Child, class_: str = "chart") -> Markup:
    """A drawing that is one picture to who hears it: its title, and in words what it shows.

    Args:
        plot: its size.
        name: unique in the page, from code.
        title: what it is.
        description: what there is to see.
        children: what is drawn.
        class_: further classes.
    """
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *children,
        viewbox=f"0 0 {plot.width:g} {plot.height:g}",
        class_=class_,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def finite(values: Iterable[float | None]) -> list[float]:
    """Those that can be drawn."""
    return [value for value in values if value is not None and math.isfinite(value)]


def range_of(values: Iterable[float | None], *, margin: float = 0.06, least: float = 1e-6) -> tuple[float, float]:
    """From the least to the greatest and a little beyond; from 0 to 1 where there is nothing."""
    found = finite(values)
    if not found:
        return 0.0, 1.0
    low, high = min(found), max(found)
    # A scale needs some width, also around a number that is large.
    room = max((high - low) * margin, least, abs(high) * 1e-6)
    return low - room, high + room


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers within the range."""
    rough = (high - low) / max(count, 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * nice for nice in _NICE if size * nice >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def label(x: float, y: float, text: Child, *, anchor: str = "start", class_: str = "tick") -> Markup:
    """Text at a point; `anchor` is start, middle or end."""
    return element("text", text, x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=class_)


def polyline(points: Sequence[tuple[float, float] | None], *, class_: str) -> Markup:
    """A line through points; None breaks it, and a point that stands alone is a dot."""
    pieces: list[str] = []
    alone: list[Markup] = []
    for run in _runs(points):
        if len(run) == 1:
            alone.append(element("circle", cx=run[0][0], cy=run[0][1], r=1.8, class_=f"{class_} alone"))
        else:
            pieces.append("M" + "L".join(f"{_short(x)} {_short(y)}" for x, y in run))
    line = element("path", d="".join(pieces), class_=class_) if pieces else Markup("")
    return Markup(line + "".join(alone))


def dots(points: Sequence[tuple[float, float]], *, class_: str) -> Markup:
    """Many dots as one path: lines without length, whose round ends are seen."""
    path = "".join(f"M{_short(x)} {_short(y)}h0" for x, y in points)
    return element("path", d=path, class_=class_) if path else Markup("")


def steps(heights: Sequence[float], across: Scale, up: Scale, *, class_: str, closed: bool) -> Markup:
    """Bars of equal width side by side as one outline; `closed` draws it down to the ground."""
    if not heights:
        return Markup("")
    ground = _short(up(up.low))
    edges = [
        _short(across(across.low + (across.high - across.low) * k / len(heights))) for k in range(len(heights) + 1)
    ]
    path = [f"M{edges[0]} {ground}"]
    path += [f"V{_short(up(height))}H{edges[place + 1]}" for place, height in enumerate(heights)]
    path.append(f"V{ground}" + ("Z" if closed else ""))
    return element("path", d="".join(path), class_=class_)


def boxes(rectangles: Iterable[tuple[float, float, float, float]], *, class_: str) -> Markup:
    """Many rectangles (x, y, width, height) as one path: a year of bars stays small."""
    path = "".join(
        f"M{_short(x)} {_short(y)}h{_short(width)}v{_short(height)}h{_short(-width)}z"
        for x, y, width, height in rectangles
        if width > 0 and height > 0
    )
    return element("path", d=path, class_=class_) if path else Markup("")


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
