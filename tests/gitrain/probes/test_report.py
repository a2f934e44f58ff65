"""The report of a probe, and how it is shown."""

import pytest

from gitrain.documents import parse_json
from gitrain.errors import SettingsError
from gitrain.probes.report import ProbeReport
from gitrain.reports.probes_markdown import render_probe
from gitrain.verdicts import Outcome, Verdict

VERDICTS = [
    Verdict(name="load:p99", outcome=Outcome.PASSED, reason="fast", figures={"p99_ms": 3.5}),
    Verdict(
        name="contract:server-errors",
        outcome=Outcome.FAILED,
        reason="a 500",
        figures={"requests": 10, "example_1": "curl -X POST 'http://h/`x`'\nrm"},
    ),
]


def report():
    return ProbeReport.of("contract", "http://127.0.0.1:3000", VERDICTS, seconds=1.23456, environment="test")


def test_it_is_read_as_it_was_written():
    written = report()

    assert written.outcome is Outcome.FAILED
    assert parse_json(ProbeReport, written.to_json(), source="report") == written
    assert written.seconds == 1.235


def test_an_outcome_that_is_not_that_of_the_verdicts_is_refused():
    text = report().to_json().replace('"outcome": "FAILED",\n  "verdicts"', '"outcome": "PASSED",\n  "verdicts"')

    with pytest.raises(SettingsError, match="not the worst"):
        parse_json(ProbeReport, text, source="report")


def test_examples_stand_below_the_table_each_on_a_line_of_code():
    shown = render_probe(report())

    table, _, below = shown.partition("To see the failures again:")
    assert "curl" not in table
    assert below == "\n\n    curl -X POST 'http://h/`x`' rm\n"


def test_without_examples_there_is_only_the_table():
    shown = render_probe(ProbeReport.of("load", "http://h", VERDICTS[:1], seconds=1, environment=None))

    assert shown.startswith("## ✅ Probe load (1.0 s): PASSED")
    assert "again" not in shown
