import re

import pytest

from gitrain.data.validation_report import BatchValidation, Example, Finding, ValidationReport
from gitrain.reports.validation_markdown import FINDINGS, render_validation

HOSTILE = (
    "</code></details><script>alert(1)</script>",
    "![x](http://evil.example/pixel) [click](javascript:alert(1))",
    "` | `` ||| ~~~ ``` \\",
    "@everyone #1 octo/repo#2 https://evil.example www.evil.example",
    "- [ ] # heading **bold** _em_ <!-- -->",
    "row\n\n# heading\n| a | b |",
)


def batch(
    *findings: Finding, table: str = "weather", name: str | None = "2013-07", rows: int = 2228
) -> BatchValidation:
    return BatchValidation.of(table, name, rows=rows, quarantined=len(findings), findings=findings)


def finding(severity: str = "quarantine", **options: object) -> Finding:
    given = {"rule": "in_range", "message": "wind_speed: 1 row breaks the rule in_range(0, 100)", "count": 1}
    return Finding.model_validate({**given, "severity": severity, "columns": ("wind_speed",), **options})


def test_the_verdict_comes_first_and_what_fails_comes_before_the_rest():
    report = ValidationReport.of(
        "stations",
        [
            batch(finding("warn", message="a warning"), finding(message="a quarantine")),
            batch(finding("fail", rule="rows", message="a failure"), name="2013-08"),
            batch(table="places", name=None, rows=3),
        ],
    )
    text = render_validation(report)
    lines = text.splitlines()
    assert lines[0] == "## ❌ Data validation: FAILED"
    assert lines[2] == "4,459 rows in 3 batches of `stations`, 3 in quarantine (0.067%). **1 batch failed.**"
    assert text.index("a failure") < text.index("a quarantine") < text.index("a warning")
    assert "| ❌ FAILED | weather | 2013-08 | 2,228 | 1 | <code>rows</code> |" in lines
    assert "| ✅ PASSED | places | all | 3 | 0 | – |" in lines
    assert "| ❌ FAILED | weather | 2 | 4,456 | 3 | 1 |" in lines


def test_a_report_without_findings_is_short():
    text = render_validation(ValidationReport.of("stations", [batch()]))
    assert text.startswith("## ✅ Data validation: PASSED\n\n2,228 rows in 1 batch of `stations`, none in quarantine.")
    assert "Findings" not in text


def test_examples_tell_the_value_and_the_row():
    example = Example(value="fast", row={"origin": "EWR", "hour": "noon"})
    text = render_validation(ValidationReport.of("stations", [batch(finding(examples=(example,)))]))
    assert "  - <code>fast</code> at <code>origin = EWR, hour = noon</code>" in text.splitlines()


def test_at_most_ten_findings_are_shown():
    found = [finding(message=f"number {number}") for number in range(FINDINGS + 3)]
    text = render_validation(ValidationReport.of("stations", [batch(*found)]))
    assert sum(line.startswith("- ") for line in text.splitlines()) == FINDINGS
    assert "3 more findings: see `reports/validation.json`." in text


def test_many_batches_are_folded_away():
    batches = [batch(name=f"2013-{month:02d}") for month in range(1, 13)]
    assert "<details>" not in render_validation(ValidationReport.of("stations", batches))
    more = ValidationReport.of("stations", [*batches, batch(name="2014-01")])
    assert "<details><summary>All 13 batches</summary>" in render_validation(more)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_comes_from_data_stays_text(text):
    markdown_it = pytest.importorskip("markdown_it")
    hostile = finding(rule=text, message=text, columns=(text,), examples=(Example(value=text, row={text: text}),))
    report = ValidationReport.of("stations", [batch(hostile, table=text, name=text)])
    html = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(render_validation(report))
    tags = set(re.findall(r"<(/?\w+)", html))
    assert {tag.strip("/") for tag in tags} <= {
        *("h2", "h3", "p", "ul", "li", "strong", "code"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    assert len(re.findall("<h[23]>", html)) == 3
    assert html.count("<tr>") == 4
    # Every opened tag is closed: nothing of the value ended one early.
    for tag in ("code", "li", "td", "strong"):
        assert len(re.findall(f"<{tag}[ >]", html)) == html.count(f"</{tag}>")
    # Outside of code a forge makes mentions and links of plain text.
    outside = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
    assert not re.search(r"@\w|https?://|www\.", outside)
