"""The monitoring report for an issue: golden files, and hostile text through a Markdown parser."""

import functools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.gitrain.reports.monitored import CASES, GOLDEN, HOSTILE, alarmed, healthy, hostile, huge

from gitrain.reports.monitoring_markdown import render_monitoring

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXT = st.text(
    alphabet=st.sampled_from(list("aB1_*`~[]()<>#|\\&;:@!+-=.$'\"\n\t /{}wht ps\u202e\u200b%")), min_size=1, max_size=60
)


def parsed(markdown):
    """All tokens, those inside of others too."""
    for token in MARKDOWN.parse(markdown):
        yield token
        yield from token.children or ()


@functools.cache
def shape_of(text):
    """What a parser makes of a report that is full of `text`, without the text."""
    tokens = parsed(render_monitoring(hostile(text)))
    return [(token.type, token.tag, token.content if token.type.startswith("html") else "") for token in tokens]


@pytest.mark.parametrize("name", CASES)
def test_the_report_reads_as_it_was_agreed(name):
    assert render_monitoring(CASES[name]()) == (GOLDEN / f"monitoring_{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_comes_first(name):
    first = render_monitoring(CASES[name]()).split("\n")[0]

    assert first.startswith("## ")
    assert "Monitoring of production" in first


@settings(max_examples=30)
@given(TEXT)
@example(HOSTILE)
@example("``` \n```\n<script>alert(1)</script>")
def test_a_value_is_text_wherever_it_stands(text):
    markdown = render_monitoring(hostile(text))

    html = {token.content.strip() for token in parsed(markdown) if token.type.startswith("html")}
    assert html <= {"<details><summary>What was looked at</summary>", "</details>"}
    kinds = {token.type for token in parsed(markdown)}
    assert not kinds & {"link_open", "image", "fence", "code_block", "blockquote_open", "hr", "s_open", "em_open"}
    rows = [line for line in markdown.split("\n") if line.startswith("|")]
    assert rows and all(line.endswith("|") for line in rows)


def test_hostile_text_changes_no_table():
    def tables(text):
        return [kind for kind, _, _ in shape_of(text) if kind in ("tr_open", "td_open", "th_open", "heading_open")]

    assert tables(HOSTILE) == tables("plain")


def test_nobody_is_mentioned_and_nothing_is_linked():
    markdown = render_monitoring(hostile())

    assert "@everyone" not in markdown
    assert "http://" not in markdown


def test_an_issue_stays_short():
    assert len(render_monitoring(huge())) < 6_000
    assert len(render_monitoring(hostile("x" * 5_000))) < 20_000


def test_the_same_look_reads_the_same_an_hour_later():
    later = healthy().model_copy(update={"generated": alarmed().window.through, "seconds": 17.0})

    assert render_monitoring(later) == render_monitoring(healthy())
