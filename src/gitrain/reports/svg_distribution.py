"""A distribution now over the reference: as a small chart with its axis, and as a sparkline for a table's cell."""

from collections.abc import Sequence

from gitrain.reports.markup import Markup, element, figure
from gitrain.reports.svg import Plot, boxes, chart, finite, label, steps

__all__ = ["distribution", "sparkline"]

_GAP = 10.0
_LETTER = 5.8


def distribution(
    name: str,
    title: str,
    description: str,
    reference: Sequence[float],
    current: Sequence[float],
    *,
    edges: Sequence[float] = (),
    categories: Sequence[str] = (),
) -> Markup:
    """Both distributions in the same bins, and apart from them what is not known.

    Args:
        name: unique in the page.
        title: what it is.
        description: what there is to see.
        reference: the share of each bin, and last of what is not known.
        current: likewise.
        edges: of numbers' bins, one more than there are bins.
        categories: of categories' bins, instead.
    """
    plot = Plot(width=300, height=124, left=4, right=4, top=8, bottom=20)
    bins = max(len(reference) - 1, 1)
    missing = (_share(reference, -1), _share(current, -1))
    column = (plot.width - plot.left - plot.right) / (bins + 2)
    aside = max(column, 12.0) if max(missing) > 0 else 0.0
    body = Plot(
        width=plot.width - (aside + _GAP if aside else 0.0),
        height=plot.height,
        left=plot.left,
        right=plot.right,
        top=plot.top,
        bottom=plot.bottom,
    )
    highest = max([*finite(reference), *finite(current), 1e-9])
    up = plot.up(0, highest * 1.04)
    ground = plot.height - plot.bottom
    parts: list[Markup] = []
    if categories:
        parts += _pairs(reference[:-1], current[:-1], body, highest)
    else:
        across = body.across(0, 1)
        parts.append(steps(_drawable(reference[:-1]), across, up, class_="was", closed=True))
        parts.append(steps(_drawable(current[:-1]), across, up, class_="is", closed=False))
    parts.append(element("line", x1=plot.left, x2=body.width - body.right, y1=ground, y2=ground, class_="axis"))
    parts += _names(categories, body) if categories else _edges(edges, body)
    if aside:
        x = plot.width - plot.right - aside
        tops = [up(value) for value in missing]
        parts.append(boxes([(x, tops[0], aside, ground - tops[0])], class_="was"))
        parts.append(boxes([(x + aside * 0.2, tops[1], aside * 0.6, ground - tops[1])], class_="is"))
        parts.append(element("line", x1=x, x2=x + aside, y1=ground, y2=ground, class_="axis"))
        parts.append(label(plot.width - 2, plot.height - 6, "none", anchor="end"))
    return chart(plot, name, title, description, *parts, class_="histogram")


def sparkline(reference: Sequence[float], current: Sequence[float]) -> Markup:
    """The same without words, 96 points wide: the row of the table that it stands in says them."""
    # What is not known has a bin only where there is any.
    if len(reference) > 1 and len(current) == len(reference) and max(_share(reference, -1), _share(current, -1)) <= 0:
        reference, current = reference[:-1], current[:-1]
    plot = Plot(width=96, height=24, left=1, right=1, top=2, bottom=1)
    up = plot.up(0, max([*finite(reference), *finite(current), 1e-9]))
    across = plot.across(0, 1)
    return element(
        "svg",
        steps(_drawable(reference), across, up, class_="was", closed=True),
        steps(_drawable(current), across, up, class_="is", closed=False),
        viewbox="0 0 96 24",
        class_="spark",
        aria_hidden="true",
    )


def _pairs(reference: Sequence[float], current: Sequence[float], plot: Plot, highest: float) -> list[Markup]:
    up = plot.up(0, highest * 1.04)
    ground = plot.height - plot.bottom
    column = (plot.width - plot.left - plot.right) / max(len(reference), 1)
    lefts = [plot.left + place * column for place in range(len(reference))]
    was, now = _drawable(reference), _drawable(current)
    return [
        boxes(
            ((x + column * 0.1, up(v), column * 0.8, ground - up(v)) for x, v in zip(lefts, was, strict=True)),
            class_="was",
        ),
        boxes(
            ((x + column * 0.28, up(v), column * 0.44, ground - up(v)) for x, v in zip(lefts, now, strict=False)),
            class_="is",
        ),
    ]


def _names(categories: Sequence[str], plot: Plot) -> list[Markup]:
    """The names of categories where there is room for them; the table below the chart has them all."""
    column = (plot.width - plot.left - plot.right) / len(categories)
    room = int(column / _LETTER)
    if room < 2:
        return []
    return [
        label(
            plot.left + (place + 0.5) * column,
            plot.height - 6,
            name if len(name) <= room else name[: max(room - 1, 1)] + "…",
            anchor="middle",
        )
        for place, name in enumerate(categories)
    ]


def _edges(edges: Sequence[float], plot: Plot) -> list[Markup]:
    if len(edges) < 2:
        return []
    width = plot.width - plot.left - plot.right
    places = (0, len(edges) // 2, len(edges) - 1) if len(edges) > 4 else (0, len(edges) - 1)
    anchors = {0: "start", len(edges) - 1: "end"}
    return [
        label(
            plot.left + width * place / (len(edges) - 1),
            plot.height - 6,
            figure(edges[place]),
            anchor=anchors.get(place, "middle"),
        )
        for place in places
    ]


def _drawable(shares: Sequence[float]) -> list[float]:
    return [share if finite((share,)) else 0.0 for share in shares]


def _share(shares: Sequence[float], place: int) -> float:
    return _drawable(shares[place:])[0] if shares else 0.0
