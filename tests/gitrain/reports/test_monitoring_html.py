"""The monitoring page: whole, safe whatever values hold, the same to eyes, ears and paper."""

import functools
import itertools
import math
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.gitrain.reports.monitored import CASES, GOLDEN, HOSTILE, VERSION, alarmed, healthy, hostile, huge
from tests.gitrain.reports.page import elements, outline, parse_page

from gitrain.reports.monitoring_html import render_monitoring_html
from gitrain.reports.monitoring_style import COLOURS, STYLE, STYLE_SOURCE
from gitrain.verdicts import Outcome

TEXT = st.text(
    alphabet=st.sampled_from(list("ab1 \"'<>&/=;#!-[]{}()\\\n\t`x:@|\u202e\u0000\u200b")), min_size=1, max_size=50
)
# What a value may be the value of: words for who points or listens.
_WORDS = {"aria-label"}
_LINKS = {
    "href",
    "src",
    "srcset",
    "action",
    "data",
    "poster",
    "style",
    "xlink:href",
    "formaction",
    "ping",
    "background",
}


@functools.cache
def page(name):
    return render_monitoring_html({**CASES, "hostile": hostile, "huge": huge}[name](), version=VERSION)


def skeleton(text):
    """All elements and attributes of a page that is full of `text`, without text."""
    root = parse_page(render_monitoring_html(hostile(text), version=VERSION))
    return [
        (
            node.name,
            tuple((key, value) for key, value in node.attributes.items() if key not in _WORDS | {"d", "x", "y"}),
        )
        for node in elements(root)
        # How names of an axis are placed, and whether there is room for them, depends on their length.
        if node.name != "text"
    ]


@pytest.mark.parametrize("name", CASES)
def test_the_page_reads_as_it_was_agreed(name):
    assert outline(page(name)) == (GOLDEN / f"monitoring_{name}.txt").read_text(encoding="utf-8")


@settings(max_examples=12)
@given(TEXT)
@example(HOSTILE)
@example("</style><script>alert(1)</script>")
@example("x" * 3_000)
def test_no_element_and_no_attribute_comes_from_a_value(text):
    assert skeleton(text) == skeleton("plain")


@pytest.mark.parametrize("name", [*CASES, "hostile", "huge"])
def test_the_page_needs_nothing_but_itself(name):
    nodes = list(elements(parse_page(page(name))))

    assert not {node.name for node in nodes} & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    links = [(key, value or "") for node in nodes for key, value in node.attributes.items() if key in _LINKS]
    assert all(key == "href" and value.startswith("#") for key, value in links)
    assert not [key for node in nodes for key in node.attributes if key.startswith("on")]
    assert "url(" not in STYLE and "@import" not in STYLE and "@font-face" not in STYLE


def test_the_policy_allows_this_style_sheet_and_nothing_else():
    nodes = list(elements(parse_page(page("hostile"))))
    policy = next(node for node in nodes if node.attributes.get("http-equiv") == "Content-Security-Policy")

    assert policy.attributes["content"] == (
        f"default-src 'none'; style-src {STYLE_SOURCE}; base-uri 'none'; form-action 'none'"
    )
    assert [node.text for node in nodes if node.name == "style"] == [STYLE]


@pytest.mark.parametrize("name", [*CASES, "hostile", "huge"])
def test_names_are_unique_and_whatever_is_referred_to_is_there(name):
    nodes = list(elements(parse_page(page(name))))
    names = [node.attributes["id"] for node in nodes if "id" in node.attributes]

    assert len(names) == len(set(names))
    referred = [name for node in nodes for name in (node.attributes.get("aria-labelledby") or "").split()]
    referred += [(node.attributes["href"] or "").removeprefix("#") for node in nodes if "href" in node.attributes]
    assert referred
    assert set(referred) <= set(names)


@pytest.mark.parametrize("name", [*CASES, "huge"])
def test_each_drawing_says_what_it_shows_or_is_said_beside(name):
    drawings = [node for node in elements(parse_page(page(name))) if node.name == "svg"]

    spoken = [node for node in drawings if node.attributes.get("role") == "img"]
    assert spoken
    for node in spoken:
        inside = {child.name: child.text for child in reversed(list(elements(node)))}
        assert len(inside["title"]) > 3 and len(inside["desc"]) > 3
    assert all(node.attributes.get("aria-hidden") == "true" for node in drawings if node not in spoken)


@pytest.mark.parametrize("name", CASES)
def test_headings_go_down_one_level_at_a_time(name):
    levels = [int(node.name[1]) for node in elements(parse_page(page(name))) if re.fullmatch("h[1-6]", node.name)]

    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))


def test_every_class_has_a_rule():
    known = set(re.findall(r"\.([a-z][a-z-]*)", STYLE))
    used = {
        name
        for case in (*CASES, "huge")
        for node in elements(parse_page(page(case)))
        for name in (node.attributes.get("class") or "").split()
    }

    assert used <= known | {"decides", "questions", "tick"}


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TONES = [outcome.value.lower() for outcome in Outcome]


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground", "least"),
    [
        *(("ink", ground, 7.0) for ground in ("ground", "card")),
        *(("soft", ground, 4.5) for ground in ("ground", "card")),
        ("now", "card", 4.5),
        *((tone, ground, 4.5) for tone in TONES for ground in (f"{tone}-tint", "card")),
        *(("ink", f"{tone}-tint", 7.0) for tone in TONES),
        # Lines and surfaces that mean something (WCAG 1.4.11).
        *((line, "card", 3.0) for line in ("now", "was", "failed")),
        ("now", "now-tint", 3.0),
    ],
)
def test_text_and_lines_stand_out_from_their_ground(text, ground, least, place):
    assert contrast(COLOURS[text][place], COLOURS[ground][place]) >= least


def test_contrast_is_computed_as_the_guidelines_say():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_a_year_of_hundreds_of_features_stays_below_a_megabyte():
    assert len(page("huge").encode()) < 1_000_000


def test_what_is_cut_is_said():
    text = outline(page("huge"))

    assert "more distributions are in the JSON report." in text
    assert "more groups are in the JSON report." in text


def test_the_verdict_is_said_in_the_title_and_first_on_the_page():
    nodes = list(elements(parse_page(page("alarmed"))))

    assert next(node for node in nodes if node.name == "title").text == (
        "production: Alarm: the model has become worse (and 2 more alarms)"
    )
    assert next(node for node in nodes if node.name == "h1").text.startswith("Alarm: the model has become worse")


def test_commands_are_shown_as_code():
    found = {node.text for node in elements(parse_page(page("alarmed"))) if node.name == "code"}

    assert {"gitrain retrain plan", "gitrain env rollback production"} <= found


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf, 1e300, 0.0])
def test_strange_numbers_leave_a_page_that_can_be_read(strange):
    report = alarmed()
    changed = report.model_copy(
        update={
            "days": tuple(each.model_copy(update={"loss": strange, "probability": strange}) for each in report.days),
            "features": tuple(
                each.model_copy(
                    update={
                        "psi": strange,
                        "wasserstein": strange,
                        "histogram": each.histogram.model_copy(
                            update={"current": (strange,) * len(each.histogram.current)}
                        ),
                    }
                )
                for each in report.features
            ),
            "slices": tuple(
                each.model_copy(update={"excess": strange, "excess_low": strange}) for each in report.slices
            ),
            "sequences": tuple(
                each.model_copy(
                    update={"looks": tuple(look.model_copy(update={"upper": strange}) for look in each.looks)}
                )
                for each in report.sequences
            ),
        }
    )

    text = render_monitoring_html(changed, version=VERSION)
    parse_page(text)
    drawn = re.findall(r' (?:d|x|y|x1|x2|y1|y2|cx|cy|r|width|height)="([^"]*)"', text)
    assert drawn
    assert not [each for each in drawn if "nan" in each or "inf" in each]


def test_an_empty_report_is_a_page_too():
    report = healthy()
    empty = report.model_copy(
        update={name: () for name in ("releases", "days", "features", "slices", "calibration", "sequences", "notes")}
    )

    text = outline(render_monitoring_html(empty, version=VERSION))
    assert "none answered" in text
    assert "Nothing has been tested yet" in text
    assert "No distribution was compared." in text


def test_the_footer_says_what_it_was_made_from():
    assert outline(page("healthy")).rstrip().endswith(f"Inputs: {healthy().inputs_digest}")
    assert f"Gitrain {VERSION}, report format 1" in outline(page("healthy"))
