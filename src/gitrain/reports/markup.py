"""HTML and SVG from values. A plain string is text, and is escaped; only what `element` made is markup.

So a value from data cannot become an element, an attribute or a rule of the style sheet, wherever it is put.
"""

import html
import math
from collections.abc import Iterable, Mapping

from gitrain.reports.markdown import readable

__all__ = ["Child", "Markup", "count", "decimals", "element", "figure", "join", "signed", "table"]

_VOID = frozenset({"br", "col", "hr", "meta"})
_CLOSED = frozenset({"circle", "line", "path", "rect"})
# Attributes are written here and nowhere else: a name that is none is a mistake in the code.
_NAMES = {
    "class_": "class",
    "for_": "for",
    "viewbox": "viewBox",
    "http_equiv": "http-equiv",
    "preserve": "preserveAspectRatio",
}
_LONGEST = 600


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


#: What may stand inside an element: markup, or a value that is shown as text; None is nothing.
Child = Markup | str | int | float | None


def element(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An element.

    Args:
        name: its name, from code and never from a value.
        children: in order; what is not markup is escaped.
        attributes: by name, underscores for hyphens (`class_` for class); None and False are left out.
    """
    shown = "".join(
        f" {_NAMES.get(key, key.replace('_', '-'))}" + ("" if value is True else f'="{_value(key, value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    inside = join(children)
    if name in _VOID:
        return Markup(f"<{name}{shown}>")
    if name in _CLOSED and not inside:
        return Markup(f"<{name}{shown}/>")
    return Markup(f"<{name}{shown}>{inside}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Several in a row."""
    return Markup("".join(child if isinstance(child, Markup) else _text(child) for child in children))


def table(
    caption: str,
    header: Iterable[Child],
    rows: Iterable[Iterable[Child]],
    *,
    right: Iterable[int] = (),
    classes: Mapping[int, str] | None = None,
) -> Markup:
    """A table that scrolls sideways by itself where it is too wide.

    Args:
        caption: what it shows: heard by who does not see it.
        header: one cell a column.
        rows: the first cell of each is its heading.
        right: columns of numbers, aligned to the right.
        classes: further classes of columns.
    """
    named = {column: "n" for column in right}
    for column, name in (classes or {}).items():
        named[column] = f"{named[column]} {name}" if column in named else name
    head = join(element("th", cell, scope="col", class_=named.get(column)) for column, cell in enumerate(header))
    body = join(
        element(
            "tr",
            *(
                element("th", cell, scope="row", class_=named.get(0))
                if column == 0
                else element("td", cell, class_=named.get(column))
                for column, cell in enumerate(row)
            ),
        )
        for row in rows
    )
    whole = element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", element("tr", head)),
        element("tbody", body),
    )
    # Focusable, so that it can be scrolled with the keyboard.
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def figure(value: float | None, *, digits: int = 3) -> str:
    """A number with so many significant digits, thousands separated; a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int) or abs(value) >= 10_000:
        return f"{value:,.0f}"
    shown = f"{value:.{digits}g}"
    # No exponents: people read `0.00002` at a glance, and what is smaller than that is nothing.
    if "e" in shown:
        shown = f"{value:,.0f}" if abs(value) >= 1 else f"{value:.5f}"
        if not float(shown.replace(",", "")):
            return "≈ 0"
    return shown.replace("-", "−")


def decimals(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals, so that those of a column stand below each other; a dash if not known."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float | None, *, digits: int = 3) -> str:
    """A number with so many decimals and its sign."""
    shown = decimals(value, digits)
    return f"+{shown}" if value is not None and value > 0 and shown != "–" else shown


def count(number: int, one: str, many: str) -> str:
    """A number and its noun."""
    return f"{number:,} {one if number == 1 else many}"


def _text(value: Child) -> str:
    text = "" if value is None else str(value)
    shown = html.escape(readable(text, longest=_LONGEST), quote=True)
    # A space at an edge parts the text from its neighbour; inside, what cannot be seen is gone already.
    return (" " if text[:1] == " " else "") + shown + (" " if text[1:] and text[-1] == " " else "")


def _value(name: str, value: str | float | bool) -> str:
    if isinstance(value, float):
        # A tenth of a point is finer than any screen, and short.
        return f"{value:.1f}".removesuffix(".0")
    # A path is written by code, from numbers, and cut short it would be another one.
    longest = len(str(value)) if name == "d" else _LONGEST
    return html.escape(readable(value, longest=longest), quote=True)
