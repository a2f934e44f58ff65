import json

import pytest

from gitrain.data.validation_report import BatchValidation, Example, Finding, ValidationReport, share_of, shown
from gitrain.errors import SettingsError
from gitrain.verdicts import Outcome

FAILS = Finding(rule="rows", severity="fail", message="3 rows are left to use, and at least 50 are expected")
TAKES_OUT = Finding(
    rule="in_range",
    severity="quarantine",
    columns=("speed",),
    message="speed: 1 row breaks the rule in_range(0, 150)",
    count=1,
    share=0.001,
    examples=(Example(value="1048.36", row={"origin": "EWR"}),),
)


def report(*findings: Finding) -> ValidationReport:
    return ValidationReport.of(
        "stations",
        [
            BatchValidation.of("readings", "2024-02", rows=900, quarantined=0, findings=[]),
            BatchValidation.of("readings", "2024-03", rows=1000, quarantined=1, findings=findings),
        ],
    )


def test_the_outcome_follows_from_the_findings():
    assert report().outcome is Outcome.PASSED
    assert report(TAKES_OUT).outcome is Outcome.PASSED
    assert report(TAKES_OUT, FAILS).outcome is Outcome.FAILED
    assert [batch.outcome for batch in report(FAILS).batches] == [Outcome.PASSED, Outcome.FAILED]


def test_json_there_and_back_is_the_same_report():
    original = report(TAKES_OUT, FAILS)
    text = original.to_json()
    assert ValidationReport.from_json(text, source="validation.json") == original
    assert ValidationReport.from_json(text, source="validation.json").to_json() == text
    assert json.loads(text)["schema_version"] == 1
    assert json.loads(text)["outcome"] == "FAILED"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcome": "PASSED"}, "its batches say FAILED"),
        ({"schema_version": 2}, "schema_version"),
        ({"projekt": "x"}, "did you mean 'project'"),
    ],
)
def test_a_report_that_was_tampered_with_is_refused(change, said):
    payload = {**json.loads(report(FAILS).to_json()), **change}
    with pytest.raises(SettingsError) as caught:
        ValidationReport.from_json(json.dumps(payload), source="reports/validation.json")
    assert said in str(caught.value)
    assert "reports/validation.json" in str(caught.value)


def test_a_batch_that_hides_its_failure_is_refused():
    payload = json.loads(report(FAILS).to_json())
    payload["batches"][1]["outcome"] = payload["outcome"] = "PASSED"
    with pytest.raises(SettingsError, match="its findings say FAILED"):
        ValidationReport.from_json(json.dumps(payload), source="x")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (1.5, "1.5"),
        ("EWR", "EWR"),
        ("", '""'),
        (" EWR", '" EWR"'),
        ("a\nb\x00\u202e", "a\\nb\\x00\\u202e"),
        ("é漢", "é漢"),
        ("x" * 81, "x" * 79 + "…"),
        ("\n" * 10_000, '"' + "\\n" * 39 + "…"),
    ],
)
def test_values_are_shown_on_one_line(value, text):
    assert shown(value) == text


def test_shares_of_nothing_are_nothing():
    assert share_of(0, 0) == 0.0
    assert share_of(1, 3) == 0.333333
