from typing import Any

import pytest

from gitrain.evaluation.document import (
    CalibrationBin,
    Estimate,
    Evaluation,
    MetricEstimate,
    SliceEvaluation,
    SliceGroup,
)
from gitrain.reports.evaluation_markdown import render_evaluation

HOSTILE = "`|</td>\n# @everyone [a](http://evil.example)"


def metric(value: float | None, direction: Any = "higher", **changes: Any) -> MetricEstimate:
    parts = {"value": value, "low": 0.7, "high": 0.79, "direction": direction, "no_skill": 0.5, "judged": True}
    return MetricEstimate(**(parts | changes))


def group(name: str | None, value: float | None, *, judged: bool = True, rows: int = 1000) -> SliceGroup:
    estimate = Estimate(value=value, low=None, high=None, reason="one class only")
    return SliceGroup(
        group=name, rows=rows, units=20, positives=rows // 4, judged=judged, metrics={"roc_auc": estimate}
    )


def evaluation(**changes: Any) -> Evaluation:
    parts: dict[str, Any] = {
        "schema_version": 1,
        "project": "flight-delay",
        "target": "late",
        "estimator": "hist_gradient_boosting",
        "model_digest": "sha256:" + "ab" * 32,
        "predictions_digest": "sha256:" + "cd" * 32,
        "batches": ("2013-08",),
        "unit": "day",
        "rows": 28756,
        "unlabelled": 571,
        "units": 31,
        "positives": 7073,
        "base_rate": 0.245966,
        "confidence": 0.95,
        "replicates": 2000,
        "seed": 0,
        "metrics": {
            "roc_auc": metric(0.748123),
            "log_loss": metric(0.4897, "lower", no_skill=0.693147, judged=False),
        },
        "slices": {
            "origin": SliceEvaluation(
                min_rows=800,
                groups=(group("EWR", 0.74), group("JFK", 0.71), group("LGA", None), group("TEB", 0.3, judged=False)),
            )
        },
        "calibration": (
            CalibrationBin(
                low=0.2, high=0.3, rows=5322, predicted=0.246, observed=0.4, observed_low=0.33, observed_high=0.49
            ),
            CalibrationBin(low=0.9, high=1, rows=78, predicted=1, observed=1, observed_low=None, observed_high=None),
        ),
    }
    return Evaluation(**(parts | changes))


def rows_of(markdown: str, heading: str) -> list[list[str]]:
    section = markdown.split(heading, 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_whole_report():
    assert render_evaluation(evaluation()) == (
        """\
## Evaluation of flight-delay on 2013-08

**28,756 rows** in 31 resampling units (`day`) (571 more have no label); `late` is true in **24.6%** of them.
Estimator `hist_gradient_boosting`, model `abababababab`.

| metric | value | 95 % interval | better than no skill |
| --- | ---: | --- | ---: |
| **roc auc** | **0.7481** | 0.7 to 0.79 | ↑ 0.5 |
| log loss | 0.4897 | 0.7 to 0.79 | ↓ 0.6931 |

Intervals: 2,000 draws of whole units (day), since rows of one are alike. \
Metrics in bold have a threshold; ↑ more is better, ↓ less is.

### By origin

| group | rows | units | true | roc auc | 95 % interval |
| --- | ---: | ---: | ---: | ---: | --- |
| LGA | 1,000 | 20 | 25.0% | – | – |
| JFK | 1,000 | 20 | 25.0% | 0.71 | – |
| EWR | 1,000 | 20 | 25.0% | 0.74 | – |

Not judged, with fewer than 800 rows: 1 group (TEB).

### Calibration

| score | rows | predicted | observed | 95 % interval | █ observed, ┃ predicted |
| --- | ---: | ---: | ---: | --- | --- |
| 0.2 to 0.3 | 5,322 | 24.6% | 40.0% | 33.0% to 49.0% | `██████┃███░░░░░░░░░░░░░░░` |
| 0.9 to 1 | 78 | 100.0% | 100.0% | – | `████████████████████████┃` |
"""
    )


def test_where_less_is_better_the_most_is_worst():
    groups = (group("a", 0.2), group("b", 0.9), group("c", 0.5))
    slices = {"s": SliceEvaluation(min_rows=0, groups=groups)}
    markdown = render_evaluation(evaluation(metrics={"roc_auc": metric(0.5, "lower")}, slices=slices))
    assert [row[0] for row in rows_of(markdown, "### By s")] == ["b", "c", "a"]


def test_many_groups_are_capped_and_the_rest_is_counted():
    groups = tuple(group(f"g{number:02}", number / 100) for number in range(60))
    small = tuple(group(f"s{number}", 0.1, judged=False) for number in range(9))
    slices = {"s": SliceEvaluation(min_rows=800, groups=groups + small)}
    markdown = render_evaluation(evaluation(slices=slices), groups=4)
    assert [row[0] for row in rows_of(markdown, "### By s")] == ["g00", "g01", "g02", "g03"]
    assert "56 better ones are in `reports/evaluation.json`" in markdown
    assert "9 groups (s0, s1, s2, s3, s4, s5 and 3 more)" in markdown


def test_rows_without_a_group_are_told_from_a_group_of_that_name():
    slices = {"s": SliceEvaluation(min_rows=0, groups=(group("(no value)", 0.1), group(None, 0.2)))}
    names = [row[0] for row in rows_of(render_evaluation(evaluation(slices=slices)), "### By s")]
    assert names == ["(no value)", "*(no value)*"]


def test_what_is_missing_is_said():
    missing = {"roc_auc": metric(None, low=None, high=None, reason="undefined: no label is true")}
    markdown = render_evaluation(evaluation(metrics=missing | {"brier": metric(0.2, undefined_draws=12)}))
    assert "* roc auc: undefined: no label is true." in markdown
    assert "* brier: 12 draws are left out, undefined there." in markdown


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": HOSTILE},
        {"target": HOSTILE},
        {"estimator": HOSTILE},
        {"batches": (HOSTILE,)},
        {"metrics": {"roc_auc": metric(0.5), HOSTILE: metric(0.5)}},
        {"slices": {"s": SliceEvaluation(min_rows=0, groups=(group(HOSTILE, 0.5),))}},
        {"slices": {"s": SliceEvaluation(min_rows=0, groups=(group(HOSTILE, 0.5, judged=False),))}},
        {"slices": {HOSTILE: SliceEvaluation(min_rows=0, groups=(group("a", 0.5),))}},
    ],
)
def test_names_from_the_data_stay_text(changes: dict[str, Any]):
    markdown = render_evaluation(evaluation(**changes))
    assert "</td>" not in markdown.replace("\\<", "").replace("\\>", "")
    assert "@everyone" not in markdown
    assert "http:" not in markdown
    assert not any(line.startswith("# ") for line in markdown.splitlines())
    for line in markdown.splitlines():
        assert line.count("`") % 2 == 0 or "\\`" in line
    # No cell more than the header has.
    for table in markdown.split("\n\n"):
        lines = [line.replace("\\|", "") for line in table.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1
