import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrain.reports.mermaid import Plot, chart_problem, xy_chart

HOSTILE = st.text(alphabet=st.sampled_from(list('aé1"`\n\r%{}[]<>;:-=\\ \u2028#&')), max_size=80)


def chart(title="Learning curve", x="iteration", y="loss", ticks=(1, 3), values=(1.0, 0.5, 0.25), **options):
    return xy_chart(title=title, x=x, y=y, ticks=ticks, plots=[Plot(values=values)], **options)


def inside(text):
    return text.split("\n")[1:-1]


def test_a_chart_is_what_mermaid_reads():
    assert chart().split("\n")[2:] == [
        "xychart-beta",
        '    title "Learning curve"',
        '    x-axis "iteration" 1 --> 3',
        '    y-axis "loss" 0.2125 --> 1.0375',
        "    line [1, 0.5, 0.25]",
        "```",
    ]


def test_bars_stand_over_names():
    lines = xy_chart(
        title="a", x="b", y="c", ticks=["low", "high"], plots=[Plot(values=(0.1, 0.9), bars=True)], y_range=(0, 1)
    ).split("\n")

    assert '    x-axis "b" ["low", "high"]' in lines
    assert '    y-axis "c" 0 --> 1' in lines
    assert "    bar [0.1, 0.9]" in lines


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_text_leaves_its_quotes_its_line_or_its_fence(title, x, tick):
    lines = chart(title=title, x=x, ticks=[tick, "b", "c"]).splitlines()

    assert len(lines) == len(chart().splitlines())
    assert lines.count("```") == 1
    assert chart_problem(lines[1:-1]) is None
    assert all(line.count('"') in (0, 2, 8) for line in lines[3:])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_are_decimals_that_mermaid_reads(values):
    text = chart(values=values, ticks=(0, 1))

    assert chart_problem(inside(text)) is None
    [(low, high)] = [map(float, ends) for ends in re.findall(r'y-axis "loss" (\S+) --> (\S+)', text)]
    assert low <= high


@pytest.mark.parametrize("values", [(), (math.nan,), (math.inf, 1.0), (1.0,) * 201])
def test_what_cannot_be_drawn_is_refused(values):
    with pytest.raises(ValueError, match="chart"):
        chart(values=values)


def test_rows_of_other_lengths_share_no_chart():
    with pytest.raises(ValueError, match=r"\[1, 2\] values cannot share a chart"):
        xy_chart(title="a", x="b", y="c", ticks=(1, 2), plots=[Plot(values=(1,)), Plot(values=(1, 2))])


@pytest.mark.parametrize(
    "line",
    [
        'click A "javascript:alert(1)"',
        '    title "a" click',
        '    title "<img src=x>"',
        "    line [1e5]",
        "graph TD",
        '%%{init: {"securityLevel": "loose"}}%%',
    ],
)
def test_a_line_that_we_do_not_write_is_found(line):
    lines = inside(chart())

    assert chart_problem([*lines, line]) is not None
    assert chart_problem([line, *lines]) is not None
    assert chart_problem(lines) is None
