"""Markup from values: whatever a value holds, it is text or the value of an attribute."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.gitrain.reports.monitored import HOSTILE
from tests.gitrain.reports.page import elements, parse_page

from gitrain.reports.markup import Markup, count, decimals, element, figure, join, signed, table

TEXT = st.text(alphabet=st.sampled_from(list("ab \"'<>&/=;#!-[]{}()\\\n\t\u202e\u0000`x:")), max_size=40)


@given(TEXT, TEXT)
@example(HOSTILE, HOSTILE)
def test_a_value_is_text_and_nothing_else(text, value):
    page = parse_page(element("p", text, " and ", text, title=value, class_="a"))

    (node,) = elements(page)
    assert node.name == "p"
    assert set(node.attributes) == {"title", "class"}
    assert node.text.count(" and ") >= 1


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=80))
def test_what_can_be_seen_is_shown_as_it_is(text):
    page = parse_page(element("p", text, title=text))

    (node,) = elements(page)
    assert node.text == text
    assert node.attributes["title"] == text


def test_markup_stays_markup_and_is_not_escaped_twice():
    inner = element("b", "a & b")

    assert element("p", inner, " < ", inner) == "<p><b>a &amp; b</b> &lt; <b>a &amp; b</b></p>"


def test_attributes_are_written_as_html_and_svg_spell_them():
    made = element("svg", viewbox="0 0 1 2", class_="chart", aria_hidden="true", hidden=True, id=None, focusable=False)

    assert made == '<svg viewBox="0 0 1 2" class="chart" aria-hidden="true" hidden></svg>'


def test_what_is_empty_is_closed_as_its_kind_asks_for():
    assert element("path", d="M0 0") == '<path d="M0 0"/>'
    assert element("circle", element("title", "one"), r=2.0) == '<circle r="2"><title>one</title></circle>'
    assert element("br") == "<br>"
    assert element("td") == "<td></td>"


def test_spaces_at_the_edges_of_text_part_it_from_its_neighbours():
    assert join(("a ", element("b", "c"), " d", " ", None)) == "a <b>c</b> d "


def test_long_text_is_cut():
    assert len(element("p", "x" * 10_000)) < 1_000


def test_a_table_has_headings_a_caption_and_can_be_scrolled_by_keyboard():
    page = parse_page(table("Days <all>", ("day", "rows"), [("1 Oct", "<2>")], right=(1,), classes={1: "tight"}))

    found = list(elements(page))
    assert found[0].attributes == {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "Days <all>"}
    assert [(node.attributes.get("scope"), node.text) for node in found if node.name == "th"] == [
        ("col", "day"),
        ("col", "rows"),
        ("row", "1 Oct"),
    ]
    assert [(node.text, node.attributes) for node in found if node.name == "td"] == [("<2>", {"class": "n tight"})]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "–"),
        (0.0, "0"),
        (1234.0, "1,234"),
        (12345, "12,345"),
        (999.9, "1,000"),
        (0.25, "0.25"),
        (-0.5, "−0.5"),
        (0.00002, "0.00002"),
        (1e-12, "≈ 0"),
    ],
)
def test_figures_are_read_by_people(value, shown):
    assert figure(value) == shown


def test_decimals_stand_below_each_other_and_signs_are_shown():
    assert [decimals(value) for value in (0.8, 1.23456, -0.5, None)] == ["0.800", "1.235", "−0.500", "–"]
    assert [signed(value) for value in (0.5, -0.5, 0.0, None)] == ["+0.500", "−0.500", "0.000", "–"]


def test_nouns_follow_their_number():
    assert (count(1, "day", "days"), count(1200, "day", "days")) == ("1 day", "1,200 days")


def test_markup_is_a_string():
    assert isinstance(element("p"), Markup)
    assert f"{element('p')}" == "<p></p>"


def test_a_path_is_never_cut():
    path = "M0 0" + "L1 1" * 5_000

    (node,) = elements(parse_page(element("path", d=path)))
    assert node.attributes["d"] == path
