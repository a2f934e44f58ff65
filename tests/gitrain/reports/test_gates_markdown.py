from datetime import date
from pathlib import Path

import pytest

from gitrain.gates.report import GateReport, GateVerdict, report_outcome
from gitrain.reports.gates_markdown import render_gates
from gitrain.verdicts import Outcome, Verdict

GOLDEN = Path(__file__).parent / "golden" / "gates.md"


def measured(value, bound, side, low, high):
    return {"value": value, "side": side, "bound": bound, "low": low, "high": high, "rows": 28123, "units": 30}


VERDICTS = (
    Verdict(
        name="threshold:roc_auc",
        outcome=Outcome.PASSED,
        reason="roc_auc 0.7553 [0.7081, 0.8041], min 0.7",
        figures=measured(0.7553, 0.7, "min", 0.7081, 0.8041),
    ),
    Verdict(
        name="threshold:expected_calibration_error",
        outcome=Outcome.PASSED,
        reason="FAILED, and waived: expected_calibration_error 0.071 [0.05, 0.09], max 0.06",
        figures=measured(0.071, 0.06, "max", 0.05, 0.09),
        waived="storms of July, agreed on in the review (until 2026-03-31; added by this change)",
    ),
    Verdict(
        name="slice:carrier",
        outcome=Outcome.FAILED,
        reason="roc_auc misses min 0.65 in 1 of 12 groups: <b>F9</b> | @team 0.61 (812 rows)",
        figures=measured(0.61, 0.65, "min", 0.52, 0.69) | {"group": "F9"},
    ),
    Verdict(
        name="leak-alarm:roc_auc",
        outcome=Outcome.PASSED,
        reason="roc_auc 0.7553 is believable, max 0.85",
        figures=measured(0.7553, 0.85, "max", 0.7081, 0.8041),
    ),
    Verdict(name="champion", outcome=Outcome.INCONCLUSIVE, reason="no champion yet: commit 3f2a has no dvc.lock"),
)
IMPROVED = Verdict(
    name="champion",
    outcome=Outcome.PASSED,
    reason="better",
    figures=measured(0.012, 0.0, "min", 0.004, 0.02) | {"challenger": 0.752, "champion": 0.74},
)


def report(verdicts=VERDICTS, **changes):
    content = {
        "schema_version": 1,
        "project": "flight-delay",
        "outcome": report_outcome(verdicts),
        "verdicts": tuple(GateVerdict.of(verdict) for verdict in verdicts),
        "date": date(2026, 3, 1),
        "model_digest": "sha256:" + "ab" * 32,
        "base": "3f2a" * 10,
        "batches": ("2013-09",),
        "unit": "day",
        "rows": 28123,
        "units": 30,
        "changes": ("gates.thresholds.roc_auc.min: 0.72 → 0.7",),
    }
    return GateReport(**(content | changes))


def test_the_report_reads_as_it_was_agreed():
    assert render_gates(report()) == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_outcome_comes_first(outcome):
    said = render_gates(report((Verdict(name="a", outcome=outcome, reason="because"),)))
    assert said.splitlines()[0].endswith(f"Gates: {outcome.value}")


def test_what_stands_in_the_way_comes_before_what_passed():
    lines = [line for line in render_gates(report()).splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in lines] == [
        "slice:carrier",
        "champion",
        "threshold:expected_calibration_error",
        "threshold:roc_auc",
        "leak-alarm:roc_auc",
    ]


def test_the_champions_figure_is_a_difference():
    assert "| +0.012 [0.004, 0.02] | ≥ 0 |" in render_gates(report((IMPROVED,)))


def test_hostile_text_stays_text():
    hostile = "a|b\n# big <img src=x> `code` @everyone [x](http://example.com)"
    said = render_gates(
        report(
            (Verdict(name=hostile, outcome=Outcome.FAILED, reason=hostile, waived=None),),
            changes=(hostile,),
            unit=hostile,
        )
    )
    assert "<img" not in said.replace("\\<img", "")
    assert "@everyone" not in said
    assert "](http:" not in said
    assert not any(line.startswith("# big") for line in said.splitlines())


def test_many_gates_and_changes_are_capped():
    verdicts = [Verdict(name=f"slice:{number}", outcome=Outcome.PASSED, reason="fine") for number in range(100)]
    failed = Verdict(name="slice:last", outcome=Outcome.FAILED, reason="bad")
    said = render_gates(report((*verdicts, failed), changes=tuple(f"gates.x{number}: 1 → 2" for number in range(50))))
    assert "`slice:last`" in said
    assert "61 more gates are in the JSON report" in said
    assert "and 30 more" in said
    assert len(said) < 20_000
