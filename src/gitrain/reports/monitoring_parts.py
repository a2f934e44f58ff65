"""Pieces of the monitoring page that all its sections use: marks, badges, legends, sections."""

from collections.abc import Iterable, Sequence

from gitrain.reports.markup import Child, Markup, element, join
from gitrain.verdicts import Outcome

__all__ = ["badge", "disclosure", "legend", "mark", "more", "section"]

# Told apart by their shape as well as by their colour.
_SHAPES = {
    Outcome.PASSED: "M7 12.5l3.4 3.5L17 8.8",
    Outcome.FAILED: "M8.2 8.2l7.6 7.6M15.8 8.2l-7.6 7.6",
    Outcome.INCONCLUSIVE: "M9 9.6a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1-1.4 2M12 17.2v.1",
    Outcome.ERROR: "M12 6.8v6.6M12 17v.1",
}
_SWATCHES = {
    "now": element("path", d="M0 6H26", class_="line now"),
    "reference": element("path", d="M0 6H26", class_="line reference"),
    "band": join(
        (element("rect", x=0, y=0, width=26, height=12, class_="band"), element("path", d="M0 11.5H26", class_="edge"))
    ),
    "alarm": element("path", d="M0 6H26", class_="level alarm"),
    "dots": join(element("circle", cx=x, cy=6 + (x % 3) * 2 - 2, r=2, class_="dot faint") for x in (4, 12, 22)),
    "bar-part": element("rect", x=6, y=0, width=14, height=12, class_="bar-part"),
    "bar-whole": element("rect", x=6, y=0, width=14, height=12, class_="bar-whole"),
    "was": element("rect", x=2, y=1, width=22, height=10, class_="was"),
    "is": element("rect", x=2, y=1, width=22, height=10, class_="is"),
    "equal": element("path", d="M0 6H26", class_="level zero"),
}


def mark(outcome: Outcome) -> Markup:
    """A round sign of the outcome; the word stands beside it."""
    return element(
        "svg",
        element("circle", cx=12, cy=12, r=11),
        element("path", d=_SHAPES[outcome]),
        viewbox="0 0 24 24",
        class_="mark",
        aria_hidden="true",
    )


def badge(outcome: Outcome, text: str | None = None) -> Markup:
    """The outcome as a small sign with its word."""
    return element("span", mark(outcome), text or outcome.value, class_=f"badge {outcome.value.lower()}")


def legend(entries: Iterable[tuple[str, str]]) -> Markup:
    """What the lines and surfaces of a chart stand for: the name of a swatch, and its words."""
    return element(
        "ul",
        *(
            element("li", element("svg", _SWATCHES[swatch], viewbox="0 0 26 12", aria_hidden="true"), text)
            for swatch, text in entries
        ),
        class_="legend",
    )


def section(name: str, title: str, *children: Child) -> Markup:
    """A part of the page that can be linked to."""
    return element(
        "section", element("h2", title, id=f"{name}-title"), *children, id=name, aria_labelledby=f"{name}-title"
    )


def disclosure(summary: str, *children: Child, paper: bool = True) -> Markup:
    """What is read on demand; on paper it is open, or left out: figures of every day fill pages that nobody reads."""
    return element("details", element("summary", summary), *children, class_=None if paper else "screen")


def more(shown: int, all_: Sequence[object], noun: str) -> Markup:
    """That there is more than what is shown, if so."""
    if len(all_) <= shown:
        return Markup("")
    return element("p", f"{len(all_) - shown:,} more {noun} are in the JSON report.", class_="soft small")
