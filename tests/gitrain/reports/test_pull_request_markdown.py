"""The report as it is read: golden files, hostile text through a Markdown parser, sizes."""

import functools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.gitrain.reports.pull_request_cases import (
    CASES,
    DIFFERENCES,
    FAILED,
    GOLDEN,
    GROUPS_BEFORE,
    GROUPS_NOW,
    HOSTILE,
    METRICS_BEFORE,
    METRICS_NOW,
    PASSED,
    evaluation,
    gates,
    hostile_report,
    report,
)

from gitrain.checks.report import CheckReport, CheckVerdict
from gitrain.evaluation.comparison import compare_evaluations
from gitrain.pipeline.changes import ValueChange
from gitrain.reports.pull_request_blocks import LIMIT, Block, code, fit
from gitrain.reports.pull_request_document import Commits
from gitrain.reports.pull_request_markdown import render_pull_request
from gitrain.verdicts import Outcome

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXT = st.text(
    alphabet=st.sampled_from(list("aB1_*`~[]()<>#|\\&;:@!+-=.$'\"\n\t /{}wht ps\u202e\u200b%")), min_size=1, max_size=60
)
TAGS = {"<details><summary>", "</details>", "<code>", "</code>"}


def parsed(markdown):
    """All tokens, those inside of others too."""
    for token in MARKDOWN.parse(markdown):
        yield token
        yield from token.children or ()


@functools.cache
def case(name):
    return CASES[name]()


def section(markdown, title):
    """The lines between a heading and the next."""
    lines = markdown.split("\n")
    start = next(place for place, line in enumerate(lines) if line.startswith(title))
    end = next((place for place, line in enumerate(lines[start + 1 :], start + 1) if line.startswith("#")), len(lines))
    return lines[start:end]


@pytest.mark.parametrize("name", CASES)
def test_the_report_reads_as_it_was_agreed(name):
    expected = (GOLDEN / f"pull_request_{name}.md").read_text(encoding="utf-8")

    assert render_pull_request(case(name)) == expected


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_comes_first_and_the_report_fits(name):
    markdown = render_pull_request(case(name))

    assert case(name).outcome.value in markdown.split("\n")[0]
    assert len(markdown) < LIMIT


@settings(max_examples=25)
@given(TEXT)
@example(HOSTILE)
@example("``` \n```\n<script>alert(1)</script>")
@example("a\\")
@example("-->")
@example("</summary></details>")
def test_hostile_text_is_shown_and_does_nothing(text):
    tokens = list(parsed(render_pull_request(hostile_report(text))))
    kinds = {token.type for token in tokens}
    html = [token.content for token in tokens if token.type.startswith("html_")]
    fences = [token for token in tokens if token.type == "fence"]

    assert not kinds & {"image", "link_open", "code_block", "hr", "s_open"}
    assert {re.sub(r"<summary>[\w ]*</summary>", "<summary>", tag).strip() for tag in html} <= TAGS
    assert html.count("<code>") == html.count("</code>")
    assert [fence.info for fence in fences] == ["mermaid", "mermaid", "console"]


@settings(max_examples=25)
@given(TEXT)
def test_the_form_of_the_report_does_not_depend_on_what_it_says(text):
    def form(value):
        tokens = MARKDOWN.parse(render_pull_request(hostile_report(value)))
        return [token.type for token in tokens if token.type not in ("inline", "text")]

    assert form(text) == form("plain")


@given(TEXT)
@example("")
@example("`")
@example("http://x")
@example("GH-1")
def test_code_is_one_piece_of_code(text):
    [inline] = [token for token in MARKDOWN.parse(f"a {code(text)} b") if token.type == "inline"]
    children = inline.children or []
    kinds = [child.type for child in children]

    assert kinds[0] == "text"
    assert kinds[1] in ("code_inline", "html_inline")
    assert set(kinds) <= {"text", "text_special", "code_inline", "html_inline"}
    assert [child.content for child in children if child.type == "html_inline"] in ([], ["<code>", "</code>"])


def test_what_stands_in_the_way_is_named_with_its_reason_errors_first():
    entries = [
        CheckVerdict(group="training", name="training:finite", outcome=Outcome.ERROR, reason="no model"),
        CheckVerdict(group="lock", name="lock:inputs", outcome=Outcome.INCONCLUSIVE, reason="no cache"),
    ]
    markdown = render_pull_request(
        report(gates=gates(*PASSED, FAILED), checks=(CheckReport.of("flight-delay", entries, {}),))
    )

    listed = [line for line in markdown.split("\n") if line.startswith("* ")][:3]
    assert [line.partition(":")[0] for line in listed] == ["* 💥 `training", "* ❌ `slice", "* ❔ `lock"]


def test_without_gates_nothing_passes():
    missing = report(gates=None)

    assert missing.outcome is Outcome.INCONCLUSIVE
    assert "the gates were not run" in render_pull_request(missing)


def test_gates_that_cannot_be_read_are_an_error_whatever_the_rest_says():
    broken = report(gates=None, gates_problem="gates.json is not valid JSON")

    assert broken.outcome is Outcome.ERROR
    assert "* 💥 **gates**: gates.json is not valid JSON" in render_pull_request(broken)


def test_values_on_different_rows_are_not_subtracted():
    before = evaluation(METRICS_BEFORE, GROUPS_BEFORE, batches=("2013-08",))
    other = compare_evaluations(before, evaluation(METRICS_NOW, GROUPS_NOW), {})
    same = compare_evaluations(evaluation(METRICS_BEFORE, GROUPS_BEFORE), evaluation(METRICS_NOW, GROUPS_NOW), {})

    different = "\n".join(section(render_pull_request(report(evaluation=other)), "### Metrics"))
    equal = "\n".join(section(render_pull_request(report(evaluation=same)), "### Metrics"))
    assert "different rows" in different
    assert "change |" in equal
    assert "+0.0219" in equal
    assert "+0.0219" not in different


def test_a_difference_is_better_worse_or_open_by_its_interval_and_the_metric_s_direction():
    worse = {"log_loss": DIFFERENCES["log_loss"].model_copy(update={"value": 0.01, "low": 0.005, "high": 0.02})}
    after = evaluation(METRICS_NOW, GROUPS_NOW)
    shown = section(render_pull_request(report(evaluation=compare_evaluations(after, after, DIFFERENCES))), "### Metr")
    turned = section(render_pull_request(report(evaluation=compare_evaluations(after, after, worse))), "### Metr")

    assert any("log loss" in line and "🟢\u00a0better" in line for line in shown)
    assert any("roc auc" in line and "⚪\u00a0open" in line for line in shown)
    assert any("log loss" in line and "🔴\u00a0worse" in line for line in turned)


def test_without_a_base_nothing_is_compared():
    alone = report(
        commits=Commits(head="180a" * 10),
        evaluation=compare_evaluations(None, evaluation(METRICS_NOW, GROUPS_NOW), {}),
    )
    markdown = render_pull_request(alone)

    assert "No base was named" in markdown
    assert "### Slices" not in markdown
    assert "--base origin/main" not in "\n".join(section(markdown, "### Time"))


@pytest.mark.parametrize("ref", ["-x", "a b", "x;rm -rf ~", "$(id)", "a`b", "www.evil.example", "a\nb"])
def test_a_reference_that_a_shell_would_read_is_replaced_by_its_commit(ref):
    named = report(commits=Commits(ref=ref, base="5fa2" * 10, head="180a" * 10))
    commands = [line for line in render_pull_request(named).split("\n") if line.startswith("$ ")]

    assert commands[-1] == f"$ gitrain report pr --base {'5fa2' * 10} --out report.md"


def test_what_is_least_important_is_shortened_first_and_that_is_said():
    blocks = [
        Block(name="verdict", priority=9, levels=("v" * 3000,)),
        Block(name="middle", priority=5, levels=("m" * 4000, "m" * 100)),
        Block(name="least", priority=1, levels=("l" * 4000, "l" * 50)),
        Block(name="silent", priority=1, levels=()),
    ]

    whole, shorter, shortest, bare = (fit(blocks, limit=limit) for limit in (13_000, 9_500, 5_000, 4_650))
    assert "Shortened" not in whole
    assert "Shortened: least." in shorter
    assert "m" * 4000 in shorter
    assert "Shortened: middle, least." in shortest
    assert "Left out: least." in bare
    assert all("v" * 3000 in text for text in (whole, shorter, shortest, bare))


@pytest.mark.parametrize("limit", [60_000, 40_000, 20_000, 12_000])
def test_thousands_of_everything_fit_into_any_comment_and_the_verdict_stays(limit):
    markdown = render_pull_request(case("huge"), limit=limit)

    assert len(markdown) < limit
    # No folded part and no fence is cut open.
    assert markdown.count("<details>") == markdown.count("</details>")
    assert markdown.count("```") % 2 == 0
    assert "What stands in the way" in markdown
    assert "The JSON report holds everything" in markdown


def test_a_single_parameter_is_told_in_the_summary():
    one = report(parameters=(ValueChange(name="training.seed", old="0", new="1"),))

    assert "**What changed:** `training.seed` `0` → `1` · " in render_pull_request(one)
