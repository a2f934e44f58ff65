import json
import math
import re

import pytest

from gitrain.checks.report import CheckReport, CheckVerdict
from gitrain.documents import parse_json
from gitrain.errors import SettingsError
from gitrain.reports.checks_markdown import render_checks
from gitrain.verdicts import Outcome, Verdict


def report(*outcomes):
    verdicts = [
        CheckVerdict.of(
            "training", Verdict(name=f"training:{number}", outcome=outcome, reason="so", figures={"x": 1.5})
        )
        for number, outcome in enumerate(outcomes)
    ]
    return CheckReport.of("toy", verdicts, {"training": 1.25})


def test_the_text_is_read_back():
    made = report(Outcome.PASSED, Outcome.FAILED)

    assert parse_json(CheckReport, made.to_json(), source="it") == made
    assert made.outcome is Outcome.FAILED


def test_nothing_to_check_is_inconclusive():
    assert report().outcome is Outcome.INCONCLUSIVE


def test_an_outcome_that_is_not_the_worst_is_refused():
    payload = json.loads(report(Outcome.PASSED, Outcome.FAILED).to_json()) | {"outcome": "PASSED"}

    with pytest.raises(SettingsError, match="not the worst"):
        parse_json(CheckReport, json.dumps(payload), source="it")


def test_figures_that_json_does_not_know():
    verdict = Verdict(name="training:x", outcome=Outcome.FAILED, reason="so", figures={"a": math.nan, "b": math.inf})
    text = CheckReport.of("toy", [CheckVerdict.of("training", verdict)], {}).to_json()

    assert json.loads(text)["verdicts"][0]["figures"] == {"a": "nan", "b": "inf"}


def test_markdown_shows_what_did_not_pass_first():
    text = render_checks(report(Outcome.PASSED, Outcome.FAILED, Outcome.PASSED))

    assert text.startswith("# ❌ Checks of toy: FAILED\n\n2 PASSED, 1 FAILED.\n")
    assert text.index("training:1") < text.index("training:0")


def test_hostile_text_is_escaped():
    verdict = Verdict(
        name="training:x", outcome=Outcome.FAILED, reason="<img src=x> | @team", figures={"[a](b)": "<b>"}
    )
    text = render_checks(CheckReport.of("toy", [CheckVerdict.of("training", verdict)], {}))

    assert re.search(r"(?<!\\)<", text) is None
    assert "@team" not in text
    assert re.search(r"(?<!\\)\]\(", text) is None
