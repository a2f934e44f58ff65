"""What charts are made of."""

import math
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.gitrain.reports.page import elements, parse_page

from gitrain.reports.svg import Plot, Scale, boxes, chart, finite, polyline, range_of, steps, ticks
from gitrain.reports.svg_distribution import distribution, sparkline
from gitrain.reports.svg_intervals import Point, calibration_curve, interval
from gitrain.reports.svg_series import Band, Bars, Level, Moment, Series, SeriesChart, draw_series

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)
ANYTHING = st.one_of(st.none(), st.floats())
PLOT = Plot(width=100, height=50, left=10, right=10, top=5, bottom=5)


# Numbers in paths and attributes are rounded.
ROUNDED = 0.1
# Letters may stand out a little: what lies within is the point that they begin, end or have their middle at.
LETTERS = 2.0


def points_of(path):
    """Where the pen of a path has been: M, L, H, V (absolute), h, v, l (relative) and z are all that is drawn with."""
    x = y = 0.0
    start = (x, y)
    tokens = re.findall(r"[A-Za-z]|-?\d+(?:\.\d+)?", path)
    assert "".join(tokens) == path.replace(" ", ""), path
    place, command = 0, ""
    while place < len(tokens):
        if tokens[place].isalpha():
            command, place = tokens[place], place + 1
            if command in "zZ":
                (x, y) = start
                continue
        taken = 2 if command in "MLl" else 1
        given = [float(token) for token in tokens[place : place + taken]]
        place += taken
        match command:
            case "M" | "L":
                x, y = given
            case "H":
                (x,) = given
            case "V":
                (y,) = given
            case "l":
                x, y = x + given[0], y + given[1]
            case "h":
                x += given[0]
            case "v":
                y += given[0]
            case _:
                raise AssertionError(f"{command} in {path}")
        if command == "M":
            start = (x, y)
        yield x, y


def corners_of(node):
    """The points that an element reaches to; for text the one that it stands at."""
    given = {name: float(node.attributes[name] or 0) for name in NUMERIC if name in node.attributes}
    match node.name:
        case "path":
            yield from points_of(node.attributes["d"] or "")
        case "line":
            yield given["x1"], given["y1"]
            yield given["x2"], given["y2"]
        case "circle":
            yield given["cx"] - given["r"], given["cy"] - given["r"]
            yield given["cx"] + given["r"], given["cy"] + given["r"]
        case "rect":
            yield given["x"], given["y"]
            yield given["x"] + given["width"], given["y"] + given["height"]
        case "text":
            yield given["x"], given["y"]
        case _:
            # What else has a place has to be asked for it as well.
            assert not given and "d" not in node.attributes, node.name


NUMERIC = ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height")


def points_inside(markup):
    """How many points there are; an AssertionError where one is outside of the frame of the drawing it belongs to."""
    seen = 0
    for svg in elements(parse_page(markup)):
        if svg.name != "svg":
            continue
        left, top, width, height = (float(number) for number in (svg.attributes["viewbox"] or "").split())
        assert (left, top) == (0, 0)
        for node in elements(svg):
            slack = LETTERS if node.name == "text" else ROUNDED
            for x, y in corners_of(node):
                assert -slack <= x <= width + slack, (node.name, node.attributes, x, width)
                assert -slack <= y <= height + slack, (node.name, node.attributes, y, height)
                seen += 1
    return seen


def test_what_leaves_its_frame_is_found():
    def drawing(child):
        return f'<svg viewBox="0 0 10 5">{child}</svg>'

    inside = ('<path d="M0 0L10 5M3 3h-3v2l7 0z"/>', '<circle cx="2" cy="2" r="2"/>', '<text x="0" y="5">a</text>')
    assert all(points_inside(drawing(child)) for child in inside)
    for child in (
        '<path d="M0 0L11 5"/>',
        '<path d="M0 0V6"/>',
        '<path d="M0 0H11"/>',
        '<path d="M9 0h2"/>',
        '<path d="M0 1v-2"/>',
        '<path d="M9 1l2 0"/>',
        # Closing a path leads back to where it began.
        '<path d="M9 1L0 0zh2"/>',
        '<circle cx="2" cy="4" r="2"/>',
        '<rect x="8" y="0" width="3" height="1"/>',
        '<line x1="0" x2="5" y1="0" y2="6"/>',
        '<text x="13" y="0">a</text>',
        '<path d="M0 0C1 1 2 2 3 3"/>',
    ):
        with pytest.raises(AssertionError):
            points_inside(drawing(child))


@given(NUMBERS, st.floats(1e-3, 1e9), NUMBERS)
def test_what_lies_outside_is_drawn_at_the_edge(low, width, value):
    scale = Scale(low, low + width, 10, 90)
    assume(scale.high > scale.low)

    assert 10 <= scale(value) <= 90
    assert scale(scale.low) == 10
    assert scale(scale.high) == pytest.approx(90)


@given(NUMBERS, st.floats(1e-3, 1e9), st.integers(2, 10))
def test_ticks_are_round_and_lie_within_and_are_about_as_many_as_asked(low, width, wanted):
    high = low + width
    assume(width > abs(low) * 1e-6)

    found = ticks(low, high, wanted)

    assert found == sorted(set(found))
    assert all(low - width * 1e-6 <= tick <= high + width * 1e-6 for tick in found)
    assert wanted / 2.6 - 1 <= len(found) <= wanted + 1


@given(st.lists(ANYTHING, max_size=20))
def test_a_range_holds_all_that_can_be_drawn_and_has_a_width(values):
    assume(all(abs(value) < 1e150 for value in finite(values)))
    low, high = range_of(values)

    assert low < high
    assert all(low <= value <= high for value in finite(values))


def test_a_line_breaks_where_nothing_is_known():
    made = polyline([(0, 1), (1, 2), None, (3, 4), None, None, (6, 7), (7, 8)], class_="line")

    assert 'd="M0 1L1 2M6 7L7 8"' in made
    assert made.count("<circle") == 1
    assert polyline([None, None], class_="line") == ""


def test_bars_stand_on_the_ground():
    made = steps([0.0, 1.0, 0.5], PLOT.across(0, 1), PLOT.up(0, 1), class_="was", closed=True)

    assert made == '<path d="M10 45V45H36.7V5H63.3V25H90V45Z" class="was"/>'
    assert steps([], PLOT.across(0, 1), PLOT.up(0, 1), class_="was", closed=True) == ""
    assert boxes([(1, 2, 3, 4), (5, 5, 0, 1)], class_="b") == '<path d="M1 2h3v4h-3z" class="b"/>'
    assert boxes([], class_="b") == ""


def test_a_chart_says_what_it_shows():
    page = parse_page(chart(PLOT, "loss", "Loss <b>", "It rises & falls."))

    svg, title, description = elements(page)
    assert svg.attributes["role"] == "img"
    assert svg.attributes["aria-labelledby"] == f"{title.attributes['id']} {description.attributes['id']}"
    assert (title.text, description.text) == ("Loss <b>", "It rises & falls.")


def drawn(values, **changes):
    content = {
        "name": "test", "title": "a", "description": "b", "units": [f"day {place}" for place in range(len(values))],
        "limits": range_of(values), "show": str, "series": [Series(values=values, style="now")],
    }  # fmt: skip
    return draw_series(SeriesChart(**{**content, **changes}))


@given(st.lists(ANYTHING, max_size=12), st.lists(ANYTHING, max_size=12))
def test_whatever_the_values_are_the_drawing_stays_inside_of_its_frame(low, high):
    size = min(len(low), len(high))
    low, high = low[:size], high[:size]
    assume(all(abs(value) < 1e150 for value in finite([*low, *high])))
    whole = [abs(value) for value in finite(low)]
    bars = Bars(whole=whole, part=[value / 2 for value in whole])
    made = draw_series(
        SeriesChart(
            name="test", title="a", description="b", units=["day"] * size, limits=range_of([*low, *high]), show=str,
            series=[Series(values=low, style="now"), Series(values=high, style="faint", kind="dots")],
            band=Band(low=low, high=high), bars=bars, levels=[Level(value=0.0, name="level", style="alarm")],
            moments=[Moment(place=0, name="moment", style="alarm")] if size else [], hints=["hint"] * size,
        )
    )  # fmt: skip

    assert "nan" not in made and "inf" not in made
    assert points_inside(made)


def test_both_widths_are_drawn_and_their_names_differ():
    found = [node for node in elements(parse_page(drawn([1.0, 2.0, None, 3.0]))) if node.name == "svg"]

    assert [node.attributes["class"] for node in found] == ["chart wide", "chart narrow"]
    assert len({node.attributes["aria-labelledby"] for node in found}) == 2


def test_one_unit_is_drawn_as_a_dot():
    assert "<circle" in drawn([1.0])


def test_the_name_of_a_late_moment_stands_to_the_left_of_its_line():
    made = drawn([float(place) for place in range(30)], moments=[Moment(place=29, name="an alarm", style="alarm")])

    (wide,) = re.findall(r'<text[^>]*class="note alarm"[^>]*>an alarm</text>', made.partition("narrow")[0])
    assert 'text-anchor="end"' in wide


SHARES = st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=12)


@given(SHARES, SHARES, st.booleans())
def test_distributions_of_any_length_are_drawn(reference, current, sorted_):
    edges = [] if sorted_ else [float(place) for place in range(len(reference))]
    names = ["a rather long name"] * max(len(reference) - 1, 0) if sorted_ else []
    made = distribution("d", "a", "b", reference, current, edges=edges, categories=names)

    both = made + sparkline(reference, current)
    assert "nan" not in both and "inf" not in both
    assert points_inside(both)


def test_what_is_not_known_stands_apart_and_only_where_there_is_any():
    edges = [0.0, 1.0, 2.0]

    assert ">none</text>" in distribution("d", "a", "b", [0.5, 0.3, 0.2], [0.5, 0.5, 0.0], edges=edges)
    assert ">none</text>" not in distribution("d", "a", "b", [0.5, 0.5, 0.0], [0.4, 0.6, 0.0], edges=edges)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_intervals_are_drawn_as_far_as_they_are_known(low, value, high, threshold):
    made = interval((0.0, 1.0), low, value, high, threshold)

    assert "nan" not in made and "inf" not in made
    known = finite([threshold]), finite([value]), finite([low, high])[1:]
    assert points_inside(made) == 2 * sum(map(len, known))


def test_an_interval_above_the_line_is_an_alarm():
    assert "span alarm" in interval((0.0, 1.0), 0.6, 0.7, 0.8, 0.5)
    assert "span now" in interval((0.0, 1.0), 0.4, 0.7, 0.8, 0.5)


def test_larger_bins_are_larger_dots():
    points = [
        Point(predicted=0.1, observed=0.2, reference=0.1, weight=10, hint="few"),
        Point(predicted=0.5, observed=0.4, reference=None, weight=1000, hint="many"),
    ]
    found = list(elements(parse_page(calibration_curve("c", "a", "b", points))))

    assert points_inside(calibration_curve("c", "a", "b", points))
    few, many = (float(node.attributes["r"] or 0) for node in found if node.attributes.get("class") == "dot now")
    assert few < many
