"""What may be posted: our own reports pass, everything else that Markdown can do is refused."""

import functools
import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.gitrain.reports.pull_request_cases import CASES, HOSTILE, hostile_report

from gitrain.reports.markdown import escape
from gitrain.reports.mermaid import Plot, xy_chart
from gitrain.reports.pull_request_blocks import LIMIT, code
from gitrain.reports.pull_request_check import check_document, check_markdown
from gitrain.reports.pull_request_markdown import render_pull_request
from gitrain.verdicts import Outcome

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
GOOD = "## ✅ fine\n\nText with `code`.\n"
TEXT = st.text(alphabet=st.sampled_from(list("aB1_*`~[]()<>#|\\&;:@!+-=.$'\"\n\t /{}wht ps\u202e")), max_size=60)
# Pieces that mean something to Markdown, put together at random.
PIECES = st.lists(
    st.sampled_from(
        [
            *("<details><summary>A</summary>", "</details>", "<code>", "</code>", "```", "```console", "```mermaid"),
            *(
                "\n",
                "\n\n",
                "$ a",
                "\\",
                "\\<",
                "`",
                "``",
                "<img src=x>",
                "<b>",
                "![a](b)",
                "[a](b)",
                "[a]: b",
                "| a |",
            ),
            *("~~~", "    ", "> ", "* ", "a", " ", "&lt;", "<!-- a", "-->", "| --- |", "<a@b.c>", "<http://a>"),
        ]
    ),
    max_size=14,
).map("".join)


def failed(text):
    return [verdict.name for verdict in check_markdown(text) if verdict.outcome is not Outcome.PASSED]


def reason(text, name):
    return next(verdict.reason for verdict in check_markdown(text) if verdict.name == name)


@functools.cache
def as_json(name):
    return CASES[name]().to_json()


@pytest.mark.parametrize("name", CASES)
def test_our_own_reports_may_be_posted(name):
    verdicts, markdown = check_document(as_json(name))

    assert [verdict.reason for verdict in verdicts if verdict.outcome is not Outcome.PASSED] == []
    assert markdown == render_pull_request(CASES[name]())


@settings(max_examples=25)
@given(TEXT.filter(bool))
@example(HOSTILE)
@example("GH-1")
@example("_www.evil.example")
@example("\u2066\u00ad\U000e0041")
def test_whatever_a_report_says_it_may_be_posted(text):
    assert failed(render_pull_request(hostile_report(text))) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("<img src=x onerror=alert(1)>", "report:html"),
        ("<script>alert(1)</script>", "report:html"),
        ("<!-- hidden -->", "report:html"),
        ("a <details> b", "report:html"),
        ("<details open><summary>a</summary>", "report:html"),
        ("<details><summary>a</summary>\n\\<img src=x>\n\n</details>", "report:html"),
        ("<details><summary>a</summary>\n```console\n$ a\n```\n\n</details>", "report:html"),
        ("<details><summary>a</summary>\n\nnever closed", "report:html"),
        ("</details>", "report:html"),
        ("<details><summary><b>a</b></summary>\n\na\n\n</details>", "report:html"),
        ("<code>\n<b>\n</code>", "report:html"),
        ("<code> </code>", "report:html"),
        ('<code onclick="x">a</code>', "report:html"),
        ("\\\\<b>", "report:html"),
        ("`\\\\`<b>", "report:html"),
        ("<https://evil.example>", "report:html"),
        ("![chart](https://evil.example/x.png)", "report:links"),
        ("![chart](plot.png)", "report:links"),
        ("[metrics](metrics.json)", "report:links"),
        ("[a][b]\n\n[b]: /x", "report:links"),
        ("see https://evil.example", "report:links"),
        ("see www.evil.example", "report:links"),
        ("see mailto:a", "report:links"),
        ("@everyone", "report:links"),
        ("&#64;everyone", "report:links"),
        ("fixes #12", "report:links"),
        ("fixes \\#12", "report:links"),
        ("fixes GH-12", "report:links"),
        ("$x$", "report:links"),
        ("```python\nprint()\n```", "report:fences"),
        ("```console\nprint()\n```", "report:fences"),
        ("```mermaid\ngraph TD\n```", "report:fences"),
        ('```mermaid\nxychart-beta\n    line [1]\n    click a "b"\n```', "report:fences"),
        ("```console\n$ a", "report:fences"),
        ("```console\n$ a\n    ```\n```", "report:fences"),
        ("> ```\n> a", "report:fences"),
        ("~~~\na\n~~~", "report:fences"),
        ("a\u202eb", "report:visible"),
        ("a\tb", "report:visible"),
        ("a\rb", "report:visible"),
        ("a\u2028b", "report:visible"),
        ("", "report:size"),
        ("a" * (LIMIT + 1), "report:size"),
    ],
)
def test_what_no_report_of_ours_holds_is_refused(text, name):
    whole = f"{GOOD}\n{text}\n" if text else text

    assert failed(GOOD) == []
    assert name in failed(whole)
    if name in ("report:html", "report:links", "report:visible"):
        assert re.search(r"^line \d+: |^a folded part", reason(whole, name))


def test_what_a_report_of_ours_holds_may_be_posted():
    chart = xy_chart(title="a", x="b", y="c", ticks=(1, 2), plots=[Plot(values=(1, 2))])
    folded = f"<details><summary>All 2 files</summary>\n\n* {code('a|b')}\n\n</details>"
    text = f"{GOOD}\n{folded}\n\n{chart}\n\n{escape('<b>')}\n"

    assert failed(text) == []
    assert failed(f"{GOOD}\n```console\n$ dvc repro\n```\n") == []


@settings(max_examples=300)
@given(TEXT | PIECES)
@example("<details><summary>A</summary>\n\n\\<img src=x>\n\n</details>")
@example("`a | <img src=x> `\n| --- | --- |\n")
@example("- <details><summary>A</summary>\n  \\<img src=x>\n")
@example("<code>a</code>\n")
def test_what_passes_does_nothing_in_a_markdown_parser(text):
    if failed(text):
        return
    tokens = [inner for token in MARKDOWN.parse(text) for inner in (token, *(token.children or ()))]

    assert not {token.type for token in tokens} & {"image", "link_open"}
    for token in tokens:
        if token.type == "html_inline":
            assert token.content in ("<code>", "</code>")
        elif token.type == "html_block":
            assert re.fullmatch(r"(<details><summary>[\w ,.:–-]+</summary>|</details>)\s*", token.content)
        elif token.type == "fence":
            assert token.info in ("console", "mermaid")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": "PASSED"}, "the outcome is PASSED, and gates and checks say FAILED"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"schema_version": 2}, "'schema_version' is 2"),
        ({"commits": {"base": "../../etc"}}, "'commits.base' is '../../etc'"),
        ({"runner_minutes": -1}, "'runner_minutes' is -1"),
    ],
)
def test_a_document_of_another_form_is_refused(change, message):
    content = json.loads(as_json("huge")) | change

    [verdict], markdown = check_document(json.dumps(content))

    assert verdict.outcome is Outcome.FAILED
    assert message in verdict.reason
    assert markdown is None


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 200_000, '{"schema_version": 1}'])
def test_what_is_no_document_is_refused(text):
    [verdict], markdown = check_document(text)

    assert (verdict.name, verdict.outcome, markdown) == ("report:form", Outcome.FAILED, None)


@pytest.mark.parametrize("number", ["NaN", "1e999", "-1e308", "1" + "0" * 4000])
@pytest.mark.parametrize("key", ["observed", "low", "predicted", "rows"])
def test_numbers_that_no_report_of_ours_holds_do_no_harm(number, key):
    content = json.loads(as_json("typical"))
    content["calibration"][0][key] = 12345.678
    text = json.dumps(content).replace("12345.678", number)

    verdicts, markdown = check_document(text)

    assert (markdown is None) == (verdicts[0].outcome is Outcome.FAILED)
    assert markdown is None or failed(markdown) == []


def test_nothing_that_the_check_refuses_survives_escaping():
    every = [chr(number) for number in (*range(0x11000), *range(0xE0000, 0xE0100)) if chr(number) != "\n"]

    assert failed(f"{GOOD}\n" + "\n".join(f"a {escape(f'x{character}1')}" for character in every[:7000])) == []
    rest = "".join(every[7000:])
    assert failed("\n".join(escape(rest[place : place + 100]) for place in range(0, len(rest), 100))[:LIMIT]) == []
