import json
from datetime import date

import pytest

from gitrain.documents import parse_json
from gitrain.errors import SettingsError
from gitrain.gates.report import GateReport, GateVerdict
from gitrain.verdicts import Outcome, Verdict


def report(**changes):
    verdicts = (
        GateVerdict.of(Verdict(name="a", outcome=Outcome.PASSED, reason="fine", figures={"value": 0.5, "rows": 7})),
        GateVerdict.of(Verdict(name="b", outcome=Outcome.FAILED, reason="bad")),
    )
    content = {
        "schema_version": 1, "project": "p", "outcome": Outcome.FAILED, "verdicts": verdicts,
        "date": date(2026, 3, 1), "model_digest": "sha256:" + "0" * 64, "batches": ("0005",), "unit": "day",
        "rows": 10, "units": 2,
    }  # fmt: skip
    return GateReport(**(content | changes))


def test_the_file_comes_back_as_it_was_written():
    assert parse_json(GateReport, report().to_json(), source="gates.json") == report()
    assert json.loads(report().to_json())["verdicts"][0]["figures"] == {"value": 0.5, "rows": 7}


def test_an_outcome_that_is_not_the_worst_of_the_verdicts_is_refused():
    with pytest.raises(ValueError, match="not the worst"):
        report(outcome=Outcome.PASSED)


def test_an_unknown_key_is_refused():
    content = json.loads(report().to_json())
    content["verdicts"][0]["weight"] = 1
    with pytest.raises(SettingsError, match="weight"):
        parse_json(GateReport, json.dumps(content), source="gates.json")
