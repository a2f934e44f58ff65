"""Charts as Mermaid text, which GitHub draws: nothing that a value says can leave its quotes, its line or its fence."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["COLOURS", "Plot", "chart_problem", "xy_chart"]

_LONGEST = 60
_MOST_POINTS = 200
#: The squares that stand for the colours of the plots, in their order, and the colours.
COLOURS = ("🟦", "🟧", "🟩")
_PALETTE = "#3b7dd8, #e8833a, #4caf50"
_INIT = f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{_PALETTE}"}}}}}}}}%%'
_SAFE = r"[\w .,:+/%()?–-]"
_STRING = rf'"{_SAFE}*"'
# Mermaid reads no exponents.
_NUMBER = r"-?\d{1,15}(?:\.\d{1,9})?"
_LINES = tuple(
    re.compile(pattern)
    for pattern in (
        rf" +title {_STRING}",
        rf" +x-axis {_STRING} (?:{_NUMBER} --> {_NUMBER}|\[{_STRING}(?:, {_STRING})*\])",
        rf" +y-axis {_STRING} {_NUMBER} --> {_NUMBER}",
        rf" +(?:line|bar) \[{_NUMBER}(?:, {_NUMBER})*\]",
    )
)


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A row of numbers, drawn as a line or as bars; all rows of a chart are equally long."""

    values: Sequence[float]
    bars: bool = False


def xy_chart(
    *,
    title: str,
    x: str,
    y: str,
    ticks: tuple[float, float] | Sequence[str],
    plots: Sequence[Plot],
    y_range: tuple[float, float] | None = None,
) -> str:
    """A chart in a fence of its own.

    Args:
        title: over the chart.
        x: under the x axis.
        y: beside the y axis.
        ticks: the first and last number of the x axis, over which the values are spread evenly, or a name a value.
        plots: at most three, of finite numbers.
        y_range: the ends of the y axis; by default those of the values, and a little room.

    Raises:
        ValueError: no values, too many, values that are not finite, or rows of different lengths.
    """
    lengths = {len(plot.values) for plot in plots}
    if len(lengths) != 1 or not 0 < min(lengths) <= _MOST_POINTS or len(plots) > len(COLOURS):
        raise ValueError(f"plots of {sorted(lengths)} values cannot share a chart")
    if not all(math.isfinite(value) for plot in plots for value in plot.values):
        raise ValueError("a chart shows finite numbers")
    low, high = y_range or _range([value for plot in plots for value in plot.values])
    numbers = [value for value in ticks if not isinstance(value, str)]
    if len(numbers) == 2:
        axis = f"{_number(numbers[0])} --> {_number(numbers[1])}"
    else:
        axis = f"[{', '.join(_quoted(str(tick)) for tick in ticks)}]"
    lines = [
        "```mermaid",
        _INIT,
        "xychart-beta",
        f"    title {_quoted(title)}",
        f"    x-axis {_quoted(x)} {axis}",
        f"    y-axis {_quoted(y)} {_number(low)} --> {_number(high)}",
        *(
            f"    {'bar' if plot.bars else 'line'} [{', '.join(_number(value) for value in plot.values)}]"
            for plot in plots
        ),
        "```",
    ]
    return "\n".join(lines)


def chart_problem(lines: Sequence[str]) -> str | None:
    """What is wrong with the inside of a Mermaid fence, if it is not a chart as `xy_chart` writes it."""
    if list(lines[:2]) != [_INIT, "xychart-beta"]:
        return "the chart does not begin as ours do"
    for line in lines[2:]:
        if not any(pattern.fullmatch(line) for pattern in _LINES):
            return "a line of the chart is none that we write"
    return None


def _quoted(text: str) -> str:
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "."
    safe = "".join(character if re.fullmatch(_SAFE, character) else "?" for character in shown)
    return f'"{safe}"'


def _number(value: float) -> str:
    """A decimal without an exponent; what is too large for one is cut."""
    bounded = max(-1e12, min(1e12, value))
    text = f"{bounded:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or max(abs(high) * 0.05, 0.01)
    return low - room, high + room
